/**
 * A change of one entry, as bytes: in the feed of a worker, and among the changes that a family keeps.
 *
 * | bytes | what |
 * |---|---|
 * | 0–3 | flags (8 bits): 1 there was a previous value, 2 there is a value, 4 and 8 these stand apart; bytes of the table (24 bits) |
 * | 4–7 | bytes of the key |
 * | 8–11 | bytes of the previous value, 0 if there is none or it stands apart |
 * | 12–15 | the same of the value |
 * | 16– | table: its name and the names of its codecs, joined by NULs; key; previous value; value |
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";

const HEAD_BYTES = 16;
const HAS_PREVIOUS = 1;
const HAS_VALUE = 2;
const PREVIOUS_APART = 4;
const VALUE_APART = 8;

/** One entry before and after an operation: absent values are undefined. */
export interface EntryChange {
  /** Name of the table and names of its codecs, UTF-8, joined by NULs. */
  readonly table: Uint8Array;
  readonly key: Uint8Array;
  readonly previous: Uint8Array | undefined;
  readonly value: Uint8Array | undefined;
}

/** A change as it was decoded: values that stand apart are undefined yet. */
export interface DecodedChange extends EntryChange {
  readonly previousApart: boolean;
  readonly valueApart: boolean;
}

const NONE = new Uint8Array(0);

/** How many bytes a change takes with its values. */
export function changeBytes({ table, key, previous = NONE, value = NONE }: EntryChange): number {
  return HEAD_BYTES + table.length + key.length + previous.length + value.length;
}

/** Writes a change to `u8` from `at` on; values that stand apart are only said to be there. */
export function putChange(
  u8: Uint8Array,
  at: number,
  change: EntryChange,
  previousApart: boolean,
  valueApart: boolean,
): void {
  const { table, key, previous, value } = change;
  const near = previousApart ? NONE : previous ?? NONE;
  const after = valueApart ? NONE : value ?? NONE;
  const flags = (previous === undefined ? 0 : HAS_PREVIOUS) |
    (value === undefined ? 0 : HAS_VALUE) |
    (previousApart ? PREVIOUS_APART : 0) | (valueApart ? VALUE_APART : 0);
  const view = new DataView(u8.buffer, u8.byteOffset + at, HEAD_BYTES);
  view.setUint32(0, flags | (table.length << 8), true);
  view.setUint32(4, key.length, true);
  view.setUint32(8, near.length, true);
  view.setUint32(12, after.length, true);
  let next = at + HEAD_BYTES;
  for (const part of [table, key, near, after]) {
    u8.set(part, next);
    next += part.length;
  }
}

/**
 * Reads a change that takes all of `bytes`; its parts are copies.
 * @throws {ManifoldError} `corrupt`.
 */
export function readChange(bytes: Uint8Array): DecodedChange {
  const isWhole = bytes.length >= HEAD_BYTES;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const head = isWhole ? view.getUint32(0, true) : 0;
  const lengths = isWhole
    ? [head >>> 8, view.getUint32(4, true), view.getUint32(8, true), view.getUint32(12, true)]
    : [];
  if (!isWhole || lengths.reduce((sum, length) => sum + length, HEAD_BYTES) !== bytes.length) {
    throw new ManifoldError("corrupt", "a change that was kept is damaged; restore a backup");
  }
  let at = HEAD_BYTES;
  const [table, key, previous, value] = lengths.map((length) => bytes.slice(at, at += length));
  const previousApart = (head & PREVIOUS_APART) !== 0;
  const valueApart = (head & VALUE_APART) !== 0;
  return {
    table,
    key,
    previous: (head & HAS_PREVIOUS) === 0 || previousApart ? undefined : previous,
    value: (head & HAS_VALUE) === 0 || valueApart ? undefined : value,
    previousApart,
    valueApart,
  };
}
