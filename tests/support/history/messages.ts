/**
 * What the threads of a history are told, and what they tell.
 *
 * @module
 */

import type { DatabaseHandle } from "../../../mod.ts";
import type { Recorded } from "./history.ts";

export interface HistoryThreadData {
  readonly handle: DatabaseHandle;
  readonly board: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  readonly families: readonly string[];
  readonly slots: number;
  readonly callers: number;
  readonly thread: number;
  readonly seed: number;
}

export interface HistoryThreadResult {
  readonly error?: string;
  readonly history: Recorded[];
}

/** Words that the threads share besides the board. */
export const STOP = 0;
/** Transactions with a function that were committed, and those of them whose function ran more than once. */
export const COMMITTED = 1;
export const CONFLICTED = 2;
/** Runs of functions. */
export const ATTEMPTS = 3;
export const CONTROL_WORDS = 4;
