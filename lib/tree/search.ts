/**
 * Search inside one page.
 *
 * Binary search goes over hints as if the key had the page's prefix; whether it has is verified
 * last, on the cell that the search ended at, because that cell is read next anyway, and one less
 * cell to read is one less cache miss.
 *
 * @module
 */

import type { Chunk } from "../memory/arena.ts";
import { compareBytes, hintOf } from "./bytes.ts";
import { BRANCH_HEAD_BYTES, LEAF_HEAD_BYTES } from "./cell.ts";
import { WORD_KIND, WORD_PREFIX, WORD_SLOTS } from "./page.ts";

/** Flips the top bit, so that engines compare hints as signed 32-bit integers. */
const SIGN = 0x80000000;

/** Words in a line of the processor's caches: 64 bytes wherever it matters. */
const LINE_WORDS = 16;

/** Where what was asked for ahead goes, or no engine would ask for it. */
const seen = { bit: 0 };

/**
 * Reads a word in each of the first lines of a leaf that is about to be searched, and one far behind, where cells
 * are: the processor fetches them together, where the search would wait for one after the other.
 */
export function askAhead(u32: Uint32Array, base: number, pageSize: number): void {
  const page = base >> 2;
  seen.bit = (u32[page + LINE_WORDS] ^ u32[page + 2 * LINE_WORDS] ^ u32[page + 3 * LINE_WORDS] ^
    u32[page + 4 * LINE_WORDS] ^ u32[page + 5 * LINE_WORDS] ^ u32[page + (pageSize * 3 >> 4)]) & 1;
}

/** Order of a key against a cell's key of the same hint; both are at least `prefix` long. */
function compareTails(
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
  u8: Uint8Array,
  cellKey: number,
  cellKeyLength: number,
  prefix: number,
): number {
  const skip = prefix + 4;
  // Equal hints and one key ends inside: the rest of the other hint is zeros, so the shorter is less.
  if (keyLength < skip || cellKeyLength < skip) return keyLength - cellKeyLength;
  const length = keyLength < cellKeyLength ? keyLength : cellKeyLength;
  for (let i = skip; i < length; i++) {
    const difference = key[keyOffset + i] - u8[cellKey + i];
    if (difference !== 0) return difference;
  }
  return keyLength - cellKeyLength;
}

/** The slot of the key on a leaf, or `~slot` where it would be inserted. */
export function searchLeaf(
  chunk: Chunk,
  base: number,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
): number {
  const u32 = chunk.u32;
  const u8 = chunk.u8;
  const page = base >> 2;
  const count = u32[page + WORD_KIND] >>> 16;
  if (count === 0) return -1;
  const prefix = u32[page + WORD_PREFIX] & 0xffff;
  const slots = page + WORD_SLOTS;
  const hint = hintOf(key, keyOffset + prefix, keyLength - prefix) ^ SIGN;
  let low = 0;
  let high = count;
  let found = false;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = u32[slots + (middle << 1)] ^ SIGN;
    if (other < hint) low = middle + 1;
    else if (other > hint) high = middle;
    else {
      const word = u32[slots + (middle << 1) + 1];
      const cellKey = base + (word & 0xffff) + LEAF_HEAD_BYTES;
      const order = compareTails(key, keyOffset, keyLength, u8, cellKey, word >>> 16, prefix);
      if (order > 0) low = middle + 1;
      else {
        high = middle;
        if (order === 0) {
          low = middle;
          found = true;
        }
      }
    }
  }
  if (prefix > 0) {
    const near = low < count ? low : count - 1;
    const cellKey = base + (u32[slots + (near << 1) + 1] & 0xffff) + LEAF_HEAD_BYTES;
    const order = comparePrefix(key, keyOffset, keyLength, u8, cellKey, prefix);
    if (order !== 0) return order < 0 ? -1 : ~count;
  }
  return found ? low : ~low;
}

/** The slot of a branch below which the key belongs. */
export function searchBranch(
  chunk: Chunk,
  base: number,
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
): number {
  const u32 = chunk.u32;
  const u8 = chunk.u8;
  const page = base >> 2;
  const count = u32[page + WORD_KIND] >>> 16;
  if (count <= 1) return 0;
  const prefix = u32[page + WORD_PREFIX] & 0xffff;
  const slots = page + WORD_SLOTS;
  const hint = hintOf(key, keyOffset + prefix, keyLength - prefix) ^ SIGN;
  let low = 1;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = u32[slots + (middle << 1)] ^ SIGN;
    if (other < hint) low = middle + 1;
    else if (other > hint) high = middle;
    else {
      const word = u32[slots + (middle << 1) + 1];
      const cellKey = base + (word & 0xffff) + BRANCH_HEAD_BYTES;
      const order = compareTails(key, keyOffset, keyLength, u8, cellKey, word >>> 16, prefix);
      if (order >= 0) low = middle + 1;
      else high = middle;
    }
  }
  if (prefix > 0) {
    const near = low > 1 ? low - 1 : 1;
    const cellKey = base + (u32[slots + (near << 1) + 1] & 0xffff) + BRANCH_HEAD_BYTES;
    const order = comparePrefix(key, keyOffset, keyLength, u8, cellKey, prefix);
    if (order !== 0) return order < 0 ? 0 : count - 1;
  }
  return low - 1;
}

/** Order of a key against the page's prefix; zero if the key begins with it. */
function comparePrefix(
  key: Uint8Array,
  keyOffset: number,
  keyLength: number,
  u8: Uint8Array,
  cellKey: number,
  prefix: number,
): number {
  const length = keyLength < prefix ? keyLength : prefix;
  return compareBytes(key, keyOffset, length, u8, cellKey, prefix);
}
