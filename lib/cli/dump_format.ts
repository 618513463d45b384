/**
 * The lines of a dump. docs/dump_format.md describes them.
 *
 * @module
 */

/** What the first line says. */
export const DUMP_NAME = "manifold dump";
export const DUMP_VERSION = 1;

/** Longer values are written in parts, bytes: a line is never much longer than this. */
export const WHOLE_VALUE_BYTES_MAX = 256 * 1024;

/** Bytes of a part: a multiple of three, so that only the last part's base64 is padded. */
export const PART_BYTES = 768 * 1024;

/** Longer lines are refused, bytes. The longest that a dump has are a few MiB. */
export const LINE_BYTES_MAX = 16 * 2 ** 20;

/** The first line. */
export interface HeaderLine {
  readonly dump: typeof DUMP_NAME;
  readonly version: typeof DUMP_VERSION;
  /** Of the database that was dumped, bytes; a database that is made for the dump gets it, too. */
  readonly pageSize: number;
}

/** Announces a column family, or a table whose entries follow. */
export interface PlaceLine {
  readonly family: string;
  readonly table?: string;
  readonly keyCodec?: string;
  readonly valueCodec?: string;
}

/** The last line; a dump without it was cut off. */
export interface EndLine {
  readonly end: true;
  readonly entries: number;
}
