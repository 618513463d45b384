/**
 * A thread that works on an open database, see `threads.ts`.
 *
 * @module
 */

import { parentPort, workerData } from "node:worker_threads";
import { Random } from "../../../tests/support/random.ts";
import { SMALL_BYTES, STRIDE } from "../../support/context.ts";
import { KeySource } from "../../support/keys.ts";
import { expectSum } from "./measurement.ts";
import { joinStore } from "./stores/mod.ts";
import {
  GOING,
  type Job,
  type Order,
  type ThreadData,
  type ThreadResult,
  WAITING,
} from "./threads.ts";
import { ZipfRanks } from "./zipf.ts";

const { engine, dir, shared, loaded, thread, state } = workerData as ThreadData;
const store = await joinStore(engine, dir, shared);
const keys = new KeySource().many(loaded);
const value = new Uint8Array(SMALL_BYTES).fill(7);
const random = new Random(thread + 1);

/** To be asked after the first operation: on a busy machine all may be over before a thread is awake. */
function goesOn(): boolean {
  return Atomics.load(state, 0) === GOING;
}

function read(): number {
  let reads = 0;
  let sum = 0;
  // Threads begin far from each other.
  let at = thread * (loaded >> 1);
  do {
    sum += store.get(keys[at % loaded])![0];
    reads++;
    at += STRIDE;
  } while (goesOn());
  expectSum("reading thread", sum, reads * value[0]);
  return reads;
}

async function write(entries: number): Promise<number> {
  let written = 0;
  do {
    const batch = Array.from(
      { length: entries },
      (_, i) => [keys[(written + i) * STRIDE % loaded], value] as const,
    );
    await store.commit(batch);
    written += entries;
  } while (goesOn());
  return written;
}

async function mix(job: Job & { kind: "mixed" }): Promise<number> {
  const ranks = job.exponent === "uniform" ? undefined : new ZipfRanks(loaded, job.exponent);
  // Keys are random: those of neighbouring ranks lie far from each other.
  const next = () => ranks === undefined ? random.int(loaded) : ranks.next(random) - 1;
  value[1] = job.mark;
  let reads = 0;
  let writes = 0;
  let sum = 0;
  const call = async () => {
    do {
      const at = next();
      if (random.chance(job.reads)) {
        sum += store.get(keys[at])![0];
        reads++;
      } else {
        await store.put(keys[at], value);
        job.written[at] = 1;
        writes++;
      }
    } while (goesOn());
  };
  await Promise.all(Array.from({ length: job.callers }, call));
  expectSum("mixing thread", sum, reads * value[0]);
  return reads + writes;
}

async function work(job: Job): Promise<number> {
  switch (job.kind) {
    case "read":
      return read();
    case "write":
      return await write(job.batch);
    case "mixed":
      return await mix(job);
  }
}

parentPort!.on("message", async (order: Order) => {
  if (order === "close") {
    await store.close();
    parentPort!.postMessage("closed");
    return;
  }
  parentPort!.postMessage("ready");
  Atomics.wait(state, 0, WAITING);
  const start = performance.now();
  const operations = await work(order);
  const seconds = (performance.now() - start) / 1000;
  parentPort!.postMessage({ operations, seconds } satisfies ThreadResult);
});
// The database is open here, and the keys are made.
parentPort!.postMessage("open");
