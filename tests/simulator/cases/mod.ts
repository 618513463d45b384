/**
 * The cases, the small bounds under which they are explored, and the breakages that must be found.
 *
 * @module
 */

import type { Patch } from "../build.ts";
import { bound } from "../small.ts";

/** Bounds made so small that the memory is, and that a thread spins no longer than once. */
export const EXPLORED: readonly Patch[] = [
  bound("lib/memory/control.ts", "export const THREADS_MAX", "128", "4"),
  bound("lib/memory/control.ts", "export const PINS_MAX", "8192", "3"),
  bound("lib/memory/control.ts", "export const WORKERS_MAX", "256", "3"),
  bound("lib/memory/completions.ts", "export const COMPLETIONS_MAX", "8192", "4"),
  bound("lib/memory/family_slots.ts", "export const FAMILIES_MAX", "8192", "4"),
  bound("lib/memory/spin_lock.ts", "const SPINS_MAX", "2000", "1"),
  bound("lib/memory/spin_lock.ts", "const SLEEPS_MAX", "5", "1"),
  bound("lib/memory/frames.ts", "export const PRIVATE_FRAMES", "16", "2"),
  bound("lib/storage/extents.ts", "export const EXTENTS_MAX", "65536", "16"),
  bound("lib/storage/page_store.ts", "const READER_VISITS", "64", "3"),
  bound("lib/storage/page_writer.ts", "const WRITE_BYTES", "256 * 1024", "4096"),
  bound("lib/storage/memory_file.ts", "const PIECE_BYTES", "2 ** 26", "2 ** 20"),
  bound("lib/storage/memory_file.ts", "const PIECES", "128", "8"),
];

export const modulePath = (name: string): string => `tests/simulator/cases/${name}.ts`;

export interface Listed {
  /** What it protects. */
  readonly title: string;
  readonly path: string;
  readonly name: string;
  /**
   * Preemptions up to which it is explored by the tests, which are to take seconds, and by `deno task explore`;
   * none: all. The mistake of pins that are looked at too early needs three. Three workers of joint transactions are
   * explored without any: with one they take more than minutes.
   */
  readonly preemptionsMax?: number;
  readonly preemptionsMaxLong?: number;
}

function listed(
  file: string,
  name: string,
  title: string,
  preemptionsMax?: number,
  preemptionsMaxLong?: number,
): Listed {
  return { title, path: modulePath(file), name, preemptionsMax, preemptionsMaxLong };
}

export const CASES: readonly Listed[] = [
  listed("pin", "live", "a page is not used anew in the epoch in which it is read"),
  listed("pin", "pinned", "a page of a pinned version is not used anew", 3, 5),
  listed("publish", "state", "a reader never sees a mixture of two states"),
  listed("publish", "version", "a reader never sees a version before it is published"),
  listed("publish", "cut", "a checkpoint pins all families as they are at one moment"),
  listed("queue", "full", "a full queue that wraps loses nothing and wakes who waits", 2, 4),
  listed("queue", "dying", "what a dead producer leaves does not stop the worker"),
  listed("queue", "dyingAmongOthers", "what a dead producer leaves stops no other one", 2, 3),
  listed("frames", "readers", "two readers that need each other's frame", 3, 5),
  listed("frames", "reader", "a page's number is used anew while a reader loads it", 3, 5),
  listed("frames", "evictor", "a page is evicted while others read it", 3, 4),
  listed("frames", "three", "loading, evicting and unlinking at once lose no frame", 1, 2),
  listed("commit", "two", "two workers commit: no gap, no lost wake-up", 3, 5),
  listed("commit", "three", "three workers commit: no gap, no lost wake-up", 1, 2),
  listed("joint", "triangle", "joint transactions of three workers wait in no circle", 0),
  listed("joint", "cut", "a database snapshot sees all of a joint transaction or nothing", 1, 2),
  listed("locks", "lock", "a lock passes on, also from a dead thread"),
  listed("locks", "turn", "a turn passes on, also from a dead thread", 1, 3),
  listed("locks", "joining", "a slot has one owner, whoever dies", 2, 4),
];

export const CASE_MODULES: readonly string[] = [...new Set(CASES.map(({ path }) => path))];
