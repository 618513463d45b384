/**
 * Protects everybody from those who hold something and never give it back: threads that are
 * terminated wherever they are, snapshots and iterators that are forgotten. Nothing hangs, and what
 * they held comes back to zero.
 */

import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { type Database, open, openInMemory, text } from "../mod.ts";
import { EXTENT_LOCK, FAMILY_LOCK, LOG_LOCK } from "../lib/memory/control.ts";
import { assert, assertEquals, assertGreater } from "./support/assert.ts";
import { runScript } from "./support/child.ts";
import { heldIn, sharedMemoryOf } from "./support/shared_state.ts";
import { startThread } from "./support/spawn.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";
import type { HolderData } from "./support/workers/holder_worker.ts";

const holderWorker = new URL("./support/workers/holder_worker.ts", import.meta.url);

/** Looks again and again until something is so; the word is only there to be waited on. */
async function until(what: string, isSo: () => boolean, timeoutMs = 20_000): Promise<void> {
  const word = new Int32Array(new SharedArrayBuffer(4));
  for (const end = performance.now() + timeoutMs; !isSo();) {
    if (performance.now() > end) throw new Error(`it took too long until ${what}`);
    await Atomics.waitAsync(word, 0, 0, 5).value;
  }
}

async function openFilled(dir?: string): Promise<Database> {
  const options = { cacheBytes: 4 * 2 ** 20, maxWorkers: 1 };
  const db = dir === undefined
    ? await openInMemory(options)
    : await open(join(dir, "h.manifold"), { ...options, logBytes: 2 ** 20 });
  const table = (await db.columnFamily("f")).table("t", { key: text });
  await table.set("key", new Uint8Array(100));
  return db;
}

/** Starts a thread that holds something; resolves when it does. */
async function hold(db: Database, what: HolderData["hold"]): Promise<Worker> {
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const data: HolderData = { handle: db.share(), hold: what, progress };
  const worker = new Worker(holderWorker, { workerData: data });
  let problem: unknown;
  worker.on("error", (error) => problem = error);
  await until(`a thread holds ${what}`, () => {
    if (problem !== undefined) throw problem;
    return Atomics.load(progress, 0) === 1;
  });
  return worker;
}

/** The rest works, and nothing is held by anyone. */
async function checkFree(db: Database, threads: number): Promise<void> {
  const table = (await db.columnFamily("f")).table("t", { key: text });
  const shared = sharedMemoryOf(db);
  await until("the death was noticed", () => heldIn(shared).threads === threads);
  await table.set("key", new Uint8Array(200));
  assertEquals(table.get("key")?.length, 200);
  assert(!table.has("never"), "nothing of it is there by half");
  await db.deleteColumnFamily((await db.columnFamily("other")).name);
  await until("all is given back", () => {
    const held = heldIn(shared);
    return held.pins === 0 && held.readers === 0 && held.ringBytes === 0 && held.locks === 0;
  });
}

for (const what of ["read", "parts", "turn", "snapshot"] as const) {
  test(`holders: a thread that is terminated with a hold on: ${what}`, async () => {
    await using db = await openFilled();
    const { threads } = heldIn(sharedMemoryOf(db));
    for (let i = 0; i < 3; i++) {
      const worker = await hold(db, what);
      if (what === "read") assertEquals(heldIn(sharedMemoryOf(db)).readers > 0, true);
      if (what === "snapshot") {
        const { oldestPin, pins } = db.stats();
        assertEquals(pins, 1);
        assertEquals(oldestPin?.family, "f");
        assertGreater(oldestPin!.thread, 0);
        await until("it has an age", () => db.stats().oldestPin!.ageMs > 0);
      }
      await worker.terminate();
      await checkFree(db, threads);
    }
  });
}

const LOCKS = [["log", LOG_LOCK], ["families", FAMILY_LOCK], ["extents", EXTENT_LOCK]] as const;
for (const [name, lock] of LOCKS) {
  test(`holders: the host goes on when a thread is terminated that has the lock of the ${name}`, () =>
    withTempDir(async (dir) => {
      await using db = await openFilled(dir);
      const { threads } = heldIn(sharedMemoryOf(db));
      const worker = await hold(db, lock);
      assertEquals(heldIn(sharedMemoryOf(db)).locks, 1);
      // The host is the one that finds out about the death: it must not wait for it in a loop.
      const making = db.columnFamily("made meanwhile");
      const verifying = db.verify();
      db.stats();
      await new Promise((resolve) => setTimeout(resolve, 20));
      await worker.terminate();
      await making;
      assertEquals((await verifying).findings, []);
      await checkFree(db, threads);
    }));
}

test("holders: what nobody holds any more is given back by the garbage collector", async () => {
  const script = new URL("./support/abandoned_child.ts", import.meta.url);
  const permissions = ["-A", "--v8-flags=--expose-gc"];
  const said = await runScript("self", script, [], { permissions });
  assertEquals(said.at(-1), "passed", said.join("\n"));
});

test("holders: a worker that throws turns the database to failed, and says why", async () => {
  const url = new URL("data:text/javascript,throw new Error('thrown at the start')");
  await using db = await openInMemory({
    cacheBytes: 2 ** 20,
    spawnWorker: (_url, data) => startThread(url, data),
  });
  const error = await db.columnFamily("f").then(() => undefined, (reason) => reason);
  assertEquals(error?.code, "failed");
  assert(error.message.includes("thrown at the start"), error.message);
});
