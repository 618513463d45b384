/**
 * Protects the limits that are documented: what is allowed works at the limit, also after a reopening, and
 * what is just past it is refused with the code that is documented and changes nothing.
 *
 * `MANIFOLD_LIMITS=all` adds the largest value, of 1 GiB, which takes 4 GiB of memory and a minute.
 */

import { copyFile, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import {
  bytes,
  type Codec,
  type ColumnFamily,
  type Database,
  type ErrorCode,
  ManifoldError,
  open,
  openInMemory,
  type OpenOptions,
  type Snapshot,
  text,
  u32,
} from "../mod.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import { encodeMeta, META_BYTES, metaOffset } from "../lib/storage/meta.ts";
import { assert, assertEquals, assertGreater } from "./support/assert.ts";
import { Forger } from "./support/hostile_file.ts";
import { Random } from "./support/random.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const FAMILIES = 1000;
const TABLES = 10_000;
const SNAPSHOTS = 1000;
const GIB = 2 ** 30;

const withAll = process.env.MANIFOLD_LIMITS === "all";

const OPTIONS: OpenOptions = { pageSize: 4096, cacheBytes: 2 ** 24, durability: "eventual" };

async function refused(code: ErrorCode, word: string, fn: () => unknown): Promise<void> {
  let result: unknown;
  try {
    result = await fn();
  } catch (error) {
    assert(error instanceof ManifoldError, `another error came: ${error}`);
    assertEquals(error.code, code, error.message);
    assert(error.message.includes(word), error.message);
    return;
  }
  throw new Error(`${code} was expected, but it gave ${result}`);
}

test("limits: a thousand column families in one database", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "families.manifold");
    const names = Array.from({ length: FAMILIES }, (_, i) => `family ${i}`);
    {
      await using db = await open(path, OPTIONS);
      const families = await Promise.all(names.map((name) => db.columnFamily(name)));
      await Promise.all(
        families.map((family, i) =>
          family.table("t", { key: u32, value: text }).set(i, family.name)
        ),
      );
      assertEquals(db.columnFamilies(), names.toSorted());
    }
    {
      await using db = await open(path, OPTIONS);
      assertEquals(db.columnFamilies(), names.toSorted());
      const families = await Promise.all(names.map((name) => db.columnFamily(name)));
      for (const [i, family] of families.entries()) {
        const table = family.table("t", { key: u32, value: text });
        assertEquals([...table.entries()], [[i, names[i]]]);
      }
      // Every second one goes, every other one is written again.
      await Promise.all(families.map((family, i) =>
        i % 2 === 0
          ? db.deleteColumnFamily(family.name)
          : family.table("t", { key: u32, value: text }).set(i, "again")
      ));
      assertEquals(db.columnFamilies().length, FAMILIES / 2);
    }
    await using db = await open(path, OPTIONS);
    assertEquals(db.columnFamilies(), names.filter((_, i) => i % 2 === 1).toSorted());
    for (const [i, name] of names.entries()) {
      if (i % 2 === 0) continue;
      const family = await db.columnFamily(name, { create: false });
      assertEquals(family.table("t", { key: u32, value: text }).get(i), "again");
    }
  }));

test("limits: ten thousand tables in one column family", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "tables.manifold");
    const options = { key: u32, value: u32 };
    const names = Array.from({ length: TABLES }, (_, i) => `table ${String(i).padStart(5, "0")}`);
    {
      await using db = await open(path, OPTIONS);
      const family = await db.columnFamily("f");
      const batch = family.batch();
      for (const [i, name] of names.entries()) batch.set(family.table(name, options), i, i);
      await batch.commit();
      assertEquals(family.tables(), names);
      await Promise.all(names.map((name, i) => family.table(name, options).set(i + 1, 0)));
    }
    await using db = await open(path, OPTIONS);
    const family = await db.columnFamily("f");
    assertEquals(family.tables(), names);
    for (const [i, name] of names.entries()) {
      const table = family.table(name, options);
      assertEquals([table.count(), table.get(i), table.get(i + 1)], [2, i, 0]);
    }
    const half = names.filter((_, i) => i % 2 === 0);
    await Promise.all(half.map((name) => family.deleteTable(name)));
    assertEquals(family.tables(), names.filter((_, i) => i % 2 === 1));
  }));

