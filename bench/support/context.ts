/**
 * What the workloads of one run share, and what a workload is.
 *
 * @module
 */

import type { Engine, Entry } from "./engine.ts";
import { KeySource } from "./keys.ts";

export const LOAD_ENTRIES = 500_000;
/** How long callers go on, ms. */
const CALLERS_MS = 1500;

/** The same for a part of the work: too short a time would show nothing but its beginning. */
export function callersMs(scale: number): number {
  return CALLERS_MS * Math.min(1, Math.max(0.1, scale));
}

/** Transactions choose among so many counters, whose keys are the first of the loaded ones. */
export const COUNTERS = 100_000;

export const SMALL_BYTES = 150;
export const LARGE_BYTES = 1024;
/** Callers of the transactions that have one counter for all; there are more counters than that. */
export const HOT_CALLERS = 256;
/** Visits every index once, far from the one before, as long as it does not divide the count. */
export const STRIDE = 7919;

/** What the workloads of one run share. */
export class Context {
  readonly keys = new KeySource();
  readonly loaded: readonly Uint8Array[];
  readonly small = new Uint8Array(SMALL_BYTES).fill(7);
  readonly large = new Uint8Array(LARGE_BYTES).fill(7);
  /** Entries that are in the table now. */
  entries = 0;
  #counters: readonly Uint8Array[] | undefined;

  /** `scale`: how much of the work is done, 1 for all of it. */
  constructor(readonly engine: Engine, readonly scale: number) {
    this.loaded = this.keys.many(this.share(LOAD_ENTRIES));
  }

  share(count: number): number {
    return Math.max(1, Math.round(count * this.scale));
  }

  /** The counters' keys; the first call makes them. */
  async counters(): Promise<readonly Uint8Array[]> {
    if (this.#counters === undefined) {
      this.#counters = this.loaded.slice(0, Math.max(2 * HOT_CALLERS, this.share(COUNTERS)));
      await this.engine.loadCounters!(this.#counters);
    }
    return this.#counters;
  }

  /** How long callers go on, ms. */
  get callersMs(): number {
    return callersMs(this.scale);
  }

  batch(count: number, value: Uint8Array): Entry[] {
    return Array.from({ length: count }, () => [this.keys.next(), value] as const);
  }
}

/** What a run finds. Of rates more is better, of sizes and times less is. */
export type Figure = "opsPerSecond" | "bytes" | "microseconds";

/** What a run has shown. */
export type Result = Partial<Record<Figure, number>> & {
  /** The median latency ÷ the longest one: how evenly callers are served. */
  readonly evenness?: number;
};

export interface Workload {
  readonly name: string;
  readonly unit: string;
  /** What a run of it is, in a line. */
  readonly about: string;
  /** Whether the engine can do it. */
  supports?(engine: Engine): boolean;
  /** Prepares, measures and checks; operations per second, or more than that. */
  run(context: Context): Promise<number | Result>;
}

export function format(count: number): string {
  return count.toLocaleString("en");
}

/** Has work done once; seconds. */
export async function secondsOf(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** The same; operations per second. */
export async function rate(operations: number, work: () => unknown): Promise<number> {
  return operations / await secondsOf(work);
}

/** Has `count` callers go on for `ms`; how long it took, s. */
export function callAll(
  count: number,
  ms: number,
  call: (end: number) => Promise<void>,
): Promise<number> {
  const end = performance.now() + ms;
  return secondsOf(() => Promise.all(Array.from({ length: count }, () => call(end))));
}

export function expectCount(what: string, found: number, expected: number): void {
  if (found !== expected) throw new Error(`${what}: ${found} entries instead of ${expected}`);
}
