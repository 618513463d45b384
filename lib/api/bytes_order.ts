/**
 * The one order of keys: byte by byte, unsigned, a prefix before what it begins.
 *
 * @module
 */

import { carveInternal } from "./codecs/tuning.ts";

/** Negative, zero or positive: `a` before, equal to or after `b`. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = a.length < b.length ? a.length : b.length;
  for (let i = 0; i < shorter; i++) {
    const difference = a[i] - b[i];
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** The smallest key after `key`: itself and a zero byte. */
export function keyAfter(key: Uint8Array): Uint8Array<ArrayBuffer> {
  const after = new Uint8Array(key.length + 1);
  after.set(key);
  return after;
}

/**
 * The smallest key after every key that begins with `prefix`; null when there is none (nothing but
 * 0xFF bytes, or no bytes). To be kept inside the package only.
 */
export function prefixSuccessor(prefix: Uint8Array): Uint8Array<ArrayBuffer> | null {
  let end = prefix.length;
  while (end > 0 && prefix[end - 1] === 0xff) end--;
  if (end === 0) return null;
  const successor = carveInternal(prefix.subarray(0, end));
  successor[end - 1]++;
  return successor;
}
