/**
 * Epochs guard memory for the length of one operation. A thread shows the global epoch in its own
 * slot while it reads, 0 otherwise. What was unlinked in epoch e may be used anew once every slot
 * shows 0 or an epoch newer than e: then nobody can still hold what he found before the unlinking.
 *
 * Invariants: an epoch is never 0; epochs wrap and are compared by signed difference; whoever
 * unlinks first unlinks, then reads the epoch as the tag, then advances it.
 *
 * @module
 */

import { type Control, GLOBAL_EPOCH, THREAD_WORDS, THREADS, THREADS_USED } from "./control.ts";

export class Epochs {
  readonly #words: Int32Array;
  readonly #slot: number;
  #nesting = 0;

  /** `thread` is the slot of the calling thread (threads.ts). */
  constructor(control: Control, thread: number) {
    this.#words = control.words;
    this.#slot = THREADS + thread * THREAD_WORDS;
  }

  /** Whether the calling thread is inside an epoch. */
  get inside(): boolean {
    return this.#nesting > 0;
  }

  /**
   * Begins an operation; pairs with {@linkcode leave} in a `finally`. Nests. The global epoch is read without
   * ordering, which V8 does in a tenth of the time: an epoch from before the newest holds back more, never less.
   * The thread's own slot is what the others and our later loads are ordered by.
   */
  enter(): void {
    if (this.#nesting++ === 0) {
      Atomics.store(this.#words, this.#slot, this.#words[GLOBAL_EPOCH]);
    }
  }

  leave(): void {
    if (--this.#nesting === 0) Atomics.store(this.#words, this.#slot, 0);
  }

  /**
   * Ends the epoch and begins the present one, for a thread that holds nothing it has read: a long
   * operation lets others use anew what was unlinked meanwhile.
   */
  renew(): void {
    Atomics.store(this.#words, this.#slot, Atomics.load(this.#words, GLOBAL_EPOCH));
  }

  /** Tags what was just unlinked: returns the epoch that must pass, and begins the next one. */
  tag(): number {
    const epoch = Atomics.load(this.#words, GLOBAL_EPOCH);
    // Several threads may advance at once; any of them makes the next epoch newer than the tag.
    const next = (epoch + 1) | 0;
    Atomics.compareExchange(this.#words, GLOBAL_EPOCH, epoch, next === 0 ? 1 : next);
    return epoch;
  }

  /** The oldest epoch that some thread may still be in; everything older has passed. */
  horizon(): number {
    const words = this.#words;
    const now = Atomics.load(words, GLOBAL_EPOCH);
    let oldest = now;
    const used = Atomics.load(words, THREADS_USED);
    for (let i = 0, at = THREADS; i < used; i++, at += THREAD_WORDS) {
      const epoch = Atomics.load(words, at);
      if (epoch !== 0 && ((epoch - oldest) | 0) < 0) oldest = epoch;
    }
    return oldest;
  }

  /** Whether everything tagged `epoch` may be used anew, given a {@linkcode horizon}. */
  static passed(epoch: number, horizon: number): boolean {
    return ((horizon - epoch) | 0) > 0;
  }
}
