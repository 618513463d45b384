/**
 * Where a worker tells what it has changed: a ring of bytes in shared memory, one producer, any number of
 * readers, whom it does not know and never waits for. A reader has a position of its own, and finds out that
 * it was overtaken.
 *
 * | bytes | what |
 * |---|---|
 * | 0–7 | position of the oldest byte that is still whole (i64) |
 * | 8–15 | position behind the newest byte (i64) |
 * | 16–19 | bumped after each append: the word that readers sleep on |
 * | 64– | the ring; position p stands at p modulo its length |
 *
 * Invariant: the oldest position moves before what is there is written over, and a reader looks at it after
 * copying: a copy that was begun too late is thrown away. What is copied is plain memory, so both
 * sides use an operation that reads and writes there, which plain accesses do not pass in either direction.
 *
 * @module
 */

import { bumpAndWake } from "./waiting.ts";

const FIRST_I64 = 0;
const END_I64 = 1;
const WAKE = 4;
const CONTROL_BYTES = 64;

export class ChangeFeed {
  static allocate(bytes: number): SharedArrayBuffer {
    return new SharedArrayBuffer(CONTROL_BYTES + bytes);
  }

  readonly words: Int32Array;
  /** Bytes of the ring. */
  readonly capacity: number;
  readonly #i64: BigInt64Array;
  readonly #u8: Uint8Array;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer, 0, CONTROL_BYTES / 4);
    this.#i64 = new BigInt64Array(buffer, 0, CONTROL_BYTES / 8);
    this.#u8 = new Uint8Array(buffer, CONTROL_BYTES);
    this.capacity = this.#u8.length;
  }

  /** Index of the word that readers sleep on; read it before looking for something new. */
  get wakeIndex(): number {
    return WAKE;
  }

  /** The position behind the newest byte. */
  get end(): number {
    return Number(Atomics.load(this.#i64, END_I64));
  }

  /** Adds bytes, no more than the ring holds, and wakes the readers. Only the worker. */
  append(bytes: Uint8Array): void {
    const end = this.end;
    const next = end + bytes.length;
    const first = Math.max(0, next - this.capacity);
    if (first > Number(Atomics.load(this.#i64, FIRST_I64))) {
      Atomics.exchange(this.#i64, FIRST_I64, BigInt(first));
    }
    const at = end % this.capacity;
    const head = Math.min(bytes.length, this.capacity - at);
    this.#u8.set(bytes.subarray(0, head), at);
    this.#u8.set(bytes.subarray(head), 0);
    Atomics.store(this.#i64, END_I64, BigInt(next));
    bumpAndWake(this.words, WAKE);
  }

  /** Copies `length` bytes that were appended from `position` on; false if some are there no more. */
  read(position: number, into: Uint8Array, length: number): boolean {
    const at = position % this.capacity;
    const head = Math.min(length, this.capacity - at);
    into.set(this.#u8.subarray(at, at + head), 0);
    into.set(this.#u8.subarray(0, length - head), head);
    return Number(Atomics.add(this.#i64, FIRST_I64, 0n)) <= position;
  }
}
