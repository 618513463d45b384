/**
 * Who watches which family: so that its worker tells of changes only while somebody wants to hear of them.
 *
 * One slot of two words: owner (thread + 1, 0 when free), family id (0 while it is being taken or given
 * back).
 *
 * Invariants: a slot is taken by its owner, and given back by it, or by the host once it knows that the
 * owner is dead. Who takes a slot reads the family's version afterwards, and a worker looks for watchers
 * after publishing: so either the worker sees the watcher, or the watcher the version.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { type Control, WATCHER_WORDS, WATCHERS, WATCHERS_MAX, WATCHERS_USED } from "./control.ts";
import { countSlots } from "./slot_table.ts";

/**
 * Takes a slot for the calling thread; returns its number.
 * @throws {ManifoldError} `too-large` when all are taken.
 */
export function addWatcher(control: Control, thread: number, family: number): number {
  const { words } = control;
  for (let slot = 0; slot < WATCHERS_MAX; slot++) {
    const at = WATCHERS + slot * WATCHER_WORDS;
    if (Atomics.load(words, at) !== 0) continue;
    countSlots(words, WATCHERS_USED, slot + 1);
    if (Atomics.compareExchange(words, at, 0, thread + 1) !== 0) continue;
    Atomics.store(words, at + 1, family);
    return slot;
  }
  throw new ManifoldError(
    "too-large",
    `tables are watched ${WATCHERS_MAX} times at once, which is the most; end some of the iterations`,
  );
}

/** Gives a slot back. */
export function removeWatcher(control: Control, slot: number): void {
  const at = WATCHERS + slot * WATCHER_WORDS;
  Atomics.store(control.words, at + 1, 0);
  Atomics.store(control.words, at, 0);
}

/** Whether anybody watches a family. */
export function isWatched(control: Control, family: number): boolean {
  const { words } = control;
  const used = Atomics.load(words, WATCHERS_USED);
  for (let slot = 0; slot < used; slot++) {
    if (Atomics.load(words, WATCHERS + slot * WATCHER_WORDS + 1) === family) return true;
  }
  return false;
}

/** Gives back all slots of a thread that is known to be dead, or that is about to leave. */
export function releaseWatchersOf(control: Control, thread: number): void {
  const used = Atomics.load(control.words, WATCHERS_USED);
  for (let slot = 0; slot < used; slot++) {
    const at = WATCHERS + slot * WATCHER_WORDS;
    if (Atomics.load(control.words, at) === thread + 1) removeWatcher(control, slot);
  }
}
