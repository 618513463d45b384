/**
 * The way from the root to a leaf that a changing operation goes, as registers of this thread:
 * one operation runs at a time and none is held over its end.
 *
 * Level 0 is the leaf; `pathSlots[level]` is the slot taken on the branch at that level.
 *
 * @module
 */

import {
  CELL_COUNT_HIGH,
  CELL_COUNT_LOW,
  cellAt,
  cellCount,
  OVERFLOW_FLAG,
  setCellCount,
} from "./cell.ts";
import { pageCount } from "./page.ts";
import { hasOverflow } from "./page_edit.ts";
import type { PageWriter } from "./pager.ts";
import { HEIGHT_MAX, type TreeRoot } from "./root.ts";
import { searchBranch } from "./search.ts";

/** Frames of the pages, all to be changed. */
export const pathFrames: Int32Array = new Int32Array(HEIGHT_MAX);
export const pathSlots: Int32Array = new Int32Array(HEIGHT_MAX);

/** What an operation does to the overflow flags above its leaf. */
export const FLAG_KEEP = 0;
export const FLAG_SET = 1;
export const FLAG_RECOMPUTE = 2;

/** Descends to the leaf where the key belongs, making every page on the way editable. */
export function editPath(
  pager: PageWriter,
  root: TreeRoot,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
): void {
  const arena = pager.arena;
  let words = root.ref;
  let index = 0;
  for (let level = root.height - 1; level > 0; level--) {
    const frame = pager.edit(words, index, level);
    const chunk = arena.chunks[frame >> arena.frameShift];
    const base = (frame & arena.frameMask) << arena.pageShift;
    const slot = searchBranch(chunk, base, key, keyOffset, keyLength);
    pathFrames[level] = frame;
    pathSlots[level] = slot;
    words = chunk.u32;
    index = cellAt(words, base, slot) >> 2;
  }
  pathFrames[0] = pager.edit(words, index, 0);
}

/** Makes the pages editable on a way whose slots are known. */
export function editKnownPath(pager: PageWriter, root: TreeRoot): void {
  const arena = pager.arena;
  let words = root.ref;
  let index = 0;
  for (let level = root.height - 1; level > 0; level--) {
    const frame = pager.edit(words, index, level);
    const base = (frame & arena.frameMask) << arena.pageShift;
    pathFrames[level] = frame;
    words = arena.chunks[frame >> arena.frameShift].u32;
    index = cellAt(words, base, pathSlots[level]) >> 2;
  }
  pathFrames[0] = pager.edit(words, index, 0);
}

/** Carries a change below into the counts and flags of the branches from `level` up. */
export function updatePath(
  pager: PageWriter,
  root: TreeRoot,
  level: number,
  delta: number,
  flag: number,
): void {
  const arena = pager.arena;
  for (; level < root.height; level++) {
    const frame = pathFrames[level];
    const u32 = arena.chunks[frame >> arena.frameShift].u32;
    const base = (frame & arena.frameMask) << arena.pageShift;
    const word = cellAt(u32, base, pathSlots[level]) >> 2;
    if (flag === FLAG_RECOMPUTE) {
      const below = pathFrames[level - 1];
      const overflow = hasOverflow(
        arena.chunks[below >> arena.frameShift].u32,
        (below & arena.frameMask) << arena.pageShift,
      );
      setCellCount(u32, word, cellCount(u32, word) + delta, overflow);
    } else {
      if (delta === 1) addOne(u32, word);
      else if (delta !== 0) setCountOnly(u32, word, cellCount(u32, word) + delta);
      if (flag === FLAG_SET) u32[word + CELL_COUNT_HIGH] |= OVERFLOW_FLAG;
    }
  }
}

function addOne(u32: Uint32Array, word: number): void {
  const low = (u32[word + CELL_COUNT_LOW] + 1) | 0;
  u32[word + CELL_COUNT_LOW] = low;
  if (low === 0) u32[word + CELL_COUNT_HIGH]++;
}

function setCountOnly(u32: Uint32Array, word: number, count: number): void {
  setCellCount(u32, word, count, u32[word + CELL_COUNT_HIGH] >>> 31 === 1);
}

/** Whether the path takes the last (else: the first) slot of every branch. */
export function pathIsOuter(pager: PageWriter, root: TreeRoot, last: boolean): boolean {
  const arena = pager.arena;
  for (let level = 1; level < root.height; level++) {
    const frame = pathFrames[level];
    const u32 = arena.chunks[frame >> arena.frameShift].u32;
    const count = pageCount(u32, (frame & arena.frameMask) << arena.pageShift);
    if (pathSlots[level] !== (last ? count - 1 : 0)) return false;
  }
  return true;
}
