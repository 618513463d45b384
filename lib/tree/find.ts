/**
 * Reading one entry, and the number of entries before a key.
 *
 * @module
 */

import type { Chunk } from "../memory/arena.ts";
import { cellAt, cellCount, LEAF_HEAD_BYTES } from "./cell.ts";
import { pageCount, WORD_SLOTS } from "./page.ts";
import type { PageReader } from "./pager.ts";
import type { TreeRoot } from "./root.ts";
import { askAhead, searchBranch, searchLeaf } from "./search.ts";

const NOWHERE: Chunk = { u8: new Uint8Array(0), u32: new Uint32Array(0) };

/** Where {@linkcode find} found an entry. Made once and used for many finds. */
export class Hit {
  chunk: Chunk = NOWHERE;
  /** Byte in the chunk where the leaf begins. */
  base = 0;
  slot = 0;
  /** Byte in the chunk where the payload begins: a multiple of 4. */
  valueOffset = 0;
  valueLength = 0;
  /** Whether the payload is an overflow reference and length. */
  overflow = false;
}

/** Looks the key up; says in `hit` where it is. */
export function find(
  pager: PageReader,
  root: TreeRoot,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
  hit: Hit,
): boolean {
  let level = root.height;
  if (level === 0) return false;
  const arena = pager.arena;
  let frame = pager.load(root.ref, 0, level - 1);
  let chunk = arena.chunks[frame >> arena.frameShift];
  let base = (frame & arena.frameMask) << arena.pageShift;
  while (--level > 0) {
    const slot = searchBranch(chunk, base, key, keyOffset, keyLength);
    const u32 = chunk.u32;
    const cell = base + (u32[(base >> 2) + WORD_SLOTS + (slot << 1) + 1] & 0xffff);
    frame = pager.load(u32, cell >> 2, level - 1);
    chunk = arena.chunks[frame >> arena.frameShift];
    base = (frame & arena.frameMask) << arena.pageShift;
  }
  askAhead(chunk.u32, base, arena.pageSize);
  const slot = searchLeaf(chunk, base, key, keyOffset, keyLength);
  if (slot < 0) return false;
  const u32 = chunk.u32;
  const cell = base + (u32[(base >> 2) + WORD_SLOTS + (slot << 1) + 1] & 0xffff);
  const word = u32[cell >> 2];
  hit.chunk = chunk;
  hit.base = base;
  hit.slot = slot;
  hit.valueOffset = cell + LEAF_HEAD_BYTES + ((keyLength + 3) & ~3);
  hit.valueLength = word & 0x7fffffff;
  hit.overflow = word >>> 31 === 1;
  return true;
}

/** How many entries are before the key (`inclusive`: or at it). */
export function rank(
  pager: PageReader,
  root: TreeRoot,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
  inclusive: boolean,
): number {
  let level = root.height;
  if (level === 0) return 0;
  const arena = pager.arena;
  let total = root.count;
  let before = 0;
  let words = root.ref;
  let index = 0;
  for (;;) {
    const frame = pager.load(words, index, level - 1);
    const chunk = arena.chunks[frame >> arena.frameShift];
    const base = (frame & arena.frameMask) << arena.pageShift;
    if (--level === 0) {
      const slot = searchLeaf(chunk, base, key, keyOffset, keyLength);
      return before + (slot < 0 ? ~slot : inclusive ? slot + 1 : slot);
    }
    const slot = searchBranch(chunk, base, key, keyOffset, keyLength);
    before += entriesBefore(chunk.u32, base, slot, total);
    words = chunk.u32;
    index = cellAt(words, base, slot) >> 2;
    total = cellCount(words, index);
  }
}

/** Entries below the slots before `slot` of a branch with `total` below all: sums the shorter side. */
function entriesBefore(u32: Uint32Array, base: number, slot: number, total: number): number {
  const count = pageCount(u32, base);
  let sum = 0;
  if (slot <= count >> 1) {
    for (let i = 0; i < slot; i++) sum += cellCount(u32, cellAt(u32, base, i) >> 2);
    return sum;
  }
  for (let i = slot; i < count; i++) sum += cellCount(u32, cellAt(u32, base, i) >> 2);
  return total - sum;
}
