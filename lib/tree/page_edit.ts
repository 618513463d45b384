/**
 * Changes inside one page: room, cells, slots, prefix and hints.
 *
 * Invariants kept by every function here, on return: cells of the slots, and `garbage` further
 * bytes, make up the `used` bytes at the end of the page; all keys that count share the first
 * `prefix` bytes, and every hint is that of its key behind them. {@linkcode appendCells} is the
 * exception: it leaves hints to {@linkcode rehint}.
 *
 * @module
 */

import type { Chunk } from "../memory/arena.ts";
import { commonBytes, copyBytes, copyWords, hintOf } from "./bytes.ts";
import {
  BRANCH_HEAD_BYTES,
  branchCellBytes,
  cellAt,
  cellBytes,
  cellCount,
  cellHasOverflow,
  isOverflow,
  keyLengthAt,
  LEAF_HEAD_BYTES,
  leafCellBytes,
  OVERFLOW_FLAG,
  padded,
  setCellCount,
  slotWord,
} from "./cell.ts";
import {
  freeBytes,
  isLeaf,
  PAGE_SIZE_MAX,
  pageCount,
  pagePrefix,
  setPageCount,
  setPagePrefix,
  WORD_GARBAGE,
  WORD_KIND,
  WORD_USED,
} from "./page.ts";

/** Holds the cells of a page while it is compacted. */
const scratch = new Uint32Array(PAGE_SIZE_MAX / 4);

/** Makes `bytes` free between slots and cells, compacting if that helps; false if it cannot. */
export function makeRoom(chunk: Chunk, base: number, pageSize: number, bytes: number): boolean {
  const free = freeBytes(chunk.u32, base, pageSize);
  if (free >= bytes) return true;
  if (free + chunk.u32[(base >> 2) + WORD_GARBAGE] < bytes) return false;
  compact(chunk, base, pageSize);
  return true;
}

/** Moves the cells together at the end of the page, in the order of the slots. */
export function compact(chunk: Chunk, base: number, pageSize: number): void {
  const u32 = chunk.u32;
  const page = base >> 2;
  const pageWords = pageSize >> 2;
  const first = (pageSize - u32[page + WORD_USED]) >> 2;
  copyWords(u32, page + first, scratch, first, pageWords - first);
  const count = pageCount(u32, base);
  const leaf = isLeaf(u32, base);
  let end = pageWords;
  for (let slot = 0; slot < count; slot++) {
    const word = slotWord(base, slot) + 1;
    const from = (u32[word] & 0xffff) >> 2;
    const keyLength = u32[word] >>> 16;
    const bytes = leaf
      ? leafCellBytes(keyLength, scratch[from] & ~OVERFLOW_FLAG)
      : branchCellBytes(keyLength);
    end -= bytes >> 2;
    copyWords(scratch, from, u32, page + end, bytes >> 2);
    u32[word] = (keyLength << 16) | (end << 2);
  }
  u32[page + WORD_USED] = (pageWords - end) << 2;
  u32[page + WORD_GARBAGE] = 0;
}

/** Takes `bytes` from the free space; returns where the cell begins in the page. */
function takeCell(u32: Uint32Array, base: number, pageSize: number, bytes: number): number {
  const word = (base >> 2) + WORD_USED;
  const used = u32[word] + bytes;
  u32[word] = used;
  return pageSize - used;
}

/** Moves the slots from `slot` on up by one and counts the new one. */
function openSlot(u32: Uint32Array, base: number, slot: number): void {
  const page = base >> 2;
  const count = u32[page + WORD_KIND] >>> 16;
  const from = slotWord(base, slot);
  const end = slotWord(base, count);
  if (end - from > 64) u32.copyWithin(from + 2, from, end);
  else for (let i = end - 1; i >= from; i--) u32[i + 2] = u32[i];
  u32[page + WORD_KIND] += 0x10000;
}

/**
 * The prefix of the page once the key is inserted at `slot`. Only an insert before the first or
 * behind the last key that counts can share less than the page does.
 */
