/**
 * All families of a database as they are at one moment.
 *
 * Every publication happens under the publish lock, and changes its family's number. A reader notes the numbers of all
 * families, sees that nobody holds the lock, and finds the numbers as they were: then they are those of the
 * moment at which nobody held it. So it takes no lock that a thread could die with, and holds nobody up.
 *
 * Invariant: inside one epoch, so that the versions read are there until they are pinned.
 *
 * @module
 */

import type { ThreadMemory } from "../engine/thread_memory.ts";
import { type Control, PUBLISH_LOCK } from "../memory/control.ts";
import { databaseState, FAILED, failure } from "../memory/database_state.ts";
import { FAMILY_LIVE, type FamilyState, newFamilyState } from "../memory/family_slots.ts";
import { pauseBriefly } from "../memory/waiting.ts";

/** One family at that moment. */
export interface FamilyAtCut {
  readonly slot: number;
  readonly family: number;
  readonly name: string;
  readonly state: FamilyState;
}

/** Attempts after which a database that has failed, perhaps in the middle of publishing, is not waited for. */
const ATTEMPTS_MAX = 10_000;

/**
 * The live families, and the state of each. Inside an epoch.
 * @throws {ManifoldError} `failed` if a worker has died in the middle of publishing.
 */
export function readCut(memory: ThreadMemory, path: string): FamilyAtCut[] {
  const { control, slots } = memory;
  for (let attempt = 0;; attempt++) {
    const { changes } = slots;
    const live = slots.used().filter((slot) => slots.state(slot) === FAMILY_LIVE);
    const numbers = live.map((slot) => slots.publications(slot));
    const cut = isOneMoment(memory, live, numbers) ? readStates(memory, live, numbers) : undefined;
    if (cut !== undefined && slots.changes === changes) return cut;
    beforeNext(attempt, control, path);
  }
}

/** Whether publications that were noted before are those of one moment. */
export function isOneMoment(
  { control, slots }: ThreadMemory,
  families: readonly number[],
  numbers: readonly number[],
): boolean {
  if (Atomics.load(control.words, PUBLISH_LOCK) !== 0) return false;
  return families.every((slot, i) => slots.publications(slot) === numbers[i]);
}

/** Before another attempt at one moment. @throws {ManifoldError} `failed`, see {@linkcode readCut}. */
export function beforeNext(attempt: number, control: Control, path: string): void {
  if (attempt > ATTEMPTS_MAX && databaseState(control) === FAILED) throw failure(control, path);
  pauseBriefly();
}

/** The states of those numbers; undefined if one is too long ago. */
function readStates(
  { slots }: ThreadMemory,
  live: readonly number[],
  numbers: readonly number[],
): FamilyAtCut[] | undefined {
  const cut: FamilyAtCut[] = [];
  for (let i = 0; i < live.length; i++) {
    const slot = live[i];
    const state = newFamilyState();
    if (!slots.readPublication(slot, numbers[i], state)) return undefined;
    cut.push({ slot, family: slots.id(slot), name: slots.name(slot), state });
  }
  return cut;
}
