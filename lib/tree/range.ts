/**
 * Removing ranges and whole trees.
 *
 * Subtrees inside the range are dropped without being changed: their branches are read to give back
 * every page, their leaves only where an overflow value is. Only the pages on the two ends of the
 * range are changed.
 *
 * @module
 */

import {
  cellAt,
  cellHasOverflow,
  isOverflow,
  keyLengthAt,
  payloadAt,
  setCellCount,
} from "./cell.ts";
import { clearRun, pageCount } from "./page.ts";
import { entriesOf, hasOverflow, removeSlots } from "./page_edit.ts";
import { type PageReader, type PageWriter, REF_WORDS } from "./pager.ts";
import { editPath } from "./path.ts";
import { rank } from "./find.ts";
import { type Bound, framesNeeded, HEIGHT_MAX, type TreeRoot } from "./root.ts";
import { searchBranch, searchLeaf } from "./search.ts";
import { settlePath } from "./settle.ts";
import { VisitLimit } from "./visit_limit.ts";

/** References of the pages being dropped, by level: frames do not last over the loads below them. */
const dropRefs = new Uint32Array(HEIGHT_MAX * REF_WORDS);

/** How many entries are inside the bounds (`null`: without end). */
export function countRange(
  pager: PageReader,
  root: TreeRoot,
  lower: Bound | null,
  upper: Bound | null,
): number {
  const from = lower === null
    ? 0
    : rank(pager, root, lower.key, 0, lower.key.length, !lower.inclusive);
  const to = upper === null
    ? root.count
    : rank(pager, root, upper.key, 0, upper.key.length, upper.inclusive);
  return Math.max(to - from, 0);
}

/** Removes all entries inside the bounds (`null`: without end); returns how many there were. */
export function removeRange(
  pager: PageWriter,
  root: TreeRoot,
  lower: Bound | null,
  upper: Bound | null,
): number {
  const removed = countRange(pager, root, lower, upper);
  if (removed === 0) return 0;
  if (removed === root.count) {
    dropTree(pager, root);
    return removed;
  }
  pager.reserve(framesNeeded(root.height));
  const level = root.height - 1;
  cut(pager, pager.edit(root.ref, 0, level), level, lower, upper, new VisitLimit(pager));
  root.count -= removed;
  if (lower !== null) settleAt(pager, root, lower.key);
  if (upper !== null) settleAt(pager, root, upper.key);
  return removed;
}

/** Gives back every page and overflow extent of the tree, which then is empty. */
export function dropTree(pager: PageWriter, root: TreeRoot): void {
  if (root.height > 0) {
    pager.reserve(framesNeeded(root.height));
    const visits = new VisitLimit(pager);
    dropSubtree(pager, root.ref, 0, root.height - 1, true, visits);
  }
  root.ref.fill(0);
  root.height = 0;
  root.count = 0;
}

/** Mends the pages where an end of the range was. */
function settleAt(pager: PageWriter, root: TreeRoot, key: Uint8Array): void {
  pager.reserve(framesNeeded(root.height));
  editPath(pager, root, key, 0, key.length);
  settlePath(pager, root);
}

