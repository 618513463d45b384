/**
 * Protects what threads may rely on when they use one database at once: a snapshot, an iterator and
 * a transaction see whole commits only; memory and pages are not used anew while somebody reads
 * them, under eviction, checkpoints and deleted families; a thread that is terminated wherever it
 * may be takes nothing with it that others need.
 *
 * MANIFOLD_THREADS_MS and MANIFOLD_THREADS_COMMITS make the long test longer; MANIFOLD_SEED repeats
 * its choices, though not their timing.
 */

import { readdirSync, readlinkSync } from "node:fs";
import { stat } from "node:fs/promises";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { type Database, open } from "../mod.ts";
import { assert, assertEquals, assertLessOrEqual } from "./support/assert.ts";
import { Random } from "./support/random.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";
import {
  ACCOUNTS,
  BALANCE,
  CHECKS,
  COMMITS,
  STOP,
  type ThreadData,
  type ThreadResult,
  type VictimData,
  type VictimMode,
  WORDS_PER_THREAD,
} from "./support/workers/thread_messages.ts";
import { checkAll, move, type Tables, tablesOf } from "./support/workers/thread_tables.ts";

const DURATION_MS = Number(process.env.MANIFOLD_THREADS_MS || 30_000);
const COMMITS_MIN = Number(process.env.MANIFOLD_THREADS_COMMITS || 50_000);
const THREADS = 4;
const VICTIMS_MIN = 10;
/** Rows of victims must not be those of the threads. */
const FIRST_VICTIM = 100;

const threadsWorker = new URL("./support/workers/threads_worker.ts", import.meta.url);
const victimWorker = new URL("./support/workers/victim_worker.ts", import.meta.url);

const MODES: readonly VictimMode[] = ["turn", "enqueueing", "snapshot", "reading", "making"];

/** Small enough that pages are evicted and checkpoints made all the time. */
const OPTIONS = {
  pageSize: 4096,
  cacheBytes: 2 * 2 ** 20,
  logBytes: 2 ** 20,
  checkpoint: { bytes: 2 ** 18, intervalMs: 200 },
  maxWorkers: 3,
};

/** Looks again and again until something is so; the words are only there to be waited on. */
async function until(what: string, isSo: () => boolean, timeoutMs = 10_000): Promise<void> {
  const word = new Int32Array(new SharedArrayBuffer(4));
  for (const end = performance.now() + timeoutMs; !isSo();) {
    if (performance.now() > end) throw new Error(`it took too long until ${what}`);
    await Atomics.waitAsync(word, 0, 0, 5).value;
  }
}

async function openFilled(path: string): Promise<{ db: Database; tables: Tables }> {
  const db = await open(path, OPTIONS);
  const tables = await tablesOf(db);
  await tables.accounts.setMany(
    Array.from({ length: ACCOUNTS }, (_, i): [number, number] => [i, BALANCE]),
  );
  return { db, tables };
}

function startThread(data: ThreadData): { result: Promise<ThreadResult> } {
  const worker = new Worker(threadsWorker, { workerData: data });
  const result = new Promise<ThreadResult>((resolve) => {
    worker.once("message", resolve);
    worker.once("error", (error) => resolve({ error: String(error) }));
    worker.once("exit", () => resolve({ error: "the thread ended without a result" }));
  });
  return { result };
}

/** Starts a thread, terminates it once it has done something `after` times, and waits for the news. */
async function killOne(db: Database, mode: VictimMode, thread: number, after: number) {
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const data: VictimData = { handle: db.share(), thread, mode, progress };
  const worker = new Worker(victimWorker, { workerData: data });
  let problem: unknown;
  worker.on("error", (error) => problem = error);
  await until(`a victim was ${mode}`, () => {
    if (problem !== undefined) throw problem;
    return Atomics.load(progress, 0) >= after;
  }, 30_000);
  const before = db.stats().threads;
  await worker.terminate();
  await until(`the death while ${mode} was noticed`, () => db.stats().threads < before);
}

function afterFor(mode: VictimMode, random: Random): number {
  switch (mode) {
    case "enqueueing":
      return 1 + random.int(500);
    case "reading":
    case "making":
      return 1 + random.int(10);
    default:
      return 1;
  }
}