function admitKey(
  chunk: Chunk,
  base: number,
  slot: number,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
): number {
  const u32 = chunk.u32;
  const count = pageCount(u32, base);
  const leaf = isLeaf(u32, base);
  const firstSlot = leaf ? 0 : 1;
  const prefix = pagePrefix(u32, base);
  if (slot < firstSlot) return prefix;
  if (count <= firstSlot) {
    setPagePrefix(u32, base, keyLength);
    return keyLength;
  }
  if (prefix === 0 || (slot > firstSlot && slot < count)) return prefix;
  const cellKey = cellAt(u32, base, slot === count ? count - 1 : slot) +
    (leaf ? LEAF_HEAD_BYTES : BRANCH_HEAD_BYTES);
  const shared = commonBytes(
    key,
    keyOffset,
    chunk.u8,
    cellKey,
    prefix < keyLength ? prefix : keyLength,
  );
  if (shared < prefix) writeHints(chunk, base, shared);
  return shared;
}

/** Inserts an entry at a slot of a leaf that has room for it. */
export function putLeaf(
  chunk: Chunk,
  base: number,
  pageSize: number,
  slot: number,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
  value: Uint8Array,
  valueOffset: number,
  valueLength: number,
  overflow: boolean,
): void {
  const u32 = chunk.u32;
  const u8 = chunk.u8;
  const prefix = admitKey(chunk, base, slot, key, keyOffset, keyLength);
  const offset = takeCell(u32, base, pageSize, leafCellBytes(keyLength, valueLength));
  const cell = base + offset;
  u32[cell >> 2] = overflow ? valueLength | OVERFLOW_FLAG : valueLength;
  copyBytes(key, keyOffset, u8, cell + LEAF_HEAD_BYTES, keyLength);
  copyBytes(value, valueOffset, u8, cell + LEAF_HEAD_BYTES + padded(keyLength), valueLength);
  openSlot(u32, base, slot);
  const word = slotWord(base, slot);
  u32[word] = hintOf(key, keyOffset + prefix, keyLength - prefix);
  u32[word + 1] = offset | (keyLength << 16);
}

/** Inserts a child at a slot of a branch that has room for it; at slot 0 with an empty key. */
export function putBranch(
  chunk: Chunk,
  base: number,
  pageSize: number,
  slot: number,
  ref: Uint32Array,
  refIndex: number,
  count: number,
  overflow: boolean,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
): void {
  const u32 = chunk.u32;
  const prefix = admitKey(chunk, base, slot, key, keyOffset, keyLength);
  const offset = takeCell(u32, base, pageSize, branchCellBytes(keyLength));
  const cell = (base + offset) >> 2;
  for (let i = 0; i < 4; i++) u32[cell + i] = ref[refIndex + i];
  setCellCount(u32, cell, count, overflow);
  copyBytes(key, keyOffset, chunk.u8, base + offset + BRANCH_HEAD_BYTES, keyLength);
  openSlot(u32, base, slot);
  const word = slotWord(base, slot);
  u32[word] = slot === 0 ? 0 : hintOf(key, keyOffset + prefix, keyLength - prefix);
  u32[word + 1] = offset | (keyLength << 16);
}

/** Removes the slots from `from` up to, not including, `to`, and their cells. */
export function removeSlots(
  chunk: Chunk,
  base: number,
  pageSize: number,
  from: number,
  to: number,
): void {
  if (from >= to) return;
  const u32 = chunk.u32;
  const page = base >> 2;
  const leaf = isLeaf(u32, base);
  for (let slot = from; slot < to; slot++) {
    const bytes = cellBytes(u32, base, slot, leaf);
    if (cellAt(u32, base, slot) - base === pageSize - u32[page + WORD_USED]) {
      u32[page + WORD_USED] -= bytes;
    } else {
      u32[page + WORD_GARBAGE] += bytes;
    }
  }
  const count = pageCount(u32, base);
  const end = slotWord(base, count);
  const source = slotWord(base, to);
  const target = slotWord(base, from);
  if (end - source > 64) u32.copyWithin(target, source, end);
  else for (let i = 0; i < end - source; i++) u32[target + i] = u32[source + i];
  const left = count - (to - from);
  setPageCount(u32, base, left);
  if (left === 0) {
    u32[page + WORD_USED] = 0;
    u32[page + WORD_GARBAGE] = 0;
  } else if (from === 0 && !leaf) {
    blankFirstKey(u32, base);
  }
}

