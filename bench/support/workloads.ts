/**
 * The workloads, in the order in which they run: all others work on the table that the first has
 * loaded, and on what those before them added or removed. Keys are made before the clock starts.
 *
 * @module
 */

import {
  callAll,
  expectCount,
  format,
  LARGE_BYTES,
  LOAD_ENTRIES,
  rate,
  secondsOf,
  SMALL_BYTES,
  STRIDE,
  type Workload,
} from "./context.ts";
import { KEY_BYTES } from "./keys.ts";
import { transactionWorkloads } from "./transaction_workloads.ts";

const SINGLE_PUTS = 1000;
const BATCHES = 100;
const BATCH_ENTRIES = 1000;
const RANGES = 50_000;
const REMOVALS = 100;
const COUNTS = 5000;

function batches(name: string, value: "small" | "large"): Workload {
  return {
    name,
    unit: "entries",
    about: `${BATCHES} durable batches of ${format(BATCH_ENTRIES)} puts, ` +
      `${value === "small" ? SMALL_BYTES : LARGE_BYTES}-byte values, one after the other`,
    async run(context) {
      const { engine } = context;
      const all = Array.from(
        { length: context.share(BATCHES) },
        () => context.batch(BATCH_ENTRIES, context[value]),
      );
      context.entries += all.length * BATCH_ENTRIES;
      return await rate(all.length * BATCH_ENTRIES, async () => {
        for (const batch of all) await engine.commit(batch);
      });
    },
  };
}

/** Reads come in blocks of so many. */
const KEY_BLOCK = 1000;

/**
 * Reads `count` keys, scattered; reads per second, and the sum of what was read. The keys of a block are copied before its
 * clock starts: who reads has just made his key, and does not fetch it from a heap of half a million.
 */
async function readAll(
  loaded: readonly Uint8Array[],
  count: number,
  read: (key: Uint8Array) => number | Promise<number>,
): Promise<{ perSecond: number; sum: number }> {
  let sum = 0;
  let seconds = 0;
  for (let at = 0; at < count; at += KEY_BLOCK) {
    const block: Uint8Array[] = [];
    for (let i = at; i < Math.min(count, at + KEY_BLOCK); i++) {
      block.push(loaded[i * STRIDE % loaded.length].slice());
    }
    seconds += await secondsOf(async () => {
      for (const key of block) {
        const found = read(key);
        sum += typeof found === "number" ? found : await found;
      }
    });
  }
  return { perSecond: count / seconds, sum };
}

function reads(name: string, about: string, method: "get" | "view"): Workload {
  return {
    name,
    unit: "reads",
    about,
    supports: (engine) => engine[method] !== undefined,
    async run({ engine, loaded, small }) {
      const count = loaded.length;
      const { perSecond, sum } = await readAll(loaded, count, (key) => engine[method]!(key));
      if (sum !== count * small[0]) throw new Error(`${name}: wrong values were read`);
      return perSecond;
    },
  };
}

function callers(count: number): Workload {
  return {
    name: `callers_${count}`,
    unit: "puts",
    about: count === 1
      ? "one caller, one durable put after the other"
      : `${count} callers in one thread, each awaiting one durable put after the other`,
    async run(context) {
      const { engine, keys, small } = context;
      let done = 0;
      const seconds = await callAll(count, context.callersMs, async (end) => {
        while (performance.now() < end) {
          await engine.put(keys.next(), small);
          done++;
        }
      });
      context.entries += done;
      return done / seconds;
    },
  };
}

