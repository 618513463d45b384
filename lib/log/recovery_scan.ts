/**
 * The serial pass over the log that a recovery begins with: which records count, and what they mean
 * for each family.
 *
 * Invariants: a record counts only if its position, salt and checksum are right, and if for each of its
 * families it makes the version after the one before; a record of a later checkpoint generation than
 * the meta page chosen means that a newer meta page was lost. Nothing is written, and no more memory
 * taken than the longest record needs.
 *
 * @module
 */

import {
  OP_CREATE_FAMILY,
  OP_DROP_FAMILY,
  operationMemory,
  OperationReader,
} from "./operations.ts";
import { ManifoldError } from "../errors.ts";
import { decodeName } from "../memory/family_slots.ts";
import type { Checksum } from "../storage/checksum.ts";
import { findDamage, type LogDamage } from "./log_damage.ts";
import type { LogReader } from "./log_file.ts";
import {
  alignRecord,
  readRecordHeader,
  RECORD_ALIGNMENT,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  type RecordPart,
  recordParts,
  recordVerifies,
} from "./record.ts";

/** What the log says of one family. */
export interface FamilyInLog {
  /** Lowest and highest version among its records. */
  first: number;
  last: number;
  /** The name, if the log has its creation. */
  name?: string;
  dropped: boolean;
}

export interface LogScan {
  /** Position behind the last record that counts. */
  readonly end: number;
  readonly records: number;
  readonly families: ReadonlyMap<number, FamilyInLog>;
  /** Why the log goes on behind the end; undefined if it ends there, perhaps with a torn record. */
  readonly damage: LogDamage | undefined;
}

export interface ScanOptions {
  readonly path: string;
  readonly salt: Uint8Array;
  /** Generation of the chosen meta page. */
  readonly generation: number;
  readonly checksum: Checksum;
  /** The version of a family that the file's pages contain; undefined for one that the file does not know. */
  readonly contained?: (family: number) => number | undefined;
}

/**
 * A record that counts: its header and bytes, valid until the next read. Without `checksum`, one that
 * is known to verify.
 */
export function readRecord(
  reader: LogReader,
  position: number,
  salt: Uint8Array,
  checksum: Checksum | undefined,
): { header: RecordHeader; bytes: Uint8Array } | undefined {
  const header = readRecordHeader(
    reader.read(position, RECORD_HEADER_BYTES),
    position,
    salt,
  );
  // Before memory is taken for it: a record is no longer than its log.
  if (
    header === undefined || header.length < RECORD_HEADER_BYTES ||
    header.length > reader.capacity || !reader.holds(position, header.length)
  ) return undefined;
  const bytes = reader.read(position, header.length);
  if (checksum !== undefined && !recordVerifies(bytes, checksum)) return undefined;
  return { header, bytes };
}

/**
 * Reads the log from a position on.
 *
 * @throws {ManifoldError} `corrupt` when it is not damage of the log that ends it: a newer meta page was lost,
 * or records that verify are none that any release has written.
 */
export function scanLog(log: LogReader, from: number, options: ScanOptions): LogScan {
  const families = new Map<number, FamilyInLog>();
  const { path, salt, checksum } = options;
  if (from % RECORD_ALIGNMENT !== 0) {
    throw new ManifoldError(
      "corrupt",
      `${path}: no record can begin at position ${from}, where the meta page says; restore a backup`,
    );
  }
  let position = from;
  let records = 0;
  let gap: string | undefined;
  for (;;) {
    if (position - from > log.capacity) {
      throw new ManifoldError(
        "corrupt",
        `${path}: the log goes round in a circle; restore a backup`,
      );
    }
    const record = readRecord(log, position, salt, checksum);
    if (record === undefined) break;
    const { header, bytes } = record;
    if (header.generation > options.generation) {
      throw new ManifoldError(
        "corrupt",
        `${path}: the log's record at position ${position} was written after checkpoint ` +
          `${header.generation}, but the newest meta page that can be read is of ${options.generation}; ` +
          `restore a backup`,
      );
    }
    const parts = recordParts(bytes, header, path);
    gap = gapOf(parts, families, options);
    if (gap !== undefined) break;
    for (const part of parts) notePart(bytes, part, families, position, path);
    records++;
    position += alignRecord(header.length);
  }
  const scan = { end: position, records, families };
  return { ...scan, damage: findDamage(log, from, scan, gap, options) };
}

/** Says which part of a record does not follow what its family has: records before it are missing. */
function gapOf(
  parts: readonly RecordPart[],
  families: ReadonlyMap<number, FamilyInLog>,
  options: ScanOptions,
): string | undefined {
  for (const { family, version } of parts) {
    const last = families.get(family)?.last ?? 0;
    const contained = options.contained?.(family);
    // A family that the file does not know may have been deleted since: its versions tell nothing.
    const due = Math.max(contained ?? version - 1, last) + 1;
    if (version <= last || version > due) {
      return `the record there makes version ${version} of family ${family}, where ${due} should follow`;
    }
  }
  return undefined;
}

/** The scan of a log that cannot be read at all. */
export function nothingOf(from: number, why: string): LogScan {
  const damage = { why, records: 0, families: new Map() };
  return { end: from, records: 0, families: new Map(), damage };
}

const reader = new OperationReader();

function notePart(
  bytes: Uint8Array,
  part: RecordPart,
  families: Map<number, FamilyInLog>,
  position: number,
  path: string,
): void {
  let family = families.get(part.family);
  if (family === undefined) {
    family = { first: part.version, last: part.version, dropped: false };
    families.set(part.family, family);
  }
  family.last = part.version;
  // The making and the deletion of a family are the only operation of their part.
  const kind = part.to > part.from ? bytes[part.from] : 0;
  if (kind === OP_DROP_FAMILY) {
    family.dropped = true;
  } else if (kind === OP_CREATE_FAMILY) {
    const copy = bytes.slice(part.from, part.to);
    reader.begin(operationMemory(copy), 0, copy.length);
    reader.next();
    family.name = decodeName(reader.value());
    if (family.name === undefined) {
      throw new ManifoldError(
        "corrupt",
        `${path}: the log's record at position ${position} makes family ${part.family} without a name; ` +
          "restore a backup",
      );
    }
  }
}
