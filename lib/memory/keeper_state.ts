/**
 * What the threads ask of the keeper, the worker that makes checkpoints, and what it answers.
 *
 * Words from KEEPER on: the highest checkpoint asked for; the one that was begun last; the last that
 * succeeded; the last that failed, and the number of its error code; 1 if the database shall be left clean.
 *
 * Invariant: a checkpoint numbered n pins its versions after n was written to "begun": who asks for begun
 * + 1 gets one that includes all that he published before.
 *
 * @module
 */

import { ERROR_CODES, type ErrorCode } from "../errors.ts";
import { type Control, KEEPER, KEEPER_ANSWER, KEEPER_WAKE } from "./control.ts";
import { bumpAndWake } from "./waiting.ts";

const ASKED = KEEPER;
const BEGUN = KEEPER + 1;
const SUCCEEDED = KEEPER + 2;
const FAILED = KEEPER + 3;
const FAILED_CODE = KEEPER + 4;
const LEAVE_CLEAN = KEEPER + 5;
/** Of 64 bits: an index into the i64 view. */
const GENERATION_I64 = (KEEPER + 6) / 2;
const DONE_COUNT = KEEPER + 8;
const FAILED_COUNT = KEEPER + 9;

/** Asks for a checkpoint of everything published by now; returns its number. */
export function askForCheckpoint(control: Control): number {
  const { words } = control;
  const wanted = (Atomics.load(words, BEGUN) + 1) | 0;
  for (;;) {
    const asked = Atomics.load(words, ASKED);
    if (((asked - wanted) | 0) >= 0) break;
    if (Atomics.compareExchange(words, ASKED, asked, wanted) === asked) break;
  }
  bumpAndWake(words, KEEPER_WAKE);
  return wanted;
}

/** Asks the keeper to leave the database clean with its last checkpoint, and to end. */
export function askToLeaveClean(control: Control): void {
  Atomics.store(control.words, LEAVE_CLEAN, 1);
  bumpAndWake(control.words, KEEPER_WAKE);
}

export function shallLeaveClean(control: Control): boolean {
  return Atomics.load(control.words, LEAVE_CLEAN) === 1;
}

/** How a checkpoint that was asked for went, so far. */
export function checkpointOutcome(
  control: Control,
  number: number,
): "pending" | "done" | ErrorCode {
  const { words } = control;
  if (((Atomics.load(words, SUCCEEDED) - number) | 0) >= 0) return "done";
  if (((Atomics.load(words, FAILED) - number) | 0) >= 0) {
    return ERROR_CODES[Atomics.load(words, FAILED_CODE) - 1] ?? "failed";
  }
  return "pending";
}

/** The code with which the latest checkpoint failed; undefined if it did not. */
export function lastCheckpointFailure(control: Control): ErrorCode | undefined {
  const { words } = control;
  const failed = Atomics.load(words, FAILED);
  if (failed === 0 || ((Atomics.load(words, SUCCEEDED) - failed) | 0) > 0) return undefined;
  return ERROR_CODES[Atomics.load(words, FAILED_CODE) - 1];
}

/** How many checkpoints have succeeded and failed. */
export function checkpointCounts(control: Control): { done: number; failed: number } {
  return {
    done: Atomics.load(control.words, DONE_COUNT),
    failed: Atomics.load(control.words, FAILED_COUNT),
  };
}

/** The word that changes with every answer. */
export function keeperAnswers(control: Control): number {
  return Atomics.load(control.words, KEEPER_ANSWER);
}

/** The keeper's side: whether a checkpoint is asked for that was not begun. */
export function checkpointIsAsked(control: Control): boolean {
  const { words } = control;
  return ((Atomics.load(words, ASKED) - Atomics.load(words, BEGUN)) | 0) > 0;
}

/** The keeper begins a checkpoint; returns its number. */
export function beginCheckpoint(control: Control): number {
  return (Atomics.add(control.words, BEGUN, 1) + 1) | 0;
}

/** Whether a checkpoint is being made. */
export function checkpointRuns(control: Control): boolean {
  const { words } = control;
  const begun = Atomics.load(words, BEGUN);
  return Atomics.load(words, SUCCEEDED) !== begun && Atomics.load(words, FAILED) !== begun;
}

/** The number of the checkpoint that was begun last. */
export function checkpointBegun(control: Control): number {
  return Atomics.load(control.words, BEGUN);
}

export function endCheckpoint(control: Control, number: number, failure?: ErrorCode): void {
  const { words } = control;
  if (failure === undefined) {
    Atomics.store(words, SUCCEEDED, number);
    Atomics.add(words, DONE_COUNT, 1);
  } else {
    Atomics.store(words, FAILED_CODE, ERROR_CODES.indexOf(failure) + 1);
    Atomics.store(words, FAILED, number);
    Atomics.add(words, FAILED_COUNT, 1);
  }
  bumpAndWake(words, KEEPER_ANSWER);
}

/** The generation of the durable checkpoint: written by the keeper, put into every record. */
export function durableGeneration(control: Control): number {
  return Number(Atomics.load(control.i64, GENERATION_I64));
}

export function setDurableGeneration(control: Control, generation: number): void {
  Atomics.store(control.i64, GENERATION_I64, BigInt(generation));
}
