/**
 * Point reads under less than the best conditions: with other threads, beside a writer, with a small cache.
 *
 * @module
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setImmediate, setTimeout } from "node:timers/promises";
import { KEY_BYTES } from "../support/keys.ts";
import { STRIDE } from "../support/context.ts";
import { expectSum, type Measurement, roundsPerSecond } from "./support/measurement.ts";
import type { ReadBench } from "./support/read_bench.ts";
import { openStore } from "./support/stores/mod.ts";
import { threadsMs } from "./support/threads.ts";

export const READING_THREADS = 2;
const BATCH = 1000;
/** Reads in one turn of the event loop: LMDB's transaction of reads ends with it. */
const TURN = 1000;
const CACHE_SHARE = 10;
/** The least that Manifold takes. */
const CACHE_LEAST = 2 ** 20;

function together(count: number): Measurement<ReadBench> {
  return {
    name: `get_threads_${count}`,
    unit: "reads/s",
    better: "more",
    about: count === 1
      ? "point reads of one thread that has joined the database"
      : `the same of ${count} threads, in all`,
    async measure({ context, threads }) {
      const rates = await threads.run(
        Array.from({ length: count }, () => ({ kind: "read" })),
        () => setTimeout(threadsMs(context.scale)),
      );
      return rates.reduce((sum, rate) => sum + rate);
    },
  };
}

export const busyReads: readonly Measurement<ReadBench>[] = [
  together(1),
  together(READING_THREADS),
  {
    name: "get_beside_writer",
    unit: "reads/s",
    better: "more",
    about:
      `point reads while another thread writes durable batches of ${BATCH} without pause to the same keys`,
    async measure(bench) {
      const { context, store, keys, value, threads } = bench;
      let reads = 0;
      let seconds = 0;
      const [written] = await threads.run(
        [{ kind: "write", batch: BATCH }],
        async () => {
          const start = performance.now();
          const end = start + threadsMs(context.scale);
          let sum = 0;
          while (performance.now() < end) {
            for (const last = reads + TURN; reads < last; reads++) {
              sum += store.get(keys[reads * STRIDE % keys.length])![0];
            }
            await setImmediate();
          }
          seconds = (performance.now() - start) / 1000;
          expectSum("get_beside_writer", sum, reads * value[0]);
        },
      );
      if (written === 0) throw new Error("get_beside_writer: nothing was written");
      bench.writerRate = written;
      return reads / seconds;
    },
  },
  {
    name: "writer_beside_get",
    unit: "entries/s",
    better: "more",
    about: "what that thread wrote meanwhile",
    measure: ({ writerRate }) => writerRate,
  },
  {
    name: "get_small_cache",
    unit: "reads/s",
    better: "more",
    about: "point reads with a cache of a tenth of the data; the system's own cache has the rest",
    async measure({ context, keys, value }) {
      // LMDB has no cache but the system's.
      if (context.engine === "lmdb") return undefined;
      const dir = join(context.dir, "small-cache");
      mkdirSync(dir);
      const loading = await openStore(context.engine, dir);
      await loading.load(keys.map((key) => [key, value] as const));
      await loading.close();
      const bytes = keys.length * (KEY_BYTES + value.length);
      const cacheBytes = Math.max(CACHE_LEAST, Math.ceil(bytes / CACHE_SHARE));
      const store = await openStore(context.engine, dir, { cacheBytes });
      const expected = keys.length * value[0];
      const perSecond = roundsPerSecond(
        "get_small_cache",
        keys.length,
        expected,
        (round) => store.get(keys[round * STRIDE % keys.length])![0],
      );
      await store.close();
      return perSecond;
    },
  },
];
