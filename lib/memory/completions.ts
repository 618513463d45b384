/**
 * How a worker tells a thread that its requests are done: one ring of 16-byte completions a thread.
 *
 * | word | what |
 * |---|---|
 * | 0 | request |
 * | 1 | status: 0, or the number of the error code plus one; detail in bits 8 and up |
 * | 2, 3 | result (low, high); of one that failed, what its detail says |
 *
 * Invariant: a thread has at most {@linkcode COMPLETIONS_MAX} requests under way, so the ring is
 * never full and a worker never waits for a reader.
 *
 * @module
 */

import { THREADS_MAX } from "./control.ts";
import { SpinLock } from "./spin_lock.ts";

/** Requests that one thread can have under way. */
export const COMPLETIONS_MAX = 8192;

const COMPLETION_WORDS = 4;
const CONTROL_WORDS = 32;
const RING_WORDS = CONTROL_WORDS + COMPLETIONS_MAX * COMPLETION_WORDS;
const TAIL = 0;
const LOCK = 16;

export interface Completion {
  request: number;
  status: number;
  detail: number;
  result: number;
}

export class Completions {
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(THREADS_MAX * RING_WORDS * 4);
  }

  readonly words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer);
  }

  /** The word that a thread sleeps on: how many completions it was ever sent. */
  tailIndex(thread: number): number {
    return thread * RING_WORDS + TAIL;
  }

  /** Takes the lock of a thread's ring around a run of {@linkcode put}. */
  begin(thread: number, writer: number): void {
    new SpinLock(this.words, thread * RING_WORDS + LOCK).acquire(writer);
  }

  put(thread: number, request: number, status: number, detail: number, result: number): void {
    const words = this.words;
    const ring = thread * RING_WORDS;
    const tail = Atomics.load(words, ring + TAIL);
    const at = ring + CONTROL_WORDS + ((tail >>> 0) % COMPLETIONS_MAX) * COMPLETION_WORDS;
    words[at] = request;
    words[at + 1] = status | (detail << 8);
    words[at + 2] = result >>> 0;
    words[at + 3] = Math.floor(result / 2 ** 32);
    Atomics.store(words, ring + TAIL, (tail + 1) | 0);
  }

  end(thread: number): void {
    Atomics.store(this.words, thread * RING_WORDS + LOCK, 0);
    Atomics.notify(this.words, thread * RING_WORDS + TAIL);
  }

  /** Reads the completion number `cursor` of a thread. Only that thread. */
  read(thread: number, cursor: number, completion: Completion): void {
    const words = this.words;
    const at = thread * RING_WORDS + CONTROL_WORDS +
      ((cursor >>> 0) % COMPLETIONS_MAX) * COMPLETION_WORDS;
    completion.request = words[at] >>> 0;
    completion.status = words[at + 1] & 255;
    completion.detail = words[at + 1] >>> 8;
    completion.result = (words[at + 2] >>> 0) + words[at + 3] * 2 ** 32;
  }
}