test("limits: a thousand snapshots at once, each of its own version", async () => {
  await using db = await openInMemory({ pageSize: 4096, cacheBytes: 2 ** 22, maxWorkers: 1 });
  const family = await db.columnFamily("f");
  const table = family.table("t", { key: u32, value: u32 });
  const snapshots: Snapshot[] = [];
  const random = Random.fromEnvironment("a thousand snapshots");
  for (let i = 0; i < SNAPSHOTS; i++) {
    await table.setMany([[i, i], [5000, i], [random.int(4000) + 10_000, i]]);
    snapshots.push(family.snapshot());
  }
  assertEquals(db.stats().pins, SNAPSHOTS);
  await table.deleteRange({});
  for (const [i, snapshot] of snapshots.entries()) {
    const reader = snapshot.table(table);
    assertEquals([reader.count({ lt: 5000 }), reader.get(i), reader.get(i + 1)], [
      i + 1,
      i,
      undefined,
    ]);
    assertEquals(reader.get(5000), i);
  }
  assertEquals(table.count(), 0);
  // In any order, and the rest stays as it is.
  for (let left = SNAPSHOTS; left > 0; left--) {
    const [snapshot] = snapshots.splice(random.int(left), 1);
    const reader = snapshot.table(table);
    assertEquals(reader.count({ lt: 5000 }), reader.get(5000)! + 1);
    snapshot.dispose();
  }
  assertEquals(db.stats().pins, 0);
});

/** A file whose first column family has seen, and which itself has made, as many versions as say so. */
async function withCounters(path: string, version: number, generation: number): Promise<void> {
  const checksum = await Checksum.create();
  const forger = new Forger(checksum);
  let file: Uint8Array = new Uint8Array(await readFile(path)).slice();
  file = forger.withFamily(file, { version });
  file = forger.withDirectory(file, { generation });
  const meta = encodeMeta({ ...forger.meta(file), generation }, checksum);
  file.fill(0, 0, 2 * META_BYTES);
  file.set(meta, metaOffset(generation));
  await writeFile(path, file);
}

test("limits: versions of a column family, and generations of the file, go on beyond 2^32", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "counters.manifold");
    const options = { ...OPTIONS, logBytes: 2 ** 18, maxWorkers: 1 };
    const from = 2 ** 32 - 3;
    {
      await using db = await open(path, options);
      const family = await db.createColumnFamily("counted", { changes: { keepBytes: 2 ** 20 } });
      await family.table("t", { key: u32, value: bytes }).set(0, new Uint8Array(3000));
    }
    await withCounters(path, from, from);
    const crashed = join(dir, "crashed.manifold");
    const last = from + 10;
    const check = async (path: string): Promise<void> => {
      await using db = await open(path, options);
      const report = await db.verify();
      assertEquals(report.findings, []);
      const family = await db.columnFamily("counted", { create: false });
      assertEquals(family.stats().version, last);
      const table = family.table("t", { key: u32, value: bytes });
      assertEquals([...table.keys()], Array.from({ length: 11 }, (_, i) => i));
      const versions: number[] = [];
      for await (const { version, last: isLast } of family.changes({ since: from })) {
        assert(isLast);
        versions.push(version);
        if (version === last) break;
      }
      assertEquals(versions, Array.from({ length: 10 }, (_, i) => from + 1 + i));
    };
    {
      await using db = await open(path, options);
      const family = await db.columnFamily("counted", { create: false });
      const table = family.table("t", { key: u32, value: bytes });
      const events = table.watch();
      const told: number[] = [];
      const held: Snapshot[] = [];
      for (let i = 1; i <= 10; i++) {
        await table.set(i, new Uint8Array(3000).fill(i), { durability: "immediate" });
        assertEquals(family.stats().version, from + i);
        told.push((await events.next()).value!.version);
        held.push(family.snapshot());
        if (i % 4 === 2) await db.checkpoint();
        if (i % 3 === 0) assertEquals((await db.verify()).findings, []);
        assertEquals(db.stats().oldestPin?.version, from + 1);
      }
      assertEquals(told, held.map(({ version }) => version));
      for (const [i, snapshot] of held.entries()) {
        assertEquals(snapshot.table(table).count(), i + 2);
        snapshot.dispose();
      }
      await events.return?.();
      await copyFile(path, crashed);
      await copyFile(`${path}-log`, `${crashed}-log`);
    }
    const checksum = await Checksum.create();
    const { generation } = new Forger(checksum).meta(new Uint8Array(await readFile(path)));
    assertGreater(generation, 2 ** 32);
    await check(path);
    await check(crashed);
  }));

