/**
 * Mending the path after something was removed: empty pages leave their parent, a page under a
 * quarter full is merged with a neighbour if both fit on one with some slack, and a branch root
 * with one child gives way to it.
 *
 * Pages are merged, never evened out: no separator of a parent changes, so no parent can overflow.
 *
 * @module
 */

import type { Chunk } from "../memory/arena.ts";
import { assert } from "../errors.ts";
import {
  BRANCH_HEAD_BYTES,
  cellAt,
  cellCount,
  cellHasOverflow,
  keyLengthAt,
  padded,
  setCellCount,
} from "./cell.ts";
import { capacityOf, clearRun, isLeaf, liveBytes, pageCount } from "./page.ts";
import { appendCells, makeRoom, putBranch, rehint, removeSlots } from "./page_edit.ts";
import { type PageWriter, REF_WORDS } from "./pager.ts";
import { pathFrames, pathSlots } from "./path.ts";
import type { TreeRoot } from "./root.ts";

const childRef = new Uint32Array(REF_WORDS);

/** Mends the pages of the path, from the leaf up. Their counts and flags must be right already. */
export function settlePath(pager: PageWriter, root: TreeRoot): void {
  const arena = pager.arena;
  const sparse = capacityOf(arena.pageSize) >> 2;
  for (let level = 0; level < root.height - 1; level++) {
    const frame = pathFrames[level];
    const u32 = arena.chunk(frame).u32;
    const base = arena.base(frame);
    if (pageCount(u32, base) === 0) dropChild(pager, level + 1);
    else if (liveBytes(u32, base) < sparse) mergeChild(pager, level);
  }
  settleRoot(pager, root);
}

/** Gives back the empty page below the path's slot at `level`. */
function dropChild(pager: PageWriter, level: number): void {
  const arena = pager.arena;
  const chunk = arena.chunk(pathFrames[level]);
  const base = arena.base(pathFrames[level]);
  const slot = pathSlots[level];
  pager.free(chunk.u32, cellAt(chunk.u32, base, slot) >> 2);
  removeSlots(chunk, base, arena.pageSize, slot, slot + 1);
}

/** Merges the path's page at `level` with its right or its left neighbour, if one is small enough. */
function mergeChild(pager: PageWriter, level: number): void {
  const arena = pager.arena;
  const frame = pathFrames[level];
  const parent = arena.chunk(pathFrames[level + 1]);
  const parentBase = arena.base(pathFrames[level + 1]);
  const slot = pathSlots[level + 1];
  if (slot + 1 < pageCount(parent.u32, parentBase)) {
    const index = cellAt(parent.u32, parentBase, slot + 1) >> 2;
    const right = pager.load(parent.u32, index, level);
    if (fitTogether(pager, frame, right, parent, parentBase, slot + 1)) {
      mergePages(pager, frame, right, parent, parentBase, slot + 1);
      return;
    }
  }
  if (slot > 0) {
    const index = cellAt(parent.u32, parentBase, slot - 1) >> 2;
    const left = pager.load(parent.u32, index, level);
    if (fitTogether(pager, left, frame, parent, parentBase, slot)) {
      const kept = pager.edit(parent.u32, index, level);
      mergePages(pager, kept, frame, parent, parentBase, slot);
    }
  }
}

/** Whether two neighbours fit on one page with an eighth to spare; `slot` is the right one's. */
function fitTogether(
  pager: PageWriter,
  left: number,
  right: number,
  parent: Chunk,
  parentBase: number,
  slot: number,
): boolean {
  const arena = pager.arena;
  const leftWords = arena.chunk(left).u32;
  let bytes = liveBytes(leftWords, arena.base(left)) +
    liveBytes(arena.chunk(right).u32, arena.base(right));
  if (!isLeaf(leftWords, arena.base(left))) {
    bytes += padded(keyLengthAt(parent.u32, parentBase, slot));
  }
  const capacity = capacityOf(arena.pageSize);
  return bytes <= capacity - (capacity >> 3);
}

/** Moves all of the right page to the left one and gives it back; `slot` is the right one's. */
function mergePages(
  pager: PageWriter,
  leftFrame: number,
  rightFrame: number,
  parent: Chunk,
  parentBase: number,
  slot: number,
): void {
  const arena = pager.arena;
  const pageSize = arena.pageSize;
  const left = arena.chunk(leftFrame);
  const leftBase = arena.base(leftFrame);
  const right = arena.chunk(rightFrame);
  const rightBase = arena.base(rightFrame);
  const rightCell = cellAt(parent.u32, parentBase, slot);
  const keyLength = keyLengthAt(parent.u32, parentBase, slot);
  const count = pageCount(right.u32, rightBase);
  const leaf = isLeaf(left.u32, leftBase);
  const bytes = liveBytes(right.u32, rightBase) + (leaf ? 0 : padded(keyLength));
  const fits = makeRoom(left, leftBase, pageSize, bytes);
  assert(fits, "pages that are merged fit together");
  if (!leaf) {
    // The right page's first child gets back the separator that its page had.
    const word = cellAt(right.u32, rightBase, 0) >> 2;
    putBranch(
      left,
      leftBase,
      pageSize,
      pageCount(left.u32, leftBase),
      right.u32,
      word,
      cellCount(right.u32, word),
      cellHasOverflow(right.u32, word),
      parent.u8,
      rightCell + BRANCH_HEAD_BYTES,
      keyLength,
    );
  }
  appendCells(right, rightBase, leaf ? 0 : 1, count, left, leftBase, pageSize);
  rehint(left, leftBase);
  clearRun(left.u32, leftBase);

  const leftWord = cellAt(parent.u32, parentBase, slot - 1) >> 2;
  const rightWord = rightCell >> 2;
  setCellCount(
    parent.u32,
    leftWord,
    cellCount(parent.u32, leftWord) + cellCount(parent.u32, rightWord),
    cellHasOverflow(parent.u32, leftWord) || cellHasOverflow(parent.u32, rightWord),
  );
  pager.free(parent.u32, rightWord);
  removeSlots(parent, parentBase, pageSize, slot, slot + 1);
}

/** Takes levels away while the root has one child, or nothing. */
function settleRoot(pager: PageWriter, root: TreeRoot): void {
  const arena = pager.arena;
  while (root.height > 0) {
    const frame = pager.load(root.ref, 0, root.height - 1);
    const u32 = arena.chunk(frame).u32;
    const base = arena.base(frame);
    const count = pageCount(u32, base);
    if (count > (root.height === 1 ? 0 : 1)) return;
    if (root.height === 1) {
      pager.free(root.ref, 0);
      root.ref.fill(0);
      root.height = 0;
      return;
    }
    const word = cellAt(u32, base, 0) >> 2;
    for (let i = 0; i < REF_WORDS; i++) childRef[i] = u32[word + i];
    pager.free(root.ref, 0);
    root.ref.set(childRef);
    root.height--;
  }
}
