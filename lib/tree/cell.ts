/**
 * Slots and cells: how entries lie on leaf and branch pages.
 *
 * Slots of 8 bytes grow up from the header, in the order of the keys; cells grow down from the end
 * of the page, in any order, each at a multiple of 4.
 *
 * | slot word | |
 * |---|---|
 * | 0 | hint: the 4 bytes of the key behind the page's prefix as a big-endian number, zero padded |
 * | 1 | offset of the cell in the page (low half), bytes of the key (high half) |
 *
 * | leaf cell | |
 * |---|---|
 * | 0 | bytes of the payload; the top bit: the payload is an overflow reference and length |
 * | 4 | key, padded to 4 |
 * | | payload, padded to 4 |
 *
 * | branch cell | |
 * |---|---|
 * | 0 | reference of the child, 4 words |
 * | 16 | entries below: low word |
 * | 20 | entries below: high word; the top bit: an overflow value is somewhere below |
 * | 24 | separator, padded to 4 |
 *
 * Keys are whole in cells; the prefix only says how much of them needs no comparing. The separator
 * of slot i is above all keys below slot i - 1 and not above any below slot i. Slot 0 of a branch
 * has an empty key that stands for minus infinity, hint 0, and no part in the prefix.
 *
 * @module
 */

import { WORD_SLOTS } from "./page.ts";

/** Bytes of a cell before its key. */
export const LEAF_HEAD_BYTES = 4;
export const BRANCH_HEAD_BYTES = 24;
/** Bytes of a slot. */
export const SLOT_BYTES = 8;

/** Words from the start of a branch cell. */
export const CELL_COUNT_LOW = 4;
export const CELL_COUNT_HIGH = 5;

/** Top bit of a leaf's value word and of a branch's high count word. */
export const OVERFLOW_FLAG = 0x80000000;
const BELOW_FLAG = 0x7fffffff;

export function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}

export function leafCellBytes(keyLength: number, valueLength: number): number {
  return LEAF_HEAD_BYTES + padded(keyLength) + padded(valueLength);
}

export function branchCellBytes(keyLength: number): number {
  return BRANCH_HEAD_BYTES + padded(keyLength);
}

/** Index of the first word of a slot. */
export function slotWord(base: number, slot: number): number {
  return (base >> 2) + WORD_SLOTS + (slot << 1);
}

/** Byte in the chunk where the cell of a slot begins. */
export function cellAt(u32: Uint32Array, base: number, slot: number): number {
  return base + (u32[(base >> 2) + WORD_SLOTS + (slot << 1) + 1] & 0xffff);
}

export function keyLengthAt(u32: Uint32Array, base: number, slot: number): number {
  return u32[(base >> 2) + WORD_SLOTS + (slot << 1) + 1] >>> 16;
}

/** Bytes of the payload of the leaf cell at byte `cell`. */
export function payloadBytes(u32: Uint32Array, cell: number): number {
  return u32[cell >> 2] & BELOW_FLAG;
}

export function isOverflow(u32: Uint32Array, cell: number): boolean {
  return u32[cell >> 2] >>> 31 === 1;
}

/** Byte where the payload of the leaf cell at byte `cell` begins: a multiple of 4. */
export function payloadAt(cell: number, keyLength: number): number {
  return cell + LEAF_HEAD_BYTES + ((keyLength + 3) & ~3);
}

/** Bytes of the cell of a slot. */
export function cellBytes(u32: Uint32Array, base: number, slot: number, leaf: boolean): number {
  const keyLength = keyLengthAt(u32, base, slot);
  return leaf
    ? leafCellBytes(keyLength, payloadBytes(u32, cellAt(u32, base, slot)))
    : branchCellBytes(keyLength);
}

/** Entries below the branch cell whose first word is `word`. */
export function cellCount(u32: Uint32Array, word: number): number {
  return (u32[word + CELL_COUNT_HIGH] & BELOW_FLAG) * 2 ** 32 + u32[word + CELL_COUNT_LOW];
}

export function cellHasOverflow(u32: Uint32Array, word: number): boolean {
  return u32[word + CELL_COUNT_HIGH] >>> 31 === 1;
}

export function setCellCount(
  u32: Uint32Array,
  word: number,
  count: number,
  overflow: boolean,
): void {
  u32[word + CELL_COUNT_LOW] = count % 2 ** 32;
  u32[word + CELL_COUNT_HIGH] = Math.floor(count / 2 ** 32) | (overflow ? OVERFLOW_FLAG : 0);
}
