/**
 * The least that Manifold is to reach, as ratios to a peer or to itself in the same run.
 *
 * @module
 */

import { EVENNESS } from "./results.ts";

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
  /** `×` if divided, else `/s`, when left out. */
  readonly unit?: Floor["unit"];
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
    name: "rmw_256",
    about: "transactions of 256 callers on different keys",
    workload: "rmw_256",
    least: 60_000,
  },
  {
    name: "rmw_lmdb",
    about: "the same ÷ lmdb-js, one by one",
    workload: "rmw_256",
    by: { engine: "lmdb", workload: "rmw_1" },
    least: 10,
  },
  {
    name: "rmw_sqlite",
    about: "the same ÷ SQLite, one by one",
    workload: "rmw_256",
    by: { engine: "sqlite", workload: "rmw_1" },
    least: 10,
  },
  {
    name: "rmw_hot",
    about: "transactions of 256 callers on one key",
    workload: "rmw_hot",
    least: 5000,
  },
  {
    name: "rmw_even",
    about: "their median latency ÷ the longest",
    workload: `rmw_hot${EVENNESS}`,
    least: 1 / 20,
    unit: "×",
  },
  {
    name: "rmw_1",
    about: "transactions of one caller ÷ single puts",
    workload: "rmw_1",
    by: { engine: "manifold", workload: "single_put" },
    least: 1 / 1.3,
  },
  {
    name: "joint_2",
    about: "transactions over two families ÷ over one",
    workload: "joint_2",
    by: { engine: "manifold", workload: "joint_1" },
    least: 1 / 1.5,
  },
  {
    name: "recovery",
    about: "small entries replayed",
    workload: "recovery",
    least: 500_000,
  },
];

export function floorsOf(lookup: Lookup): Floor[] {
  return rules.map(({ name, about, workload, by, least, unit }) => {
    const own = lookup("manifold", workload);
    const other = by === undefined ? 1 : lookup(by.engine, by.workload);
    return {
      name,
      about,
      least,
      unit: unit ?? (by === undefined ? "/s" : "×"),
      value: own === undefined || other === undefined ? undefined : own / other,
    };
  });
}
