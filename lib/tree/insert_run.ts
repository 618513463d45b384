/**
 * Setting many entries in the order of their keys: those of one leaf with one way down to it, and one way up to
 * count them.
 *
 * @module
 */

import type { Chunk } from "../memory/arena.ts";
import { compareBytes } from "./bytes.ts";
import {
  BRANCH_HEAD_BYTES,
  cellAt,
  isOverflow,
  keyLengthAt,
  leafCellBytes,
  payloadAt,
  SLOT_BYTES,
} from "./cell.ts";
import { replacePayload } from "./insert.ts";
import { noteInsert, pageCount } from "./page.ts";
import { makeRoom, putLeaf } from "./page_edit.ts";
import type { PageWriter } from "./pager.ts";
import { editPath, FLAG_KEEP, pathFrames, pathSlots, updatePath } from "./path.ts";
import { framesNeeded, type TreeRoot } from "./root.ts";
import { searchLeaf } from "./search.ts";

/** Entries, all in one memory, of which it stands on one. */
export interface EntryRun {
  readonly memory: { readonly u8: Uint8Array };
  readonly keyOffset: number;
  readonly keyLength: number;
  readonly valueOffset: number;
  readonly valueLength: number;
  /** Moves to what comes next; false if that is no entry that stays in a leaf. */
  nextEntry(): boolean;
}

/**
 * Sets the entry that the run stands on and those behind it, as long as they are in order, belong to the same leaf and
 * it has room; the run stands on the first that was not set then. Returns how many were set: with none, the first needs
 * {@linkcode insert}.
 */
export function insertRun(pager: PageWriter, root: TreeRoot, entries: EntryRun): number {
  if (root.height === 0) return 0;
  const { arena } = pager;
  const { u8 } = entries.memory;
  pager.reserve(framesNeeded(root.height));
  editPath(pager, root, u8, entries.keyOffset, entries.keyLength);
  const frame = pathFrames[0];
  const chunk = arena.chunk(frame);
  const base = arena.base(frame);
  const level = levelOfBound(pager, root);
  const { count } = root;
  let set = 0;
  let more = true;
  while (more && setInLeaf(root, chunk, base, arena.pageSize, entries)) {
    set++;
    const { keyOffset, keyLength } = entries;
    more = entries.nextEntry() &&
      compareBytes(u8, entries.keyOffset, entries.keyLength, u8, keyOffset, keyLength) >= 0 &&
      isBelow(pager, level, u8, entries.keyOffset, entries.keyLength);
  }
  if (root.count !== count) updatePath(pager, root, 1, root.count - count, FLAG_KEEP);
  return set;
}

/** Sets the entry that the run stands on in its leaf, if that has room; counts it at the root alone. */
function setInLeaf(
  root: TreeRoot,
  chunk: Chunk,
  base: number,
  pageSize: number,
  entries: EntryRun,
): boolean {
  const { keyOffset, keyLength, valueOffset, valueLength, memory: { u8 } } = entries;
  const slot = searchLeaf(chunk, base, u8, keyOffset, keyLength);
  if (slot >= 0) {
    const cell = cellAt(chunk.u32, base, slot);
    if (isOverflow(chunk.u32, cell)) return false;
    const payload = payloadAt(cell, keyLength);
    return replacePayload(chunk, base, cell, payload, u8, valueOffset, valueLength, false);
  }
  const bytes = leafCellBytes(keyLength, valueLength) + SLOT_BYTES;
  if (!makeRoom(chunk, base, pageSize, bytes)) return false;
  putLeaf(
    chunk,
    base,
    pageSize,
    ~slot,
    u8,
    keyOffset,
    keyLength,
    u8,
    valueOffset,
    valueLength,
    false,
  );
  noteInsert(chunk.u32, base, ~slot);
  root.count++;
  return true;
}

/** The lowest level whose branch has a slot behind that of the path: its separator bounds the leaf's keys. 0 for none. */
function levelOfBound({ arena }: PageWriter, root: TreeRoot): number {
  for (let level = 1; level < root.height; level++) {
    const frame = pathFrames[level];
    if (pathSlots[level] + 1 < pageCount(arena.chunk(frame).u32, arena.base(frame))) return level;
  }
  return 0;
}

/** Whether a key is below the separator behind the path's slot on a level. */
function isBelow(
  { arena }: PageWriter,
  level: number,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
): boolean {
  if (level === 0) return true;
  const frame = pathFrames[level];
  const { u8, u32 } = arena.chunk(frame);
  const base = arena.base(frame);
  const slot = pathSlots[level] + 1;
  const separator = cellAt(u32, base, slot) + BRANCH_HEAD_BYTES;
  return compareBytes(key, keyOffset, keyLength, u8, separator, keyLengthAt(u32, base, slot)) < 0;
}
