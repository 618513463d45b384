/**
 * Where writing workers meet to commit a transaction over families of several of them: its *coordinator*,
 * the worker with the lowest number that has a part in it, and its *participants*, the others
 * (lib/engine/joint_commit.ts). Words of each worker's line (worker_table.ts), and a piece of memory for each, its
 * *exchange*, through which a participant hands its part of the record over.
 *
 * | word | written by | what |
 * |---|---|---|
 * | 2 | the worker as coordinator; who joins clears it | one more than the worker that it seeks, 0 for none |
 * | 3 | coordinators add, the worker subtracts | how many seek this worker |
 * | 8, 9 | the worker as coordinator | its transaction: thread (8 bits) and session, request |
 * | 10 | the worker as participant, and its coordinator | the step that they are at, see below |
 * | 11 | the worker as participant | bytes in its exchange; of a refusal, the number of the code |
 * | 12 | | bytes that are to come after them; the refusal's detail |
 * | 13, 14 | | parts of the record; the refusal's result (low, high) |
 *
 * | step | who makes it | then |
 * |---|---|---|
 * | free | | the participant may join |
 * | joined | participant | it applies its part |
 * | offered | participant | a piece of its part is in the exchange; the last one is its vote for the commit |
 * | taken | coordinator | the next piece is due |
 * | refused | participant | its vote against; all of its part is undone already |
 * | published | coordinator | the participant's families have their new versions: it goes on from there |
 * | discarded | coordinator | the participant undoes its part |
 *
 * Invariants: of two that look at one step, only one may make the next; a coordinator seeks one worker at
 * a time and never takes that back; who makes a step wakes the other.
 *
 * @module
 */

import { ERROR_CODES, type ErrorCode } from "../errors.ts";
import { type Control, WORKER_WORDS, WORKERS } from "./control.ts";
import { wakeWorker } from "./worker_table.ts";

/** Bytes of an exchange: a longer part is handed over in pieces. */
const EXCHANGE_BYTES = 65536;

const SEEKS = 2;
const SOUGHT = 3;
const WHO = 8;
const REQUEST = 9;
const STEP = 10;
const BYTES = 11;
const LEFT = 12;
const PARTS = 13;
const RESULT_HIGH = 14;

export const STEP_FREE = 0;
export const STEP_JOINED = 1;
export const STEP_OFFERED = 2;
export const STEP_TAKEN = 3;
export const STEP_REFUSED = 4;
export const STEP_PUBLISHED = 5;
export const STEP_DISCARDED = 6;

/** Which transaction: the thread that has asked for it, and its request. */
export interface JointName {
  readonly thread: number;
  readonly session: number;
  readonly request: number;
}

/** Why a transaction cannot be applied: the completion that its caller gets. */
export interface JointRefusal {
  readonly code: ErrorCode;
  readonly detail: number;
  readonly result: number;
}

function line(worker: number): number {
  return WORKERS + worker * WORKER_WORDS;
}

export class JointWords {
  static allocate(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer(workers * EXCHANGE_BYTES);
  }

  readonly #control: Control;
  readonly #words: Int32Array;
  readonly #exchanges: Uint8Array;

  constructor(control: Control, exchanges: SharedArrayBuffer) {
    this.#control = control;
    this.#words = control.words;
    this.#exchanges = new Uint8Array(exchanges);
  }