/** Removes what is inside the bounds at and below the editable page in `frame`. */
function cut(
  pager: PageWriter,
  frame: number,
  level: number,
  lower: Bound | null,
  upper: Bound | null,
  visits: VisitLimit,
): void {
  const arena = pager.arena;
  const chunk = arena.chunk(frame);
  const base = arena.base(frame);
  const u32 = chunk.u32;
  const count = pageCount(u32, base);
  if (level === 0) {
    let from = 0;
    let to = count;
    if (lower !== null) {
      const slot = searchLeaf(chunk, base, lower.key, 0, lower.key.length);
      from = slot < 0 ? ~slot : lower.inclusive ? slot : slot + 1;
    }
    if (upper !== null) {
      const slot = searchLeaf(chunk, base, upper.key, 0, upper.key.length);
      to = slot < 0 ? ~slot : upper.inclusive ? slot + 1 : slot;
    }
    freeExtents(pager, u32, base, from, to);
    removeSlots(chunk, base, arena.pageSize, from, to);
    clearRun(u32, base);
    return;
  }
  const first = lower === null ? -1 : searchBranch(chunk, base, lower.key, 0, lower.key.length);
  const last = upper === null ? count : searchBranch(chunk, base, upper.key, 0, upper.key.length);
  for (let slot = first + 1; slot < last; slot++) {
    const word = cellAt(u32, base, slot) >> 2;
    dropSubtree(pager, u32, word, level - 1, cellHasOverflow(u32, word), visits);
  }
  let from = first + 1;
  let to = last;
  if (first === last) {
    if (cutChild(pager, u32, base, first, level - 1, lower, upper, visits)) {
      from = first;
      to = first + 1;
    }
  } else {
    if (first >= 0 && cutChild(pager, u32, base, first, level - 1, lower, null, visits)) {
      from = first;
    }
    if (last < count && cutChild(pager, u32, base, last, level - 1, null, upper, visits)) {
      to = last + 1;
    }
  }
  removeSlots(chunk, base, arena.pageSize, from, to);
}

/** Cuts below one slot of a branch; true if nothing is left there and the page was given back. */
function cutChild(
  pager: PageWriter,
  u32: Uint32Array,
  base: number,
  slot: number,
  level: number,
  lower: Bound | null,
  upper: Bound | null,
  visits: VisitLimit,
): boolean {
  const arena = pager.arena;
  const word = cellAt(u32, base, slot) >> 2;
  const frame = pager.edit(u32, word, level);
  cut(pager, frame, level, lower, upper, visits);
  const childWords = arena.chunk(frame).u32;
  const childBase = arena.base(frame);
  if (pageCount(childWords, childBase) === 0) {
    pager.free(u32, word);
    return true;
  }
  setCellCount(u32, word, entriesOf(childWords, childBase), hasOverflow(childWords, childBase));
  return false;
}

/** Gives back the page referred to and all below it; `overflow`: values in extents may be there. */
function dropSubtree(
  pager: PageWriter,
  words: Uint32Array,
  index: number,
  level: number,
  overflow: boolean,
  visits: VisitLimit,
): void {
  visits.count();
  const arena = pager.arena;
  const at = level * REF_WORDS;
  for (let i = 0; i < REF_WORDS; i++) dropRefs[at + i] = words[index + i];
  if (level > 0) {
    let frame = pager.load(dropRefs, at, level, true);
    const count = pageCount(arena.chunk(frame).u32, arena.base(frame));
    for (let slot = 0; slot < count; slot++) {
      const u32 = arena.chunk(frame).u32;
      const word = cellAt(u32, arena.base(frame), slot) >> 2;
      const below = cellHasOverflow(u32, word);
      if (level === 1 && !below) {
        pager.free(u32, word);
      } else {
        dropSubtree(pager, u32, word, level - 1, below, visits);
        frame = pager.load(dropRefs, at, level, true);
      }
    }
  } else if (overflow) {
    const frame = pager.load(dropRefs, at, level, true);
    const u32 = arena.chunk(frame).u32;
    const base = arena.base(frame);
    freeExtents(pager, u32, base, 0, pageCount(u32, base));
  }
  pager.free(dropRefs, at);
}

/** Gives back the overflow extents of a leaf's slots. */
function freeExtents(
  pager: PageWriter,
  u32: Uint32Array,
  base: number,
  from: number,
  to: number,
): void {
  for (let slot = from; slot < to; slot++) {
    const cell = cellAt(u32, base, slot);
    if (!isOverflow(u32, cell)) continue;
    pager.freeOverflow(u32, payloadAt(cell, keyLengthAt(u32, base, slot)) >> 2);
  }
}