/** Makes the key of a branch's slot 0 the empty one. */
function blankFirstKey(u32: Uint32Array, base: number): void {
  const word = slotWord(base, 0);
  u32[(base >> 2) + WORD_GARBAGE] += padded(u32[word + 1] >>> 16);
  u32[word] = 0;
  u32[word + 1] &= 0xffff;
}

/**
 * Copies the cells of slots `from` up to `to` behind the last of another page of the same kind that
 * has room for them. The first slot of an empty branch gets the empty key. Hints are left to the
 * caller.
 */
export function appendCells(
  source: Chunk,
  sourceBase: number,
  from: number,
  to: number,
  target: Chunk,
  targetBase: number,
  pageSize: number,
): void {
  const u32 = target.u32;
  const leaf = isLeaf(u32, targetBase);
  let count = pageCount(u32, targetBase);
  let used = u32[(targetBase >> 2) + WORD_USED];
  for (let slot = from; slot < to; slot++) {
    const cell = cellAt(source.u32, sourceBase, slot);
    let keyLength = keyLengthAt(source.u32, sourceBase, slot);
    if (!leaf && count === 0) keyLength = 0;
    const bytes = leaf
      ? leafCellBytes(keyLength, source.u32[cell >> 2] & ~OVERFLOW_FLAG)
      : branchCellBytes(keyLength);
    used += bytes;
    copyWords(source.u32, cell >> 2, u32, (targetBase + pageSize - used) >> 2, bytes >> 2);
    const word = slotWord(targetBase, count++);
    u32[word] = 0;
    u32[word + 1] = (pageSize - used) | (keyLength << 16);
  }
  u32[(targetBase >> 2) + WORD_USED] = used;
  setPageCount(u32, targetBase, count);
}

/** Makes the prefix as long as it can be and writes every hint. */
export function rehint(chunk: Chunk, base: number): void {
  const u32 = chunk.u32;
  const count = pageCount(u32, base);
  const leaf = isLeaf(u32, base);
  const first = leaf ? 0 : 1;
  let prefix = 0;
  if (count > first) {
    const head = leaf ? LEAF_HEAD_BYTES : BRANCH_HEAD_BYTES;
    const a = keyLengthAt(u32, base, first);
    const b = keyLengthAt(u32, base, count - 1);
    // Keys are in order: what the outer two share, all share.
    prefix = commonBytes(
      chunk.u8,
      cellAt(u32, base, first) + head,
      chunk.u8,
      cellAt(u32, base, count - 1) + head,
      Math.min(a, b),
    );
  }
  writeHints(chunk, base, prefix);
}

function writeHints(chunk: Chunk, base: number, prefix: number): void {
  const u32 = chunk.u32;
  const count = pageCount(u32, base);
  const leaf = isLeaf(u32, base);
  const skip = prefix + (leaf ? LEAF_HEAD_BYTES : BRANCH_HEAD_BYTES);
  setPagePrefix(u32, base, prefix);
  for (let slot = leaf ? 0 : 1; slot < count; slot++) {
    const word = slotWord(base, slot);
    const cell = base + (u32[word + 1] & 0xffff);
    u32[word] = hintOf(chunk.u8, cell + skip, (u32[word + 1] >>> 16) - prefix);
  }
}

/** Entries at or below the page. */
export function entriesOf(u32: Uint32Array, base: number): number {
  const count = pageCount(u32, base);
  if (isLeaf(u32, base)) return count;
  let sum = 0;
  for (let slot = 0; slot < count; slot++) sum += cellCount(u32, cellAt(u32, base, slot) >> 2);
  return sum;
}

/** Whether an overflow value is at or below the page. */
export function hasOverflow(u32: Uint32Array, base: number): boolean {
  const count = pageCount(u32, base);
  const leaf = isLeaf(u32, base);
  for (let slot = 0; slot < count; slot++) {
    const cell = cellAt(u32, base, slot);
    if (leaf ? isOverflow(u32, cell) : cellHasOverflow(u32, cell >> 2)) return true;
  }
  return false;
}
