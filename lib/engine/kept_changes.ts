/**
 * The changes that a family keeps: a table of the family that users do not see, written in the same group
 * as what it tells of. Its name in the catalog is `\0changes`, the second of its two codec names the bytes to keep.
 *
 * | key | value |
 * |---|---|
 * | one zero byte | bytes kept, newest version of which nothing is kept (u53 each) |
 * | version (8 bytes, big-endian) | bytes of the version's changes, how many (u53 each) |
 * | version, index (4 bytes, big-endian) | the change (change_record.ts), with values that are small |
 * | version, index, 1 | its previous value, if that is not small |
 * | version, index, 2 | its value, if that is not small |
 *
 * Invariants: everything here follows from the operations of each version and what was there before, so that
 * a recovery makes the same entries; a version is kept whole or not at all, and the newest one always.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { COUNT_MAX, getU53, putU53 } from "../storage/bytes.ts";
import { type OverflowSource, readOverflow } from "../storage/overflow.ts";
import { Cursor } from "../tree/cursor.ts";
import { inlineBytesMax } from "../tree/page.ts";
import { type PageReader, REF_WORDS } from "../tree/pager.ts";
import type { Bound, TreeRoot } from "../tree/root.ts";
import {
  changeBytes,
  type DecodedChange,
  type EntryChange,
  putChange,
  readChange,
} from "./change_record.ts";

/** What the table is called in the catalog: no user's table can be. */
export const CHANGES_TABLE = "\0changes";
/** The most that a family can be asked to keep. */
export const KEEP_BYTES_MAX = 2 ** 50;

const CODEC = "changes";
const STATE_KEY = new Uint8Array(1);
const VERSION_BYTES = 8;
const CHANGE_KEY_BYTES = 12;
const PART_KEY_BYTES = 13;
const PAIR_BYTES = 16;
const PREVIOUS_PART = 1;
const VALUE_PART = 2;

/** What stands in place of the table's codecs. */
export function keptCodecs(keepBytes: number): string {
  return `${CODEC}\0${keepBytes}`;
}

/** @throws {ManifoldError} `corrupt`. */
export function keepBytesOf(codecs: string): number {
  const keepBytes = Number(codecs.slice(CODEC.length + 1));
  if (codecs === keptCodecs(keepBytes) && isKeepBytes(keepBytes)) return keepBytes;
  throw new ManifoldError(
    "corrupt",
    "a catalog does not say how many bytes of changes are to be kept; restore a backup",
  );
}

/** Whether a family can keep so much. */
export function isKeepBytes(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1 &&
    (value as number) <= KEEP_BYTES_MAX;
}

function versionKey(version: number): Uint8Array {
  return changeKey(VERSION_BYTES, version, 0, 0);
}

function changeKey(bytes: number, version: number, index: number, part: number): Uint8Array {
  const key = new Uint8Array(PART_KEY_BYTES);
  const view = new DataView(key.buffer);
  view.setUint32(0, Math.floor(version / 2 ** 32));
  view.setUint32(4, version >>> 0);
  view.setUint32(8, index);
  key[12] = part;
  return key.subarray(0, bytes);
}

function pair(first: number, second: number): Uint8Array {
  const bytes = new Uint8Array(PAIR_BYTES);
  const view = new DataView(bytes.buffer);
  putU53(view, 0, first);
  putU53(view, 8, second);
  return bytes;
}

/** The table, as its family's engine lets it be read and written. */
export interface KeptTable {
  readonly pager: PageReader;
  readonly root: TreeRoot;
  readonly values: OverflowSource;
  set(key: Uint8Array, value: Uint8Array): void;
  removeRange(lower: Bound, upper: Bound): void;
}

/** Keeps a family's changes. */
export class KeptChanges {
  readonly #table: KeptTable;
  readonly #keepBytes: number;
  #count = 0;
  #bytes = 0;

  constructor(table: KeptTable, keepBytes: number) {
    this.#table = table;
    this.#keepBytes = keepBytes;
  }

