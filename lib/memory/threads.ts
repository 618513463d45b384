/**
 * The table of threads that use one database: the host, attached threads and workers. A thread's slot
 * names it in every epoch, pin, lock, reservation and turn.
 *
 * One line of words a thread: epoch (epochs.ts), state, session, the descriptor of its data file. The session
 * tells a slot's successive owners apart: a completion for an earlier one is dropped. The state is free, live
 * or dead in the low two bits; above them, for *live*, what the runtime's watch calls the thread, plus one.
 *
 * Invariants: a slot changes from live to free only by its own thread, or by the host once it knows
 * that the thread is dead and everything that it held has been released. Whose a slot is changes with
 * its state in one operation: a thread that dies anywhere is found, and no other is taken for it.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { type Control, THREAD_WORDS, THREADS, THREADS_MAX, THREADS_USED } from "./control.ts";
import { countSlots } from "./slot_table.ts";

const STATE = 1;
const SESSION = 2;
/** The descriptor of the thread's file, plus one; 0 for none. */
const DESCRIPTOR = 3;

const FREE = 0;
const LIVE = 1;
const DEAD = 2;
const KIND_MASK = 3;
const KIND_BITS = 2;

function liveState(liveness: number): number {
  return LIVE | ((liveness + 1) << KIND_BITS);
}

function isLive(control: Control, thread: number): boolean {
  const state = Atomics.load(control.words, THREADS + thread * THREAD_WORDS + STATE);
  return (state & KIND_MASK) === LIVE;
}

/**
 * Takes a slot for the calling thread. `liveness` is what the runtime's watch over threads calls it, -1 if it is not watched.
 */
export function joinThread(control: Control, liveness: number): number {
  const words = control.words;
  for (let thread = 0; thread < THREADS_MAX; thread++) {
    const at = THREADS + thread * THREAD_WORDS;
    countSlots(words, THREADS_USED, thread + 1);
    if (Atomics.compareExchange(words, at + STATE, FREE, liveState(liveness)) !== FREE) continue;
    Atomics.add(words, at + SESSION, 1);
    Atomics.store(words, at, 0);
    return thread;
  }
  throw new ManifoldError(
    "too-large",
    `more than ${THREADS_MAX} threads use this database; close it in some of them`,
  );
}

/** Says which descriptor has to be closed if the thread dies; -1 before the thread closes it itself. */
export function setDescriptor(control: Control, thread: number, descriptor: number): void {
  Atomics.store(control.words, THREADS + thread * THREAD_WORDS + DESCRIPTOR, descriptor + 1);
}

/** The descriptor that a dead thread has left open, or -1; once. */
export function takeDescriptor(control: Control, thread: number): number {
  return Atomics.exchange(control.words, THREADS + thread * THREAD_WORDS + DESCRIPTOR, 0) - 1;
}

/** Gives the calling thread's slot back; it must hold nothing. */
export function leaveThread(control: Control, thread: number): void {
  const at = THREADS + thread * THREAD_WORDS;
  Atomics.store(control.words, at, 0);
  Atomics.store(control.words, at + STATE, FREE);
}

/** The session of the present owner of a slot, 24 bits. */
export function sessionOf(control: Control, thread: number): number {
  return Atomics.load(control.words, THREADS + thread * THREAD_WORDS + SESSION) & 0xffffff;
}

/** The live thread that the runtime's watch calls `liveness`, or -1. */
export function watchedThread(control: Control, liveness: number): number {
  // Also beyond those that are counted as used: it may have died before it was.
  for (let thread = 0; thread < THREADS_MAX; thread++) {
    const at = THREADS + thread * THREAD_WORDS;
    if (Atomics.load(control.words, at + STATE) === liveState(liveness)) return thread;
  }
  return -1;
}

/** Marks a thread as dead, which only the host does: its epoch ends, and workers stop waiting for it. */
export function markDead(control: Control, thread: number): boolean {
  if (!isLive(control, thread)) return false;
  const at = THREADS + thread * THREAD_WORDS;
  Atomics.store(control.words, at + STATE, DEAD);
  Atomics.store(control.words, at, 0);
  return true;
}

/** Frees the slot of a dead thread once all that it held is released. */
export function buryThread(control: Control, thread: number): void {
  const at = THREADS + thread * THREAD_WORDS;
  Atomics.store(control.words, at, 0);
  Atomics.compareExchange(control.words, at + STATE, DEAD, FREE);
}

/** Whether the thread that owned `thread` in `session` still lives. */
export function isAlive(control: Control, thread: number, session: number): boolean {
  return isLive(control, thread) && sessionOf(control, thread) === session;
}

/** How many threads use the database now. */
export function countThreads(control: Control): number {
  let count = 0;
  const used = Atomics.load(control.words, THREADS_USED);
  for (let thread = 0; thread < used; thread++) {
    if (isLive(control, thread)) count++;
  }
  return count;
}
