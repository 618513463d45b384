/**
 * What of an open database's shared memory is held by somebody, seen from outside.
 *
 * @module
 */

import type { Database } from "../../mod.ts";
import type { SharedMemory } from "../../lib/engine/thread_memory.ts";
import {
  Control,
  EXTENT_LOCK,
  FAMILY_LOCK,
  LOG_LOCK,
  PUBLISH_LOCK,
  THREAD_WORDS,
  THREADS,
  THREADS_USED,
} from "../../lib/memory/control.ts";
import { Pins } from "../../lib/memory/pins.ts";
import { countThreads } from "../../lib/memory/threads.ts";
import { WriteRing } from "../../lib/memory/write_ring.ts";

export interface Held {
  /** Versions that are pinned. */
  readonly pins: number;
  /** Threads that are inside an epoch. */
  readonly readers: number;
  /** Bytes of requests, or of reservations, in the write queues. */
  readonly ringBytes: number;
  /** Locks that are taken. */
  readonly locks: number;
  readonly threads: number;
}

export function sharedMemoryOf(db: Database): SharedMemory {
  return (db.share().parts as { shared: SharedMemory }).shared;
}

export function heldIn(shared: SharedMemory): Held {
  const control = new Control(shared.control);
  const { words } = control;
  let readers = 0;
  for (let thread = 0; thread < Atomics.load(words, THREADS_USED); thread++) {
    if (Atomics.load(words, THREADS + thread * THREAD_WORDS) !== 0) readers++;
  }
  return {
    pins: Pins.count(control),
    readers,
    ringBytes: shared.rings.reduce((sum, ring) => sum + new WriteRing(ring).waitingBytes, 0),
    locks: [PUBLISH_LOCK, LOG_LOCK, EXTENT_LOCK, FAMILY_LOCK]
      .filter((lock) => Atomics.load(words, lock) !== 0).length,
    threads: countThreads(control),
  };
}
