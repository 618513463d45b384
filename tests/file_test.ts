/**
 * The file as a whole: its space comes back, it stays within bounds, it is never read wrongly, and
 * what was read stays what it was.
 */

import { open as openFile, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Database, ManifoldError, open, type OpenOptions, text, u32 } from "../mod.ts";
import { decodeMeta } from "../lib/storage/meta.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import { assert, assertEquals, assertLessOrEqual, assertRejects } from "./support/assert.ts";
import {
  assertUntouched,
  checkDatabase,
  type DatabaseModel,
  DatabaseProcess,
  filesOf,
} from "./support/database_process.ts";
import { Random } from "./support/random.ts";
import { bytesOf, ModelTable, type ModelValue, randomValue } from "./support/sorted_model.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const SMALL: OpenOptions = {
  pageSize: 4096,
  cacheBytes: 2 ** 20,
  logBytes: 2 ** 20,
  durability: "eventual",
};

/** `count` entries of about 1.5 KiB, some of them overflow values. */
function entriesOf(random: Random, count: number): [string, ModelValue][] {
  return Array.from({ length: count }, (_, i) => [
    `key-${String(i).padStart(6, "0")}`,
    randomValue(random, random.int(i % 20 === 0 ? 20_000 : 2000)),
  ]);
}

function encoded(entries: [string, ModelValue][]): [string, Uint8Array][] {
  return entries.map(([key, value]) => [key, bytesOf(value)]);
}

async function sizeAfterCheckpoints(db: Database, path: string): Promise<number> {
  // What the first releases, the next can give out again.
  for (let i = 0; i < 2; i++) await db.checkpoint();
  return (await stat(path)).size;
}

test("file: the space of deleted families and tables is used again", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "space.manifold");
    const random = new Random(21);
    const sizes: number[] = [];
    {
      await using db = await open(path, SMALL);
      const stays = (await db.columnFamily("stays")).table("t", { key: text });
      await stays.set("a", new Uint8Array(10));
      for (let cycle = 0; cycle < 24; cycle++) {
        const family = await db.columnFamily("cycle");
        const table = family.table("t", { key: text });
        await table.setMany(encoded(entriesOf(random, 700)));
        await family.table("dropped", { key: text }).setMany(encoded(entriesOf(random, 300)));
        await db.checkpoint();
        if (cycle % 2 === 0) await family.deleteTable("dropped");
        await db.deleteColumnFamily("cycle");
        sizes.push(await sizeAfterCheckpoints(db, path));
      }
      assertEquals(stays.count(), 1);
    }
    const early = Math.max(...sizes.slice(0, 6));
    assertLessOrEqual(sizes.at(-1)!, early * 1.25, `the file grew: ${sizes.join(" ")}`);
  });
});

test("file: overwriting the same keys for long keeps it bounded, also over reopenings", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "bounded.manifold");
    const random = new Random(22);
    const sizes: number[] = [];
    let last: [string, ModelValue][] = [];
    for (let opening = 0; opening < 3; opening++) {
      await using db = await open(path, SMALL);
      const table = (await db.columnFamily("f")).table("t", { key: text });
      for (let round = 0; round < 20; round++) {
        last = entriesOf(random, 500);
        for (let i = 0; i < last.length; i += 50) {
          await table.setMany(encoded(last.slice(i, i + 50)));
        }
        if (round % 3 === 0) await db.checkpoint();
        sizes.push((await stat(path)).size);
      }
    }
    const bytes = last.reduce((sum, [, value]) => sum + value.length, 0);
    const settled = Math.max(...sizes.slice(0, 20));
    assertLessOrEqual(Math.max(...sizes.slice(20)), settled * 1.25, sizes.join(" "));
    assertLessOrEqual(settled, bytes * 10, `${settled} bytes for ${bytes} of values`);
    await using db = await open(path, { readOnly: true });
    const table = (await db.columnFamily("f")).table("t", { key: text });
    const model = new ModelTable(last.map(([key]) => key), new Map(last));
    model.checkEntries(table.entries().toArray(), model.keys, "after all");
  });
});