  /** The coordinator wants a worker to join its transaction. */
  seek(coordinator: number, worker: number, name: JointName): void {
    const words = this.#words;
    const own = line(coordinator);
    Atomics.store(words, own + WHO, name.thread | (name.session << 8));
    Atomics.store(words, own + REQUEST, name.request | 0);
    Atomics.store(words, own + SEEKS, worker + 1);
    // Last: who counts one finds it.
    Atomics.add(words, line(worker) + SOUGHT, 1);
    wakeWorker(this.#control, worker);
  }

  /** Whether the worker that the coordinator seeks has joined. */
  hasJoined(coordinator: number): boolean {
    return Atomics.load(this.#words, line(coordinator) + SEEKS) === 0;
  }

  /** Coordinators that seek a worker, ascending: all have lower numbers. */
  seekers(worker: number): number[] {
    const words = this.#words;
    const found: number[] = [];
    if (Atomics.load(words, line(worker) + SOUGHT) === 0) return found;
    for (let other = 0; other < worker; other++) {
      if (Atomics.load(words, line(other) + SEEKS) === worker + 1) found.push(other);
    }
    return found;
  }

  /** The transaction for which a coordinator seeks somebody. */
  nameOf(coordinator: number): JointName {
    const at = line(coordinator);
    const who = Atomics.load(this.#words, at + WHO) >>> 0;
    return {
      thread: who & 255,
      session: who >>> 8,
      request: Atomics.load(this.#words, at + REQUEST) >>> 0,
    };
  }

  /** The worker joins the transaction of a coordinator that seeks it. */
  join(worker: number, coordinator: number): void {
    const words = this.#words;
    Atomics.store(words, line(worker) + STEP, STEP_JOINED);
    Atomics.sub(words, line(worker) + SOUGHT, 1);
    Atomics.store(words, line(coordinator) + SEEKS, 0);
    wakeWorker(this.#control, coordinator);
  }

  step(participant: number): number {
    return Atomics.load(this.#words, line(participant) + STEP);
  }

  /** Makes a step that says nothing else, and wakes `other`. */
  makeStep(participant: number, step: number, other: number): void {
    Atomics.store(this.#words, line(participant) + STEP, step);
    wakeWorker(this.#control, other);
  }

  /**
   * The participant offers bytes of its part from `from` on, as many as the exchange takes. Returns where
   * the next piece begins.
   */
  offer(
    participant: number,
    coordinator: number,
    bytes: Uint8Array,
    from: number,
    parts: number,
  ): number {
    const words = this.#words;
    const at = line(participant);
    const to = Math.min(bytes.length, from + EXCHANGE_BYTES);
    this.#exchanges.set(bytes.subarray(from, to), participant * EXCHANGE_BYTES);
    Atomics.store(words, at + BYTES, to - from);
    Atomics.store(words, at + LEFT, bytes.length - to);
    Atomics.store(words, at + PARTS, parts);
    this.makeStep(participant, STEP_OFFERED, coordinator);
    return to;
  }

  /** What a participant offers: bytes in its exchange, how many are to come, and how many parts they are. */
  offered(participant: number): { bytes: Uint8Array; left: number; parts: number } {
    const words = this.#words;
    const at = line(participant);
    const start = participant * EXCHANGE_BYTES;
    return {
      bytes: this.#exchanges.subarray(start, start + Atomics.load(words, at + BYTES)),
      left: Atomics.load(words, at + LEFT),
      parts: Atomics.load(words, at + PARTS),
    };
  }

  refuse(participant: number, coordinator: number, refusal: JointRefusal): void {
    const words = this.#words;
    const at = line(participant);
    Atomics.store(words, at + BYTES, ERROR_CODES.indexOf(refusal.code));
    Atomics.store(words, at + LEFT, refusal.detail);
    Atomics.store(words, at + PARTS, refusal.result | 0);
    Atomics.store(words, at + RESULT_HIGH, Math.floor(refusal.result / 2 ** 32));
    this.makeStep(participant, STEP_REFUSED, coordinator);
  }

  refusal(participant: number): JointRefusal {
    const words = this.#words;
    const at = line(participant);
    return {
      code: ERROR_CODES[Atomics.load(words, at + BYTES)],
      detail: Atomics.load(words, at + LEFT),
      result: (Atomics.load(words, at + PARTS) >>> 0) +
        Atomics.load(words, at + RESULT_HIGH) * 2 ** 32,
    };
  }
}
