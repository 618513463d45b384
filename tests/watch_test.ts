/**
 * Watching tables: every committed change is told once and in order, to any thread, or a gap is; an iteration
 * ends when it should, and leaves nothing behind.
 */

import { Worker } from "node:worker_threads";
import {
  bytes,
  type ChangeGap,
  type Database,
  ManifoldError,
  open,
  openInMemory,
  type Table,
  type TableChange,
  text,
  u32,
} from "../mod.ts";
import { sessionOf } from "../lib/api/database.ts";
import { WATCHER_WORDS, WATCHERS, WATCHERS_MAX } from "../lib/memory/control.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertRejects,
  assertThrows,
} from "./support/assert.ts";
import { changeInThreads, Copy } from "./support/change_threads.ts";
import { Random } from "./support/random.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

type Event<K, V> = TableChange<K, V> | ChangeGap;

async function take<T>(events: AsyncIterator<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  while (taken.length < count) {
    const { value, done } = await events.next();
    assert(!done, `it ended after ${taken.length} of ${count} events`);
    taken.push(value);
  }
  return taken;
}

/** What events say, without their versions. */
function said<K, V>(events: readonly Event<K, V>[]): unknown[] {
  return events.map((event) => event.gap ? "gap" : [event.key, event.previous, event.value]);
}

/** How many iterations are under way, in all threads. */
function watchers(db: Database): number {
  const { words } = sessionOf(db).memory.control;
  let count = 0;
  for (let slot = 0; slot < WATCHERS_MAX; slot++) {
    if (Atomics.load(words, WATCHERS + slot * WATCHER_WORDS) !== 0) count++;
  }
  return count;
}

