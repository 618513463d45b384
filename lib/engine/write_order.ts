/**
 * In which order the writes of a transaction are applied: by table and key, so that those to one page
 * come one after the other, while it is in the processor's caches, and a load of many entries fills page after page.
 *
 * Sorted is by four bytes behind what all keys share, which costs a sort of numbers. That is only as
 * good as those bytes tell the keys apart, but never wrong: writes to one key have the same bytes, and keep their order.
 *
 * @module
 */

import type { OperationReader } from "../log/operations.ts";
import { allocateBytes } from "../storage/bytes.ts";
import { commonBytes, hintOf } from "../tree/bytes.ts";

/** Writes that are sorted at once: their number has this many values in a key of the sort. */
const INDEX_BITS = 20;
export const SORTED_MAX = 2 ** INDEX_BITS;
const START_WRITES = 64;
/** What is noted of a write: a number to sort by, where it begins, where its key is. */
const WRITE_BYTES = 8 + 4 + 8;
/** Memory for more writes than this is not kept. */
const KEPT_WRITES_MAX = 2 ** 16;

/** Writes to one table, as bytes where their operations begin. */
export class WriteOrder {
  count = 0;
  #sorted!: Float64Array;
  #starts!: Uint32Array;
  /** Where their keys begin and how long they are. */
  #keys!: Uint32Array;
  /** Bytes that the keys so far share. */
  #shared = 0;

  constructor() {
    this.#allocate(START_WRITES);
  }

  /** Notes the write that the reader stands on. */
  add(reader: OperationReader): void {
    const { count } = this;
    if (count === this.#starts.length) this.#grow();
    const { keyOffset, keyLength, memory: { u8 } } = reader;
    this.#starts[count] = reader.start;
    this.#keys[2 * count] = keyOffset;
    this.#keys[2 * count + 1] = keyLength;
    this.#shared = count === 0
      ? keyLength
      : commonBytes(u8, this.#keys[0], u8, keyOffset, Math.min(this.#shared, keyLength));
    this.count++;
  }

  /** Sorts the writes, all of which are in `u8`. */
  sort(u8: Uint8Array): void {
    const { count } = this;
    const keys = this.#keys;
    const shared = this.#shared;
    for (let i = 0; i < count; i++) {
      const hint = hintOf(u8, keys[2 * i] + shared, keys[2 * i + 1] - shared);
      this.#sorted[i] = hint * SORTED_MAX + i;
    }
    this.#sorted.subarray(0, count).sort();
  }

  /** Where the operation begins that is the `i`th, now that they are sorted. */
  start(i: number): number {
    return this.#starts[this.#sorted[i] % SORTED_MAX];
  }

  clear(): void {
    this.count = 0;
    if (this.#starts.length > KEPT_WRITES_MAX) this.#allocate(START_WRITES);
  }

  #grow(): void {
    const starts = this.#starts;
    const keys = this.#keys;
    this.#allocate(starts.length * 2);
    this.#starts.set(starts);
    this.#keys.set(keys);
  }

  /** @throws {ManifoldError} `too-large` */
  #allocate(writes: number): void {
    const { buffer } = allocateBytes(writes * WRITE_BYTES, "the order of a transaction's writes");
    this.#sorted = new Float64Array(buffer, 0, writes);
    this.#starts = new Uint32Array(buffer, writes * 8, writes);
    this.#keys = new Uint32Array(buffer, writes * 12, writes * 2);
  }
}