  /** Adds a change of the version in the making. */
  add(version: number, change: EntryChange): void {
    const index = this.#count++;
    const { previous, value, table, key } = change;
    const bytes = changeBytes(change);
    this.#bytes += bytes;
    // What would make the entry an overflow value is one of its own.
    let room = inlineBytesMax(this.#table.pager.arena.pageSize) - CHANGE_KEY_BYTES -
      changeBytes({ table, key, previous: undefined, value: undefined });
    const previousApart = previous !== undefined && previous.length > room;
    if (previous !== undefined && !previousApart) room -= previous.length;
    const valueApart = value !== undefined && value.length > room;
    const apart = (previousApart ? previous.length : 0) + (valueApart ? value.length : 0);
    const entry = new Uint8Array(bytes - apart);
    putChange(entry, 0, change, previousApart, valueApart);
    this.#table.set(changeKey(CHANGE_KEY_BYTES, version, index, 0), entry);
    if (previousApart) {
      this.#table.set(changeKey(PART_KEY_BYTES, version, index, PREVIOUS_PART), previous);
    }
    if (valueApart) this.#table.set(changeKey(PART_KEY_BYTES, version, index, VALUE_PART), value);
  }

  /** The version is complete: what is now too much goes, oldest first. */
  endVersion(version: number): void {
    if (this.#count === 0) return;
    let { bytes, since } = keptState(this.#table.pager, this.#table.root);
    bytes += this.#bytes;
    this.#table.set(versionKey(version), pair(this.#bytes, this.#count));
    this.forget();
    while (bytes > this.#keepBytes) {
      const oldest = this.#oldest();
      if (oldest.version >= version) break;
      this.#table.removeRange(
        { key: STATE_KEY, inclusive: false },
        { key: versionKey(oldest.version + 1), inclusive: false },
      );
      bytes -= oldest.bytes;
      since = oldest.version;
    }
    this.#table.set(STATE_KEY, pair(bytes, since));
  }

  /** The version in the making is given up. */
  forget(): void {
    this.#count = 0;
    this.#bytes = 0;
  }

  #oldest(): { version: number; bytes: number } {
    const cursor = new Cursor(this.#table.pager);
    if (
      !cursor.seek(this.#table.root, STATE_KEY, false) ||
      cursor.keyLength(cursor.slot) !== VERSION_BYTES ||
      cursor.valueLength(cursor.slot) !== PAIR_BYTES
    ) throw damaged();
    const { chunk } = cursor;
    return {
      version: versionAt(chunk.u8, cursor.keyOffset(cursor.slot)),
      bytes: numberAt(chunk.u8, cursor.valueOffset(cursor.slot)),
    };
  }
}

/** How many bytes are kept, and the newest version of which nothing is kept, 0 if there is none. Inside an epoch. */
export function keptState(pager: PageReader, root: TreeRoot): { bytes: number; since: number } {
  const cursor = new Cursor(pager);
  if (!cursor.seek(root, null, true)) return { bytes: 0, since: 0 };
  if (cursor.keyLength(cursor.slot) !== 1) {
    // The first version in the making: its state is written last.
    return { bytes: 0, since: 0 };
  }
  if (cursor.valueLength(cursor.slot) !== PAIR_BYTES) throw damaged();
  const at = cursor.valueOffset(cursor.slot);
  const { u8 } = cursor.chunk;
  return { bytes: numberAt(u8, at), since: numberAt(u8, at + 8) };
}

/** A kept change and its place. */
export interface KeptChange extends EntryChange {
  readonly version: number;
  /** Whether no change of the version follows. */
  readonly last: boolean;
}

/** Where a reader is: behind the first `index` changes, of `count`, of a version. */
export interface KeptPosition {
  version: number;
  index: number;
  count: number;
}

/**
 * Reads changes from a position on, which moves, until there are no more or they have so many bytes. Inside an
 * epoch, of a version of the family that still keeps the one read from.
 * @throws {ManifoldError} `corrupt`, `io`.
 */
export function readKeptChanges(
  table: Pick<KeptTable, "pager" | "root" | "values">,
  position: KeptPosition,
  bytesMax: number,
): KeptChange[] {
  const changes: KeptChange[] = [];
  const cursor = new Cursor(table.pager);
  const from = position.index === 0
    ? versionKey(position.version)
    : changeKey(CHANGE_KEY_BYTES, position.version, position.index, 0);
  let more = cursor.seek(table.root, from, true);
  for (let bytes = 0; more && bytes < bytesMax;) {
    const { chunk, slot } = cursor;
    const keyLength = cursor.keyLength(slot);
    // Before they are read: a forged page can end with an entry of any length.
    if (keyLength !== VERSION_BYTES && keyLength !== CHANGE_KEY_BYTES) throw damaged();
    const version = versionAt(chunk.u8, cursor.keyOffset(slot));
    if (keyLength === VERSION_BYTES) {
      if (cursor.valueLength(slot) !== PAIR_BYTES) throw damaged();
      position.version = version;
      position.index = 0;
      position.count = numberAt(chunk.u8, cursor.valueOffset(slot) + 8);
      more = cursor.next();
      continue;
    }
    if (version !== position.version) throw damaged();
    const change: DecodedChange = readChange(entryValue(table, cursor));
    let { previous, value } = change;
    if (change.previousApart) previous = partValue(table, cursor, PREVIOUS_PART);
    if (change.valueApart) value = partValue(table, cursor, VALUE_PART);
    position.index++;
    const last = position.index === position.count;
    const read = { version, last, table: change.table, key: change.key, previous, value };
    changes.push(read);
    bytes += changeBytes(read);
    if (last) {
      position.version++;
      position.index = 0;
    }
    more = cursor.next();
  }
  return changes;
}

/** The next entry's value, which must be the part of the change before it. */
function partValue(table: Pick<KeptTable, "values">, cursor: Cursor, part: number): Uint8Array {
  if (!cursor.next()) throw damaged();
  const { chunk, slot } = cursor;
  const at = cursor.keyOffset(slot) + CHANGE_KEY_BYTES;
  if (cursor.keyLength(slot) !== PART_KEY_BYTES || chunk.u8[at] !== part) throw damaged();
  return entryValue(table, cursor);
}

/** The value that the cursor stands at, in memory of the caller's own. */
export function entryValue({ values }: Pick<KeptTable, "values">, cursor: Cursor): Uint8Array {
  const { chunk, slot } = cursor;
  const at = cursor.valueOffset(slot);
  if (cursor.overflow(slot)) {
    return readOverflow(values, chunk.u32, at >> 2, chunk.u32[(at >> 2) + REF_WORDS]);
  }
  return chunk.u8.slice(at, at + cursor.valueLength(slot));
}

function versionAt(u8: Uint8Array, at: number): number {
  const view = new DataView(u8.buffer, u8.byteOffset + at, VERSION_BYTES);
  return checked(view.getUint32(0) * 2 ** 32 + view.getUint32(4));
}

function numberAt(u8: Uint8Array, at: number): number {
  return checked(getU53(new DataView(u8.buffer, u8.byteOffset + at, 8), 0));
}

function checked(value: number): number {
  if (value > COUNT_MAX) throw damaged();
  return value;
}

function damaged(): ManifoldError {
  return new ManifoldError("corrupt", "the changes that were kept are damaged; restore a backup");
}
