/**
 * The structural check of a page that comes from a disk: after it, nothing that walks the page can
 * leave it, whatever its bytes are. It does not look at keys; `check.ts` does.
 *
 * @module
 */

import type { Chunk } from "../memory/arena.ts";
import { cellAt, cellBytes, isOverflow, keyLengthAt, payloadBytes, SLOT_BYTES } from "./cell.ts";
import {
  HEADER_BYTES,
  keyBytesMax,
  OVERFLOW_PAYLOAD_BYTES,
  PAGE_BRANCH,
  PAGE_LEAF,
  PAGE_OVERFLOW,
  pageCount,
  pagePrefix,
  WORD_GARBAGE,
  WORD_KIND,
  WORD_USED,
} from "./page.ts";
import { HEIGHT_MAX } from "./root.ts";

/** What is wrong with the structure of the page at byte `base`, or `null`. O(slots). */
export function checkPage(chunk: Chunk, base: number, pageSize: number): string | null {
  const u32 = chunk.u32;
  const page = base >> 2;
  const kind = u32[page + WORD_KIND] & 0xff;
  const level = (u32[page + WORD_KIND] >>> 8) & 0xff;
  const count = pageCount(u32, base);
  const used = u32[page + WORD_USED];
  const garbage = u32[page + WORD_GARBAGE];
  if (kind === PAGE_OVERFLOW) return level === 0 && count === 0 ? null : "overflow page with slots";
  const leaf = kind === PAGE_LEAF;
  if (!leaf && kind !== PAGE_BRANCH) return `unknown kind ${kind}`;
  if (leaf ? level !== 0 : level === 0 || level >= HEIGHT_MAX) {
    return `level ${level} of a page of kind ${kind}`;
  }
  if (count === 0) return "no slots";
  if (used > pageSize - HEADER_BYTES - count * SLOT_BYTES) {
    return `${count} slots and ${used} bytes of cells do not fit`;
  }
  if ((used & 3) !== 0) return `cell area of ${used} bytes is not aligned`;
  const start = pageSize - used;
  const prefix = pagePrefix(u32, base);
  const keyMax = keyBytesMax(pageSize);
  let bytes = 0;
  for (let slot = 0; slot < count; slot++) {
    const cell = cellAt(u32, base, slot);
    const offset = cell - base;
    const keyLength = keyLengthAt(u32, base, slot);
    // The head of a cell must be inside before its lengths are believed.
    if (offset < start || offset > pageSize - (leaf ? 4 : 24) || (offset & 3) !== 0) {
      return `slot ${slot}: cell at ${offset} is outside the cell area`;
    }
    if (keyLength > keyMax) return `slot ${slot}: key of ${keyLength} bytes`;
    const size = cellBytes(u32, base, slot, leaf);
    if (size < 0 || offset + size > pageSize) {
      return `slot ${slot}: cell of ${size} bytes at ${offset} leaves the page`;
    }
    bytes += size;
    if (!leaf && slot === 0) {
      if (keyLength !== 0) return "the first key of a branch is not empty";
    } else if (keyLength < prefix) {
      return `slot ${slot}: key of ${keyLength} bytes is shorter than the prefix, ${prefix}`;
    }
    if (leaf && isOverflow(u32, cell) && payloadBytes(u32, cell) !== OVERFLOW_PAYLOAD_BYTES) {
      return `slot ${slot}: overflow payload of ${payloadBytes(u32, cell)} bytes`;
    }
  }
  if (bytes + garbage !== used) {
    return `cells of ${bytes} bytes and ${garbage} of garbage are not the ${used} in use`;
  }
  return null;
}
