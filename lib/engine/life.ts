/**
 * Where an open database stands between "nothing was written yet" and "writers may append".
 *
 * Invariant: it only moves on: dormant, (recovering,) begun.
 *
 * @module
 */

import {
  type Control,
  LIFE,
  RECOVERIES,
  RECOVERIES_DONE,
  RECOVERIES_LEFT,
} from "../memory/control.ts";
import { bumpAndWake, sleepWhile } from "../memory/waiting.ts";
import { KEEPER_WAKE } from "../memory/control.ts";
import { databaseState, FAILED } from "../memory/database_state.ts";

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
}

/** Sleeps until the life is another one; false if the database has failed. */
export function awaitLifeAfter(control: Control, life: number): boolean {
  while (lifeOf(control) === life) {
    if (databaseState(control) === FAILED) return false;
    sleepWhile(control.words, LIFE, life, 100);
  }
  return true;
}

/**
 * A recovery begins: `started` workers will look what there is for them, `busy` of them have records to
 * apply.
 */
export function beginRecoveries(control: Control, started: number, busy: number): void {
  Atomics.store(control.words, RECOVERIES, busy);
  Atomics.store(control.words, RECOVERIES_LEFT, started);
}

/** Workers that have not said yet that they are through. */
export function recoveriesLeft(control: Control): number {
  return Atomics.load(control.words, RECOVERIES_LEFT);
}

/** How many workers have records to apply, and how many have applied theirs. */
export function recoveryCounts(control: Control): { total: number; done: number } {
  return {
    total: Atomics.load(control.words, RECOVERIES),
    done: Atomics.load(control.words, RECOVERIES_DONE),
  };
}

/** A worker is through; `applied` if it had records to apply. */
export function recoveryDone(control: Control, applied: boolean): void {
  if (applied) Atomics.add(control.words, RECOVERIES_DONE, 1);
  Atomics.sub(control.words, RECOVERIES_LEFT, 1);
  bumpAndWake(control.words, KEEPER_WAKE);
}