export const workloads: readonly Workload[] = [
  {
    name: "bulk_load",
    unit: "entries",
    about: `${
      format(LOAD_ENTRIES)
    } random keys of 24 bytes, values of ${SMALL_BYTES}, the engine's fastest safe way`,
    async run(context) {
      const entries = context.loaded.map((key) => [key, context.small] as const);
      context.entries += entries.length;
      return await rate(entries.length, () => context.engine.load(entries));
    },
  },
  {
    name: "single_put",
    unit: "puts",
    about: `${
      format(SINGLE_PUTS)
    } durable puts, one after the other, after as many that do not count`,
    async run(context) {
      const { engine } = context;
      // The first thousand puts on Deno take up to twice as long, while their code is being compiled.
      const before = context.batch(context.share(SINGLE_PUTS), context.small);
      for (const [key, value] of before) await engine.put(key, value);
      const puts = context.batch(context.share(SINGLE_PUTS), context.small);
      context.entries += before.length + puts.length;
      return await rate(puts.length, async () => {
        for (const [key, value] of puts) await engine.put(key, value);
      });
    },
  },
  batches("batch_150", "small"),
  batches("batch_1k", "large"),
  reads("get", "point reads of all loaded keys, scattered; the value belongs to the caller", "get"),
  reads("view", "the same, the value borrowed", "view"),
  {
    name: "range_10",
    unit: "scans",
    about: `${format(RANGES)} scans of ten entries from a loaded key on`,
    async run(context) {
      const { engine, loaded } = context;
      const count = context.share(RANGES);
      const { perSecond, sum } = await readAll(loaded, count, (key) => engine.range10(key));
      // Fewer than ten are left behind the last nine keys.
      if (sum > count * 10 || sum < count * 10 - 45) {
        throw new Error(`range_10: ${sum} entries in ${count} scans`);
      }
      return perSecond;
    },
  },
  {
    name: "scan",
    unit: "entries",
    about: "the whole table, keys and values belong to the caller",
    async run({ engine, entries }) {
      let found = 0;
      const result = await rate(entries, async () => found = await engine.scan());
      expectCount("scan", found, entries);
      return result;
    },
  },
  {
    name: "scan_view",
    unit: "entries",
    about: "the same, borrowed",
    supports: (engine) => engine.scanView !== undefined,
    async run({ engine, entries }) {
      let found = 0;
      const result = await rate(entries, () => found = engine.scanView!());
      expectCount("scan_view", found, entries);
      return result;
    },
  },
  {
    name: "count_range",
    unit: "count",
    about: `${format(COUNTS)} times the number of entries in a range of half of the table`,
    supports: (engine) => engine.countRange !== undefined,
    async run(context) {
      const { engine, entries } = context;
      // The keys are spread evenly: from any key of the lower half to the one as far in the upper half.
      const halves = context.loaded.filter(([first]) => first < 128).map((lower) => {
        const upper = Uint8Array.from(lower);
        upper[0] += 128;
        return { lower, upper };
      });
      const count = context.share(COUNTS);
      let found = 0;
      const work = () => {
        for (let i = 0; i < count; i++) {
          const { lower, upper } = halves[i * STRIDE % halves.length];
          found += engine.countRange!(lower, upper);
        }
      };
      // Until their code has been compiled.
      work();
      const perSecond = await rate(count, work);
      const [{ lower, upper }] = halves;
      const [first, last] = [new Uint8Array(KEY_BYTES), new Uint8Array(KEY_BYTES + 1).fill(255)];
      const counted = [[first, lower], [lower, upper], [upper, last]].map(([from, to]) =>
        engine.countRange!(from, to)
      );
      expectCount("count_range", counted.reduce((sum, part) => sum + part), entries);
      if (Math.abs(found / 2 / count / entries - 0.5) > 0.05) {
        throw new Error("count_range: the ranges are not halves of the table");
      }
      return { microseconds: 1e6 / perSecond };
    },
  },
  {
    name: "remove",
    unit: "entries",
    about: `${REMOVALS} durable batches of ${
      format(BATCH_ENTRIES)
    } removals of loaded keys, scattered`,
    async run(context) {
      const { engine, loaded } = context;
      const batches = context.share(REMOVALS);
      const each = Math.min(BATCH_ENTRIES, Math.floor(loaded.length / batches));
      const all = Array.from(
        { length: batches },
        (_, i) =>
          Array.from({ length: each }, (_, j) => loaded[(i * each + j) * STRIDE % loaded.length]),
      );
      const result = await rate(batches * each, async () => {
        for (const keys of all) await engine.remove(keys);
      });
      context.entries -= batches * each;
      expectCount("remove", await engine.scan(), context.entries);
      return result;
    },
  },
  callers(1),
  callers(16),
  callers(64),
  callers(256),
  ...transactionWorkloads,
];

/** The first of them, which is run in any case. */
export const BULK_LOAD = workloads[0];

export const RECOVERY_ENTRIES = 300_000;

/** Like a workload, but with processes of its own, see `measure.ts`. */
type Apart = Pick<Workload, "name" | "unit" | "about">;

export const SIZE: Apart = {
  name: "size",
  unit: "on disk",
  about: "what the files take after bulk_load, when the database has been closed",
};

export const RECOVERY: Apart = {
  name: "recovery",
  unit: "entries",
  about: `a log of ${
    format(RECOVERY_ENTRIES)
  } small entries replayed after SIGKILL (Manifold only)`,
};

/** All that can be asked for, in the order of the rows. */
export const rows: readonly Apart[] = [BULK_LOAD, SIZE, ...workloads.slice(1), RECOVERY];
