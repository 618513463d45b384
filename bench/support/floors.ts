/**
 * The least that Manifold is to reach, as ratios to a peer or to itself in the same run.
 *
 * @module
 */

import { thisRuntime } from "../../tests/support/child.ts";
import { MEMORY_MOST } from "../suites/memory.ts";
import { EVENNESS, type Results, type Row, rowKey, type Spread, spreadOf } from "./results.ts";

export interface Floor {
  readonly name: string;
  /** What is compared, in words. */
  readonly about: string;
  readonly least?: number;
  readonly most?: number;
  readonly unit: "×" | "/s" | " µs" | " ms" | "bytes";
  /** What was found in all runs; undefined if it was not run. */
  readonly found: Spread | undefined;
  /** Whether its median is within what is asked for. */
  readonly met: boolean | undefined;
}

interface Rule {
  readonly name: string;
  readonly about: string;
  /** The workload, or the key of a suite's row. */
  readonly workload: string;
  readonly least?: number;
  /** For what is to be small. */
  readonly most?: number;
  /** Divided by the best of these; by nothing when left out. */
  readonly by?: readonly Row[];
  /** `×` if divided, else `/s`, when left out. */
  readonly unit?: Floor["unit"];
}

function sameOn(
  engine: string,
  name: string,
  about: string,
  workload: string,
  least: number,
): Rule {
  return { name, about, workload, by: [{ engine, workload }], least };
}

const rules: readonly Rule[] = [
  sameOn("lmdb", "batch_150", "durable batches of 150-byte values ÷ lmdb-js", "batch_150", 6),
  sameOn("lmdb", "batch_1k", "durable batches of 1 KiB values ÷ lmdb-js", "batch_1k", 3),
  sameOn("lmdb", "get", "get ÷ lmdb-js getBinary", "get", 1.5),
  sameOn("lmdb", "range_10", "scans of ten ÷ lmdb-js", "range_10", 4),
  {
    name: "callers",
    about: "64 callers ÷ one caller",
    workload: "callers_64",
    by: [{ engine: "manifold", workload: "callers_1" }],
    least: 8,
  },
  sameOn("sqlite", "single_put", "single puts ÷ SQLite", "single_put", 0.8),
  {
    name: "batching",
    about: "batches of 150-byte values ÷ single puts",
    workload: "batch_150",
    by: [{ engine: "manifold", workload: "single_put" }],
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
    by: [{ engine: "lmdb", workload: "rmw_1" }],
    least: 10,
  },
  {
    name: "rmw_sqlite",
    about: "the same ÷ SQLite, one by one",
    workload: "rmw_256",
    by: [{ engine: "sqlite", workload: "rmw_1" }],
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
    by: [{ engine: "manifold", workload: "single_put" }],
    least: 1 / 1.3,
  },
  {
    name: "joint_2",
    about: "transactions over two families ÷ over one",
    workload: "joint_2",
    by: [{ engine: "manifold", workload: "joint_1" }],
    least: 1 / 1.5,
  },
  {
    name: "recovery",
    about: "small entries replayed",
    workload: "recovery",
    least: 500_000,
  },
  {
    name: "recovery_1m",
    about: "the same, what is aimed at",
    workload: "recovery",
    least: 1_000_000,
  },
  thisRuntime === "bun" ? sameOn("sqlite", "scan", "full scan ÷ bun:sqlite", "scan", 1) : {
    name: "scan",
    about: "full scan, entries handed out",
    workload: "scan",
    least: 3_000_000,
  },
  {
    name: "count_range",
    about: "a count of half of the table",
    workload: "count_range",
    most: 20,
    unit: " µs",
  },
];

const callersOf = (count: number) => rowKey("callers", `callers_${count}`);

