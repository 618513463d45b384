/**
 * Whether a thread that waits for its writing workers stays awake. Falling asleep and being woken by `Atomics.waitAsync`
 * takes 40 to 60 µs; a commit takes little more than 100 where syncs are fast. So a thread looks for the answer in
 * every turn of its event loop if it waits for a single one, answers have lately come soon, and there is a processor more
 * than threads that may do so.
 *
 * @module
 */

import type { Control } from "../memory/control.ts";
import { countThreads } from "../memory/threads.ts";
import { WORKER_RUNNING, workerState } from "../memory/worker_table.ts";

/** How long a thread looks for answers before it sleeps, ms. */
export const PATIENCE_MS = 0.5;
/** A thread does not look for answers if they come later than this, usually, ms. */
const USUAL_MS_MAX = 0.4;
/** What one wait counts at the most, so that a rare long one does not end the looking; ms. */
const WAIT_MS_MAX = 1;
/** A wait's part in what is usual. */
const WEIGHT = 1 / 8;
/** With more under way, the worker is awake anyway, and the thread's time is better spent on those that it answers. */
const REQUESTS_MAX = 1;

export class Patience {
  readonly #control: Control;
  readonly #workers: number;
  readonly #processors: number;
  /** How long a wait usually is, ms. */
  #usual = 0;

  /** `workers`: how many the database has at the most. */
  constructor(control: Control, workers: number, processors: number) {
    this.#control = control;
    this.#workers = workers;
    this.#processors = processors;
  }

  /** Whether it pays to stay awake while so many requests are not settled. */
  pays(requests: number): boolean {
    return requests <= REQUESTS_MAX && this.#usual <= USUAL_MS_MAX &&
      this.#callers() < this.#processors;
  }

  /** A wait was so long, with sleep or without. */
  waited(ms: number): void {
    this.#usual += (Math.min(ms, WAIT_MS_MAX) - this.#usual) * WEIGHT;
  }

  /** Threads that may stay awake, about: all but the workers and the keeper. */
  #callers(): number {
    let callers = countThreads(this.#control) - 1;
    for (let worker = 0; worker < this.#workers; worker++) {
      if (workerState(this.#control, worker) === WORKER_RUNNING) callers--;
    }
    return callers;
  }
}
