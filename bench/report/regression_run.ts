/**
 * Two trees of the project on the same work, in turns of some milliseconds in one process, so that
 * whatever disturbs the machine disturbs both: `regression_run.ts TREE TREE`. Prints lines of JSON,
 * {@linkcode RegressionLine}s: one for each row and tree, or that one of the trees could not do it.
 *
 * It calls nothing but what the public contract has, so that it runs on trees other than its own.
 *
 * @module
 */

import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { expectCount } from "../support/context.ts";
import { KEY_BYTES, KeySource } from "../support/keys.ts";
import { median } from "../support/results.ts";

/** Only the types are this tree's. */
type Package = typeof import("../../mod.ts");

/** `tree` is which of the two, 0 or 1. */
export type RegressionLine =
  | { readonly tree: number; readonly row: string; readonly opsPerSecond: number }
  | { readonly tree: number; readonly failed: string };

const ENTRIES = 50_000;
const VALUE_BYTES = 150;
const READS = 4000;
const RANGES = 800;
const COUNTS = 2000;
const BATCH_ENTRIES = 1000;
const CALLERS = 64;
const PUTS_EACH = 20;
const CACHE_BYTES = 96 * 2 ** 20;
/** Visits every index once, far from the one before. */
const STRIDE = 7919;
/** Turns of each tree on each row, and how many of them come first and do not count. */
const TURNS = 32;
const WARMING = 8;

interface Timed {
  readonly operations: number;
  readonly ms: number;
}

/** One turn of a row on one tree. */
type Work = () => Timed | Promise<Timed>;

interface Prepared {
  readonly rows: Readonly<Record<string, Work>>;
  close(): Promise<void>;
}

function timed(operations: number, work: () => void): Timed {
  const start = performance.now();
  work();
  return { operations, ms: performance.now() - start };
}

async function timedAsync(operations: number, work: () => Promise<unknown>): Promise<Timed> {
  const start = performance.now();
  await work();
  return { operations, ms: performance.now() - start };
}

/** Opens a database of a tree, fills it, and gives the rows. */
async function prepare({ bytes, openInMemory }: Package): Promise<Prepared> {
  const db = await openInMemory({ cacheBytes: CACHE_BYTES, maxWorkers: 1 });
  const family = await db.columnFamily("bench");
  const table = family.table("entries", { key: bytes, value: bytes });
  const source = new KeySource();
  const keys = source.many(ENTRIES);
  const value = new Uint8Array(VALUE_BYTES).fill(7);
  await table.setMany(keys.map((key) => [key, value] as const));
  let entries = ENTRIES;
  let at = 0;
  const nextKey = () => keys[at = (at + STRIDE) % ENTRIES];
  const expectSum = (row: string, sum: number, count: number) =>
    expectCount(row, sum, count * value[0]);
  const rows: Record<string, Work> = {
    get() {
      let sum = 0;
      const time = timed(READS, () => {
        for (let i = 0; i < READS; i++) sum += table.get(nextKey())![0];
      });
      expectSum("get", sum, READS);
      return time;
    },
    view() {
      let sum = 0;
      const time = timed(READS, () => {
        for (let i = 0; i < READS; i++) sum += table.view(nextKey(), (bytes) => bytes[0])!;
      });
      expectSum("view", sum, READS);
      return time;
    },
    range_10() {
      let found = 0;
      const time = timed(RANGES, () => {
        for (let i = 0; i < RANGES; i++) {
          found += table.entries({ gte: nextKey(), limit: 10 }).toArray().length;
        }
      });
      // Fewer than ten are left behind the last nine keys.
      if (found > RANGES * 10 || found < RANGES * 10 - 45) {
        throw new Error("range_10: wrong counts");
      }
      return time;
    },
    scan_view() {
      let sum = 0;
      const time = timed(entries, () => {
        table.scan({}, (_key, bytes) => {
          sum += bytes[0];
        });
      });
      expectSum("scan_view", sum, entries);
      return time;
    },
    count_range() {
      const last = new Uint8Array(KEY_BYTES + 1).fill(255);
      let found = 0;
      const from = Array.from({ length: COUNTS }, nextKey);
      const time = timed(COUNTS, () => {
        for (const key of from) found += table.count({ gte: key }) + table.count({ lt: key });
      });
      expectCount("count_range", table.count({ lt: last }), entries);
      expectCount("count_range", found, COUNTS * entries);
      return time;
    },
    async batch() {
      const batch = family.batch();
      for (const key of source.many(BATCH_ENTRIES)) batch.set(table, key, value);
      entries += BATCH_ENTRIES;
      const time = await timedAsync(BATCH_ENTRIES, () => batch.commit());
      expectCount("batch", table.count(), entries);
      return time;
    },
    async callers() {
      const all = Array.from({ length: CALLERS }, () => source.many(PUTS_EACH));
      const operations = CALLERS * PUTS_EACH;
      entries += operations;
      const time = await timedAsync(
        operations,
        () =>
          Promise.all(all.map(async (own) => {
            for (const key of own) await table.set(key, value);
          })),
      );
      expectCount("callers", table.count(), entries);
      return time;
    },
  };
  return { rows, close: () => db.close() };
}

/** Does it for a tree; if that fails, says so and ends. */
async function doFor<T>(tree: number, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    tell({ tree, failed: (error as Error).message });
    process.exit(0);
  }
}

function tell(line: RegressionLine): void {
  console.log(JSON.stringify(line));
}

if (import.meta.main) {
  const open = async (path: string) =>
    await prepare(await import(pathToFileURL(resolve(path, "mod.ts")).href));
  const trees: Prepared[] = [];
  for (const [tree, path] of process.argv.slice(2, 4).entries()) {
    trees.push(await doFor(tree, () => open(path)));
  }
  for (const row of Object.keys(trees[0].rows)) {
    const rates: number[][] = [[], []];
    for (let turn = 0; turn < TURNS; turn++) {
      // Each is first in every other turn.
      for (const second of [0, 1]) {
        const tree = (turn + second) % 2;
        const { operations, ms } = await doFor(tree, trees[tree].rows[row]);
        if (turn >= WARMING) rates[tree].push(operations / ms * 1000);
      }
    }
    for (const tree of [0, 1]) tell({ tree, row, opsPerSecond: median(rates[tree]) });
  }
  for (const { close } of trees) await close();
  process.exit(0);
}