async function stockOf(db: Database): Promise<Table<string, number>> {
  return (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
}

test("watch: every kind of write is told, with what was there before", async () => {
  await using db = await openInMemory();
  const family = await db.columnFamily("shop");
  const stock = family.table("stock", { key: text, value: u32 });
  const events = stock.watch();
  await stock.set("a", 1);
  await stock.set("a", 1);
  await stock.delete("missing");
  await stock.setMany([["b", 2], ["c", 3]]);
  await family.batch().set(stock, "d", 4).delete(stock, "b").set(stock, "d", 5).commit();
  await family.transaction((tx) => tx.table(stock).set("e", 6));
  await stock.deleteRange({ gte: "c", lt: "e" });
  await stock.deleteRange({ gte: "x" });
  await family.deleteTable("stock");
  const all: Event<string, number>[] = [];
  for await (const event of events) all.push(event);
  assertEquals(said(all), [
    ["a", undefined, 1],
    ["a", 1, 1],
    ["b", undefined, 2],
    ["c", undefined, 3],
    ["d", undefined, 4],
    ["b", 2, undefined],
    ["d", 4, 5],
    ["e", undefined, 6],
    ["c", 3, undefined],
    ["d", 5, undefined],
    ["a", 1, undefined],
    ["e", 6, undefined],
  ]);
  const versions = all.map((event) => event.gap ? 0 : event.version);
  assertEquals(versions, versions.toSorted((a, b) => a - b));
  assertEquals(versions[4], versions[6], "a batch is one version");
  assertEquals(watchers(db), 0);
});

test("watch: a range, and what it takes", async () => {
  await using db = await openInMemory();
  const stock = await stockOf(db);
  const inside = stock.watch({ gt: "b", lte: "d" });
  const prefixed = stock.watch({ prefix: "b" });
  const none = stock.watch({ gt: "d", lt: "b" });
  await stock.setMany(["a", "b", "bb", "c", "d", "dd"].map((key, i) => [key, i]));
  assertEquals(said(await take(inside, 3)), [
    ["bb", undefined, 2],
    ["c", undefined, 3],
    ["d", undefined, 4],
  ]);
  assertEquals(said(await take(prefixed, 2)), [["b", undefined, 1], ["bb", undefined, 2]]);
  await db.deleteColumnFamily("shop");
  assertEquals(await none.next(), { value: undefined, done: true } as const);
  for (const range of [{ reverse: true }, { limit: 1 }, { offset: 1 }]) {
    const other = await stockOf(db);
    assertThrows(() => other.watch(range), ManifoldError, "no reverse, limit or offset");
  }
  const other = await stockOf(db);
  assertThrows(() => other.watch({}, { signal: 3 as never }), ManifoldError, "AbortSignal");
  assertThrows(() => other.watch({}, 3 as never), ManifoldError, "the options are");
  assertEquals(watchers(db), 2); // of the family that was deleted: they have not looked yet
  await inside.return!();
  await prefixed.return!();
  assertEquals(watchers(db), 0);
});

test("watch: values of all sizes, and tables of the same name with other codecs", async () => {
  await using db = await openInMemory();
  const family = await db.columnFamily("shop");
  const table = family.table("blobs", { key: text, value: bytes });
  const large = new Uint8Array(500_000).map((_, i) => i);
  const events = table.watch();
  await table.set("a", large);
  await table.set("a", new Uint8Array(0));
  await table.set("a", large);
  assertEquals(said(await take(events, 3)), [
    ["a", undefined, large],
    ["a", large, new Uint8Array(0)],
    ["a", new Uint8Array(0), large],
  ]);
  await events.return!();
  await family.deleteTable("blobs");
  const again = table.watch();
  await family.table("blobs", { key: text, value: u32 }).set("a", 1);
  await assertRejects(() => again.next(), ManifoldError, "it was made anew");
  assertEquals(await again.next(), { value: undefined, done: true } as const);
});

test("watch: a version too large for the buffer is a gap, and what follows is told", async () => {
  await using db = await openInMemory();
  const family = await db.columnFamily("shop");
  const table = family.table("blobs", { key: text, value: bytes });
  const events = table.watch();
  await table.set("a", new Uint8Array(3 * 2 ** 20));
  const gapVersion = family.stats().version;
  await table.set("b", new Uint8Array(3));
  const [gap, change] = await take(events, 2);
  assertEquals(gap, { gap: true, from: gapVersion, to: gapVersion });
  assertEquals(said([change]), [["b", undefined, new Uint8Array(3)]]);
  await events.return!();
});

test("watch: a slow reader is given one gap, and is right again after it", async () => {
  const random = Random.fromEnvironment("a slow watcher");
  await using db = await openInMemory();
  const family = await db.columnFamily("shop");
  const table = family.table("stock", { key: text, value: bytes });
  const events = table.watch();
  const first = family.stats().version + 1;
  // Three times what the buffer holds.
  for (let i = 0; i < 120; i++) await table.set(`key-${i % 7}`, random.bytes(100_000));
  const { value: gap } = await events.next();
  assert(gap.gap, "the reader was overtaken");
  assertEquals([gap.from, gap.to], [first, family.stats().version]);
  const copy = new Copy(table);
  for (let i = 0; i < 20; i++) await table.set(`key-${i % 5}`, random.bytes(10));
  for (const event of await take(events, 20)) {
    assert(!event.gap, "no other gap");
    copy.apply(event);
  }
  copy.check(table);
  // Other families of the same worker do not make gaps.
  const other = (await db.columnFamily("other")).table("stock", { key: text, value: bytes });
  const others = other.watch();
  await other.set("a", random.bytes(10));
  await others.return!();
  await events.return!();
});

test("watch: families of one worker do not disturb each other", async () => {
  await using db = await openInMemory({ maxWorkers: 1 });
  const quiet = (await db.columnFamily("quiet")).table("t", { key: text, value: u32 });
  const loud = (await db.columnFamily("loud")).table("t", { key: text, value: bytes });
  const events = quiet.watch();
  const noise = loud.watch();
  await quiet.set("a", 1);
  assertEquals(said(await take(events, 1)), [["a", undefined, 1]]);
  for (let i = 0; i < 60; i++) await loud.set("a", new Uint8Array(100_000));
  const next = take(events, 1);
  for (let i = 0; i < 9; i++) await undefined; // until it has looked
  await quiet.set("a", 2);
  assertEquals(said(await next), [["a", 1, 2]], "overtaken, but nothing was missed");
  assert((await noise.next()).value.gap);
  await events.return!();
  await noise.return!();
});

for (const inMemory of [true, false]) {
  const where = inMemory ? "in memory" : "on a file, with checkpoints";
  test(`watch: what several threads write is told whole and in order, ${where}`, async () => {
    const random = Random.fromEnvironment(`watched threads, ${where}`);
    await withTempDir(async (dir) => {
      const small = { pageSize: 4096, cacheBytes: 2 ** 20, logBytes: 2 ** 19 };
      await using db = inMemory ? await openInMemory() : await open(`${dir}/db`, small);
      const family = await db.columnFamily("shop");
      const table = family.table("stock", { key: text, value: bytes });
      const copies = [new Copy(), new Copy()];
      const controller = new AbortController();
      const reading = copies.map(async (copy) => {
        for await (const event of table.watch({}, { signal: controller.signal })) {
          assert(!event.gap, "these readers keep up");
          copy.apply(event);
          if (event.key === "end") break;
        }
      });
      await changeInThreads(db, random, 3, 150);
      await table.set("end", new Uint8Array(0));
      await Promise.all(reading);
      for (const copy of copies) copy.check(table);
      assertGreater(copies[0].told, 500);
      assertEquals(copies[0].told, copies[1].told);
      controller.abort();
      assertEquals(watchers(db), 0);
    });
  });
}

test("watch: one that begins amid commits is right from its first gap, or from the state at its call", async () => {
  const random = Random.fromEnvironment("watch amid commits");
  await withTempDir(async (dir) => {
    await using db = await open(`${dir}/db`);
    const family = await db.columnFamily("shop");
    const table = family.table("stock", { key: text, value: bytes });
    const controller = new AbortController();
    const { signal } = controller;
    const threads = changeInThreads(db, random, 2, 200).finally(() => controller.abort());
    let begun = 0;
    while (!signal.aborted) {
      begun++;
      const events = table.watch({}, { signal });
      // What is read after the call, or after a gap, may contain more: so much is passed over.
      using beginning = family.snapshot();
      let copy = new Copy(beginning.table(table));
      let contained = beginning.version;
      let told = 0;
      for await (const event of events) {
        if (event.gap) {
          assertEquals(told, 0, "a gap at the beginning only");
          using snapshot = family.snapshot();
          copy = new Copy(snapshot.table(table));
          contained = snapshot.version;
        } else if (event.version > contained) {
          copy.apply(event);
        }
        if (++told === 10) break;
      }
    }
    await threads;
    assertGreater(begun, 2);
  });
});

test("watch: an attached thread's iterations end with it, however it ends", async () => {
  await using db = await openInMemory();
  const stock = await stockOf(db);
  await stock.set("a", 1);
  const worker = new Worker(new URL("./support/workers/watching_worker.ts", import.meta.url), {
    workerData: { handle: db.share() },
  });
  const heard = (count: number) =>
    new Promise<void>((resolve) => {
      worker.on("message", (message) => {
        if (message === count) resolve();
      });
    });
  const ready = heard(0);
  const second = heard(2);
  await ready;
  assertEquals(watchers(db), 3);
  await stock.set("b", 2);
  await stock.set("c", 3);
  await second;
  await worker.terminate();
  const word = new Int32Array(new SharedArrayBuffer(4));
  for (const end = performance.now() + 20_000; watchers(db) > 0;) {
    assert(performance.now() < end, "what a dead thread has watched is released");
    await Atomics.waitAsync(word, 0, 0, 10).value;
  }
  await stock.set("d", 4);
});

test("watch: signal, return, close and deletion end it, also while somebody waits", async () => {
  const db = await openInMemory();
  const stock = await stockOf(db);
  const end = { value: undefined, done: true } as const;
  const controller = new AbortController();
  const aborted = stock.watch({}, { signal: controller.signal });
  const waiting = aborted.next();
  controller.abort();
  assertEquals(await waiting, end);
  assertEquals(await stock.watch({}, { signal: controller.signal }).next(), end);
  const returned = stock.watch();
  const pending = returned.next();
  await returned.return!();
  assertEquals(await pending, end);
  assertEquals(watchers(db), 0);
  const two = stock.watch();
  const both = [two.next(), two.next()];
  await stock.setMany([["a", 1], ["b", 2]]);
  assertEquals(said((await Promise.all(both)).map(({ value }) => value)), [
    ["a", undefined, 1],
    ["b", undefined, 2],
  ]);
  const gone = (await db.columnFamily("gone")).table("t");
  const deleted = gone.watch();
  const late = deleted.next();
  await db.deleteColumnFamily("gone");
  assertEquals(await late, end);
  assertThrows(() => gone.watch(), ManifoldError, "was deleted");
  const last = two.next();
  await db.close();
  assertEquals(await last, end);
  assertThrows(() => stock.watch(), ManifoldError, "closed");
});
