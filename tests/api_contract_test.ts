/** What the contract promises of names, order, atomicity and settings, through the public API alone. */

import { join } from "node:path";
import {
  attach,
  f64,
  json,
  ManifoldError,
  open,
  openInMemory,
  type OpenOptions,
  text,
  tuple,
  u32,
} from "../mod.ts";
import { assert, assertEquals, assertGreater, assertRejects } from "./support/assert.ts";
import {
  applyWrites,
  checkDatabase,
  type DatabaseModel,
  DatabaseProcess,
} from "./support/database_process.ts";
import { Random } from "./support/random.ts";
import { bytesOf, randomValue } from "./support/sorted_model.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const SMALL: OpenOptions = { pageSize: 4096, cacheBytes: 2 ** 20, logBytes: 2 ** 18 };

/** A decoder that drops byte order marks made one table of the first two. */
const NAMES = [
  "a",
  "\ufeffa",
  "\ufeff",
  "A",
  "\u00e9",
  "e\u0301",
  " a",
  "a ",
  "\u{1f600}",
  "__proto__",
];

test("contract: names that look alike are different families and tables, also after a crash", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "names.manifold");
    const random = new Random(41);
    await using child = new DatabaseProcess("self");
    await child.tell({ do: "open", path, options: SMALL });
    for (const [i, family] of NAMES.entries()) {
      if (i === 4) await child.tell({ do: "checkpoint" });
      for (const table of NAMES) {
        const key = `${family}/${table}`;
        const value = randomValue(random, 100);
        await child.tell({ do: "write", family, table, writes: [[key, value]], how: "each" });
      }
    }
    await child.kill();
    const byBytes = (a: string, b: string): number =>
      Buffer.compare(Buffer.from(a), Buffer.from(b));
    for (let i = 0; i < 2; i++) {
      await using db = await open(path, SMALL);
      assertEquals(db.columnFamilies(), NAMES.toSorted(byBytes));
      for (const name of NAMES) {
        const family = await db.columnFamily(name, { create: false });
        assertEquals(family.tables(), NAMES.toSorted(byBytes));
        for (const table of NAMES) {
          assertEquals([...family.table(table, { key: text }).keys()], [`${name}/${table}`]);
        }
      }
    }
  });
});

test("contract: writes of a family take effect in the order of the calls, awaited or not", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const table = family.table("t", { key: text, value: u32 });
  const other = family.table("other", { key: text, value: u32 });
  for (let round = 0; round < 50; round++) {
    const done = [
      table.set("k", 1),
      table.delete("k"),
      table.set("k", 2, { durability: "eventual" }),
      family.batch().delete(table, "k").set(other, "k", round).commit(),
      table.setMany([["k", 3], ["l", 3], ["k", 4]]),
      table.deleteRange({ lte: "k" }),
    ] as const;
    assertEquals(await done[1], true);
    assertEquals(await done[5], 1);
    const transaction = family.transaction((tx) => {
      const t = tx.table(table);
      assertEquals(t.get("k"), undefined);
      assertEquals(t.get("l"), 3);
      t.set("k", t.get("l")! + tx.table(other).get("k")!);
      return t.count();
    });
    const deleted = table.delete("l");
    assertEquals(await transaction, 2);
    assertEquals(await deleted, true);
    assertEquals([...table], [["k", 3 + round]]);
  }
});

/**
 * A batch that was asked for behind the deletion of one of its tables named that table by its id, was
 * refused, and was sent again, behind writes that had been asked for later.
 */
test("contract: writes keep their order behind the deletion of a table, awaited or not", async () => {
  await using db = await openInMemory();
  const family = await db.columnFamily("f");
  const leaving = family.table("leaving", { key: text, value: text });
  const staying = family.table("staying", { key: text, value: text });
  await Promise.all([leaving.set("a", "old"), staying.set("a", "old")]);
  const batch = family.batch().set(leaving, "b", "batch").set(staying, "a", "batch");
  await Promise.all([
    family.deleteTable("leaving"),
    batch.commit(),
    staying.set("a", "later"),
    leaving.set("b", "later"),
    leaving.setMany([["c", "many"]]),
    leaving.delete("c"),
  ]);
  assertEquals(staying.get("a"), "later");
  assertEquals(leaving.entries().toArray(), [["b", "later"]]);
});