test("limits: names of families and tables have every byte of UTF-8 but NUL, up to 255 of them", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "names.manifold");
    const points: number[] = [];
    for (let point = 1; point < 0x800; point++) points.push(point);
    // With these, every byte that UTF-8 has at its places.
    for (let lead = 0; lead < 16; lead++) {
      points.push(lead << 12 | 0x8ff & (lead === 13 ? 0x7ff : 0xfff));
    }
    for (let lead = 0; lead < 5; lead++) points.push(Math.min(0x10ffff, 0x10000 + (lead << 18)));
    points.push(0xfeff, 0xfffe, 0xffff, 0x10ffff);
    const encoder = new TextEncoder();
    const singles = [...new Set(points)].map((point) => String.fromCodePoint(point))
      .filter((name) => name.isWellFormed());
    const longest = ["x".repeat(255), "ü".repeat(127) + "x", "🙂".repeat(63) + "xyz"];
    const odd = ["__proto__", "constructor", "toString", ".", "..", "/", "\\", " ", "\n", '"'];
    const seen = new Set<number>();
    for (const name of singles) for (const byte of encoder.encode(name)) seen.add(byte);
    for (let byte = 1; byte < 0xf5; byte++) {
      assertEquals(seen.has(byte), byte !== 0xc0 && byte !== 0xc1, `byte ${byte}`);
    }
    const inOrder = (names: string[]): string[] =>
      names.toSorted((a, b) => Buffer.compare(encoder.encode(a), encoder.encode(b)));
    const tables = inOrder([...singles, ...longest, ...odd]
      .filter((name, i, all) => all.indexOf(name) === i));
    const families = inOrder([...longest, ...odd, singles.slice(0, 127).join("")]);
    const fill = async (family: ColumnFamily, names: string[]): Promise<void> => {
      const batch = family.batch();
      for (const name of names) {
        batch.set(family.table(name, { key: text, value: text }), name, name);
      }
      await batch.commit();
    };
    const check = (family: ColumnFamily, names: string[]): void => {
      assertEquals(family.tables(), names);
      for (const name of names) {
        const table = family.table(name, { key: text, value: text });
        assertEquals([...table.entries()], [[name, name]]);
      }
    };
    {
      await using db = await open(path, OPTIONS);
      await fill(await db.columnFamily("all"), tables);
      for (const name of families) await fill(await db.columnFamily(name), [name]);
    }
    await using db = await open(path, OPTIONS);
    assertEquals(db.columnFamilies(), inOrder(["all", ...families]));
    const all = await db.columnFamily("all");
    check(all, tables);
    for (const name of families) check(await db.columnFamily(name), [name]);
    for (
      const bad of [
        "",
        "\0",
        "a\0",
        "x".repeat(256),
        "ü".repeat(128),
        "🙂".repeat(64),
        "\ud800",
        "\udfffx",
        1,
        null,
        undefined,
        {},
        encoder.encode("x"),
      ] as string[]
    ) {
      await refused("invalid-argument", "name", () => db.columnFamily(bad));
      await refused("invalid-argument", "name", () => db.createColumnFamily(bad));
      await refused("invalid-argument", "name", () => db.deleteColumnFamily(bad));
      await refused("invalid-argument", "name", () => all.table(bad));
      await refused("invalid-argument", "name", () => all.deleteTable(bad));
    }
    assertEquals(all.tables().length, tables.length);
  }));

