/**
 * Where an open database stands between "nothing was written yet" and "writers may append".
 *
 * Invariant: it only moves on: dormant, (recovering,) begun.
 *
 * @module
 */

import { type Control, LIFE, RECOVERIES_LEFT } from "../memory/control.ts";
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

/** So many workers have a recovery to do. */
export function setRecoveriesLeft(control: Control, count: number): void {
  Atomics.store(control.words, RECOVERIES_LEFT, count);
}

export function recoveriesLeft(control: Control): number {
  return Atomics.load(control.words, RECOVERIES_LEFT);
}

export function recoveryDone(control: Control): void {
  Atomics.sub(control.words, RECOVERIES_LEFT, 1);
  bumpAndWake(control.words, KEEPER_WAKE);
}
