/**
 * The changes that a column family keeps: they are exactly the differences that the commits made, in order,
 * after restarts and crashes too; what is no longer kept is said, never passed over.
 */

import { copyFile } from "node:fs/promises";
import {
  bytes,
  type Change,
  type ColumnFamily,
  type Database,
  ManifoldError,
  open,
  openInMemory,
  type Table,
  text,
  u32,
} from "../mod.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLessOrEqual,
  assertRejects,
  assertThrows,
} from "./support/assert.ts";
import { changeInThreads, Copy } from "./support/change_threads.ts";
import { Random } from "./support/random.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const KEEP_ALL = { changes: { keepBytes: 2 ** 40 } };
/** No checkpoint by itself, so that everything has to come from the log. */
const LOG_ONLY = { pageSize: 4096, cacheBytes: 2 ** 22, logBytes: 2 ** 24 };

/** All that is kept after a version and committed by now. */
async function kept(family: ColumnFamily, since: number): Promise<Change[]> {
  const changes: Change[] = [];
  // An entry that says where to stop; its change is kept as well.
  const mark = family.table("mark", { key: text, value: text });
  const id = crypto.randomUUID();
  await mark.set(id, "");
  for await (const change of family.changes({ since })) {
    if (change.in(mark)?.key === id) return changes;
    changes.push(change);
  }
  throw new Error("it ended before the mark");
}

/** All that is kept after a version; the newest version must have a change. Nothing is written. */
async function everything(family: ColumnFamily, since: number): Promise<Change[]> {
  const changes: Change[] = [];
  const { version } = family.stats();
  for await (const change of family.changes({ since })) {
    changes.push(change);
    if (change.last && change.version === version) break;
  }
  return changes;
}

/** What changes say, without their versions. */
function said<K, V>(changes: readonly Change[], table: Table<K, V>): unknown[] {
  return changes.map((change) => {
    const typed = change.in(table);
    return typed === undefined ? change.table : [typed.key, typed.previous, typed.value];
  });
}

/** Follows all that is kept from the beginning; the copy must be what the table is. */
async function checkFollowed(family: ColumnFamily): Promise<Copy> {
  const table = family.table("stock", { key: text, value: bytes });
  const copy = new Copy();
  let open = false;
  for (const change of await kept(family, 0)) {
    const typed = change.in(table);
    if (typed !== undefined) copy.apply(typed);
    open = !change.last;
  }
  assertEquals(open, false, "the last change of the last version says so");
  copy.check(table);
  return copy;
}

test("changes: every kind of write is kept, with what was there before", async () => {
  await using db = await openInMemory();
  const family = await db.createColumnFamily("shop", KEEP_ALL);
  const stock = family.table("stock", { key: text, value: u32 });
  await stock.set("a", 1);
  await stock.set("a", 1);
  await stock.delete("missing");
  await family.batch().set(stock, "b", 2).delete(stock, "a").set(
    family.table("x"),
    bytesOf(1),
    bytesOf(2),
  )
    .set(stock, "b", 3).commit();
  await stock.setMany([["c", 4], ["d", 5]]);
  await stock.deleteRange({ gt: "b", lte: "c" });
  await family.deleteTable("stock");
  const changes = await kept(family, 0);
  assertEquals(said(changes, stock), [
    ["a", undefined, 1],
    ["a", 1, 1],
    ["b", undefined, 2],
    ["a", 1, undefined],
    "x",
    ["b", 2, 3],
    ["c", undefined, 4],
    ["d", undefined, 5],
    ["c", 4, undefined],
    ["b", 3, undefined],
    ["d", 5, undefined],
  ]);
  assertEquals(changes.map(({ last }) => last), [
    ...[true, true, false, false, false, true, false, true, true, false, true],
  ]);
  assertEquals(changes[4].value, bytesOf(2));
  assertEquals(family.tables(), ["mark", "x"], "users do not see where they are kept");
  assertEquals(family.stats().tables, 2);
  assert((await db.verify()).ok);
  // From the middle on, and only what is still to come.
  const since = changes[5].version;
  assertEquals(said(await kept(family, since), stock).slice(0, 5), said(changes, stock).slice(6));
  const later = family.changes();
  await stock.set("e", 6);
  assertEquals((await later.next()).value.in(stock)?.key, "e");
  await later.return!();
});

function bytesOf(...values: number[]): Uint8Array {
  return new Uint8Array(values);
}