test("limits: a key may have a quarter of the page size, and not a byte more", () =>
  withTempDir(async (dir) => {
    for (const pageSize of [4096, 8192, 65536]) {
      const path = join(dir, `keys ${pageSize}.manifold`);
      const longest = pageSize / 4;
      const key = (last: number, ...more: number[]): Uint8Array =>
        new Uint8Array([...new Uint8Array(longest - 1).fill(7), last, ...more]);
      // Many of them, alike but for their ends: leaves and branches of nothing but long keys.
      const keys = Array.from({ length: 100 }, (_, i) => key(i * 2));
      const refuse = async (db: Database): Promise<void> => {
        const family = await db.columnFamily("f");
        const table = family.table("t");
        const long = key(0, 1);
        const value = new Uint8Array(1);
        const word = `${longest + 1} bytes`;
        await refused("too-large", word, () => table.set(long, value));
        await refused("too-large", word, () => table.delete(long));
        await refused("too-large", word, () => table.setMany([[keys[0], value], [long, value]]));
        await refused("too-large", word, () => family.batch().set(table, long, value));
        await refused("too-large", word, () => family.batch().delete(table, long));
        await refused(
          "too-large",
          word,
          () => family.transaction((tx) => tx.table(table).set(long, value)),
        );
        // To ask for one, or to begin there, is no mistake.
        assertEquals([table.get(long), table.has(long)], [undefined, false]);
        assertEquals(table.count({ gte: long }), table.count({ gt: keys[0] }));
        assertEquals(table.count({ prefix: long }), 0);
        using iterator = table.keys();
        assertEquals(iterator.seek(key(0, 0)).next().value, keys[1]);
        await family.transaction((tx) => assertEquals(tx.table(table).get(long), undefined));
      };
      {
        await using db = await open(path, { ...OPTIONS, pageSize });
        const table = (await db.columnFamily("f")).table("t");
        await table.setMany(keys.toReversed().map((key) => [key, key.subarray(0, 40)]));
        await refuse(db);
      }
      {
        await using db = await open(path, OPTIONS);
        const table = (await db.columnFamily("f")).table("t");
        await refuse(db);
        assertEquals(table.keys().toArray(), keys);
        for (const key of keys) assertEquals(table.get(key), key.slice(0, 40));
        // Nor does a bound that is longer than any key delete its neighbours.
        assertEquals(
          await table.deleteRange({ gt: key(0, 0), lt: key(1, 9) }),
          0,
        );
        assertEquals(await table.deleteRange({ lte: keys[49] }), 50);
        for (const key of keys.slice(50)) assertEquals(await table.delete(key), true);
        assertEquals(table.count(), 0);
      }
      await rm(path);
    }
  }));

/** A codec of lengths: what it writes is zeros, which take no memory before they are copied. */
const zeros: Codec<number> = {
  name: "bytes",
  ordered: true,
  encode: (length, target) => void target.reserve(length),
  decode: (encoded) => encoded.length,
};

/** Writes and reads a value of that length, with a mark at its ends. */
async function largeValue(path: string, length: number): Promise<void> {
  const value = new Uint8Array(length);
  value[0] = 1;
  value[length - 1] = 2;
  {
    await using db = await open(path, OPTIONS);
    const table = (await db.columnFamily("f")).table("t", { key: u32, value: bytes });
    await table.set(1, value);
    await table.set(2, new Uint8Array([3]));
  }
  await using db = await open(path, OPTIONS);
  const table = (await db.columnFamily("f")).table("t", { key: u32, value: bytes });
  const ends = (read: Uint8Array): number[] => [read.length, read[0], read[1], read[length - 1]];
  assertEquals(table.view(1, ends), [length, 1, 0, 2]);
  assertEquals(table.get(2), new Uint8Array([3]));
  assertEquals(await table.delete(1), true);
  assertEquals(table.stats().overflowValues, 0);
}

test("limits: a value of 64 MiB, and one just past 1 GiB", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "value.manifold");
    await largeValue(path, 64 * 2 ** 20);
    await using db = await open(path, OPTIONS);
    const family = await db.columnFamily("f");
    const table = family.table("t", { key: u32, value: zeros });
    for (const length of [GIB + 1, GIB + 2 ** 17]) {
      await refused("too-large", "", () => table.set(9, length));
      await refused("too-large", "", () => table.setMany([[8, 1], [9, length]]));
      await refused("too-large", "", () => family.batch().set(table, 9, length));
      await refused("too-large", "", () =>
        family.transaction((tx) =>
          tx.table(table).set(9, length)
        ));
    }
    assertEquals(table.keys().toArray(), [2]);
    await table.set(9, 100_000);
    assertEquals(table.get(9), 100_000);
  }));

test(
  "limits: a value of 1 GiB",
  { ignore: !withAll, timeoutMs: 600_000 },
  () => withTempDir((dir) => largeValue(join(dir, "value.manifold"), GIB)),
);

test("limits: as many column families as a database can have, and one more", {
  ignore: !withAll,
  timeoutMs: 600_000,
}, async () => {
  await using db = await openInMemory({ pageSize: 4096, cacheBytes: 2 ** 22 });
  let made = 0;
  try {
    for (;; made++) await db.createColumnFamily(`family ${made}`);
  } catch (error) {
    assert(error instanceof ManifoldError, String(error));
    assertEquals(error.code, "too-large");
  }
  assertEquals(made, 8191);
  await db.deleteColumnFamily("family 0");
  await db.checkpoint();
  assertGreater(db.columnFamilies().length, 8000);
});
