/**
 * Column families: writing several at once from one thread and from as many, making and deleting them,
 * and what each costs when there are many.
 *
 * @module
 */

import { once } from "node:events";
import { rmSync, statSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { type ColumnFamily, type Database, type Durability, text } from "../../mod.ts";
import { nativeProgram } from "../native/build.ts";
import { expectCount } from "../support/context.ts";
import {
  BATCH_ENTRIES,
  type FamilyThreadData,
  type FamilyWork,
  FamilyWriter,
  writtenEntries,
} from "../support/family_batches.ts";
import { Latencies, latencyRows } from "../support/latencies.ts";
import { databasePath, openDatabase } from "../support/manifold.ts";
import { jsonLines } from "../support/processes.ts";
import type { Suite, SuiteContext, SuiteResult, SuiteRow } from "./suite.ts";

const COUNTS = [1, 2, 4, 8];
const DURABILITIES = ["immediate", "eventual"] as const;
/** Of each family; those that do not count, too: every worker has its code compiled meanwhile. */
const BATCHES = 48;
const WARMING = 8;
/** Before families are made and deleted, and no part of it: each of the first ones starts a worker. */
const STARTING = 8;
const LIVES = 200;
const GROWN = 1000;
const GROWTH_PARTS = 4;

/** Who writes the families: one thread for all, or an attached thread for each. */
type Writers = "families" | "threads";

const phases = (["families", "threads"] as const).flatMap((writers) =>
  DURABILITIES.flatMap((durability) => COUNTS.map((count) => ({ writers, durability, count })))
);

function phaseName(writers: Writers, count: number, durability: Durability): string {
  return `${writers}_${count}_${durability === "immediate" ? "durable" : "eventual"}`;
}

const growthRow = (part: number): string => `grown_${GROWN * part / GROWTH_PARTS}`;

const rows: readonly SuiteRow[] = [
  ...phases.map(({ writers, durability, count }): SuiteRow => {
    const by = writers === "families" ? "one thread" : "an attached thread for each";
    const how = durability === "immediate" ? "durable" : "eventual";
    const into = count === 1 ? "1 family" : `${count} families at once`;
    return {
      name: phaseName(writers, count, durability),
      unit: "entries/s",
      better: "more",
      about: `${how} batches of 1,000 × 1 KiB into ${into}, by ${by}`,
    };
  }),
  ...latencyRows("create", `${LIVES} families being made, when all workers run`),
  ...latencyRows("delete", `${LIVES} families with an entry being deleted`),
  ...Array.from({ length: GROWTH_PARTS }, (_, i): SuiteRow => ({
    name: growthRow(i + 1),
    unit: "µs",
    better: "less",
    about: `a family more, with one durable entry: mean of the last ${GROWN / GROWTH_PARTS} up to ${
      GROWN * (i + 1) / GROWTH_PARTS
    }`,
  })),
  {
    name: "grown_file",
    unit: "bytes",
    better: "less",
    about: `of the closed file for each of ${GROWN} families with one entry`,
  },
];

/** Those who write, and are ready to. */
interface Ready {
  /** Over when all is written. */
  run(): Promise<unknown>;
  end?(): Promise<unknown>;
}

/** One thread for all of them. */
async function inThisThread(db: Database, work: readonly FamilyWork[]): Promise<Ready> {
  const writers = await Promise.all(work.map((one) => FamilyWriter.ready(db, one)));
  return { run: () => Promise.all(writers.map((writer) => writer.run())) };
}

/** A thread for each, see `families_thread.ts`. */
async function inThreads(db: Database, work: readonly FamilyWork[]): Promise<Ready> {
  const script = new URL("./families_thread.ts", import.meta.url);
  const threads = work.map((one) => {
    const workerData: FamilyThreadData = { ...one, handle: db.share() };
    return new Worker(script, { workerData });
  });
  // Rejects with what a thread fails of.
  const answers = () => Promise.all(threads.map((thread) => once(thread, "message")));
  const goOn = async () => {
    const answered = answers();
    for (const thread of threads) thread.postMessage("go on");
    await answered;
  };
  await answers();
  return {
    run: goOn,
    async end() {
      await goOn();
      await Promise.all(threads.map((thread) => thread.terminate()));
    },
  };
}

/** Entries per second into so many families at once. */
async function writeFamilies(
  { dir, share }: SuiteContext,
  { writers, durability, count }: (typeof phases)[number],
): Promise<number> {
  const db = await openDatabase(dir);
  const work = Array.from({ length: count }, (_, i): FamilyWork => ({
    family: `family ${i}`,
    seed: 42 + i,
    batches: share(BATCHES),
    warming: share(WARMING),
    durability,
  }));
  const ready = await (writers === "families" ? inThisThread : inThreads)(db, work);
  const begun = performance.now();
  await ready.run();
  const seconds = (performance.now() - begun) / 1000;
  await ready.end?.();
  let counted = 0;
  for (const { family, batches, warming } of work) {
    const expected = (batches + warming) * BATCH_ENTRIES;
    expectCount(family, await writtenEntries(db, family), expected);
    counted += batches * BATCH_ENTRIES;
  }
  await db.close();
  // All begin with no file: what one leaves does not slow down the next.
  rmSync(databasePath(dir));
  return counted / seconds;
}

async function openWithWorkers(dir: string): Promise<Database> {
  const db = await openDatabase(dir);
  for (let i = 0; i < STARTING; i++) await putOne(await db.createColumnFamily(`starting ${i}`));
  return db;
}

/** A durable entry, so that the family has a table and pages. */
async function putOne(family: ColumnFamily): Promise<void> {
  await family.table("entries", { key: text, value: text }).set("name", family.name);
}

async function* makeAndDelete({ dir, share }: SuiteContext): AsyncGenerator<SuiteResult> {
  const db = await openWithWorkers(dir);
  const names = Array.from({ length: share(LIVES) }, (_, i) => `family ${i}`);
  const timed = async (work: (name: string) => Promise<unknown>): Promise<Latencies> => {
    const latencies = new Latencies();
    for (const name of names) {
      const begun = performance.now();
      await work(name);
      latencies.add(performance.now() - begun);
    }
    return latencies;
  };
  yield* (await timed((name) => db.createColumnFamily(name))).results("create");
  for (const name of names) await putOne(await db.columnFamily(name));
  expectCount("create", db.columnFamilies().length, STARTING + names.length);
  yield* (await timed((name) => db.deleteColumnFamily(name))).results("delete");
  expectCount("delete", db.columnFamilies().length, STARTING);
  await db.close();
  rmSync(databasePath(dir));
}

async function* grow({ dir, share }: SuiteContext): AsyncGenerator<SuiteResult> {
  const db = await openWithWorkers(dir);
  const each = share(GROWN / GROWTH_PARTS);
  for (let part = 1; part <= GROWTH_PARTS; part++) {
    const begun = performance.now();
    for (let i = 0; i < each; i++) await putOne(await db.createColumnFamily(`${part} ${i}`));
    yield { row: growthRow(part), value: (performance.now() - begun) * 1000 / each };
  }
  const count = STARTING + each * GROWTH_PARTS;
  expectCount("grown", db.columnFamilies().length, count);
  await db.close();
  yield { row: "grown_file", value: statSync(databasePath(dir)).size / count };
  rmSync(databasePath(dir));
}

/** RocksDB with as many column families, each written by a thread of its own. */
function runNative({ engine, dir, scale }: SuiteContext): AsyncGenerator<SuiteResult> {
  return jsonLines([nativeProgram(), engine, dir, String(scale), "suite", "families"], engine);
}

export const families: Suite = {
  name: "families",
  about: "Writing several column families at once, making and deleting them, having many.",
  engines: ["manifold", "rocksdb"],
  rows,
  async *run(context) {
    if (context.engine !== "manifold") return yield* runNative(context);
    for (const phase of phases) {
      const row = phaseName(phase.writers, phase.count, phase.durability);
      yield { row, value: await writeFamilies(context, phase) };
    }
    yield* makeAndDelete(context);
    yield* grow(context);
  },
};
