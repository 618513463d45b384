/**
 * A seeded generator of pseudo-random numbers: the same seed gives the same sequence on every
 * runtime and machine.
 *
 * @module
 */

import process from "node:process";

/** PCG32 (XSH-RR with 64 bits of state), computed in 32-bit halves. */
export class Random {
  /** What replays this sequence. */
  readonly seed: number;
  #high: number;
  #low: number;

  /** `seed` is an integer from 0 to 2^53. */
  constructor(seed: number) {
    this.seed = seed;
    this.#high = Math.floor(seed / 0x1_0000_0000) >>> 0;
    this.#low = seed >>> 0;
    this.next32();
    this.next32();
  }

  /** A generator that a message names, so that a failing run can be repeated. */
  static fromEnvironment(name: string): Random {
    const given = process.env.MANIFOLD_SEED;
    const seed = given === undefined || given === ""
      ? Math.floor(Math.random() * 0x1_0000_0000)
      : Number(given);
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new Error(`MANIFOLD_SEED=${given} is not an integer from 0 to 2^53`);
    }
    console.log(`${name}: seed ${seed} (repeat with MANIFOLD_SEED=${seed})`);
    return new Random(seed);
  }

  /** An integer from 0 to 2^32 - 1. */
  next32(): number {
    const high = this.#high;
    const low = this.#low;

    // state = state * 6364136223846793005 + 1442695040888963407 (mod 2^64)
    const MULTIPLIER_HIGH = 0x5851f42d;
    const MULTIPLIER_LOW = 0x4c957f2d;
    const a = low & 0xffff;
    const b = low >>> 16;
    const c = MULTIPLIER_LOW & 0xffff;
    const d = MULTIPLIER_LOW >>> 16;
    const middle = b * c + ((a * c) >>> 16);
    const middle2 = a * d + (middle & 0xffff);
    const productHigh = b * d + Math.floor(middle / 0x1_0000) + (middle2 >>> 16);
    const newLow = (Math.imul(low, MULTIPLIER_LOW) >>> 0) + 0xf767814f;
    const carry = newLow > 0xffff_ffff ? 1 : 0;
    this.#low = newLow >>> 0;
    this.#high = (productHigh + Math.imul(high, MULTIPLIER_LOW) +
      Math.imul(low, MULTIPLIER_HIGH) + 0x14057b7e + carry) >>> 0;

    // output = rotate_right((state ^ (state >> 18)) >> 27, state >> 59), of the state before
    const mixedHigh = (high ^ (high >>> 18)) >>> 0;
    const mixedLow = (low ^ ((low >>> 18) | (high << 14))) >>> 0;
    const word = ((mixedLow >>> 27) | (mixedHigh << 5)) >>> 0;
    const turn = high >>> 27;
    return ((word >>> turn) | (word << ((32 - turn) & 31))) >>> 0;
  }

  /** A number in [0, 1). */
  next(): number {
    return this.next32() / 0x1_0000_0000;
  }

  /** An integer in [0, n), for n up to 2^32. */
  int(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** `length` random bytes. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      const word = this.next32();
      bytes[i] = word;
      bytes[i + 1] = word >>> 8;
      bytes[i + 2] = word >>> 16;
      bytes[i + 3] = word >>> 24;
    }
    return bytes;
  }

  /** One of `items`, which must not be empty. */
  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)];
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.next() < p;
  }
}