test(
  `threads: four of them for ${DURATION_MS} ms and ${COMMITS_MIN} commits never see a broken relation`,
  { timeoutMs: DURATION_MS * 5 + 120_000 },
  () =>
    withTempDir(async (dir) => {
      const random = Random.fromEnvironment("threads");
      const path = `${dir}/t.manifold`;
      const { db, tables } = await openFilled(path);
      const progress = new Int32Array(
        new SharedArrayBuffer(4 * (1 + THREADS * WORDS_PER_THREAD)),
      );
      const handle = db.share();
      const threads = Array.from(
        { length: THREADS },
        (_, thread) => startThread({ handle, thread, seed: random.next32(), progress }),
      );
      const results = Promise.all(threads.map(({ result }) => result));
      let failed: string | undefined;
      for (const { result } of threads) {
        result.then(({ error }) => failed ??= error);
      }
      const total = (word: number): number => {
        let sum = 0;
        for (let i = 0; i < THREADS; i++) {
          sum += Atomics.load(progress, i * WORDS_PER_THREAD + word);
        }
        return sum;
      };
      const started = performance.now();
      const elapsed = () => performance.now() - started;
      let victims = 0;
      try {
        // All others are there, so that one thread less is one that died.
        const all = 2 + OPTIONS.maxWorkers + THREADS;
        await until("all threads work", () => db.stats().threads === all || failed !== undefined);
        while (elapsed() < DURATION_MS || total(COMMITS) < COMMITS_MIN || victims < VICTIMS_MIN) {
          if (failed !== undefined) break;
          assertLessOrEqual(elapsed(), DURATION_MS * 5 + 60_000, `${total(COMMITS)} commits`);
          const mode = MODES[victims % MODES.length];
          await killOne(db, mode, FIRST_VICTIM + victims, afterFor(mode, random));
          victims++;
          // What the dead held is free: the family goes on at once.
          const before = performance.now();
          await move(tables, 0, 1, 1);
          assertLessOrEqual(performance.now() - before, 10_000, `after the death while ${mode}`);
        }
      } finally {
        Atomics.store(progress, STOP, 1);
      }
      const reports = await results;
      for (const { error } of reports) assertEquals(error, undefined);
      const checks = total(CHECKS);

      await until("all pins are given back", () => db.stats().pins === 0);
      // This thread, the keeper and the writers.
      await until("all threads have left", () => db.stats().threads <= 2 + OPTIONS.maxWorkers);
      const left = db.columnFamilies().filter((name) => !name.startsWith("victim-"));
      assertEquals(left, ["bank", "loose", "mirror"]);
      // What died while it was being made can be made and deleted.
      for (let victim = 0; victim < victims; victim++) {
        for (let i = 0; i < 3; i++) {
          await db.columnFamily(`victim-${FIRST_VICTIM + victim}-${i}`);
          await db.deleteColumnFamily(`victim-${FIRST_VICTIM + victim}-${i}`);
        }
      }
      const compare = (versions: Map<number, number>) => {
        for (const { rows } of reports) {
          for (const [row, version] of rows!) {
            assertEquals(versions.get(row), version, `row ${row}`);
          }
        }
      };
      const versions = checkAll(tables);
      compare(versions);
      const stats = db.stats();
      assert(stats.checkpoints.done > 10, `${stats.checkpoints.done} checkpoints`);
      assertEquals(stats.checkpoints.failed, 0);
      const { size } = await stat(path);
      await db.close();

      const again = await open(path, OPTIONS);
      assertEquals(again.columnFamilies(), ["bank", "loose", "mirror"]);
      assertEquals(checkAll(await tablesOf(again)), versions);
      await again.close();
      console.log(
        `threads: ${total(COMMITS)} commits, ${checks} checks, ${victims} threads terminated, ` +
          `${reports.reduce((sum, { churned }) => sum + churned!, 0)} families made and deleted, ` +
          `${reports.reduce((sum, { held }) => sum + held!, 0)} snapshots held, ` +
          `${stats.checkpoints.done} checkpoints, file of ${size >> 20} MiB, ` +
          `${Math.round(elapsed())} ms`,
      );
    }),
);

/** How often this process has a file open; the system lists that on Linux. */
function timesOpen(path: string): number {
  let times = 0;
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`) === path) times++;
    } catch (error) {
      // It was closed in between: the listing itself has one, for example.
      if ((error as { code?: unknown }).code !== "ENOENT") throw error;
    }
  }
  return times;
}

test(
  "threads: those that were terminated leave no file open",
  { ignore: process.platform !== "linux" },
  () =>
    withTempDir(async (dir) => {
      const { db } = await openFilled(`${dir}/t.manifold`);
      const before = timesOpen(db.path);
      for (let i = 0; i < 6; i++) await killOne(db, MODES[i % MODES.length], FIRST_VICTIM + i, 1);
      assertEquals(timesOpen(db.path), before);
      await db.close();
      assertEquals(timesOpen(db.path), 0);
    }),
);

for (const mode of MODES) {
  test(`threads: one that is terminated while ${mode} holds nobody up`, () =>
    withTempDir(async (dir) => {
      const { db, tables } = await openFilled(`${dir}/t.manifold`);
      for (let i = 0; i < 5; i++) {
        await killOne(db, mode, FIRST_VICTIM + i, mode === "enqueueing" ? 50 + 100 * i : 1);
        const { pins } = db.stats();
        assertEquals(pins, 0, "pins of the dead");
        const before = performance.now();
        await move(tables, 0, 1, 1);
        assertLessOrEqual(performance.now() - before, 2000);
      }
      checkAll(tables);
      await db.close();
    }));
}
