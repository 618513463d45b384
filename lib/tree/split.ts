/**
 * Splitting a full page while something is inserted into it.
 *
 * A split leaves the lower part on the page, moves the upper part to a fresh page on its right, and
 * says in {@linkcode Pending} what has to be inserted into the parent. The entries and the new one
 * are thought of as one row; the point of the split is the place in it where the right page begins.
 *
 * No cell is larger than about a third of a page, so both parts of a row split near its middle fit.
 *
 * @module
 */

import type { Chunk } from "../memory/arena.ts";
import { assert } from "../errors.ts";
import { commonBytes, copyBytes } from "./bytes.ts";
import {
  BRANCH_HEAD_BYTES,
  branchCellBytes,
  cellAt,
  cellBytes,
  keyLengthAt,
  LEAF_HEAD_BYTES,
  leafCellBytes,
  SLOT_BYTES,
} from "./cell.ts";
import {
  ascendingRun,
  capacityOf,
  clearRun,
  isLeaf,
  keyBytesMax,
  liveBytes,
  noteInsert,
  PAGE_BRANCH,
  PAGE_LEAF,
  PAGE_SIZE_MAX,
  pageCount,
} from "./page.ts";
import {
  appendCells,
  entriesOf,
  hasOverflow,
  makeRoom,
  putBranch,
  putLeaf,
  rehint,
  removeSlots,
} from "./page_edit.ts";
import { type PageWriter, REF_WORDS } from "./pager.ts";

/** A page that has to be inserted into a parent. */
export class Pending {
  readonly ref: Uint32Array = new Uint32Array(REF_WORDS);
  /** Entries below it. */
  count = 0;
  overflow = false;
  separator: Uint8Array = new Uint8Array(keyBytesMax(PAGE_SIZE_MAX));
  separatorLength = 0;
  /** Whether the split below followed an ascending load, and this one should. */
  ascending = false;
}

/** The result of the latest split, and the space for that of the next above it. */
export const pending: Pending = new Pending();
let spare: Uint8Array = new Uint8Array(keyBytesMax(PAGE_SIZE_MAX));
const freshRef = new Uint32Array(REF_WORDS);
const NO_KEY = new Uint8Array(0);

/** Splits the leaf in `frame`, inserting an entry at `slot`. `outer`: -1 or 1 on the tree's edges. */
export function splitLeaf(
  pager: PageWriter,
  frame: number,
  slot: number,
  outer: number,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
  value: Uint8Array,
  valueOffset: number,
  valueLength: number,
  overflow: boolean,
): void {
  const arena = pager.arena;
  const pageSize = arena.pageSize;
  const left = arena.chunk(frame);
  const leftBase = arena.base(frame);
  const count = pageCount(left.u32, leftBase);
  assert(count > 0, "a leaf to split has entries");
  const bytes = leafCellBytes(keyLength, valueLength) + SLOT_BYTES;
  const run = ascendingRun(left.u32, leftBase, slot);

  let point = 0;
  if (slot === count && (run || outer > 0)) point = count;
  else if (slot === 0 && outer < 0) point = 1;
  else if (run) point = pointOfRun(left.u32, leftBase, slot, bytes, capacityOf(pageSize));
  else point = pointByBytes(left.u32, leftBase, slot, bytes);

  const fresh = pager.create(PAGE_LEAF, 0, pending.ref, 0);
  const right = arena.chunk(fresh);
  const rightBase = arena.base(fresh);
  const from = point > slot ? point - 1 : point;
  appendCells(left, leftBase, from, count, right, rightBase, pageSize);
  removeSlots(left, leftBase, pageSize, from, count);
  if (!run) clearRun(left.u32, leftBase);
  const toLeft = slot < point;
  const chunk = toLeft ? left : right;
  const base = toLeft ? leftBase : rightBase;
  const at = toLeft ? slot : slot - point;
  const fits = makeRoom(chunk, base, pageSize, bytes);
  assert(fits, "a half of a split leaf has room for the new entry");
  // Hints on the fresh page are written below: until then it has no prefix that they could miss.
  putLeaf(
    chunk,
    base,
    pageSize,
    at,
    key,
    keyOffset,
    keyLength,
    value,
    valueOffset,
    valueLength,
    overflow,
  );
  if (from < count) rehint(left, leftBase);
  rehint(right, rightBase);
  noteInsert(chunk.u32, base, at);

  pending.ascending = point === count && slot === count;
  pending.count = pageCount(right.u32, rightBase);
  pending.overflow = hasOverflow(right.u32, rightBase);
  separate(left, leftBase, right, rightBase);
}

