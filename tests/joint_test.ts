/**
 * Protects transactions over several families: all or nothing whatever workers write the families, in the order in
 * which each thread asks, in whatever order families are named; snapshots of the whole database that see all of one or
 * nothing.
 *
 * Most of it runs without threads (one_thread.ts), so that it goes the same way each time.
 */

import { type ColumnFamily, type Database, open, openInMemory, type Table, text } from "../mod.ts";
import { assert, assertEquals, assertGreater, assertRejects } from "./support/assert.ts";
import { lookAt } from "./support/database_process.ts";
import { OneThread } from "./support/one_thread.ts";
import { Random } from "./support/random.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";
import { ManifoldError } from "../mod.ts";

const NAMES = ["a", "b", "c", "d", "e"];
const codecs = { key: text, value: text };

type Tables = Table<string, string>[];

async function familiesOf(db: Database): Promise<ColumnFamily[]> {
  return await Promise.all(NAMES.map((name) => db.columnFamily(name)));
}

async function tablesOf(db: Database): Promise<Tables> {
  return (await familiesOf(db)).map((family) => family.table("rows", codecs));
}

function shuffled(random: Random, list: number[]): number[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

/** Runs a test on a database of that many workers, without threads. */
async function locally(
  maxWorkers: number,
  work: (db: Database, path: string) => Promise<void>,
  logBytes = 2 ** 18,
): Promise<void> {
  await withTempDir(async (dir) => {
    using workers = new OneThread();
    const path = `${dir}/j.manifold`;
    const { spawn } = workers;
    const options = { maxWorkers, logBytes, pageSize: 4096, cacheBytes: 2 ** 20 };
    await using db = await open(path, { ...options, spawnWorker: spawn });
    await work(db, path);
  });
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => promise, ManifoldError);
  return error.code;
}

test("joint: a batch over families of several workers is one record of the log", () =>
  locally(3, async (db, path) => {
    const tables = await tablesOf(db);
    const before = (await lookAt(path)).records.length;
    const batch = db.batch();
    for (const table of tables) batch.set(table, "k", "1");
    assertEquals(batch.size, 5);
    await batch.commit();
    assertEquals(tables.map((table) => table.get("k")), ["1", "1", "1", "1", "1"]);
    const { records } = await lookAt(path);
    assertEquals(records.length, before + 1);
    // One that has to do with one family only, and one without writes.
    await db.batch().set(tables[3], "k", "2").deleteRange(tables[4], { lt: "" }).commit();
    await db.batch().commit();
    assertEquals((await lookAt(path)).records.length, before + 2);
  }));

for (const workers of [1, 2, 3, 8]) {
  test(`joint: batches over all pairs and triples of families, on ${workers} workers`, () =>
    locally(workers, async (db) => {
      const random = Random.fromEnvironment(`joint ${workers}`);
      const tables = await tablesOf(db);
      const last = new Map<string, string>();
      const pending: Promise<void>[] = [];
      for (let i = 0; i < 300; i++) {
        const chosen = shuffled(random, [...NAMES.keys()]).slice(0, 1 + random.int(3));
        const value = String(i);
        if (random.next() < 0.3) {
          // What is asked for later comes later, by itself or jointly.
          for (const at of chosen) {
            last.set(`${NAMES[at]} k`, value);
            pending.push(tables[at].set("k", value));
          }
        } else {
          const batch = db.batch();
          for (const at of chosen) {
            batch.set(tables[at], "k", value).set(tables[at], value, "x");
            last.set(`${NAMES[at]} k`, value);
            last.set(`${NAMES[at]} ${value}`, "x");
          }
          pending.push(batch.commit());
        }
        if (random.next() < 0.1) await Promise.all(pending.splice(0));
      }
      await Promise.all(pending);
      for (const [at, name] of NAMES.entries()) {
        const expected = [...last].filter(([key]) => key.startsWith(`${name} `))
          .map(([key, value]) => [key.slice(2), value]).sort();
        assertEquals(tables[at].entries().toArray().sort(), expected as [string, string][]);
      }
      assert((await db.verify()).ok);
    }));
}

test("joint: one part that cannot be applied refuses all, whoever has it", () =>
  locally(3, async (db) => {
    for (const name of NAMES) {
      const families = await familiesOf(db);
      const tables = await tablesOf(db);
      const sum = (): number => tables.reduce((sum, table) => sum + table.count(), 0);
      // The table is made with other codecs behind the batch's back.
      const at = NAMES.indexOf(name);
      const other = families[at].table("other", codecs);
      const batch = db.batch();
      for (const table of tables) batch.set(table, name, "x");
      batch.set(other, "k", "x");
      await families[at].table("other").set(new Uint8Array([1]), new Uint8Array([1]));
      const before = sum();
      assertEquals(await refusal(batch.commit()), "type-mismatch");
      assertEquals(sum(), before);
      // What comes next finds nobody waiting.
      const next = db.batch();
      for (const table of tables) next.set(table, name, "y");
      await next.commit();
      assertEquals(sum(), before + tables.length);
    }
  }));