test("changes: values of all sizes, keys as long as they can be, tables of other codecs", async () => {
  await using db = await openInMemory({ pageSize: 4096 });
  const family = await db.createColumnFamily("shop", KEEP_ALL);
  const name = "é".repeat(127);
  const table = family.table(name, { key: bytes, value: bytes });
  const expected: [Uint8Array, Uint8Array | undefined, Uint8Array | undefined][] = [];
  for (const keyBytes of [0, 1, 500, 1000]) {
    const key = new Uint8Array(keyBytes).fill(7);
    let previous: Uint8Array | undefined;
    for (const length of [0, 1, 20, 300, 700, 900, 1100, 5000, 300_000, 40]) {
      const value = new Uint8Array(length).fill(length);
      await table.set(key, value);
      expected.push([key, previous, value]);
      previous = value;
    }
  }
  await table.deleteRange({});
  for (let i = 9; i < 40; i += 10) expected.push([expected[i][0], expected[i][2], undefined]);
  assertEquals(said(await kept(family, 0), table), expected);
  await family.deleteTable(name);
  const changed = family.table(name, { key: bytes, value: text });
  await changed.set(new Uint8Array(1), "x");
  const [first] = await kept(family, 0);
  assertThrows(() => first.in(changed), ManifoldError, "it was made anew");
  assertEquals(first.in(family.table("other")), undefined);
  assert((await db.verify()).ok);
});

test("changes: what is too much goes, oldest versions first and whole", async () => {
  const random = Random.fromEnvironment("trimmed changes");
  await using db = await openInMemory({ pageSize: 4096 });
  const family = await db.createColumnFamily("shop", { changes: { keepBytes: 40_000 } });
  const table = family.table("stock", { key: text, value: bytes });
  const slow = family.changes();
  await table.set("first", random.bytes(10));
  assertEquals((await slow.next()).value.key.length, 5);
  const all = new Map<number, number>();
  for (let i = 0; i < 200; i++) {
    const count = 1 + random.int(6);
    await table.setMany(
      Array.from({ length: count }, (_, j) => [`${j}`, random.bytes(random.int(1000))] as const),
    );
    all.set(family.stats().version, count);
    const { bytes: keptBytes, since } = family.stats().changes!;
    assertLessOrEqual(keptBytes, 40_000);
    if (i % 50 !== 49) continue;
    const there = new Map<number, number>();
    for (const { version } of await everything(family, since)) {
      there.set(version, (there.get(version) ?? 0) + 1);
    }
    assertEquals(there, new Map([...all].filter(([version]) => version > since)));
    assertGreater(there.size, 3);
  }
  const { since } = family.stats().changes!;
  assertGreater(since, 100);
  assertThrows(() => family.changes({ since: since - 1 }), ManifoldError, `kept is ${since + 1}`);
  await assertRejects(() => slow.next(), ManifoldError, `kept is ${since + 1}`);
  assertEquals(await slow.next(), { value: undefined, done: true } as const);
  // A version that is larger than all that is to be kept is kept, and alone.
  await table.set("large", random.bytes(100_000));
  const { version } = family.stats();
  assertEquals(family.stats().changes!.since, version - 1);
  assertEquals((await everything(family, version - 1)).map(({ key }) => key.length), [5]);
  assert((await db.verify()).ok);
});

test("changes: what several threads write is kept whole and in order, and read by slow readers", async () => {
  const random = Random.fromEnvironment("kept changes of threads");
  await withTempDir(async (dir) => {
    const small = { pageSize: 4096, cacheBytes: 2 ** 20, logBytes: 2 ** 19 };
    const path = `${dir}/db`;
    let told = 0;
    {
      await using db = await open(path, small);
      const family = await db.createColumnFamily("shop", KEEP_ALL);
      const table = family.table("stock", { key: text, value: bytes });
      const copy = new Copy();
      const reading = (async () => {
        for await (const change of family.changes()) {
          const typed = change.in(table);
          if (typed?.key === "end") return;
          if (typed !== undefined) copy.apply(typed);
          if (random.chance(0.02)) await new Promise((resolve) => setTimeout(resolve, 2));
        }
      })();
      await changeInThreads(db, random, 3, 150);
      const before = table.entries().toArray();
      await table.set("end", new Uint8Array(0));
      await reading;
      assertEquals([...copy.entries].sort(([a], [b]) => a < b ? -1 : 1), before);
      told = (await checkFollowed(family)).told;
      assertGreater(told, 500);
      assert((await db.verify()).ok);
    }
    await using db = await open(path, small);
    assertEquals((await checkFollowed(await db.columnFamily("shop"))).told, told);
  });
});

