/**
 * Two trees of the project on the same work, in turns of some milliseconds in one process: `regression_run.ts TREE TREE`.
 * Prints lines of JSON, {@linkcode RegressionLine}s: one for each row and tree, or that one of the trees could not do it.
 *
 * It calls nothing but what the public contract has, so that it runs on trees other than its own.
 *
 * @module
 */

import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { expectCount, SMALL_BYTES, STRIDE } from "../support/context.ts";
import { KEY_BYTES, KeySource } from "../support/keys.ts";

/** Only the types are this tree's. */
type Package = typeof import("../../mod.ts");

/** `tree` is which of the two, 0 or 1. */
export type RegressionLine =
  | { readonly tree: number; readonly row: string; readonly opsPerSecond: number }
  | { readonly tree: number; readonly failed: string };

const ENTRIES = 30_000;
const CACHE_BYTES = 64 * 2 ** 20;

/** Of a turn: some milliseconds' work at most, so that what disturbs one tree disturbs the other as much. */
const READS = 800;
const RANGES = 160;
const SCANNED = 6000;
const COUNTS = 200;
const BATCHES = 5;
const BATCH_ENTRIES = 200;

/** Turns of each tree on each row, and how many of them come first and do not count: code is being compiled. */
const TURNS = 45;
const WARMING = 15;
/** The turn that counts is the one that as large a part of them was better than: one whose caches were its own. */
const UNDISTURBED = 0.1;

/** One turn of a row on one tree; operations per second of processor time. */
type Work = () => number | Promise<number>;

interface Prepared {
  readonly rows: Readonly<Record<string, Work>>;
  close(): Promise<void>;
}

/**
 * Operations per second of the time that processors have worked for this process since `start`, for all of its
 * threads: others that want them, too, make a turn longer, but not this.
 */
function rateSince(start: NodeJS.CpuUsage, operations: number): number {
  const { user, system } = process.cpuUsage(start);
  return operations / (user + system) * 1e6;
}

function rate(operations: number, work: () => void): number {
  const start = process.cpuUsage();
  work();
  return rateSince(start, operations);
}

/** Opens a database of a tree, fills it, and gives the rows. */
async function prepare({ bytes, openInMemory }: Package): Promise<Prepared> {
  const db = await openInMemory({ cacheBytes: CACHE_BYTES, maxWorkers: 1 });
  const family = await db.columnFamily("bench");
  const table = family.table("entries", { key: bytes, value: bytes });
  const source = new KeySource();
  const keys = source.many(ENTRIES);
  const value = new Uint8Array(SMALL_BYTES).fill(7);
  await table.setMany(keys.map((key) => [key, value] as const));
  let entries = ENTRIES;
  let at = 0;
  const nextKey = () => keys[at = (at + STRIDE) % ENTRIES];
  const expectSum = (row: string, sum: number, count: number) =>
    expectCount(row, sum, count * value[0]);
  const rows: Record<string, Work> = {
    get() {
      let sum = 0;
      const result = rate(READS, () => {
        for (let i = 0; i < READS; i++) sum += table.get(nextKey())![0];
      });
      expectSum("get", sum, READS);
      return result;
    },
    view() {
      let sum = 0;
      const result = rate(READS, () => {
        for (let i = 0; i < READS; i++) sum += table.view(nextKey(), (bytes) => bytes[0])!;
      });
      expectSum("view", sum, READS);
      return result;
    },
    range_10() {
      let found = 0;
      const result = rate(RANGES, () => {
        for (let i = 0; i < RANGES; i++) {
          found += table.entries({ gte: nextKey(), limit: 10 }).toArray().length;
        }
      });
      // Fewer than ten are left behind the last nine keys.
      if (found > RANGES * 10 || found < RANGES * 10 - 45) {
        throw new Error("range_10: wrong counts");
      }
      return result;
    },
    scan_view() {
      let sum = 0;
      const result = rate(SCANNED, () => {
        table.scan({ limit: SCANNED }, (_key, bytes) => {
          sum += bytes[0];
        });
      });
      expectSum("scan_view", sum, SCANNED);
      return result;
    },
    count_range() {
      const last = new Uint8Array(KEY_BYTES + 1).fill(255);
      let found = 0;
      const from = Array.from({ length: COUNTS }, nextKey);
      const result = rate(COUNTS, () => {
        for (const key of from) found += table.count({ gte: key }) + table.count({ lt: key });
      });
      expectCount("count_range", table.count({ lt: last }), entries);
      expectCount("count_range", found, COUNTS * entries);
      return result;
    },
    async batch() {
      const start = process.cpuUsage();
      for (let i = 0; i < BATCHES; i++) {
        const batch = family.batch();
        for (const key of source.many(BATCH_ENTRIES)) batch.set(table, key, value);
        await batch.commit();
      }
      const result = rateSince(start, BATCHES * BATCH_ENTRIES);
      entries += BATCHES * BATCH_ENTRIES;
      expectCount("batch", table.count(), entries);
      return result;
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
        const rate = await doFor(tree, trees[tree].rows[row]);
        if (turn >= WARMING) rates[tree].push(rate);
      }
    }
    for (const [tree, all] of rates.entries()) {
      all.sort((a, b) => b - a);
      tell({ tree, row, opsPerSecond: all[Math.floor(all.length * UNDISTURBED)] });
    }
  }
  for (const { close } of trees) await close();
  process.exit(0);
}