/**
 * A family that another thread was making when the database was closed stayed in the making, and
 * whoever asked for it after that waited for ever; so did who asked for a checkpoint.
 */
test("contract: what is asked for in another thread after the close is refused", async () => {
  await withTempDir(async (dir) => {
    const host = await open(join(dir, "closed.manifold"), SMALL);
    await host.columnFamily("there");
    const guest = await attach(host.share());
    await host.close();
    for (let i = 0; i < 2; i++) {
      assertEquals(
        (await assertRejects(() => guest.columnFamily("new"), ManifoldError)).code,
        "closed",
      );
      assertEquals((await assertRejects(() => guest.checkpoint(), ManifoldError)).code, "closed");
    }
    await guest.close();
  });
});

test("contract: setMany and batches are whole or not at all", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const table = family.table("t", { key: u32, value: json<{ n: number }>() });
  function* entries(count: number, failAt = -1): Generator<[number, { n: number }]> {
    for (let n = 0; n < count; n++) {
      if (n === failAt) throw new RangeError("no more");
      yield [n, { n }];
    }
  }
  await assertRejects(() => table.setMany(entries(10_000, 9000)), RangeError, "no more");
  const stop = (): void => {
    throw new RangeError("stop");
  };
  await assertRejects(() => table.setMany(entries(5000), { onProgress: stop }), RangeError, "stop");
  await assertRejects(() => table.setMany([[1, { n: 1 }], [-1, { n: 1 }]]));
  const batch = family.batch().set(table, 1, { n: 1 });
  try {
    batch.set(table, 1.5, { n: 1 });
  } catch {
    // The batch is as it was.
  }
  assertEquals(batch.size, 1);
  assertEquals(table.count(), 0);

  // While it is written, a reader sees nothing of it or all.
  const told: number[] = [];
  const all = table.setMany(entries(20_000), { onProgress: (done) => told.push(done) });
  const seen = new Set<number>();
  let over = false;
  all.then(() => over = true);
  while (!over) {
    seen.add(table.count());
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  seen.add(table.count());
  for (const count of seen) assert(count === 0 || count === 20_000, `${count} of 20,000`);
  assertEquals(told, [4096, 8192, 12288, 16384, 20_000]);

  await batch.delete(table, 0).set(table, 0, { n: -1 }).deleteRange(table, { gte: 2 }).commit();
  assertEquals([...table], [[0, { n: -1 }], [1, { n: 1 }]]);
});

test("contract: a transaction is seen as a whole, by nobody before, and gives its result", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const accounts = family.table("accounts", { key: text, value: f64 });
  await accounts.setMany([["ada", 100], ["grace", 100]]);
  const move = (from: string, to: string, amount: number): Promise<number> =>
    family.transaction(async (tx) => {
      const t = tx.table(accounts);
      t.set(from, t.get(from)! - amount);
      await Promise.resolve();
      using snapshot = family.snapshot();
      const published = snapshot.table(accounts);
      assertEquals(published.get("ada")! + published.get("grace")!, 200);
      t.set(to, t.get(to)! + amount);
      return t.get(to)!;
    });
  const results = await Promise.all(
    Array.from(
      { length: 100 },
      (_, i) => i % 2 ? move("ada", "grace", i) : move("grace", "ada", i),
    ),
  );
  assertEquals(results.length, 100);
  // Serial: every one has seen those before it.
  assertEquals(accounts.get("ada"), 100 - 50);
  assertEquals(accounts.get("grace"), 100 + 50);
});

test("contract: what is set at opening may differ from opening to opening", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "options.manifold");
    const random = new Random(42);
    const model: DatabaseModel = new Map();
    const openings: OpenOptions[] = [
      { pageSize: 4096, maxWorkers: 1, cacheBytes: 2 ** 20, logBytes: 2 ** 18 },
      { pageSize: 65536, maxWorkers: 8, logBytes: 2 ** 22, durability: "eventual" },
      { maxWorkers: 2, logBytes: 2 ** 19 + 1, checkpoint: { bytes: 65536, intervalMs: 10 } },
      { maxWorkers: 256, cacheBytes: 2 ** 20 },
    ];
    for (const options of openings) {
      await using db = await open(path, options);
      await checkDatabase(db, model);
      for (let i = 0; i < 6; i++) {
        const family = await db.columnFamily(`f${i}`);
        const table = family.table("t", { key: text });
        for (let n = 0; n < 20; n++) {
          const key = `k${random.int(30)}`;
          const value = randomValue(random, random.int(5000));
          applyWrites(model, family.name, "t", [[key, value]]);
          await table.set(key, bytesOf(value), { durability: "eventual" });
        }
      }
      db.configure({ checkpoint: { bytes: 2 ** 18 }, durability: "immediate" });
      const before = db.stats().checkpoints.done;
      await db.checkpoint();
      assertGreater(db.stats().checkpoints.done, before);
      assertEquals(db.stats().families.length, 6);
    }
    await using db = await open(path, { readOnly: true });
    await checkDatabase(db, model);
  });
});

