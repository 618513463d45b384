/**
 * Reads and writes of the same keys at once, as a server does them: of each thread several callers, each
 * with one operation after the other, who wait until what they have written is durable.
 *
 * @module
 */

import { setTimeout } from "node:timers/promises";
import { expectCount, format, SMALL_BYTES } from "../support/context.ts";
import { KEY_BYTES, KeySource } from "../support/keys.ts";
import { measureAll, type Measurement } from "./support/measurement.ts";
import { openStore, storeEngines } from "./support/stores/mod.ts";
import type { Store } from "./support/stores/store.ts";
import { type Job, Threads, threadsMs } from "./support/threads.ts";
import type { Suite, SuiteContext } from "./suite.ts";

const ENTRIES = 200_000;
const CALLERS = 16;
const THREADS = [1, 4];
const READ_PERCENTS = [80, 50, 20];
/** The usual one of benchmarks of key-value stores (B. F. Cooper and others, "YCSB", 2010). */
const ZIPF_EXPONENT = 0.99;
const SPREADS = { uniform: "uniform", zipf: ZIPF_EXPONENT } as const;

interface MixedBench {
  readonly context: SuiteContext;
  readonly store: Store;
  readonly threads: Threads;
  readonly loaded: number;
  /** How many rows have been measured: each writes a mark of its own. */
  marks: number;
}

function mix(
  percent: number,
  spread: keyof typeof SPREADS,
  count: number,
): Measurement<MixedBench> {
  const name = `mixed_${percent}_${spread}_${count}`;
  const who = count === 1 ? "one thread" : `${count} threads`;
  const which = spread === "zipf" ? `by Zipf's law (${ZIPF_EXPONENT})` : "all alike";
  return {
    name,
    unit: "operations/s",
    better: "more",
    about: `${percent} % reads, ${100 - percent} % durable puts of ${who}, keys ${which}`,
    async measure(bench) {
      const written = new Uint8Array(new SharedArrayBuffer(bench.loaded));
      const mark = ++bench.marks;
      const job: Job = {
        kind: "mixed",
        callers: CALLERS,
        reads: percent / 100,
        exponent: SPREADS[spread],
        mark,
        written,
      };
      const rates = await bench.threads.run(
        Array.from({ length: count }, () => job),
        () => setTimeout(threadsMs(bench.context.scale)),
      );
      let marked = 0;
      const entries = bench.store.scan((value) => {
        if (value[1] === mark) marked++;
      });
      expectCount(name, entries, bench.loaded);
      expectCount(`${name}, written`, marked, written.reduce((sum, one) => sum + one));
      return rates.reduce((sum, rate) => sum + rate);
    },
  };
}

const measurements: readonly Measurement<MixedBench>[] = THREADS.flatMap((count) =>
  READ_PERCENTS.flatMap((percent) =>
    (["uniform", "zipf"] as const).map((spread) => mix(percent, spread, count))
  )
);

export const mixed: Suite = {
  name: "mixed",
  about:
    `Reads and durable puts of ${format(ENTRIES)} random keys of ${KEY_BYTES} bytes, values of ` +
    `${SMALL_BYTES}, by ${CALLERS} callers in each thread, in all.`,
  engines: storeEngines,
  rows: measurements,
  async *run(context) {
    const keys = new KeySource().many(context.share(ENTRIES));
    const store = await openStore(context.engine, context.dir);
    const value = new Uint8Array(SMALL_BYTES).fill(7);
    // No row has this mark.
    value[1] = 0;
    await store.load(keys.map((key) => [key, value] as const));
    const loaded = keys.length;
    const threads = await Threads.start(context, store, loaded, Math.max(...THREADS));
    yield* measureAll(measurements, { context, store, threads, loaded, marks: 0 });
    await threads.close();
    await store.close();
  },
};