/** The shortest separator of two leaves: what the right's first key shares with the left's last, plus one byte. */
function separate(left: Chunk, leftBase: number, right: Chunk, rightBase: number): void {
  const last = pageCount(left.u32, leftBase) - 1;
  const lastKey = cellAt(left.u32, leftBase, last) + LEAF_HEAD_BYTES;
  const firstKey = cellAt(right.u32, rightBase, 0) + LEAF_HEAD_BYTES;
  const shortest = Math.min(
    keyLengthAt(left.u32, leftBase, last),
    keyLengthAt(right.u32, rightBase, 0),
  );
  const length = commonBytes(left.u8, lastKey, right.u8, firstKey, shortest) + 1;
  copyBytes(right.u8, firstKey, pending.separator, 0, length);
  pending.separatorLength = length;
}

/** Splits the branch in `frame`, inserting {@linkcode pending} at `slot`, which then is the result. */
export function splitBranch(pager: PageWriter, frame: number, level: number, slot: number): void {
  const arena = pager.arena;
  const pageSize = arena.pageSize;
  const left = arena.chunk(frame);
  const leftBase = arena.base(frame);
  const count = pageCount(left.u32, leftBase);
  assert(count > 2, "a branch to split has several children");
  const bytes = branchCellBytes(pending.separatorLength) + SLOT_BYTES;
  pending.ascending = pending.ascending && slot === count;
  const point = pending.ascending ? count - 1 : pointByBytes(left.u32, leftBase, slot, bytes);

  const fresh = pager.create(PAGE_BRANCH, level, freshRef, 0);
  const right = arena.chunk(fresh);
  const rightBase = arena.base(fresh);
  const from = point > slot ? point - 1 : point;
  // The separator of the right page's first child goes up and is not needed on the page.
  const promoted = spare;
  let promotedLength = pending.separatorLength;
  if (point === slot) {
    copyBytes(pending.separator, 0, promoted, 0, promotedLength);
    putPending(right, rightBase, pageSize, 0, 0);
  } else {
    promotedLength = keyLengthAt(left.u32, leftBase, from);
    const key = cellAt(left.u32, leftBase, from) + BRANCH_HEAD_BYTES;
    copyBytes(left.u8, key, promoted, 0, promotedLength);
  }
  appendCells(left, leftBase, from, count, right, rightBase, pageSize);
  removeSlots(left, leftBase, pageSize, from, count);
  if (point !== slot) {
    const toLeft = slot < point;
    const chunk = toLeft ? left : right;
    const base = toLeft ? leftBase : rightBase;
    const fits = makeRoom(chunk, base, pageSize, bytes);
    assert(fits, "a half of a split branch has room for the new child");
    putPending(chunk, base, pageSize, toLeft ? slot : slot - point, pending.separatorLength);
  }
  rehint(left, leftBase);
  rehint(right, rightBase);

  spare = pending.separator;
  pending.separator = promoted;
  pending.separatorLength = promotedLength;
  pending.ref.set(freshRef);
  pending.count = entriesOf(right.u32, rightBase);
  pending.overflow = hasOverflow(right.u32, rightBase);
}

/** Inserts {@linkcode pending} into a branch that has room for it. */
export function putPending(
  chunk: Chunk,
  base: number,
  pageSize: number,
  slot: number,
  keyLength: number,
): void {
  const key = keyLength === 0 ? NO_KEY : pending.separator;
  putBranch(
    chunk,
    base,
    pageSize,
    slot,
    pending.ref,
    0,
    pending.count,
    pending.overflow,
    key,
    0,
    keyLength,
  );
}

/** The point that leaves both parts of the row as equal as cells allow. */
function pointByBytes(u32: Uint32Array, base: number, slot: number, bytes: number): number {
  const count = pageCount(u32, base);
  const leaf = isLeaf(u32, base);
  const total = liveBytes(u32, base) + bytes;
  let before = 0;
  for (let i = 0; i <= count; i++) {
    const size = i === slot ? bytes : cellBytes(u32, base, i > slot ? i - 1 : i, leaf) + SLOT_BYTES;
    if (2 * (before + size) >= total) {
      const point = 2 * (before + size) - total <= total - 2 * before ? i + 1 : i;
      return Math.min(Math.max(point, 1), count);
    }
    before += size;
  }
  return count;
}

/** The point behind the new entry of an ascending run inside a page, or before it if that is too full. */
function pointOfRun(
  u32: Uint32Array,
  base: number,
  slot: number,
  bytes: number,
  capacity: number,
): number {
  let before = bytes;
  for (let i = 0; i < slot; i++) before += cellBytes(u32, base, i, true) + SLOT_BYTES;
  return before <= capacity ? slot + 1 : slot;
}
