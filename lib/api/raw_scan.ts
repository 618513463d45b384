/**
 * Zero-copy scans: the caller's function is shown entries where they lie.
 *
 * Invariants: the version is pinned before the epoch is renewed for the first time (one that is pinned anyway, from the beginning:
 * the user's code may give that pin up), and it is renewed between leaves only, so that a long scan keeps nobody from evicting pages; a leaf on a
 * private frame is copied before the user's code, which may read and so overwrite it, is shown it.
 *
 * @module
 */

import type { Pin } from "../memory/pins.ts";
import { viewOf } from "../runtime/fast_bytes.ts";
import { noteGarbage, VIEW_GARBAGE_BYTES } from "../runtime/garbage.ts";
import { LEAF_HEAD_BYTES } from "../tree/cell.ts";
import type { Cursor } from "../tree/cursor.ts";
import { WORD_SLOTS } from "../tree/page.ts";
import type { EncodedRange } from "./range.ts";
import { leafEnd, type RawTable, seekStart } from "./raw_reads.ts";

/** Leaves that are shown inside one epoch. */
const LEAVES_PER_EPOCH = 64;

/** Is shown an entry, valid during the call; ends the scan with `false`. */
export type Visit = (key: Uint8Array, value: Uint8Array) => boolean | void;

/** Shows the entries of a range; returns how many were shown. */
export function scanEntries(table: RawTable, range: EncodedRange, visit: Visit): number {
  if (range.empty) return 0;
  const { epochs, scratch, source } = table;
  const { reverse, limit } = range;
  const cursor = scratch.takeCursor();
  let pin: Pin | undefined;
  let shown = 0;
  epochs.enter();
  try {
    if (!begin(table, cursor, range)) return 0;
    pin = source.keep();
    // Kept: the table's own state moves on when the callback reads the table.
    const { version } = table.state;
    for (let leaves = 1;; leaves++) {
      const end = leafEnd(cursor, range);
      const wholeLeaf = end === (reverse ? 0 : cursor.count);
      const there = reverse ? cursor.slot - end + 1 : end - cursor.slot;
      const count = Math.min(there, limit - shown);
      if (table.isPrivate(cursor.chunk, cursor.base)) {
        copyLeaf(cursor, table.store.arena.pageSize);
      }
      noteGarbage(count * 2 * VIEW_GARBAGE_BYTES);
      const seen = showLeaf(table, cursor, reverse ? -1 : 1, count, visit);
      if (seen < 0) return shown + ~seen;
      shown += Math.max(0, count);
      if (!wholeLeaf || shown === limit) return shown;
      if (leaves % LEAVES_PER_EPOCH === 0) {
        pin ??= source.pin({ version });
        epochs.leave();
        epochs.enter();
      }
      if (!moveOn(table, cursor, reverse)) return shown;
    }
  } finally {
    epochs.leave();
    if (pin !== undefined) source.release(pin);
    scratch.putCursor(cursor);
  }
}

function begin(table: RawTable, cursor: Cursor, range: EncodedRange): boolean {
  try {
    const entry = table.entry();
    return entry !== undefined && seekStart(table.store, cursor, entry.root, range);
  } catch (error) {
    throw table.explain(error);
  }
}

function moveOn(table: RawTable, cursor: Cursor, reverse: boolean): boolean {
  try {
    table.source.checkOpen();
    table.useStore();
    return reverse ? cursor.previousLeaf() : cursor.nextLeaf();
  } catch (error) {
    throw table.explain(error);
  }
}

/** Shows `count` entries from the cursor on; returns `~shown` if the visitor ended it. */
function showLeaf(
  table: RawTable,
  cursor: Cursor,
  step: number,
  count: number,
  visit: Visit,
): number {
  const { u8, u32 } = cursor.chunk;
  const { buffer } = u8;
  const { base } = cursor;
  const slots = (base >> 2) + WORD_SLOTS;
  let slot = cursor.slot;
  for (let i = 1; i <= count; i++, slot += step) {
    const place = u32[slots + (slot << 1) + 1];
    const keyLength = place >>> 16;
    const keyAt = base + (place & 0xffff) + LEAF_HEAD_BYTES;
    const head = u32[(keyAt - LEAF_HEAD_BYTES) >> 2];
    const valueAt = keyAt + ((keyLength + 3) & ~3);
    const value = head >>> 31 === 1
      ? overflowValue(table, u32, valueAt)
      : viewOf(u8, buffer, valueAt, head);
    if (visit(viewOf(u8, buffer, keyAt, keyLength), value) === false) return ~i;
  }
  return 0;
}

function overflowValue(table: RawTable, u32: Uint32Array, at: number): Uint8Array {
  try {
    table.useStore();
    return table.overflow(u32, at >> 2);
  } catch (error) {
    throw table.explain(error);
  }
}

/** Puts the cursor on a copy of its leaf. */
function copyLeaf(cursor: Cursor, pageSize: number): void {
  const u8 = cursor.chunk.u8.slice(cursor.base, cursor.base + pageSize);
  cursor.chunk = { u8, u32: new Uint32Array(u8.buffer) };
  cursor.base = 0;
}