test("file: what reads returned is unchanged after its pages were used for something else", async () => {
  await withTempDir(async (dir) => {
    const random = new Random(23);
    await using db = await open(join(dir, "held.manifold"), SMALL);
    const family = await db.columnFamily("f");
    const table = family.table("t", { key: text });
    const numbers = family.table("n", { key: u32 });
    const entries = entriesOf(random, 1200);
    const model = new ModelTable(entries.map(([key]) => key), new Map(entries));
    await table.setMany(encoded(entries));
    await numbers.setMany(entries.map(([, value], i) => [i, bytesOf(value)]));
    await db.checkpoint();

    const held = {
      get: entries.map(([key]) => [key, table.get(key)!] as [string, Uint8Array]),
      getMany: table.getMany(model.keys).map((value, i) =>
        [model.keys[i], value!] as [string, Uint8Array]
      ),
      entries: table.entries().toArray(),
      reverse: [...table.entries({ reverse: true })].reverse(),
      values: table.values().map((value, i) => [model.keys[i], value] as [string, Uint8Array])
        .toArray(),
      numbers: [...numbers].map(([n, value]) => [model.keys[n], value] as [string, Uint8Array]),
      at: model.keys.map((_, i) => table.at(i)!),
      view: model.keys.map((key) =>
        [key, table.view(key, (bytes) => bytes.slice())!] as [string, Uint8Array]
      ),
    };
    const { evictions } = db.stats().cache;
    for (let round = 0; round < 12; round++) {
      await table.setMany(encoded(entriesOf(random, 1200)));
      await numbers.deleteRange({ gte: random.int(1000) });
      await numbers.setMany(entries.map((_, i) => [i, bytesOf(randomValue(random, 3000))]));
      if (round % 4 === 0) await db.checkpoint();
      assert(table.entries().toArray().length === 1200);
    }
    assert(db.stats().cache.evictions - evictions > 2000, "the pages were not used again");
    for (const [how, got] of Object.entries(held)) {
      assertEquals(got.length, 1200);
      model.checkEntries(got, model.keys, `held results of ${how}`);
      for (const [, value] of got) assert(value.buffer instanceof ArrayBuffer, how);
    }
  });
});

/** Damages the newer of the two meta pages. */
async function damageNewestMeta(path: string): Promise<void> {
  const checksum = await Checksum.create();
  const bytes = new Uint8Array(await readFile(path));
  const generations = [0, 4096].map((at) => {
    const reading = decodeMeta(bytes.subarray(at, at + 4096), checksum);
    return "meta" in reading ? reading.meta.generation : -1;
  });
  const at = generations[0] > generations[1] ? 0 : 4096;
  const file = await openFile(path, "r+");
  await file.write(new Uint8Array([bytes[at + 100] ^ 1]), 0, 1, at + 100);
  await file.close();
}

/** What an opening after damage may do: give exactly what is expected, or say `corrupt`. */
async function rightOrCorrupt(path: string, model: DatabaseModel): Promise<"right" | "corrupt"> {
  let db: Database;
  const before = await filesOf(path);
  try {
    db = await open(path, SMALL);
  } catch (error) {
    assert(error instanceof ManifoldError, String(error));
    assertEquals(error.code, "corrupt", error.message);
    assert(error.message.includes(path), error.message);
    await assertUntouched(path, before);
    return "corrupt";
  }
  await using _ = db;
  await checkDatabase(db, model);
  return "right";
}

test("file: with the newest meta page damaged, a clean file is right or refused, never wrong", async () => {
  await withTempDir(async (dir) => {
    const random = new Random(24);
    const outcomes = new Set<string>();
    for (let openings = 0; openings < 4; openings++) {
      const path = join(dir, `meta-${openings}.manifold`);
      const model: DatabaseModel = new Map();
      for (let i = 0; i <= openings; i++) {
        await using db = await open(path, SMALL);
        if (openings === 0) break;
        const table = (await db.columnFamily("f")).table("t", { key: text });
        const entries = entriesOf(random, 200);
        await table.setMany(encoded(entries));
        model.set("f", new Map([["t", new ModelTable(entries.map(([k]) => k), new Map(entries))]]));
      }
      await damageNewestMeta(path);
      outcomes.add(await rightOrCorrupt(path, model));
    }
    assert(outcomes.has("corrupt"));
  });
});

test("file: with the newest meta page damaged after a crash, all is there or it is refused", async () => {
  await withTempDir(async (dir) => {
    const random = new Random(25);
    for (const checkpoints of [0, 1, 2, 3]) {
      const path = join(dir, `crash-${checkpoints}.manifold`);
      await using child = new DatabaseProcess("self");
      await child.tell({ do: "open", path, options: SMALL });
      for (let i = 0; i <= checkpoints; i++) {
        if (i > 0) await child.tell({ do: "checkpoint" });
        const writes = entriesOf(random, 100);
        await child.tell({ do: "write", family: "f", table: "t", writes, how: "at once" });
      }
      await child.kill();
      await damageNewestMeta(path);
      // The page of generation 1 alone says that there never was anything.
      if (checkpoints > 0) await rightOrCorrupt(path, child.model);
      else assertEquals(await rightOrCorrupt(path, child.model), "corrupt");
    }
  });
});

