/**
 * Changes to bytes that reach deep into decoders: bits, numbers at the edges, pieces that stand elsewhere.
 *
 * @module
 */

import type { Random } from "../support/random.ts";

const EDGES = [0, 1, 2, 3, 4, 7, 8, 40, 41, 255, 256, 4095, 4096, 65535, 65536, 2 ** 20, 2 ** 30];
const HIGH = [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 4, 2 ** 32 - 1];

/** Changes some of the bytes from `from` to `to` where they are. */
export function mutate(bytes: Uint8Array, random: Random, from = 0, to = bytes.length): void {
  if (to <= from) return;
  for (let count = 1 + random.int(random.chance(0.2) ? 20 : 3); count > 0; count--) {
    const at = from + random.int(to - from);
    const aligned = at - at % 4;
    switch (random.int(5)) {
      case 0:
        bytes[at] ^= 1 << random.int(8);
        break;
      case 1:
        bytes[at] = random.int(256);
        break;
      case 2:
        if (aligned >= from && aligned + 4 <= to) {
          const value = random.chance(0.7) ? random.pick(EDGES) : random.pick(HIGH);
          new DataView(bytes.buffer, bytes.byteOffset).setUint32(aligned, value, true);
        }
        break;
      case 3: {
        // A number that is nearly right passes the first checks.
        if (aligned < from || aligned + 4 > to) break;
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        const value = view.getUint32(aligned, true) + random.int(9) - 4;
        view.setUint32(aligned, value >>> 0, true);
        break;
      }
      default: {
        const length = Math.min(1 + random.int(64), to - at);
        const source = from + random.int(to - from - length + 1);
        bytes.copyWithin(at, source, source + length);
      }
    }
  }
}

/** A mutated copy that may also be longer or shorter. */
export function mutated(bytes: Uint8Array, random: Random): Uint8Array {
  const length = random.chance(0.8)
    ? bytes.length
    : random.int(bytes.length + 1) + (random.chance(0.3) ? random.int(64) : 0);
  const copy = new Uint8Array(length);
  copy.set(bytes.subarray(0, length));
  mutate(copy, random);
  return copy;
}
