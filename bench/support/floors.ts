/**
 * The least that Manifold is to reach, as ratios to a peer or to itself in the same run.
 *
 * @module
 */

/** The median of a workload on an engine, operations per second; undefined if it was not run. */
export type Lookup = (engine: string, workload: string) => number | undefined;

export interface Floor {
  readonly name: string;
  /** What is compared, in words. */
  readonly about: string;
  readonly least: number;
  readonly unit: "×" | "/s";
  readonly value: number | undefined;
}

interface Rule {
  readonly name: string;
  readonly about: string;
  readonly workload: string;
  readonly least: number;
  /** Divided by this; by nothing when left out. */
  readonly by?: { engine: string; workload: string };
}

const rules: readonly Rule[] = [
  {
    name: "batch_150",
    about: "durable batches of 150-byte values ÷ lmdb-js",
    workload: "batch_150",
    by: { engine: "lmdb", workload: "batch_150" },
    least: 6,
  },
  {
    name: "batch_1k",
    about: "durable batches of 1 KiB values ÷ lmdb-js",
    workload: "batch_1k",
    by: { engine: "lmdb", workload: "batch_1k" },
    least: 3,
  },
  {
    name: "get",
    about: "get ÷ lmdb-js getBinary",
    workload: "get",
    by: { engine: "lmdb", workload: "get" },
    least: 1.5,
  },
  {
    name: "range_10",
    about: "scans of ten ÷ lmdb-js",
    workload: "range_10",
    by: { engine: "lmdb", workload: "range_10" },
    least: 4,
  },
  {
    name: "callers",
    about: "64 callers ÷ one caller",
    workload: "callers_64",
    by: { engine: "manifold", workload: "callers_1" },
    least: 8,
  },
  {
    name: "single_put",
    about: "single puts ÷ SQLite",
    workload: "single_put",
    by: { engine: "sqlite", workload: "single_put" },
    least: 0.8,
  },
  {
    name: "batching",
    about: "batches of 150-byte values ÷ single puts",
    workload: "batch_150",
    by: { engine: "manifold", workload: "single_put" },
    least: 10,
  },
  {
    name: "recovery",
    about: "small entries replayed",
    workload: "recovery",
    least: 500_000,
  },
];

export function floorsOf(lookup: Lookup): Floor[] {
  return rules.map(({ name, about, workload, by, least }) => {
    const own = lookup("manifold", workload);
    const other = by === undefined ? 1 : lookup(by.engine, by.workload);
    return {
      name,
      about,
      least,
      unit: by === undefined ? "/s" : "×",
      value: own === undefined || other === undefined ? undefined : own / other,
    };
  });
}