test("file: a transaction past the log is not lost with the newest meta page", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "bypass.manifold");
    await using child = new DatabaseProcess("self");
    await child.tell({ do: "open", path, options: { ...SMALL, logBytes: 2 ** 18 } });
    await child.tell({ do: "family", family: "f" });
    await child.tell({ do: "checkpoint" });
    const writes = entriesOf(new Random(27), 400);
    await child.tell({ do: "write", family: "f", table: "t", writes, how: "batch" });
    await child.kill();
    await damageNewestMeta(path);
    assertEquals(await rightOrCorrupt(path, child.model), "right");
  });
});

test("file: a crash while the first meta page of a life was written leaves the file as it was", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "begun.manifold");
    await using child = new DatabaseProcess("self");
    await child.tell({ do: "open", path, options: SMALL });
    await child.tell({ do: "family", family: "f" });
    await child.kill();
    await damageNewestMeta(path);
    // The header was durable before that page; no record can have been.
    await truncate(`${path}-log`, 4096);
    {
      await using db = await open(path, SMALL);
      assertEquals(db.columnFamilies(), []);
      await db.columnFamily("g");
    }
    await using db = await open(path, { readOnly: true });
    assertEquals(db.columnFamilies(), ["g"]);
  });
});

test("file: whichever byte of it is damaged, no read returns anything wrong", async () => {
  await withTempDir(async (dir) => {
    const random = Random.fromEnvironment("file damage");
    const path = join(dir, "whole.manifold");
    const entries = entriesOf(random, 300);
    const model = new ModelTable(entries.map(([key]) => key), new Map(entries));
    {
      await using db = await open(path, SMALL);
      await (await db.columnFamily("f")).table("t", { key: text }).setMany(encoded(entries));
    }
    const whole = await readFile(path);
    const damaged = join(dir, "damaged.manifold");
    let noticed = 0;
    for (let i = 0; i < 60; i++) {
      const bytes = new Uint8Array(whole);
      // Single bits, bytes of zeros over a sector, and pages that stand where another should.
      const at = random.int(bytes.length);
      const sector = at - at % 512;
      if (i % 3 === 0) bytes[at] ^= 1 << random.int(8);
      else if (i % 3 === 1) bytes.fill(0, sector, sector + 512);
      else {
        const from = random.int(bytes.length / 4096) * 4096;
        bytes.copyWithin(at - at % 4096, from, from + 4096);
      }
      await rm(damaged, { force: true });
      await writeFile(damaged, bytes);
      try {
        await using db = await open(damaged, { readOnly: true });
        const table = (await db.columnFamily("f", { create: false })).table("t", { key: text });
        assertEquals(table.count(), 300);
        for (const [key] of entries) model.checkValue(table.get(key), key, `damage ${i} at ${at}`);
        model.checkEntries([...table], model.keys, `damage ${i} at ${at}`);
      } catch (error) {
        if (!(error instanceof ManifoldError)) throw error;
        const codes = ["corrupt", "not-a-database", "needs-recovery", "unsupported-version"];
        assert(codes.includes(error.code), `${error.code}: ${error.message}`);
        assert(error.message.includes(damaged), error.message);
        noticed++;
      }
    }
    assert(noticed > 15, `only ${noticed} of 60 damages met anything`);
  });
});

test("file: one that was cut off is refused or its missing pages are, with the place", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "cut.manifold");
    {
      await using db = await open(path, SMALL);
      const table = (await db.columnFamily("f")).table("t", { key: text });
      await table.setMany(encoded(entriesOf(new Random(26), 300)));
    }
    const whole = await readFile(path);
    for (const length of [whole.length - 1, whole.length - 4096, whole.length >> 1, 12288, 8192]) {
      await writeFile(path, whole.subarray(0, length));
      const before = await filesOf(path);
      const error = await assertRejects(() => open(path), ManifoldError, path);
      assertEquals(error.code, "corrupt", `${length} bytes: ${error.message}`);
      await assertUntouched(path, before);
    }
  });
});
