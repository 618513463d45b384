/**
 * Removing one entry.
 *
 * The way down is read first and made editable only if the key is there: a remove that finds
 * nothing copies no page.
 *
 * @module
 */

import { cellAt, isOverflow, payloadAt } from "./cell.ts";
import { clearRun } from "./page.ts";
import { removeSlots } from "./page_edit.ts";
import type { PageWriter } from "./pager.ts";
import {
  editKnownPath,
  FLAG_KEEP,
  FLAG_RECOMPUTE,
  pathFrames,
  pathSlots,
  updatePath,
} from "./path.ts";
import { framesNeeded, type TreeRoot } from "./root.ts";
import { searchBranch, searchLeaf } from "./search.ts";
import { settlePath } from "./settle.ts";

/** Removes a key; false if it was not there. */
export function remove(
  pager: PageWriter,
  root: TreeRoot,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
): boolean {
  if (root.height === 0) return false;
  const arena = pager.arena;
  pager.reserve(framesNeeded(root.height));
  const slot = readPath(pager, root, key, keyOffset, keyLength);
  if (slot < 0) return false;
  editKnownPath(pager, root);
  const chunk = arena.chunk(pathFrames[0]);
  const base = arena.base(pathFrames[0]);
  const cell = cellAt(chunk.u32, base, slot);
  const overflow = isOverflow(chunk.u32, cell);
  if (overflow) pager.freeOverflow(chunk.u32, payloadAt(cell, keyLength) >> 2);
  removeSlots(chunk, base, arena.pageSize, slot, slot + 1);
  clearRun(chunk.u32, base);
  root.count--;
  updatePath(pager, root, 1, -1, overflow ? FLAG_RECOMPUTE : FLAG_KEEP);
  settlePath(pager, root);
  return true;
}

/** Descends without changing anything, noting the slots; returns what the search in the leaf says. */
function readPath(
  pager: PageWriter,
  root: TreeRoot,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
): number {
  const arena = pager.arena;
  let words = root.ref;
  let index = 0;
  for (let level = root.height - 1;; level--) {
    const frame = pager.load(words, index, level);
    const chunk = arena.chunks[frame >> arena.frameShift];
    const base = (frame & arena.frameMask) << arena.pageShift;
    if (level === 0) return searchLeaf(chunk, base, key, keyOffset, keyLength);
    const slot = searchBranch(chunk, base, key, keyOffset, keyLength);
    pathSlots[level] = slot;
    words = chunk.u32;
    index = cellAt(words, base, slot) >> 2;
  }
}