test("joint: a family that is deleted meanwhile refuses all; a table is made anew", () =>
  locally(2, async (db) => {
    const tables = await tablesOf(db);
    const [a, b] = await familiesOf(db);
    await db.batch().set(tables[0], "k", "1").set(tables[1], "k", "1").set(tables[2], "k", "1")
      .commit();
    const batch = db.batch().set(tables[0], "k", "2").set(tables[2], "k", "2");
    const deleted = a.deleteTable("rows");
    await batch.commit();
    await deleted;
    assertEquals([tables[0].entries().toArray(), tables[2].get("k")], [[["k", "2"]], "2"]);
    const late = db.batch().set(tables[0], "k", "3").set(tables[1], "k", "3");
    await db.deleteColumnFamily(b.name);
    assertEquals(await refusal(late.commit()), "not-found");
    assertEquals(tables[0].get("k"), "2");
  }));

test("joint: a batch waits for turns that others have, and holds nobody up meanwhile", () =>
  locally(3, async (db) => {
    const tables = await tablesOf(db);
    const families = await familiesOf(db);
    let go = (): void => {};
    const held = new Promise<void>((resolve) => go = resolve);
    let began = (): void => {};
    const running = new Promise<void>((resolve) => began = resolve);
    const transaction = families[1].transaction(async (tx) => {
      began();
      await held;
      tx.table(tables[1]).set("k", "transaction");
    }, { maxAttempts: 1 }); // the last one has the family's turn
    await running;
    const batches = [[0, 1], [1, 2], [2, 0, 1]].map((chosen, i) => {
      const batch = db.batch();
      for (const at of chosen) batch.set(tables[at], "k", `batch ${i}`);
      return batch.commit();
    });
    await tables[3].set("k", "free");
    await tables[4].set("k", "free");
    go();
    await transaction;
    await Promise.all(batches);
    assertEquals(tables.slice(0, 3).map((table) => table.get("k")), [
      "batch 2",
      "batch 2",
      "batch 2",
    ]);
  }));

test("joint: larger than the log, and with a log that is full again and again", () =>
  locally(3, async (db) => {
    const tables = await tablesOf(db);
    const large = "x".repeat(40_000);
    for (let i = 0; i < 12; i++) {
      const batch = db.batch();
      // A quarter of the log is 64 KiB.
      for (const table of tables.slice(0, i % 2 === 0 ? 4 : 1 + i % 3)) {
        batch.set(table, "k", large + i);
      }
      await batch.commit();
      const seen = tables.slice(0, 4).map((table) => table.get("k"));
      if (i % 2 === 0) assertEquals(new Set(seen).size, 1);
    }
    assert((await db.verify()).ok);
  }));

test("joint: more than the cache holds, in families of several workers", () =>
  locally(3, async (db) => {
    const tables = await tablesOf(db);
    const batch = db.batch();
    const value = "x".repeat(400);
    // A megabyte of cache, and two in entries that none of the workers may hold in it until all have theirs.
    for (let i = 0; i < 1000; i++) for (const table of tables) batch.set(table, `${i}`, value);
    await batch.commit();
    assertEquals(tables.map((table) => table.count()), [1000, 1000, 1000, 1000, 1000]);
    assert((await db.verify()).ok);
  }));

test("joint: a snapshot of the database is one moment of all families, and stays", () =>
  locally(3, async (db) => {
    const tables = await tablesOf(db);
    await db.batch().set(tables[0], "k", "1").set(tables[4], "k", "1").commit();
    const snapshot = db.snapshot();
    await db.batch().set(tables[0], "k", "2").set(tables[4], "k", "2").commit();
    await db.deleteColumnFamily("e");
    const later = (await db.columnFamily("later")).table("rows", codecs);
    await later.set("k", "3");
    await db.checkpoint();
    await db.checkpoint();
    assertEquals(snapshot.table(tables[0]).get("k"), "1");
    assertEquals(snapshot.table(tables[4]).get("k"), "1");
    assertEquals(snapshot.table(tables[1]).count(), 0);
    try {
      snapshot.table(later);
      throw new Error("a family that is newer than the snapshot was found in it");
    } catch (error) {
      assert(error instanceof ManifoldError && error.code === "not-found", String(error));
    }
    snapshot.dispose();
    snapshot.dispose();
    try {
      snapshot.table(tables[0]);
      throw new Error("a snapshot that was disposed of can be read");
    } catch (error) {
      assert(error instanceof ManifoldError && error.code === "closed", String(error));
    }
  }));

test("joint: closing settles what is under way", () =>
  locally(3, async (db) => {
    const tables = await tablesOf(db);
    const commits: Promise<void>[] = [];
    for (let i = 0; i < 50; i++) {
      const batch = db.batch();
      for (const table of tables.slice(i % 4)) batch.set(table, "k", String(i));
      commits.push(batch.commit());
      commits.push(tables[i % 5].set("own", String(i)));
    }
    const outcomes = Promise.allSettled(commits);
    await db.close();
    for (const outcome of await outcomes) assertEquals(outcome.status, "fulfilled");
  }));

