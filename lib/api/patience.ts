/**
 * Whether a thread that waits for its writing workers stays awake. Falling asleep and being woken by `Atomics.waitAsync`
 * takes 40 to 60 µs; a commit takes little more than 100 where syncs are fast. So a thread looks for the answer in
 * every turn of its event loop if it waits for a single one, and there is a processor more than threads that may do so; but only once
 * it has seen, asleep, that answers come soon. Where they come late all the same, because the disk is slow or others want the processors, for which the worker then has
 * to wait, it sleeps for some hundred waits before it tries again, and longer if that was in vain.
 *
 * @module
 */

import type { Control } from "../memory/control.ts";
import { countThreads } from "../memory/threads.ts";
import { WORKER_RUNNING, workerState } from "../memory/worker_table.ts";

/** How long a thread looks for answers before it sleeps, ms. */
export const PATIENCE_MS = 0.5;
/** A thread does not look for answers if they come later than this, usually, ms. */
const USUAL_MS_MAX = 0.45;
/** What one wait counts at the most, so that a rare long one does not decide; ms. */
const WAIT_MS_MAX = 1;
/** A thread looks for answers only if they come sooner than this, usually, while it sleeps; ms. */
const SOON_MS_MAX = 0.28;
/** For how many waits it sleeps at first. */
const REST_FIRST = 64;
/** A wait's part in what is usual. */
const WEIGHT = 1 / 64;
const SLEPT_WEIGHT = 1 / 16;
/**
 * After a rest so many waits do not count: the system has yet to give the thread and the worker a processor each, after
 * they have shared one.
 */
const UNCOUNTED = 128;
/** For how many waits a thread sleeps then, at the least and at the most. */
const REST_MIN = 256;
const REST_MAX = 8192;

export class Patience {
  readonly #control: Control;
  readonly #workers: number;
  readonly #processors: number;
  /** How long a wait is that was awake, usually, and how many there were since the last rest. */
  #usual = 0;
  #looked = 0;
  /** How long a wait is that was asleep, usually. */
  #slept = WAIT_MS_MAX;
  /** How long the last rest was, and what is left of it, in waits. */
  #rest = 0;
  #restLeft = REST_FIRST;

  /** `workers`: how many the database has at the most. */
  constructor(control: Control, workers: number, processors: number) {
    this.#control = control;
    this.#workers = workers;
    this.#processors = processors;
  }

  /** Whether the wait that begins now should be awake. */
  looks(): boolean {
    if (this.#restLeft === 0) {
      if (this.#slept < SOON_MS_MAX) return this.#callers() < this.#processors;
      this.#restLeft = REST_MIN;
    }
    this.#restLeft--;
    return false;
  }

  /** A wait that was asleep was so long. */
  slept(ms: number): void {
    this.#slept += (Math.min(ms, WAIT_MS_MAX) - this.#slept) * SLEPT_WEIGHT;
  }

  /** A wait that was awake was so long. */
  looked(ms: number): void {
    if (++this.#looked <= UNCOUNTED) return;
    this.#usual += (Math.min(ms, WAIT_MS_MAX) - this.#usual) * WEIGHT;
    if (this.#usual <= USUAL_MS_MAX) return;
    const wasInVain = this.#looked < this.#rest;
    this.#rest = wasInVain ? Math.min(this.#rest * 2, REST_MAX) : REST_MIN;
    this.#restLeft = this.#rest;
    this.#usual = this.#looked = 0;
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
