/**
 * Inserting and replacing entries.
 *
 * Invariant: nothing is changed before `reserve` has succeeded; on return every branch above the
 * changed leaf counts its entries and says whether an overflow value is below.
 *
 * @module
 */

import type { Chunk } from "../memory/arena.ts";
import { copyBytes } from "./bytes.ts";
import {
  branchCellBytes,
  cellAt,
  isOverflow,
  leafCellBytes,
  OVERFLOW_FLAG,
  padded,
  payloadAt,
  payloadBytes,
  setCellCount,
  SLOT_BYTES,
} from "./cell.ts";
import { noteInsert, PAGE_BRANCH, PAGE_LEAF, pageCount, WORD_GARBAGE } from "./page.ts";
import { entriesOf, hasOverflow, makeRoom, putBranch, putLeaf, removeSlots } from "./page_edit.ts";
import { type PageWriter, REF_WORDS } from "./pager.ts";
import {
  editPath,
  FLAG_KEEP,
  FLAG_RECOMPUTE,
  FLAG_SET,
  pathFrames,
  pathIsOuter,
  pathSlots,
  updatePath,
} from "./path.ts";
import { framesNeeded, type TreeRoot } from "./root.ts";
import { searchLeaf } from "./search.ts";
import { pending, putPending, splitBranch, splitLeaf } from "./split.ts";

const oldRoot = new Uint32Array(REF_WORDS);
const NO_KEY = new Uint8Array(0);

/**
 * Sets the value of a key; true if the key was there. With `overflow` the value is the 20-byte
 * payload that refers to an extent. The caller sees to it that keys are at most `keyBytesMax` long
 * and entries without `overflow` at most `inlineBytesMax`.
 */
export function insert(
  pager: PageWriter,
  root: TreeRoot,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
  value: Uint8Array,
  valueOffset: number,
  valueLength: number,
  overflow: boolean,
): boolean {
  const arena = pager.arena;
  const pageSize = arena.pageSize;
  pager.reserve(framesNeeded(root.height));
  if (root.height === 0) {
    pathFrames[0] = pager.create(PAGE_LEAF, 0, root.ref, 0);
    root.height = 1;
    root.count = 0;
  } else {
    editPath(pager, root, key, keyOffset, keyLength);
  }
  const frame = pathFrames[0];
  const chunk = arena.chunks[frame >> arena.frameShift];
  const base = (frame & arena.frameMask) << arena.pageShift;
  let slot = searchLeaf(chunk, base, key, keyOffset, keyLength);
  const replaced = slot >= 0;
  let flag = overflow ? FLAG_SET : FLAG_KEEP;
  if (replaced) {
    const cell = cellAt(chunk.u32, base, slot);
    const payload = payloadAt(cell, keyLength);
    if (isOverflow(chunk.u32, cell)) {
      pager.freeOverflow(chunk.u32, payload >> 2);
      if (!overflow) flag = FLAG_RECOMPUTE;
    }
    if (replacePayload(chunk, base, cell, payload, value, valueOffset, valueLength, overflow)) {
      if (flag !== FLAG_KEEP) updatePath(pager, root, 1, 0, flag);
      return true;
    }
    removeSlots(chunk, base, pageSize, slot, slot + 1);
  } else {
    slot = ~slot;
    root.count++;
  }
  const delta = replaced ? 0 : 1;
  if (makeRoom(chunk, base, pageSize, leafCellBytes(keyLength, valueLength) + SLOT_BYTES)) {
    putLeaf(
      chunk,
      base,
      pageSize,
      slot,
      key,
      keyOffset,
      keyLength,
      value,
      valueOffset,
      valueLength,
      overflow,
    );
    if (!replaced) noteInsert(chunk.u32, base, slot);
    if (delta !== 0 || flag !== FLAG_KEEP) updatePath(pager, root, 1, delta, flag);
    return replaced;
  }
  let outer = 0;
  if (slot === pageCount(chunk.u32, base)) outer = pathIsOuter(pager, root, true) ? 1 : 0;
  else if (slot === 0) outer = pathIsOuter(pager, root, false) ? -1 : 0;
  splitLeaf(
    pager,
    frame,
    slot,
    outer,
    key,
    keyOffset,
    keyLength,
    value,
    valueOffset,
    valueLength,
    overflow,
  );
  growParents(pager, root, delta, flag);
  return replaced;
}

/** Writes the payload over the old one if it is not longer (padded); false if it is. */
export function replacePayload(
  chunk: Chunk,
  base: number,
  cell: number,
  payload: number,
  value: Uint8Array,
  valueOffset: number,
  valueLength: number,
  overflow: boolean,
): boolean {
  const spare = padded(payloadBytes(chunk.u32, cell)) - padded(valueLength);
  if (spare < 0) return false;
  chunk.u32[(base >> 2) + WORD_GARBAGE] += spare;
  chunk.u32[cell >> 2] = overflow ? valueLength | OVERFLOW_FLAG : valueLength;
  copyBytes(value, valueOffset, chunk.u8, payload, valueLength);
  return true;
}

/** Inserts the page that a split of the leaf left in {@linkcode pending}, splitting upwards. */
function growParents(pager: PageWriter, root: TreeRoot, delta: number, flag: number): void {
  const arena = pager.arena;
  const pageSize = arena.pageSize;
  for (let level = 1; level < root.height; level++) {
    const frame = pathFrames[level];
    const chunk = arena.chunk(frame);
    const base = arena.base(frame);
    const slot = pathSlots[level];
    const child = pathFrames[level - 1];
    const childWords = arena.chunk(child).u32;
    setCellCount(
      chunk.u32,
      cellAt(chunk.u32, base, slot) >> 2,
      entriesOf(childWords, arena.base(child)),
      hasOverflow(childWords, arena.base(child)),
    );
    const bytes = branchCellBytes(pending.separatorLength) + SLOT_BYTES;
    if (makeRoom(chunk, base, pageSize, bytes)) {
      putPending(chunk, base, pageSize, slot + 1, pending.separatorLength);
      updatePath(pager, root, level + 1, delta, flag);
      return;
    }
    splitBranch(pager, frame, level, slot + 1);
  }
  growRoot(pager, root);
}

/** Puts a branch above the split root. */
function growRoot(pager: PageWriter, root: TreeRoot): void {
  const arena = pager.arena;
  const child = pathFrames[root.height - 1];
  const childWords = arena.chunk(child).u32;
  oldRoot.set(root.ref);
  const frame = pager.create(PAGE_BRANCH, root.height, root.ref, 0);
  const chunk = arena.chunk(frame);
  const base = arena.base(frame);
  putBranch(
    chunk,
    base,
    arena.pageSize,
    0,
    oldRoot,
    0,
    entriesOf(childWords, arena.base(child)),
    hasOverflow(childWords, arena.base(child)),
    NO_KEY,
    0,
    0,
  );
  putPending(chunk, base, arena.pageSize, 1, pending.separatorLength);
  root.height++;
}
