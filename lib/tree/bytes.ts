/**
 * Strings of bytes: order, common prefixes, hints and copies. Keys are ordered as unsigned bytes, a
 * prefix before what it begins.
 *
 * @module
 */

/** Below this many bytes (words) a loop beats the fixed cost of `set` and `subarray`. */
const LOOP_BYTES_MAX = 48;
const LOOP_WORDS_MAX = 48;

/** Negative, zero or positive as a is before, equal to or behind b. */
export function compareBytes(
  a: Uint8Array,
  aOffset: number,
  aLength: number,
  b: Uint8Array,
  bOffset: number,
  bLength: number,
): number {
  const length = aLength < bLength ? aLength : bLength;
  for (let i = 0; i < length; i++) {
    const difference = a[aOffset + i] - b[bOffset + i];
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

/** How many leading bytes are the same, at most `length`. */
export function commonBytes(
  a: Uint8Array,
  aOffset: number,
  b: Uint8Array,
  bOffset: number,
  length: number,
): number {
  let i = 0;
  while (i < length && a[aOffset + i] === b[bOffset + i]) i++;
  return i;
}

/** The hint of a key whose bytes behind the page's prefix are `length` (or none) at `offset`. */
export function hintOf(bytes: Uint8Array, offset: number, length: number): number {
  if (length >= 4) {
    return ((bytes[offset] << 24) | (bytes[offset + 1] << 16) | (bytes[offset + 2] << 8) |
      bytes[offset + 3]) >>> 0;
  }
  let hint = 0;
  for (let i = 0; i < length; i++) hint |= bytes[offset + i] << (24 - (i << 3));
  return hint >>> 0;
}

export function copyBytes(
  from: Uint8Array,
  fromOffset: number,
  to: Uint8Array,
  toOffset: number,
  length: number,
): void {
  if (length <= LOOP_BYTES_MAX) {
    for (let i = 0; i < length; i++) to[toOffset + i] = from[fromOffset + i];
  } else if (length === from.length) {
    to.set(from, toOffset);
  } else {
    to.set(from.subarray(fromOffset, fromOffset + length), toOffset);
  }
}

/** Copies words between places that do not overlap. */
export function copyWords(
  from: Uint32Array,
  fromIndex: number,
  to: Uint32Array,
  toIndex: number,
  length: number,
): void {
  if (length <= LOOP_WORDS_MAX) {
    for (let i = 0; i < length; i++) to[toIndex + i] = from[fromIndex + i];
  } else if (from === to) {
    to.copyWithin(toIndex, fromIndex, fromIndex + length);
  } else {
    to.set(from.subarray(fromIndex, fromIndex + length), toIndex);
  }
}
