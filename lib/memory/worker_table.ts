/**
 * What every writing worker tells the others: whether it runs, the word that wakes it, and, under the
 * log's lock, where its record in the making begins (group_commit.ts). Words 2, 3 and 8 to 14 of a worker's
 * line are those of joint_words.ts.
 *
 * Invariant: a worker moves from idle to wanted to running (to drained) to ended; only the host starts one.
 * When the database closes, one that is idle moves to drained, and nobody can want it any more.
 *
 * @module
 */

import { type Control, HOST_WAKE, WORKER_WORDS, WORKERS, WORKERS_MAX } from "./control.ts";
import { bumpAndWake } from "./waiting.ts";

export const WORKER_IDLE = 0;
export const WORKER_WANTED = 1;
export const WORKER_RUNNING = 2;
export const WORKER_ENDED = 3;
/** The database is closing and the worker will write nothing any more. */
export const WORKER_DRAINED = 4;

const STATE = 0;
const WAKE = 1;
/** f64: the position where the worker's unfinished record begins, -1 for none. */
const WRITING_F64 = 2;
/** f64: the position of the worker's oldest record that is not published yet, -1 for none. */
const UNPUBLISHED_F64 = 3;

function line(worker: number): number {
  return WORKERS + worker * WORKER_WORDS;
}

export function workerState(control: Control, worker: number): number {
  return Atomics.load(control.words, line(worker) + STATE);
}

export function setWorkerState(control: Control, worker: number, state: number): void {
  Atomics.store(control.words, line(worker) + STATE, state);
}

/**
 * Asks the host to start a worker, unless it has. The host, which waits without a time-out, is woken even if somebody has asked
 * before: that thread may have ended between the two.
 */
export function wantWorker(control: Control, worker: number): void {
  const words = control.words;
  const at = line(worker) + STATE;
  const state = Atomics.load(words, at);
  if (state !== WORKER_IDLE && state !== WORKER_WANTED) return;
  Atomics.compareExchange(words, at, WORKER_IDLE, WORKER_WANTED);
  bumpAndWake(words, HOST_WAKE);
}

/** The database is closing: a worker that nobody has wanted yet will never be started. */
export function retireIdleWorkers(control: Control): void {
  for (let worker = 0; worker < WORKERS_MAX; worker++) {
    Atomics.compareExchange(
      control.words,
      line(worker) + STATE,
      WORKER_IDLE,
      WORKER_DRAINED,
    );
  }
}

/** Whether no worker will append to the log any more, given that no idle one is left. */
export function allDrained(control: Control): boolean {
  for (let worker = 0; worker < WORKERS_MAX; worker++) {
    const state = workerState(control, worker);
    if (state === WORKER_WANTED || state === WORKER_RUNNING) return false;
  }
  return true;
}

/** The word that a worker sleeps on; read it before looking for work. */
export function workerWakeIndex(worker: number): number {
  return line(worker) + WAKE;
}

export function wakeWorker(control: Control, worker: number): void {
  bumpAndWake(control.words, line(worker) + WAKE);
}

export function wakeAllWorkers(control: Control): void {
  for (let worker = 0; worker < WORKERS_MAX; worker++) {
    if (workerState(control, worker) !== WORKER_IDLE) wakeWorker(control, worker);
  }
}

/** Index into the f64 view of where a worker's unfinished record begins. */
export function writingIndex(worker: number): number {
  return (line(worker) >> 1) + WRITING_F64;
}

/** Index into the f64 view of where a worker's oldest unpublished record begins. */
export function unpublishedIndex(worker: number): number {
  return (line(worker) >> 1) + UNPUBLISHED_F64;
}
