/**
 * Reads of every shape, of one table of half a million entries that are all in the engine's cache.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { Random } from "../../tests/support/random.ts";
import {
  expectCount,
  format,
  LOAD_ENTRIES,
  rate,
  SMALL_BYTES,
  STRIDE,
} from "../support/context.ts";
import { KEY_BYTES, KeySource } from "../support/keys.ts";
import { busyReads, READING_THREADS } from "./reads_busy.ts";
import { typedReads } from "./reads_typed.ts";
import { measureAll, type Measurement, roundsPerSecond } from "./support/measurement.ts";
import type { ReadBench } from "./support/read_bench.ts";
import { openStore, storeEngines } from "./support/stores/mod.ts";
import { Threads } from "./support/threads.ts";
import type { Suite } from "./suite.ts";

const MANY = 100;
const COUNTS = 5000;
/** Entries that the ranges of one length give in all, about. */
const RANGE_ENTRIES = 2_000_000;
/** So that even the shortest ranges are not measured for long. */
const RANGES_MOST = 50_000;
const REVERSE_ENTRIES = 100;
const PREFIX_BYTES = 2;

/** Ranges of so many entries, beginning at keys that have as many behind them. */
function ranges(name: string, length: number, reverse: boolean): Measurement<ReadBench> {
  return {
    name,
    unit: "entries/s",
    better: "more",
    about: `ranges of ${format(length)}${reverse ? ", downwards" : ""}, gathered into arrays`,
    measure({ context, store, sorted, value }) {
      const limit = Math.min(length, sorted.length);
      const rounds = context.share(Math.min(RANGES_MOST, RANGE_ENTRIES / length));
      const starts = sorted.length - limit + 1;
      const random = new Random(length);
      const from = Array.from({ length: rounds }, () => {
        const at = random.int(starts);
        return sorted[reverse ? at + limit - 1 : at];
      });
      const expected = rounds * limit * value[0];
      return limit * roundsPerSecond(
        name,
        rounds,
        expected,
        (round) => store.range({ from: from[round], limit, reverse }),
      );
    },
  };
}

const wholeTable: readonly Measurement<ReadBench>[] = [
  {
    name: "keys",
    unit: "entries/s",
    better: "more",
    about: "all keys, without their values",
    async measure({ store, keys }) {
      // The first time, which does not count, code is compiled.
      let length = store.keys();
      const perSecond = await rate(keys.length, () => length = store.keys());
      expectCount("keys", length / KEY_BYTES, keys.length);
      return perSecond;
    },
  },
  {
    name: "scan",
    unit: "entries/s",
    better: "more",
    about: "all entries by iterator, keys and values belong to the caller",
    measure: ({ store, keys, value }) => scanRate(keys.length, value[0], (see) => store.scan(see)),
  },
  {
    name: "scan_view",
    unit: "entries/s",
    better: "more",
    about: "all entries, borrowed",
    measure: ({ store, keys, value }) =>
      store.scanView && scanRate(keys.length, value[0], (see) => store.scanView!(see)),
  },
];

async function scanRate(
  entries: number,
  first: number,
  scan: (see: (value: Uint8Array) => void) => number,
): Promise<number> {
  let sum = 0;
  const see = (value: Uint8Array) => {
    sum += value[0];
  };
  // The first time does not count, as above.
  let count = scan(see);
  sum = 0;
  const perSecond = await rate(entries, () => count = scan(see));
  expectCount("scan", count, entries);
  expectCount("scan, by its values", sum / first, entries);
  return perSecond;
}

const measurements: readonly Measurement<ReadBench>[] = [
  {
    name: "get",
    unit: "reads/s",
    better: "more",
    about: "point reads of all keys, scattered; bytes as keys and values",
    measure({ store, keys, value }) {
      const expected = keys.length * value[0];
      return roundsPerSecond(
        "get",
        keys.length,
        expected,
        (round) => store.get(keys[round * STRIDE % keys.length])![0],
      );
    },
  },
  {
    name: "get_many",
    unit: "reads/s",
    better: "more",
    about: `the same, ${MANY} keys at a time`,
    measure({ store, keys, value }) {
      const groups = Array.from(
        { length: Math.max(1, Math.floor(keys.length / MANY)) },
        (_, group) =>
          Array.from({ length: MANY }, (_, i) => keys[(group * MANY + i) * STRIDE % keys.length]),
      );
      const expected = groups.length * MANY * value[0];
      return MANY * roundsPerSecond("get_many", groups.length, expected, (round) => {
        let sum = 0;
        for (const value of store.getMany(groups[round])) sum += value![0];
        return sum;
      });
    },
  },
  {
    name: "view",
    unit: "reads/s",
    better: "more",
    about: "the same, one by one, the value borrowed",
    measure({ store, keys, value }) {
      if (store.view === undefined) return undefined;
      const expected = keys.length * value[0];
      return roundsPerSecond(
        "view",
        keys.length,
        expected,
        (round) => store.view!(keys[round * STRIDE % keys.length]),
      );
    },
  },
  ...[10, 100, 1000, 50_000].map((length) => ranges(`range_${length}`, length, false)),
  ranges(`reverse_${REVERSE_ENTRIES}`, REVERSE_ENTRIES, true),
  {
    name: "prefix",
    unit: "ranges/s",
    better: "more",
    about: `the entries whose keys begin with ${PREFIX_BYTES} given bytes, 7.6 on average`,
    measure({ context, store, keys, value }) {
      const numberOf = (key: Uint8Array) => key[0] * 256 + key[1];
      const having = new Uint32Array(256 ** PREFIX_BYTES);
      for (const key of keys) having[numberOf(key)]++;
      const rounds = context.share(RANGES_MOST);
      const chosen = Array.from(
        { length: rounds },
        (_, i) => keys[i * STRIDE % keys.length].slice(0, PREFIX_BYTES),
      );
      const expected = chosen.reduce((sum, prefix) => sum + having[numberOf(prefix)], 0) * value[0];
      return roundsPerSecond(
        "prefix",
        rounds,
        expected,
        (round) => store.range({ prefix: chosen[round] }),
      );
    },
  },
  {
    name: "count",
    unit: "µs",
    better: "less",
    about: "the number of entries in a range of half of the table",
    measure({ context, store, sorted }) {
      if (store.count === undefined) return undefined;
      const half = Math.max(1, sorted.length >> 1);
      const starts = sorted.length - half;
      const rounds = context.share(COUNTS);
      const perSecond = roundsPerSecond("count", rounds, rounds * half, (round) => {
        const at = round * STRIDE % starts;
        return store.count!(sorted[at], sorted[at + half]);
      });
      return 1e6 / perSecond;
    },
  },
  ...wholeTable,
  ...typedReads,
  ...busyReads,
];

export const reads: Suite = {
  name: "reads",
  about: `Reads of ${format(LOAD_ENTRIES)} random keys of ${KEY_BYTES} bytes, ` +
    `values of ${SMALL_BYTES}, in the engine's cache unless a row says otherwise.`,
  engines: storeEngines,
  rows: measurements,
  async *run(context) {
    const keys = new KeySource().many(context.share(LOAD_ENTRIES));
    const value = new Uint8Array(SMALL_BYTES).fill(7);
    const store = await openStore(context.engine, context.dir);
    await store.load(keys.map((key) => [key, value] as const));
    const sorted = keys.toSorted(Buffer.compare);
    const threads = await Threads.start(context, store, keys.length, READING_THREADS);
    yield* measureAll(measurements, { context, store, keys, sorted, value, threads });
    await threads.close();
    await store.close();
  },
};