test("joint: tables of another database are refused, and so is a batch that was committed", async () => {
  await using one = await openInMemory();
  await using other = await openInMemory();
  const mine = await tablesOf(one);
  const foreign = await tablesOf(other);
  const batch = one.batch().set(mine[0], "k", "1");
  const thrown = (work: () => unknown): string => {
    try {
      work();
    } catch (error) {
      if (error instanceof ManifoldError) return error.code;
    }
    return "nothing";
  };
  assertEquals(thrown(() => batch.set(foreign[0], "k", "1")), "invalid-argument");
  assertEquals(thrown(() => one.snapshot().table(foreign[0])), "invalid-argument");
  await batch.set(mine[1], "k", "1").commit();
  assertEquals(thrown(() => batch.set(mine[0], "k", "1")), "closed");
  assertEquals(mine[1].get("k"), "1");
});

test("joint: in threads, many at once, and readers that see all of each or nothing", async () => {
  await withTempDir(async (dir) => {
    const random = Random.fromEnvironment("joint threads");
    await using db = await open(`${dir}/j.manifold`, { maxWorkers: 4, logBytes: 2 ** 18 });
    const tables = await tablesOf(db);
    await db.batch().set(tables[0], "x", "0").set(tables[1], "x", "0").set(tables[2], "x", "0")
      .commit();
    let looks = 0;
    let over = false;
    const reading = (async () => {
      while (!over) {
        using snapshot = db.snapshot();
        const seen = tables.slice(0, 3).map((table) => snapshot.table(table).get("x"));
        assertEquals(new Set(seen).size, 1, `a snapshot sees ${seen}`);
        looks++;
        await new Promise((resolve) => setTimeout(resolve));
      }
    })();
    let acknowledged = -1;
    await Promise.all(Array.from({ length: 8 }, async (_, caller) => {
      for (let i = 0; i < 60; i++) {
        const batch = db.batch();
        for (const at of shuffled(random, [0, 1, 2])) batch.set(tables[at], "x", `${caller} ${i}`);
        await batch.commit();
        acknowledged = i;
        if (i % 3 === 0) await tables[3 + i % 2].set(`${caller}`, `${acknowledged}`);
      }
    }));
    over = true;
    await reading;
    assertGreater(looks, 5);
  });
});

test("joint: transactions over families that others change too lose nothing, in any order of families", () =>
  locally(3, async (db) => {
    const random = Random.fromEnvironment("joint transactions");
    const families = await familiesOf(db);
    const counters = families.map((family) => family.table("counters", codecs));
    const expected = NAMES.map(() => 0);
    const add = async (chosen: readonly number[], maxAttempts: number): Promise<void> => {
      await db.transaction(chosen.map((at) => families[at]), async (tx) => {
        for (const at of chosen) {
          const counter = tx.table(counters[at]);
          const seen = Number(counter.get("n") ?? "0");
          if (at % 2 === 0) await null;
          counter.set("n", String(seen + 1));
        }
      }, { maxAttempts });
      for (const at of chosen) expected[at]++;
    };
    const callers = Array.from({ length: 6 }, async () => {
      for (let i = 0; i < 12; i++) {
        const chosen = shuffled(random, [...NAMES.keys()]).slice(0, 2 + random.int(2));
        await add(chosen, random.next() < 0.3 ? 1 : 3);
        if (random.next() < 0.3) {
          await db.batch().set(counters[0], "x", "").set(counters[1], "x", "").commit();
        }
      }
    });
    await Promise.all(callers);
    assertEquals(counters.map((counter) => Number(counter.get("n"))), expected);
  }));

test("joint: a transaction is run again when what it has only read in another family has changed", () =>
  locally(2, async (db) => {
    const [a, b, c] = await familiesOf(db);
    const [left, right] = [a.table("rows", codecs), b.table("rows", codecs)];
    await db.batch().set(left, "k", "1").set(right, "k", "1").commit();
    const seen: string[] = [];
    let change = (): void => {};
    const asked = new Promise<void>((resolve) => change = resolve);
    let changed = (): void => {};
    const done = new Promise<void>((resolve) => changed = resolve);
    const other = (async () => {
      await asked;
      await left.set("k", "2");
      changed();
    })();
    await db.transaction([b, a, c], async (tx) => {
      const read = tx.table(left).get("k")!;
      seen.push(read);
      change();
      await done;
      tx.table(right).set("k", `after ${read}`);
    });
    await other;
    assertEquals(seen, ["1", "2"]);
    assertEquals(right.get("k"), "after 2");
    assertEquals(await refusal(db.transaction([], () => {})), "invalid-argument");
    assertEquals(await refusal(db.transaction([a, b], (tx) => tx.abort())), "aborted");
  }));