test("contract: more families than the cache has frames are written and read", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "many.manifold");
    const FAMILIES = 400;
    const entries = Array.from(
      { length: 8 },
      (_, i) => [`k${i}`, new Uint8Array(700).fill(i)] as const,
    );
    {
      await using db = await open(path, { ...SMALL, durability: "eventual" });
      assertEquals(db.stats().cache.frames, 256);
      for (let round = 0; round < 2; round++) {
        for (let i = 0; i < FAMILIES; i++) {
          const table = (await db.columnFamily(`f${i}`)).table("t", { key: text });
          await table.setMany(entries);
          assertEquals(table.get("k7")?.[0], 7);
        }
      }
    }
    await using db = await open(path, SMALL);
    assertEquals(db.columnFamilies().length, FAMILIES);
    for (let i = 0; i < FAMILIES; i += 7) {
      const table = (await db.columnFamily(`f${i}`)).table("t", { key: text });
      assertEquals(table.count(), 8);
      await table.set("more", new Uint8Array(10));
    }
  });
});

test("contract: keys of tuples come in the order of their parts, and prefixes go by whole parts", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const table = (await db.columnFamily("f")).table("t", { key: tuple(text, f64), value: u32 });
  const keys: [string, number][] = [];
  for (const place of ["", "a", "a\0", "a\0b", "ab", "b", "é"]) {
    for (const n of [-Infinity, -1.5, -0.1, 0, 1e-300, 2, Infinity]) keys.push([place, n]);
  }
  const shuffled = keys.map((key) => [key, Math.imul(keys.indexOf(key) + 1, 7919) % 101] as const)
    .sort((a, b) => a[1] - b[1]);
  await table.setMany(shuffled.map(([key], i) => [key, i]));
  assertEquals([...table.keys()], keys);
  for (const place of ["", "a", "a\0", "ab", "c"]) {
    const expected = keys.filter((key) => key[0] === place);
    assertEquals([...table.keys({ prefix: [place] })], expected, JSON.stringify(place));
    assertEquals(table.count({ prefix: [place], reverse: true }), expected.length);
  }
  assertEquals(table.first({ gt: ["a", Infinity] })?.[0], ["a\0", -Infinity]);
});

test("contract: the cache can be made smaller and larger while the database is used", async () => {
  await withTempDir(async (dir) => {
    const options = { ...SMALL, cacheBytes: 4 * 2 ** 20 };
    await using db = await open(join(dir, "cache.manifold"), options);
    const table = (await db.columnFamily("shop")).table("rows", { key: u32, value: text });
    const valueOf = (i: number): string => `${i} `.repeat(60);
    for (let from = 0; from < 20_000; from += 1000) {
      await table.setMany(Array.from({ length: 1000 }, (_, i) => [from + i, valueOf(from + i)]));
    }
    await db.checkpoint();
    const filled = (): number => db.stats().cache.clean + db.stats().cache.dirty;
    const readAll = (): void => {
      for (let i = 0; i < 20_000; i++) assertEquals(table.get(i), valueOf(i));
    };
    readAll();
    assertGreater(filled(), 700, "pages in the cache of 1,024 frames");
    db.configure({ cacheBytes: 2 ** 20 });
    assertEquals(db.stats().cache.frames, 256);
    readAll();
    assert(filled() <= 256, `${filled()} pages in the cache of 256 frames`);
    db.configure({ cacheBytes: 16 * 2 ** 20 });
    readAll();
    readAll();
    assertGreater(filled(), 1024, "pages in the cache of 4,096 frames");
    await table.setMany(Array.from({ length: 5000 }, (_, i) => [i, valueOf(i)]));
    readAll();
  });
});