/** Of the suites. */
const suiteRules: readonly Rule[] = [
  {
    name: "callers_256",
    about: "durable puts of 256 callers",
    workload: callersOf(256),
    least: 150_000,
  },
  {
    name: "callers_25x",
    about: "the same ÷ one caller",
    workload: callersOf(256),
    by: [{ engine: "manifold", workload: callersOf(1) }],
    least: 25,
  },
  {
    name: "open_families",
    about: "opening a file with 1,000 families",
    workload: rowKey("opening", "open_families"),
    most: 50,
    unit: " ms",
  },
  {
    name: "open_large",
    about: "opening one with 1 GiB in 1,000 families",
    workload: rowKey("opening", "open_large"),
    most: 50,
    unit: " ms",
  },
  {
    name: "checkpoint",
    about: "p99 of single puts ÷ that during a checkpoint",
    workload: rowKey("opening", "put_busy_p99"),
    by: [{ engine: "manifold", workload: rowKey("opening", "put_quiet_p99") }],
    least: 1 / 3,
  },
  {
    name: "memory_load",
    about: "resident memory while 300 MB are loaded",
    workload: rowKey("memory", "loading"),
    most: MEMORY_MOST,
    unit: "bytes",
  },
  {
    name: "memory_read",
    about: "the same while they are read",
    workload: rowKey("memory", "reading"),
    most: MEMORY_MOST,
    unit: "bytes",
  },
];

function familiesAtOnce(count: number): Rule {
  const workload = rowKey("families", `families_${count}_durable`);
  return sameOn("rocksdb", `n_fam_${count}`, `${count} families at once ÷ RocksDB`, workload, 1.3);
}

const nativeSuiteRules: readonly Rule[] = [familiesAtOnce(2), familiesAtOnce(4)];

/** Against peers without a runtime between them and the disk: with `--native`. */
const nativeRules: readonly Rule[] = [
  {
    name: "n_load",
    about: "bulk load ÷ the better of RocksDB and LMDB",
    workload: "bulk_load",
    by: [
      { engine: "rocksdb", workload: "bulk_load" },
      { engine: "lmdb-c", workload: "bulk_load" },
    ],
    least: 1.2,
  },
  sameOn("rocksdb", "n_put", "single puts ÷ RocksDB", "single_put", 1.2),
  sameOn("rocksdb", "n_150", "durable batches of 150-byte values ÷ RocksDB", "batch_150", 2),
  sameOn("rocksdb", "n_1k", "durable batches of 1 KiB values ÷ RocksDB", "batch_1k", 1.3),
  sameOn("lmdb-c", "n_get", "get ÷ LMDB, copied", "get", 0.8),
  sameOn("lmdb-c", "n_view", "view ÷ LMDB", "view", 1),
  sameOn("lmdb-c", "n_range", "scans of ten ÷ LMDB, where nothing is copied", "range_10", 0.8),
  sameOn("lmdb-c", "n_scan", "borrowed scan ÷ LMDB", "scan_view", 0.9),
  sameOn("lmdb-c", "n_remove", "removals ÷ LMDB", "remove", 2),
  sameOn("lmdb-c", "n_size", "LMDB's size on disk ÷ the own one", "size", 1),
];

/** Of what the workloads and the suites have found. */
export function floorsOf(results: Results, suiteResults: Results): Floor[] {
  const native = [
    ...nativeRules.map((rule) => floorOf(rule, results)),
    ...nativeSuiteRules.map((rule) => floorOf(rule, suiteResults)),
  ];
  return [
    ...rules.map((rule) => floorOf(rule, results)),
    ...suiteRules.map((rule) => floorOf(rule, suiteResults)),
    // Nobody who runs the benchmarks without these peers is told about each of them.
    ...native.filter(({ found }) => found),
  ];
}

function floorOf({ unit, by, workload, ...rule }: Rule, results: Results): Floor {
  const own = { engine: "manifold", workload };
  const series = results.of(own.engine, workload);
  const found = by === undefined ? series && spreadOf(series.runs) : results.ratio(own, ...by);
  const { least = 0, most = Infinity } = rule;
  return {
    ...rule,
    unit: unit ?? (by === undefined ? "/s" : "×"),
    found,
    met: found && found.median >= least && found.median <= most,
  };
}
