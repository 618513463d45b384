/**
 * What the threads of `threads_test.ts` tell each other.
 *
 * @module
 */

import type { DatabaseHandle } from "../../../mod.ts";

/** The families that last, and their tables' shape, are made by {@linkcode tablesOf}. */
export const ACCOUNTS = 64;
export const BALANCE = 1000;
/** Rows that each thread owns. */
export const ROWS_PER_THREAD = 400;

/** Words of the shared progress: stop flag, then two of each thread: commits, checks. */
export const STOP = 0;
export const COMMITS = 1;
export const CHECKS = 2;
export const WORDS_PER_THREAD = 2;

export interface ThreadData {
  readonly handle: DatabaseHandle;
  readonly thread: number;
  readonly seed: number;
  readonly progress: Int32Array;
}

/** What a thread says at its end: the rows that it owns, by key the version. */
export interface ThreadResult {
  readonly error?: string;
  readonly rows?: [number, number][];
  readonly churned?: number;
  readonly held?: number;
}

export type VictimMode = "reading" | "enqueueing" | "snapshot" | "turn" | "making";

export interface VictimData {
  readonly handle: DatabaseHandle;
  readonly thread: number;
  readonly mode: VictimMode;
  /** Word 0 counts what the victim did. */
  readonly progress: Int32Array;
}
