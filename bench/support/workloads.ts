/**
 * The workloads, in the order in which they run: all others work on the table that the first has
 * loaded, and on what those before them added. Keys are made before the clock starts.
 *
 * @module
 */

import type { Engine, Entry } from "./engine.ts";
import { KeySource } from "./keys.ts";

const LOAD_ENTRIES = 500_000;
const SMALL_BYTES = 150;
const LARGE_BYTES = 1024;
const SINGLE_PUTS = 1000;
const BATCHES = 100;
const BATCH_ENTRIES = 1000;
const RANGES = 50_000;
/** Visits every index once, far from the one before, as long as it does not divide the count. */
const STRIDE = 7919;
/** How long callers go on, ms. */
const CALLERS_MS = 1500;
/** Transactions go on before that for a part of this, which does not count: while their code is being compiled. */
const WARMING = 3;
const HOT_CALLERS = 256;
/** Transactions choose among so many counters, whose keys are the first of the loaded ones. */
const COUNTERS = 100_000;

/** What the workloads of one run share. */
export class Context {
  readonly keys = new KeySource();
  readonly loaded: readonly Uint8Array[];
  readonly small = new Uint8Array(SMALL_BYTES).fill(7);
  readonly large = new Uint8Array(LARGE_BYTES).fill(7);
  /** Entries that are in the table now. */
  entries = 0;
  #counters: readonly Uint8Array[] | undefined;

  /** `scale`: how much of the work is done, 1 for all of it. */
  constructor(readonly engine: Engine, readonly scale: number) {
    this.loaded = this.keys.many(this.share(LOAD_ENTRIES));
  }

  share(count: number): number {
    return Math.max(1, Math.round(count * this.scale));
  }