test("changes: a transaction past the log, and a range of many keys", async () => {
  await withTempDir(async (dir) => {
    const small = { pageSize: 4096, cacheBytes: 2 ** 20, logBytes: 2 ** 18 };
    const path = `${dir}/db`;
    {
      await using db = await open(path, small);
      const family = await db.createColumnFamily("shop", KEEP_ALL);
      const table = family.table("stock", { key: text, value: bytes });
      await table.setMany(
        Array.from({ length: 5000 }, (_, i) => [`${i}`, new Uint8Array(100).fill(i)] as const),
      );
      assertEquals(await table.deleteRange({ gte: "2", lt: "4" }), 2222);
    }
    await using db = await open(path, small);
    const copy = await checkFollowed(await db.columnFamily("shop"));
    assertEquals([copy.told, copy.entries.size], [7222, 2778]);
  });
});

test("changes: a recovery makes the same entries as the commits did", async () => {
  const random = Random.fromEnvironment("recovered changes");
  await withTempDir(async (dir) => {
    for (const keepBytes of [2 ** 40, 30_000]) {
      const path = `${dir}/db-${keepBytes}`;
      await using db = await open(path, LOG_ONLY);
      const family = await db.createColumnFamily("shop", { changes: { keepBytes } });
      await (await db.columnFamily("plain")).table("t").set(bytesOf(1), bytesOf(1));
      const table = family.table("stock", { key: text, value: bytes });
      await table.setMany([["x", random.bytes(10)], ["large", random.bytes(20_000)]]);
      await family.table("gone").set(bytesOf(1), bytesOf(1));
      await family.deleteTable("gone");
      await changeInThreads(db, random, 2, 60);
      await table.set("end", bytesOf(1));
      // As if the process had been killed now.
      await copyFile(path, `${path}-killed`);
      await copyFile(`${path}-log`, `${path}-killed-log`);
      const { since, bytes: keptBytes } = family.stats().changes!;
      const expected = await everything(family, since);
      assertGreater(expected.length, 10);
      {
        await using recovered = await open(`${path}-killed`, LOG_ONLY);
        const same = await recovered.columnFamily("shop", { create: false });
        assertEquals(same.stats().changes, { keepBytes, since, bytes: keptBytes });
        assertEquals(await everything(same, since), expected);
        assertEquals((await recovered.columnFamily("plain")).stats().changes, undefined);
        assert((await recovered.verify()).ok);
        // It goes on where it stopped.
        const { version } = same.stats();
        await same.table("stock", { key: text, value: bytes }).set("x", bytesOf(1));
        const next = await same.changes({ since: version }).next();
        assertEquals(next.value.version, version + 1);
      }
      if (keepBytes > 2 ** 30) await checkFollowed(family);
    }
  });
});

test("changes: what cannot be asked for", async () => {
  const db: Database = await openInMemory();
  const family = await db.createColumnFamily("shop", KEEP_ALL);
  const plain = await db.columnFamily("plain");
  assertThrows(() => plain.changes(), ManifoldError, "it keeps none; make it with");
  assertEquals(plain.stats().changes, undefined);
  const { version } = family.stats();
  assertThrows(() => family.changes({ since: version + 1 }), ManifoldError, "there is no version");
  for (const since of [-1, 1.5, NaN, "1" as never]) {
    assertThrows(() => family.changes({ since }), ManifoldError, "since is");
  }
  assertThrows(() => family.changes(1 as never), ManifoldError, "the options are");
  assertThrows(() => family.changes({ signal: {} as never }), ManifoldError, "AbortSignal");
  for (const keepBytes of [0, -1, 1.5, 2 ** 51, "1" as never, undefined as never]) {
    const made = () => db.createColumnFamily("new", { changes: { keepBytes } });
    await assertRejects(made, ManifoldError, "changes.keepBytes is");
  }
  await assertRejects(() => db.createColumnFamily("new", 1 as never), ManifoldError, "the options");
  const end = { value: undefined, done: true } as const;
  const waiting = family.changes();
  const late = waiting.next();
  await db.deleteColumnFamily("shop");
  assertEquals(await late, end);
  const again = await db.createColumnFamily("shop", KEEP_ALL);
  const last = again.changes().next();
  await db.close();
  assertEquals(await last, end);
  assertThrows(() => again.changes(), ManifoldError, "closed");
});
