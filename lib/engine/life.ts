/**
 * Where an open database stands between "nothing was written yet" and "writers may append".
 *
 * A worker that has something to write asks for the log's life to begin. If that is not possible, for want of
 * room perhaps, it is told so, refuses what it has, and asks again for what comes later.
 *
 * Invariant: it only moves on: dormant, (recovering,) begun.
 *
 * @module
 */

import {
  type Control,
  LIFE,
  LIFE_ASKED,
  LIFE_REFUSAL,
  LIFE_REFUSALS,
  RECOVERIES,
  RECOVERIES_DONE,
} from "../memory/control.ts";
import { ERROR_CODES, type ErrorCode } from "../errors.ts";
import { bumpAndWake } from "../memory/waiting.ts";
import { wakeAllWorkers } from "../memory/worker_table.ts";
import { KEEPER_WAKE } from "../memory/control.ts";

/** The file is as it was found. */
export const LIFE_DORMANT = 0;
/** Workers apply what the log has. */
export const LIFE_RECOVERING = 1;
/** The log's new life is durable: records may be appended. */
export const LIFE_BEGUN = 2;

export function lifeOf(control: Control): number {
  return Atomics.load(control.words, LIFE);
}

export function setLife(control: Control, life: number): void {
  Atomics.store(control.words, LIFE, life);
  Atomics.notify(control.words, LIFE);
  wakeAllWorkers(control);
}

/** Asks the keeper to begin the log's life; returns how often that was refused before. */
export function askForLife(control: Control): number {
  const refusals = Atomics.load(control.words, LIFE_REFUSALS);
  Atomics.store(control.words, LIFE_ASKED, 1);
  bumpAndWake(control.words, KEEPER_WAKE);
  return refusals;
}

/** Why it cannot begin; undefined if nothing was refused since it was `refusals` times. */
export function lifeRefusal(control: Control, refusals: number): ErrorCode | undefined {
  if (Atomics.load(control.words, LIFE_REFUSALS) === refusals) return undefined;
  return ERROR_CODES[Atomics.load(control.words, LIFE_REFUSAL) - 1];
}

/** The keeper's side: whether it was asked since it looked last. */
export function takeLifeAsked(control: Control): boolean {
  return Atomics.exchange(control.words, LIFE_ASKED, 0) === 1;
}

/** The keeper's side: it cannot begin now. */
export function refuseLife(control: Control, code: ErrorCode): void {
  Atomics.store(control.words, LIFE_REFUSAL, ERROR_CODES.indexOf(code) + 1);
  Atomics.add(control.words, LIFE_REFUSALS, 1);
  wakeAllWorkers(control);
}

/**
 * A recovery begins: so many workers have records to apply. Others may be started at any time, and do not count: one
 * that has nothing to apply must not pass for one that has.
 */
export function beginRecoveries(control: Control, workers: number): void {
  Atomics.store(control.words, RECOVERIES, workers);
}

/** Workers that have records to apply and have not said yet that they are through. */
export function recoveriesLeft(control: Control): number {
  const { total, done } = recoveryCounts(control);
  return total - done;
}

/** How many workers have records to apply, and how many have applied theirs. */
export function recoveryCounts(control: Control): { total: number; done: number } {
  return {
    total: Atomics.load(control.words, RECOVERIES),
    done: Atomics.load(control.words, RECOVERIES_DONE),
  };
}

/** A worker has applied what records there were for it. */
export function recoveryDone(control: Control): void {
  Atomics.add(control.words, RECOVERIES_DONE, 1);
  bumpAndWake(control.words, KEEPER_WAKE);
}