  /** The counters' keys; the first call makes them. */
  async counters(): Promise<readonly Uint8Array[]> {
    if (this.#counters === undefined) {
      this.#counters = this.loaded.slice(0, Math.max(2 * HOT_CALLERS, this.share(COUNTERS)));
      await this.engine.loadCounters!(this.#counters);
    }
    return this.#counters;
  }

  /** How long callers go on, ms. */
  get callersMs(): number {
    return CALLERS_MS * Math.min(1, Math.max(0.1, this.scale));
  }

  batch(count: number, value: Uint8Array): Entry[] {
    return Array.from({ length: count }, () => [this.keys.next(), value] as const);
  }
}

/** What a run has shown. */
export interface Result {
  readonly opsPerSecond: number;
  /** The median latency ÷ the longest one: how evenly callers are served. */
  readonly evenness?: number;
}

export interface Workload {
  readonly name: string;
  readonly unit: string;
  /** What a run of it is, in a line. */
  readonly about: string;
  /** Whether the engine can do it. */
  supports?(engine: Engine): boolean;
  /** Prepares, measures and checks; operations per second, and perhaps more. */
  run(context: Context): Promise<number | Result>;
}

function format(count: number): string {
  return count.toLocaleString("en");
}

async function rate(operations: number, work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return operations / (performance.now() - start) * 1000;
}

function expectCount(what: string, found: number, expected: number): void {
  if (found !== expected) throw new Error(`${what}: ${found} entries instead of ${expected}`);
}

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

function reads(name: string, about: string, method: "get" | "view"): Workload {
  return {
    name,
    unit: "reads",
    about,
    supports: (engine) => engine[method] !== undefined,
    async run({ engine, loaded, small }) {
      const count = loaded.length;
      let sum = 0;
      const result = await rate(count, async () => {
        for (let i = 0; i < count; i++) {
          const first = engine[method]!(loaded[i * STRIDE % count]);
          sum += typeof first === "number" ? first : await first;
        }
      });
      if (sum !== count * small[0]) throw new Error(`${name}: wrong values were read`);
      return result;
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
      const start = performance.now();
      const end = start + context.callersMs;
      await Promise.all(Array.from({ length: count }, async () => {
        while (performance.now() < end) {
          await engine.put(keys.next(), small);
          done++;
        }
      }));
      context.entries += done;
      return done / (performance.now() - start) * 1000;
    },
  };
}

/** Has `count` callers go on for `ms`; how long it took, s. */
async function callAll(
  count: number,
  ms: number,
  call: (end: number) => Promise<void>,
): Promise<number> {
  const start = performance.now();
  await Promise.all(Array.from({ length: count }, () => call(start + ms)));
  return (performance.now() - start) / 1000;
}

/** Callers that each await one transaction after the other, on keys of which no two are in flight at once. */
function transactions(
  name: string,
  count: number,
  about: string,
  transactionOf: (engine: Engine) => Engine["addOne"] = (engine) => engine.addOne,
): Workload {
  return {
    name,
    unit: "transactions",
    about,
    supports: (engine) => transactionOf(engine) !== undefined,
    async run(context) {
      const { engine, callersMs } = context;
      const transact = transactionOf(engine)!;
      const choice = await context.counters();
      const inFlight = new Uint8Array(choice.length);
      const numbers = new Map<number, number>();
      let done = 0;
      let next = 0;
      const call = async (end: number) => {
        while (performance.now() < end) {
          do next = (next + STRIDE) % choice.length; while (inFlight[next] === 1);
          const own = next;
          inFlight[own] = 1;
          const number = await transact(choice[own]);
          inFlight[own] = 0;
          const before = numbers.get(own);
          if (before !== undefined && number !== before + 1) throw new Error(`${name}: lost one`);
          numbers.set(own, number);
          done++;
        }
      };
      await callAll(count, callersMs / WARMING, call);
      done = 0;
      const seconds = await callAll(count, callersMs, call);
      return done / seconds;
    },
  };
}

function joint(families: 1 | 2): Workload {
  return transactions(
    `joint_${families}`,
    1,
    `as rmw_1, each in two tables, of ${families === 1 ? "one column family" : "two families"}`,
    ({ addOneToTwo }) => addOneToTwo && ((key) => addOneToTwo(key, families)),
  );
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
      let found = 0;
      const result = await rate(count, async () => {
        for (let i = 0; i < count; i++) {
          const entries = engine.range10(loaded[i * STRIDE % loaded.length]);
          found += typeof entries === "number" ? entries : await entries;
        }
      });
      // Fewer than ten are left behind the last nine keys.
      if (found > count * 10 || found < count * 10 - 45) {
        throw new Error(`range_10: ${found} entries in ${count} scans`);
      }
      return result;
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
  callers(1),
  callers(16),
  callers(64),
  callers(256),
  transactions(
    "rmw_1",
    1,
    `one caller, one durable read-modify-write after the other, of ${format(COUNTERS)} counters`,
  ),
  transactions(
    "rmw_256",
    256,
    `256 callers in one thread, each awaiting one after the other, on different counters`,
  ),
  {
    name: "rmw_hot",
    unit: "transactions",
    about: `${HOT_CALLERS} callers, each awaiting one after the other, all on one counter`,
    supports: (engine) => engine.addOne !== undefined,
    async run(context) {
      const { engine, callersMs } = context;
      const [hot] = await context.counters();
      const latencies: number[] = [];
      const numbers = new Set<number>();
      const call = async (end: number) => {
        for (let begun = performance.now(); begun < end;) {
          numbers.add(await engine.addOne!(hot));
          const now = performance.now();
          latencies.push(now - begun);
          begun = now;
        }
      };
      await callAll(HOT_CALLERS, callersMs / WARMING, call);
      numbers.clear();
      latencies.length = 0;
      const seconds = await callAll(HOT_CALLERS, callersMs, call);
      if (numbers.size !== latencies.length) throw new Error("rmw_hot: lost some");
      latencies.sort((a, b) => a - b);
      return {
        opsPerSecond: latencies.length / seconds,
        evenness: latencies[latencies.length >> 1] / latencies.at(-1)!,
      };
    },
  },
  joint(1),
  joint(2),
];

/** The first of them, which is run in any case. */
export const BULK_LOAD = workloads[0];

/** Runs in processes of its own, see `recovery.ts`. */
export const RECOVERY = "recovery";
export const RECOVERY_ENTRIES = 300_000;

export const workloadNames: readonly string[] = [...workloads.map(({ name }) => name), RECOVERY];
