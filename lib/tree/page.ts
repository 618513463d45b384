/**
 * The header that every page of a file begins with, little-endian.
 *
 * | offset | bytes | field |
 * |---|---|---|
 * | 0 | 8 | checksum: XXH64 of bytes 8 to the end of the page; computed when the page is written |
 * | 8 | 4 | number of the page |
 * | 12 | 4 | incarnation: changes at every open and every discarded group |
 * | 16 | 8 | birth: the version of the family that made the page |
 * | 24 | 1 | kind: 1 leaf, 2 branch, 3 overflow |
 * | 25 | 1 | level: 0 for leaves, one more for each level above |
 * | 26 | 2 | count: slots in use |
 * | 28 | 2 | prefix: how many leading bytes all keys of the page share, at least |
 * | 30 | 2 | run: how the latest inserts went, see {@linkcode ascendingRun} (leaf; else zero) |
 * | 32 | 4 | used: bytes of the cell area, which grows down from the end of the page (overflow: length of the value) |
 * | 36 | 4 | garbage: bytes of the cell area that belong to no cell |
 * | 40 | 4 | family |
 * | 44 | 4 | table (0: the catalog) |
 * | 48 | | slots (leaf, branch) or the value (overflow) |
 *
 * @module
 */

export const PAGE_LEAF = 1;
export const PAGE_BRANCH = 2;
export const PAGE_OVERFLOW = 3;

/** Bytes of the header. */
export const HEADER_BYTES = 48;
/** Bytes of the checksum at the start of the header, not covered by itself. */
export const CHECKSUM_BYTES = 8;

/** Word offsets (in 32-bit words from the start of the page). */
export const WORD_NUMBER = 2;
export const WORD_INCARNATION = 3;
export const WORD_BIRTH_LOW = 4;
export const WORD_BIRTH_HIGH = 5;
/** kind | level << 8 | count << 16 */
export const WORD_KIND = 6;
/** prefix | run << 16 */
export const WORD_PREFIX = 7;
export const WORD_USED = 8;
export const WORD_GARBAGE = 9;
export const WORD_FAMILY = 10;
export const WORD_TABLE = 11;
/** Word where slots begin. */
export const WORD_SLOTS = HEADER_BYTES / 4;

/** Bytes of the payload of an overflow value in a leaf: reference (16) and length (4). */
export const OVERFLOW_PAYLOAD_BYTES = 20;

/** Smallest and largest page, bytes; powers of two between are allowed. */
export const PAGE_SIZE_MIN = 4096;
export const PAGE_SIZE_MAX = 65536;

/** The longest key, in bytes, for a page size. */
export function keyBytesMax(pageSize: number): number {
  return pageSize >> 2;
}

/**
 * The longest key and value together, in bytes, that stay in a leaf; a longer value goes to an
 * overflow extent. Four cells of this size fit a page.
 */
export function inlineBytesMax(pageSize: number): number {
  return ((pageSize - HEADER_BYTES) >> 2) - 20;
}

/** Whether a value stays in a leaf of pages whose {@linkcode inlineBytesMax} is `bytesMax`. */
export function staysInLeaf(keyLength: number, valueLength: number, bytesMax: number): boolean {
  return keyLength + valueLength <= bytesMax || valueLength <= OVERFLOW_PAYLOAD_BYTES;
}

/** Bytes of a page that slots and cells share. */
export function capacityOf(pageSize: number): number {
  return pageSize - HEADER_BYTES;
}

/** Kind and level of a leaf or branch, as in the low half of {@linkcode WORD_KIND}. */
export function kindAtLevel(level: number): number {
  return level === 0 ? PAGE_LEAF : PAGE_BRANCH | (level << 8);
}

/** Slots in use on the page at byte `base`. */
export function pageCount(u32: Uint32Array, base: number): number {
  return u32[(base >> 2) + WORD_KIND] >>> 16;
}

export function setPageCount(u32: Uint32Array, base: number, count: number): void {
  const word = (base >> 2) + WORD_KIND;
  u32[word] = (u32[word] & 0xffff) | (count << 16);
}

export function isLeaf(u32: Uint32Array, base: number): boolean {
  return (u32[(base >> 2) + WORD_KIND] & 0xff) === PAGE_LEAF;
}

export function pagePrefix(u32: Uint32Array, base: number): number {
  return u32[(base >> 2) + WORD_PREFIX] & 0xffff;
}

export function setPagePrefix(u32: Uint32Array, base: number, prefix: number): void {
  const word = (base >> 2) + WORD_PREFIX;
  u32[word] = (u32[word] & ~0xffff) | prefix;
}

/** Bytes between the slots and the cells: what can be taken without compacting. */
export function freeBytes(u32: Uint32Array, base: number, pageSize: number): number {
  const page = base >> 2;
  return pageSize - HEADER_BYTES - ((u32[page + WORD_KIND] >>> 16) << 3) - u32[page + WORD_USED];
}

/** Bytes of slots and cells that belong to entries. */
export function liveBytes(u32: Uint32Array, base: number): number {
  const page = base >> 2;
  return ((u32[page + WORD_KIND] >>> 16) << 3) + u32[page + WORD_USED] - u32[page + WORD_GARBAGE];
}

/*
 * The run: low 13 bits: 1 + slot of the latest insert (0: none); high 3 bits: how many inserts in
 * a row went to the slot behind the one before. It only steers where a full leaf is split.
 */

/** Notes an insert at `slot` in the run of a leaf. */
export function noteInsert(u32: Uint32Array, base: number, slot: number): void {
  const word = (base >> 2) + WORD_PREFIX;
  const run = u32[word] >>> 16;
  const length = (run & 0x1fff) === slot && run !== 0 ? Math.min((run >>> 13) + 1, 7) : 0;
  u32[word] = (u32[word] & 0xffff) | ((slot + 1 | length << 13) << 16);
}

export function clearRun(u32: Uint32Array, base: number): void {
  u32[(base >> 2) + WORD_PREFIX] &= 0xffff;
}

/** Whether an insert at `slot` goes on with several ascending ones at this place. */
export function ascendingRun(u32: Uint32Array, base: number, slot: number): boolean {
  const run = u32[(base >> 2) + WORD_PREFIX] >>> 16;
  return (run & 0x1fff) === slot && run >>> 13 >= 2;
}
