/**
 * A lock for a few instructions, one word of shared memory: 0, or one more than the slot of the
 * thread that holds it, so that a dead thread's lock can be released by name.
 *
 * Invariants: nobody does I/O, waits or calls a user's code while holding one; a thread with an event loop
 * does not block on one that a thread which can be terminated may hold.
 *
 * @module
 */

import { pauseBriefly, sleepWhile } from "./waiting.ts";

const SPINS_MAX = 2000;
const SLEEPS_MAX = 5;
/** How often a thread that waits by its event loop looks again, ms. */
const LOOK_MS = 20;

export class SpinLock {
  readonly #words: Int32Array;
  readonly #index: number;

  constructor(words: Int32Array, index: number) {
    this.#words = words;
    this.#index = index;
  }

  acquire(thread: number): void {
    while (!this.tryAcquire(thread));
  }

  /**
   * Gives up after some milliseconds: for a thread that must not wait for a dead one, because it is
   * the one that would find out about the death.
   */
  tryAcquire(thread: number): boolean {
    for (let spins = 0;; spins++) {
      if (Atomics.compareExchange(this.#words, this.#index, 0, thread + 1) === 0) return true;
      if (spins === SPINS_MAX + SLEEPS_MAX) return false;
      if (spins < SPINS_MAX) {
        pauseBriefly();
      } else {
        // The holder was descheduled: let it run.
        const holder = Atomics.load(this.#words, this.#index);
        if (holder !== 0) sleepWhile(this.#words, this.#index, holder, 1);
      }
    }
  }

  /**
   * Calls `fn` while holding it. For a thread with an event loop, where it may be held by a thread that is
   * dead: what finds out about that, and releases it, runs on an event loop. It is given back before anything
   * else runs on this one: else all that want it here would spin for it in vain, one after the other.
   */
  async holding<T>(thread: number, fn: () => T): Promise<T> {
    while (!this.tryAcquire(thread)) {
      const holder = Atomics.load(this.#words, this.#index);
      const wait = Atomics.waitAsync(this.#words, this.#index, holder, LOOK_MS);
      if (wait.async) await wait.value;
    }
    try {
      return fn();
    } finally {
      this.release();
    }
  }

  release(): void {
    Atomics.store(this.#words, this.#index, 0);
  }

  /** Releases the lock if `thread`, known to be dead, held it. */
  releaseOf(thread: number): void {
    Atomics.compareExchange(this.#words, this.#index, thread + 1, 0);
  }
}
