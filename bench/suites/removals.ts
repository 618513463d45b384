/**
 * Removals and overwrites, and what the file is afterwards: whether what was freed is used again.
 *
 * @module
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  expectCount,
  format,
  LOAD_ENTRIES,
  rate,
  SMALL_BYTES,
  STRIDE,
} from "../support/context.ts";
import { KEY_BYTES, KeySource } from "../support/keys.ts";
import { openStore, storeEngines } from "./support/stores/mod.ts";
import type { Store } from "./support/stores/store.ts";
import type { Suite, SuiteContext, SuiteResult, SuiteRow } from "./suite.ts";

const REMOVALS = 100_000;
const OVERWRITES = 1_000_000;
const BATCH = 1000;

function sizeRow(name: string, after: string): SuiteRow {
  return { name, unit: "bytes", better: "less", about: `the data file after ${after}` };
}

const rows: readonly SuiteRow[] = [
  sizeRow("size_loaded", `${format(LOAD_ENTRIES)} random keys were loaded at once`),
  {
    name: "remove_random",
    unit: "entries/s",
    better: "more",
    about: `${format(REMOVALS)} of them, scattered, removed in durable batches of ${BATCH}`,
  },
  sizeRow("size_removed", "that"),
  {
    name: "remove_range",
    unit: "entries/s",
    better: "more",
    about: "then all in the lower half of the keys, by one durable removal of a range",
  },
  sizeRow("size_range_removed", "that"),
  sizeRow("size_before_overwrites", `${format(OVERWRITES)} keys were loaded into a new database`),
  {
    name: "overwrite",
    unit: "entries/s",
    better: "more",
    about: `all of these overwritten once, scattered, in durable batches of ${BATCH}`,
  },
  sizeRow("size_overwritten", "that"),
];

/** `keys` in an order in which neighbours are far apart, in groups. */
function* scattered(keys: readonly Uint8Array[], count: number): Generator<Uint8Array[]> {
  for (let at = 0; at < count; at += BATCH) {
    yield Array.from(
      { length: Math.min(BATCH, count - at) },
      (_, i) => keys[(at + i) * STRIDE % keys.length],
    );
  }
}

/** A new database in a directory of its own. */
async function openEmpty({ engine, dir }: SuiteContext, name: string): Promise<Store> {
  const own = join(dir, name);
  mkdirSync(own);
  return await openStore(engine, own);
}

/** Goes over all entries, whose values begin with `first`. */
function expectEntries(what: string, store: Store, expected: number, first: number): void {
  let sum = 0;
  expectCount(what, store.scan((value) => sum += value[0]), expected);
  expectCount(`${what}, by the values`, sum / first, expected);
}

async function* removing(context: SuiteContext): AsyncGenerator<SuiteResult> {
  const keys = new KeySource().many(context.share(LOAD_ENTRIES));
  const value = new Uint8Array(SMALL_BYTES).fill(7);
  const store = await openEmpty(context, "removals");
  await store.load(keys.map((key) => [key, value] as const));
  yield { row: "size_loaded", value: await store.settle() };

  const removals = context.share(REMOVALS);
  const batches = [...scattered(keys, removals)];
  yield {
    row: "remove_random",
    value: await rate(removals, async () => {
      for (const batch of batches) await store.remove(batch);
    }),
  };
  let left = keys.length - removals;
  expectEntries("remove_random", store, left, value[0]);
  yield { row: "size_removed", value: await store.settle() };

  const removed = new Set(batches.flat());
  const [from, to] = [new Uint8Array(KEY_BYTES), new Uint8Array(KEY_BYTES)];
  to[0] = 128;
  const half = keys.filter((key) => key[0] < to[0] && !removed.has(key)).length;
  let found = 0;
  yield {
    row: "remove_range",
    value: await rate(half, async () => found = await store.removeRange(from, to)),
  };
  expectCount("remove_range", found, half);
  left -= half;
  expectEntries("remove_range", store, left, value[0]);
  yield { row: "size_range_removed", value: await store.settle() };
  await store.close();
}

async function* overwriting(context: SuiteContext): AsyncGenerator<SuiteResult> {
  const keys = new KeySource().many(context.share(OVERWRITES));
  const [earlier, later] = [7, 8].map((byte) => new Uint8Array(SMALL_BYTES).fill(byte));
  const store = await openEmpty(context, "overwrites");
  await store.load(keys.map((key) => [key, earlier] as const));
  yield { row: "size_before_overwrites", value: await store.settle() };

  yield {
    row: "overwrite",
    value: await rate(keys.length, async () => {
      for (const batch of scattered(keys, keys.length)) {
        await store.commit(batch.map((key) => [key, later] as const));
      }
    }),
  };
  expectEntries("overwrite", store, keys.length, later[0]);
  yield { row: "size_overwritten", value: await store.settle() };
  await store.close();
}

export const removals: Suite = {
  name: "removals",
  about:
    `Removals and overwrites of random keys of ${KEY_BYTES} bytes, values of ${SMALL_BYTES}, ` +
    "and what the data file takes of the disk after each.",
  engines: storeEngines,
  rows,
  async *run(context) {
    yield* removing(context);
    yield* overwriting(context);
  },
};
