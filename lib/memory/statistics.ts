/**
 * What has happened since the database was opened: each thread counts for itself, and who asks adds up.
 *
 * A block a thread, in 64-bit floating-point words:
 *
 * | words (f64) | what |
 * |---|---|
 * | 0 | commits |
 * | 1 | conflicts |
 * | 2 | retries |
 * | 3 | aborts |
 * | 4–24 | groups by their transactions: word i counts those with at most 2^(i-4), and more than half of that |
 * | 25–473 | durations of syncs, µs (histogram.ts) |
 * | 474–922 | latencies of commits, µs |
 *
 * Invariants: a block is written by the thread whose slot it belongs to and by no other, so that counting costs
 * neither an atomic operation nor a cache line that others want; the next owner of the slot goes on counting. Nothing
 * but {@linkcode readStatistics} reads it, and nothing is decided by it.
 *
 * @module
 */

import {
  type Control,
  STATISTICS,
  STATISTICS_WORDS,
  THREADS_MAX,
  THREADS_USED,
} from "./control.ts";
import { addHistogram, HISTOGRAM_WORDS, record, type Spread, spreadOf } from "./histogram.ts";

const COMMITS = 0;
const CONFLICTS = 1;
const RETRIES = 2;
const ABORTS = 3;
const GROUPS = 4;
/** A group cannot have more than 2^20: as many requests as all threads can have under way. */
const GROUP_SIZES = 21;
const SYNCS = GROUPS + GROUP_SIZES;
const LATENCIES = SYNCS + HISTOGRAM_WORDS;
const BLOCK = STATISTICS_WORDS / 2;

const US_PER_MS = 1000;

/** Where one thread counts. */
export class Statistics {
  readonly #f64: Float64Array;
  readonly #at: number;

  constructor(control: Control, thread: number) {
    this.#f64 = control.f64;
    this.#at = STATISTICS / 2 + thread * BLOCK;
  }

  /** A commit was answered so long after it was submitted. */
  commit(ms: number): void {
    this.commitAlong(1);
    record(this.#f64, this.#at + LATENCIES, ms * US_PER_MS);
  }

  /** So many transactions were committed as a part of another one's commit. */
  commitAlong(transactions: number): void {
    this.#f64[this.#at + COMMITS] += transactions;
  }

  /** A worker has published a group of so many transactions, one at least. */
  group(transactions: number): void {
    this.#f64[this.#at + GROUPS + 32 - Math.clz32(transactions - 1)]++;
  }

  /** An attempt of a transaction was refused, because what it had read has changed. */
  conflict(): void {
    this.#f64[this.#at + CONFLICTS]++;
  }

  /** A transaction's function is run once more. */
  retry(): void {
    this.#f64[this.#at + RETRIES]++;
  }

  /** A transaction was given up without a try to commit it. */
  abort(): void {
    this.#f64[this.#at + ABORTS]++;
  }

  /** A sync of the log took so long. */
  sync(ms: number): void {
    record(this.#f64, this.#at + SYNCS, ms * US_PER_MS);
  }
}

/** The sum of what all threads have counted. */
export interface StatisticsSum {
  readonly commits: number;
  readonly conflicts: number;
  readonly retries: number;
  readonly aborts: number;
  /** Groups by their transactions; without those behind the last that is not 0. */
  readonly groups: readonly number[];
  /** In ms. */
  readonly syncs: Spread;
  /** In ms. */
  readonly latencies: Spread;
}

export function readStatistics(control: Control): StatisticsSum {
  const { f64, words } = control;
  const sums = new Float64Array(SYNCS);
  const syncs = new Float64Array(HISTOGRAM_WORDS);
  const latencies = new Float64Array(HISTOGRAM_WORDS);
  // Those that have left have counted, too.
  const threads = Math.min(Atomics.load(words, THREADS_USED), THREADS_MAX);
  for (let thread = 0; thread < threads; thread++) {
    const at = STATISTICS / 2 + thread * BLOCK;
    for (let i = 0; i < SYNCS; i++) sums[i] += f64[at + i];
    addHistogram(f64, at + SYNCS, syncs);
    addHistogram(f64, at + LATENCIES, latencies);
  }
  const groups = [...sums.subarray(GROUPS)];
  while (groups.at(-1) === 0) groups.pop();
  return {
    commits: sums[COMMITS],
    conflicts: sums[CONFLICTS],
    retries: sums[RETRIES],
    aborts: sums[ABORTS],
    groups,
    syncs: inMs(spreadOf(syncs)),
    latencies: inMs(spreadOf(latencies)),
  };
}

function inMs({ count, p50, p95, p99, max }: Spread): Spread {
  return {
    count,
    p50: p50 / US_PER_MS,
    p95: p95 / US_PER_MS,
    p99: p99 / US_PER_MS,
    max: max / US_PER_MS,
  };
}
