/**
 * Whether the database is open, closing, closed or failed, for all threads.
 *
 * Invariant: `failed` is final; the first failure's code and text stay.
 *
 * @module
 */

import { ERROR_CODES, ManifoldError } from "../errors.ts";
import {
  type Control,
  DATABASE_STATE,
  FAILURE_CODE,
  FAILURE_TEXT,
  FAILURE_TEXT_WORDS,
  HOST_WAKE,
  KEEPER_ANSWER,
  KEEPER_WAKE,
  LOG_DURABLE,
  LOG_SPACE,
} from "./control.ts";
import { bumpAndWake } from "./waiting.ts";
import { wakeAllWorkers } from "./worker_table.ts";

export const OPEN = 0;
export const CLOSING = 1;
export const CLOSED = 2;
export const FAILED = 3;

export function databaseState(control: Control): number {
  return Atomics.load(control.words, DATABASE_STATE);
}

/** Moves on from one state to another; false if the state was not `from`. */
export function moveState(control: Control, from: number, to: number): boolean {
  const moved = Atomics.compareExchange(control.words, DATABASE_STATE, from, to) === from;
  if (moved) wakeEveryone(control);
  return moved;
}

/** Records the failure after which nothing may be written any more. The first one wins. */
export function fail(control: Control, error: unknown): void {
  recordFailure(control, error);
  for (const from of [OPEN, CLOSING]) {
    if (Atomics.compareExchange(control.words, DATABASE_STATE, from, FAILED) === from) break;
  }
  wakeEveryone(control);
}

/** Says what the failure is that the database is about to turn to, when what it has was saved. */
export function recordFailure(control: Control, error: unknown): void {
  const words = control.words;
  const code = error instanceof ManifoldError ? error.code : "failed";
  const text = error instanceof Error ? error.message : String(error);
  if (
    Atomics.compareExchange(words, FAILURE_CODE, 0, ERROR_CODES.indexOf(code) + 1) === 0
  ) {
    const bytes = new TextEncoder().encode(text).subarray(0, (FAILURE_TEXT_WORDS - 1) * 4);
    control.u8.set(bytes, (FAILURE_TEXT + 1) * 4);
    Atomics.store(words, FAILURE_TEXT, bytes.length);
  }
}

/** Whether a failure is recorded: the database has failed, or is about to. */
export function hasFailure(control: Control): boolean {
  return Atomics.load(control.words, FAILURE_CODE) !== 0;
}

/** The error that everything which would write throws after a failure. */
export function failure(control: Control, path: string): ManifoldError {
  const words = control.words;
  const code = ERROR_CODES[Atomics.load(words, FAILURE_CODE) - 1] ?? "failed";
  const length = Atomics.load(words, FAILURE_TEXT);
  const start = (FAILURE_TEXT + 1) * 4;
  const text = new TextDecoder().decode(control.u8.slice(start, start + length));
  return new ManifoldError(
    "failed",
    `the database ${path} accepts no more writes because of an earlier failure; ` +
      `close it, mend the cause and open it again. Commits that were in flight may or may not be durable. ` +
      `Cause: ${text}`,
    { cause: new ManifoldError(code, text) },
  );
}

function wakeEveryone(control: Control): void {
  for (const word of [HOST_WAKE, KEEPER_WAKE, KEEPER_ANSWER, LOG_DURABLE, LOG_SPACE]) {
    bumpAndWake(control.words, word);
  }
  wakeAllWorkers(control);
}
