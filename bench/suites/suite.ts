/**
 * What a suite is: a group of measurements that the one table of workloads cannot hold.
 *
 * @module
 */

/** One figure that a suite finds. */
export interface SuiteRow {
  /** Lower case, digits, underscores: `families_4_durable`. */
  readonly name: string;
  /** Of the figure: `entries/s`, `µs`, `bytes`, ... */
  readonly unit: string;
  readonly better: "more" | "less";
  /** What a run of it is, in a line. */
  readonly about: string;
}

/** What a suite is given for one run: a directory of its own, and how much of the work to do. */
export interface SuiteContext {
  readonly engine: string;
  readonly dir: string;
  /** 1 for all of the work. */
  readonly scale: number;
  /** `count` times the scale, at least 1. */
  share(count: number): number;
}

export interface Suite {
  readonly name: string;
  /** What it shows, in a line. */
  readonly about: string;
  /** Names of the engines that can run it on this runtime, "manifold" first. */
  readonly engines: readonly string[];
  readonly rows: readonly SuiteRow[];
  /** Prepares, measures, checks; gives each row's figure as soon as it is known. A peer may leave rows out. */
  run(context: SuiteContext): AsyncIterable<SuiteResult>;
}

export interface SuiteResult {
  readonly row: string;
  readonly value: number;
}
