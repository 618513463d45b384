/**
 * Protects what `salvage` promises: whatever is damaged, all the rest is in the new database, the report
 * names what is not, and the damaged files stay as they are.
 */

import { copyFile, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  bytes,
  type Database,
  ManifoldError,
  open,
  type OpenOptions,
  salvage,
  type SalvageReport,
  text,
  u32,
} from "../mod.ts";
import { logPathOf } from "../lib/log/log_file.ts";
import { assert, assertEquals, assertGreater, assertRejects } from "./support/assert.ts";
import { DamagedFile } from "./support/damaged_file.ts";
import {
  assertUntouched,
  checkDatabase,
  type DatabaseModel,
  DatabaseProcess,
  filesOf,
  lookAt,
} from "./support/database_process.ts";
import { Random } from "./support/random.ts";
import { ModelTable, type ModelValue, randomValue } from "./support/sorted_model.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const SMALL: OpenOptions = { pageSize: 4096, cacheBytes: 2 ** 20, logBytes: 2 ** 18 };

/** Key to length and first byte of the value: enough to tell values apart. */
type Content = Map<string, string>;
/** By `family/table`. */
type Contents = Map<string, Content>;

const STOCK = "shop/stock";
const IMAGES = "shop/images";

function valueOf(i: number): Uint8Array {
  return new Uint8Array(60 + i % 80).fill(i % 251);
}

/** Three levels of stock, overflow values, an empty table, another family; and versions before these. */
async function fill(db: Database): Promise<void> {
  const shop = await db.columnFamily("shop");
  const stock = shop.table("stock", { key: text, value: bytes });
  const images = shop.table("images", { key: text, value: bytes });
  const key = (i: number) => `item-${String(i).padStart(5, "0")}`;
  await images.set("image-0", new Uint8Array(9000).fill(99));
  await stock.setMany(Array.from({ length: 4000 }, (_, i) => [key(i), new Uint8Array(90)]));
  await db.checkpoint();
  // What is replaced and deleted here must not come back.
  await stock.setMany(Array.from({ length: 4000 }, (_, i) => [key(i), valueOf(i)]));
  await stock.deleteRange({ gte: key(1000), lt: key(1200) });
  for (let i = 0; i < 8; i++) {
    await images.set(`image-${i}`, new Uint8Array(6000 + i * 2000).fill(i + 1));
  }
  const empty = shop.table("empty", { key: u32, value: text });
  await empty.set(1, "one");
  await empty.delete(1);
  const other = await db.columnFamily("other");
  await other.table("numbers", { key: text, value: bytes })
    .setMany(Array.from({ length: 50 }, (_, i) => [`n${i}`, valueOf(i)]));
  await db.columnFamily("bare");
  await (await db.columnFamily("dropped")).table("t", { key: text }).set("gone", valueOf(1));
  await db.deleteColumnFamily("dropped");
}

/** Everything that a database has; tables of other key codecs by their names only. */
async function contentsOf(db: Database): Promise<Contents> {
  const contents: Contents = new Map();
  for (const name of db.columnFamilies()) {
    const family = await db.columnFamily(name);
    contents.set(name, new Map());
    for (const table of family.tables()) {
      const content: Content = new Map();
      contents.set(`${name}/${table}`, content);
      if (table === "empty") {
        assertEquals(family.table(table, { key: u32, value: text }).count(), 0);
        continue;
      }
      const isNamed = !/^table-\d+$/.test(table);
      const entries: Iterable<[string | Uint8Array, Uint8Array]> = isNamed
        ? family.table(table, { key: text, value: bytes }).entries()
        : family.table(table).entries();
      for (const [key, value] of entries) {
        const name = typeof key === "string" ? key : new TextDecoder().decode(key);
        content.set(name, `${value.length}:${value[0]}`);
        assert(value.every((byte) => byte === value[0]));
      }
    }
  }
  return contents;
}

interface Salvaged {
  readonly report: SalvageReport;
  readonly contents: Contents;
}

/** Salvages a file, which must stay as it is, and reads the result, which must be sound. */
async function salvaged(path: string): Promise<Salvaged> {
  const to = `${path}-new-place`;
  await rm(to, { force: true });
  const before = await filesOf(path);
  const report = await salvage(path, to);
  await assertUntouched(path, before);
  await using db = await open(to, { readOnly: true });
  const verified = await db.verify();
  assertEquals(verified.findings, []);
  const { families, tables, entries } = verified;
  assertEquals(
    { families, tables, entries },
    { families: report.families, tables: report.tables, entries: report.entries },
  );
  return { report, contents: await contentsOf(db) };
}

async function withFile(fn: (path: string, contents: Contents) => Promise<void>): Promise<void> {
  await withTempDir(async (dir) => {
    const path = join(dir, "damaged.manifold");
    let contents: Contents;
    {
      await using db = await open(path, SMALL);
      await fill(db);
      contents = await contentsOf(db);
    }
    await fn(path, contents);
  });
}

/** What a damage costs. */
interface Cost {
  /** Losses in their order, by kind. */
  readonly kinds: readonly string[];
  /** Keys that are missing, by `family/table`. */
  readonly missing?: Readonly<Record<string, readonly string[]>>;
  /** Tables that have lost their names: from, to. */
  readonly renamed?: Readonly<Record<string, string>>;
  /** The pages that the losses name. */
  readonly pages?: readonly number[];
  /** Tables that are missing: empty ones that nothing is left of. */
  readonly gone?: readonly string[];
  /** Nobody can tell whether there was more. */
  readonly unsure?: boolean;
}

function assertCost({ report, contents }: Salvaged, whole: Contents, cost: Cost): void {
  const what = JSON.stringify(report.losses, null, 1);
  const expected: Contents = new Map();
  let missing = 0;
  for (const [name, content] of whole) {
    if (cost.gone?.includes(name)) continue;
    const left = new Map(content);
    for (const key of cost.missing?.[name] ?? []) {
      assert(left.delete(key));
      missing++;
    }
    expected.set(cost.renamed?.[name] ?? name, left);
  }
  assertEquals([...contents.keys()].sort(), [...expected.keys()].sort(), what);
  for (const [name, content] of expected) assertEquals(contents.get(name), content, name);
  assertEquals(report.losses.map(({ kind }) => kind), cost.kinds, what);
  assertEquals(report.entriesLost, missing, what);
  assertEquals(report.complete, missing === 0 && !cost.unsure, what);
  assertEquals(report.lossesTotal, report.losses.length);
  if (cost.pages) assertEquals(report.losses.map(({ page }) => page!), [...cost.pages], what);
}

/** Each makes one kind of damage and says what it costs. */
const damages: Record<string, (file: DamagedFile) => Cost> = {
  "nothing": () => ({ kinds: [] }),
  "a leaf": (file) => {
    const { page } = file.leaves("shop", "stock")[7];
    const missing = { [STOCK]: file.keys(page) };
    file.flipIn(page, 2222);
    return { kinds: ["leaf"], missing, pages: [page] };
  },
  "an older page in the place of a leaf": (file) => {
    const { page } = file.leaves("shop", "stock")[8];
    const missing = { [STOCK]: file.keys(page) };
    file.page(page).u32[4]--;
    file.seal(page);
    return { kinds: ["leaf"], missing, pages: [page] };
  },
  "a branch": (file) => {
    const { page } = file.branches("shop", "stock")[1];
    file.flipIn(page, 200);
    return { kinds: ["branch"], pages: [page] };
  },
  "the root of a table": (file) => {
    const { page } = file.branches("shop", "stock")[0];
    file.flipIn(page, 60);
    return { kinds: ["branch"], pages: [page] };
  },
  "a branch and a leaf below it": (file) => {
    const [, { page: branch }] = file.branches("shop", "stock");
    const leaf = file.leaves("shop", "stock").find(({ parent }) => parent!.page === branch)!.page;
    const missing = { [STOCK]: file.keys(leaf) };
    file.flipIn(branch, 200);
    file.flipIn(leaf, 2000);
    return { kinds: ["branch"], missing, pages: [branch] };
  },
  "a root and a leaf that a branch below it leads to": (file) => {
    const { page: root } = file.branches("shop", "stock")[0];
    const { page: leaf } = file.leaves("shop", "stock")[5];
    const missing = { [STOCK]: file.keys(leaf) };
    file.flipIn(root, 60);
    file.flipIn(leaf, 2000);
    return { kinds: ["branch", "leaf"], missing, pages: [root, leaf] };
  },
  "overflow values": (file) => {
    const [, a, b] = file.values("shop", "images");
    const keys = file.keys(a.leaf);
    file.flipIn(a.page, 4500);
    file.flipIn(b.page, 20);
    const missing = { [IMAGES]: [keys[a.slot], keys[b.slot]] };
    return { kinds: ["value", "value"], missing, pages: [a.page, b.page] };
  },
  "a catalog": (file) => {
    const { page } = file.catalog("shop")[0];
    file.flipIn(page, 4090);
    // The empty table has no page that could tell of it.
    return { kinds: ["catalog"], pages: [page], gone: ["shop/empty"] };
  },
  "a catalog, and all pages of a table": (file) => {
    const { page } = file.catalog("other")[0];
    const pages = file.table("other", "numbers");
    for (const { page } of pages) file.flipIn(page, 4090);
    file.flipIn(page, 4090);
    return { kinds: ["catalog"], pages: [page], gone: ["other/numbers"], unsure: true };
  },
  "an allocator image": (file) => {
    const { page } = file.image("shop");
    file.flipIn(page, 60);
    return { kinds: ["allocator-image"], pages: [page] };
  },
  "the older meta page": (file) => {
    const at = 4096 - file.meta.generation % 2 * 4096;
    file.flip(at + 40);
    return { kinds: ["meta"] };
  },
  "the newest meta page": (file) => {
    const at = file.meta.generation % 2 * 4096;
    file.flip(at + 40);
    // The other one is of a time when there was a log.
    return { kinds: ["meta", "log"], unsure: true };
  },
  "both meta pages": (file) => {
    file.bytes.fill(0, 0, 8192);
    return { kinds: ["meta", "meta", "log"], unsure: true };
  },
  "the directory": (file) => {
    file.flipIn(file.meta.directoryPage, 30);
    return { kinds: ["directory"] };
  },
};

test("salvage: each kind of damage costs what it must, and no more", async () => {
  await withFile(async (path, contents) => {
    const sound = (await DamagedFile.read(path)).bytes.slice();
    for (const [name, damage] of Object.entries(damages)) {
      const file = await DamagedFile.read(path);
      const cost = damage(file);
      await file.write();
      try {
        assertCost(await salvaged(path), contents, cost);
      } catch (error) {
        throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
      }
      file.bytes.set(sound);
      await file.write();
    }
  });
});

test("salvage: without catalog and allocator image the newest pages are taken, and doubted", async () => {
  await withFile(async (path, contents) => {
    const file = await DamagedFile.read(path);
    file.flipIn(file.catalog("shop")[0].page, 4090);
    file.flipIn(file.image("shop").page, 60);
    await file.write();
    const { report, contents: found } = await salvaged(path);
    assert(!report.complete);
    assert(report.losses.some(({ kind, table }) => kind === "doubtful" && table === "stock"));
    const stock = found.get(STOCK)!;
    for (const [key, value] of contents.get(STOCK)!) assertEquals(stock.get(key), value, key);
    for (const [key, value] of contents.get(IMAGES)!) {
      assertEquals(found.get(IMAGES)!.get(key), value, key);
    }
    assertEquals(found.get("other/numbers"), contents.get("other/numbers"));
  });
});

test("salvage: what is of an earlier checkpoint is doubted", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "damaged.manifold");
    {
      // With a log that makes no checkpoint by itself.
      await using db = await open(path, { ...SMALL, logBytes: 2 ** 23 });
      const images = (await db.columnFamily("shop")).table("images", { key: text, value: bytes });
      await images.set("image-0", new Uint8Array(10).fill(1));
      await db.checkpoint();
      await images.set("image-0", new Uint8Array(10).fill(2));
    }
    const file = await DamagedFile.read(path);
    file.bytes.fill(0, 0, 8192);
    file.page(file.meta.directoryPage).u8.fill(0);
    file.page(file.image("shop").page).u8.fill(0);
    await file.write();
    const { report, contents } = await salvaged(path);
    assertEquals(contents.get(IMAGES)!.get("image-0"), "10:1");
    const doubtful = report.losses.filter(({ kind }) => kind === "doubtful");
    assertEquals(doubtful.map(({ family, table }) => [family, table]), [["shop", undefined]]);
  });
});

test("salvage: a file that was cut off gives what is before the cut", async () => {
  await withFile(async (path, contents) => {
    const file = await DamagedFile.read(path);
    const cut = file.bytes.length - 100 * file.pageSize - 1000;
    const isBehind = (page: number, pages: number) => (page + pages) * file.pageSize > cut;
    const missing = new Set<string>();
    for (const { page } of file.leaves("shop", "stock")) {
      if (isBehind(page, 1)) { for (const key of file.keys(page)) missing.add(key); }
    }
    await truncate(path, cut);
    const { report, contents: found } = await salvaged(path);
    assertGreater(missing.size, 0);
    const there = found.get(STOCK)!;
    // What was behind the cut may be there in an older page.
    for (const [key, value] of contents.get(STOCK)!) {
      if (!missing.has(key)) assertEquals(there.get(key), value, key);
    }
    const doubtful = report.losses.filter(({ kind }) => kind === "doubtful");
    for (const [key, value] of found.get(IMAGES) ?? []) {
      const mayBeOld = doubtful.some(({ table }) => table === "images");
      if (!mayBeOld) assertEquals(value, contents.get(IMAGES)!.get(key), key);
    }
    assert(!report.complete);
  });
});

for (const pageSize of [8192, 65536]) {
  test(`salvage: the page size of ${pageSize} bytes is found without a meta page`, async () => {
    await withTempDir(async (dir) => {
      const path = join(dir, "headless.manifold");
      {
        await using db = await open(path, { pageSize, logBytes: 2 ** 18, cacheBytes: 2 ** 23 });
        await fill(db);
      }
      const whole = await readFile(path);
      let contents: Contents;
      {
        await using db = await open(path, { readOnly: true });
        contents = await contentsOf(db);
      }
      whole.fill(0xff, 0, 8192);
      await writeFile(path, whole);
      assertCost(await salvaged(path), contents, {
        kinds: ["meta", "meta", "log"],
        unsure: true,
      });
    });
  });
}

/** The writes of `count` keys from `from` on, with values of the seed. */
function writesOf(seed: number, from: number, count: number): [string, ModelValue | null][] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, i) => [
    `key-${String(from + i).padStart(3, "0")}`,
    randomValue(random, 1 + random.int(1500)),
  ]);
}

/** A killed process's database; `fn` writes what the log alone has. */
async function withKilled(
  write: (child: DatabaseProcess) => Promise<unknown>,
  fn: (path: string, model: DatabaseModel) => Promise<void>,
): Promise<void> {
  await withTempDir(async (dir) => {
    const path = join(dir, "killed.manifold");
    await using child = new DatabaseProcess("self");
    await child.tell({ do: "open", path, options: { ...SMALL, logBytes: 2 ** 20 } });
    const writes = writesOf(1, 0, 40);
    await child.tell({ do: "write", family: "a", table: "t", writes, how: "at once" });
    await child.tell({ do: "write", family: "a", table: "dropped", writes, how: "batch" });
    await child.tell({ do: "write", family: "gone", table: "t", writes, how: "batch" });
    await child.tell({ do: "checkpoint" });
    await write(child);
    await child.kill();
    await fn(path, child.model);
  });
}

/** Salvages and compares with a model. */
async function salvageAndCheck(path: string, model: DatabaseModel): Promise<SalvageReport> {
  const to = `${path}-new-place`;
  await rm(to, { force: true });
  const before = await filesOf(path);
  const report = await salvage(path, to);
  await assertUntouched(path, before);
  await using db = await open(to, { readOnly: true });
  assertEquals((await db.verify()).findings, []);
  await checkDatabase(db, model);
  return report;
}

async function writeLater(child: DatabaseProcess): Promise<void> {
  const tell = (family: string, table: string, seed: number, from: number, count: number) =>
    child.tell({
      do: "write",
      family,
      table,
      writes: writesOf(seed, from, count),
      how: "each",
    });
  await tell("a", "t", 2, 20, 30);
  await tell("a", "made later", 3, 0, 10);
  await child.tell({ do: "delete-table", family: "a", table: "made later" });
  await child.tell({ do: "delete-table", family: "a", table: "dropped" });
  await tell("a", "made later", 4, 5, 10);
  await child.tell({ do: "delete-family", family: "gone" });
  await child.tell({ do: "family", family: "bare" });
  await tell("b", "t", 5, 0, 10);
  const deletions = writesOf(2, 0, 5).map(([key]): [string, null] => [key, null]);
  await child.tell({ do: "write", family: "a", table: "t", writes: deletions, how: "each" });
}

test("salvage: what only the log has is applied, also when the file is damaged", async () => {
  await withKilled(writeLater, async (path, model) => {
    const { records } = await lookAt(path);
    const report = await salvageAndCheck(path, model);
    assertEquals(
      [report.log, report.logRecordsUsed, report.complete, report.lossesTotal],
      ["used", records.length, true, 0],
    );
    const file = await DamagedFile.read(path);
    for (const at of [0, 4096]) file.flip(at + 44);
    await file.write();
    const headless = await salvageAndCheck(path, model);
    assertEquals([headless.log, headless.complete], ["used", true]);
    assertEquals(headless.losses.map(({ kind }) => kind), ["meta", "meta"]);
  });
});

test("salvage: a log that is damaged, foreign or missing", async () => {
  const writes = writesOf(6, 100, 30);
  const tell = (child: DatabaseProcess) =>
    child.tell({ do: "write", family: "a", table: "t", writes, how: "each" });
  await withKilled(tell, async (path, model) => {
    const logPath = logPathOf(path);
    const sound = new Uint8Array(await readFile(logPath));
    const { records } = await lookAt(path);
    assertEquals(records.length, writes.length);
    const without = (...lost: number[]): DatabaseModel => {
      const left: DatabaseModel = new Map(model);
      const tables = new Map(model.get("a")!);
      const table = tables.get("t")!;
      const keys = lost.map((i) => writes[i][0]);
      tables.set(
        "t",
        new ModelTable(table.keys.filter((key) => !keys.includes(key)), table.values),
      );
      return left.set("a", tables);
    };

    // A record in the middle: what is behind it is durable, and is not given up.
    const log = sound.slice();
    log[records[10].at + 70] ^= 1;
    await writeFile(logPath, log);
    const damaged = await salvageAndCheck(path, without(10));
    assertEquals([damaged.log, damaged.logRecordsUsed], ["damaged", writes.length - 1]);
    assertEquals(damaged.losses[0].position, records[10].position);
    assert(!damaged.complete && damaged.losses.every(({ kind }) => kind === "log"));

    // The header: salt and end are found without it.
    const headless = sound.slice();
    headless.fill(0, 0, 100);
    await writeFile(logPath, headless);
    const recovered = await salvageAndCheck(path, model);
    assertEquals([recovered.log, recovered.logRecordsUsed], ["damaged", writes.length]);

    // The end: it cannot be told from a torn one.
    await writeFile(logPath, sound.subarray(0, records[25].at + 10));
    const torn = await salvageAndCheck(path, without(25, 26, 27, 28, 29));
    assertEquals([torn.log, torn.logRecordsUsed], ["used", 25]);

    const all = writes.map((_, i) => i);
    await writeFile(logPath, new Uint8Array(8192));
    const blank = await salvageAndCheck(path, without(...all));
    assertEquals([blank.log, blank.logRecordsUsed, blank.complete], ["damaged", 0, false]);
    await rm(logPath);
    const missing = await salvageAndCheck(path, without(...all));
    assertEquals([missing.log, missing.logRecordsUsed, missing.complete], ["missing", 0, false]);
  });
});

test("salvage: the newest meta page is lost after a crash", async () => {
  await withKilled(writeLater, async (path, model) => {
    const file = await DamagedFile.read(path);
    file.flip(file.meta.generation % 2 * 4096 + 44);
    await file.write();
    const report = await salvageAndCheck(path, model);
    assertEquals([report.log, report.losses.map(({ kind }) => kind)], ["used", ["meta"]]);
  });
});

test("salvage: a checkpoint that came to nothing is not taken for the last one", async () => {
  await withKilled(writeLater, async (path, model) => {
    const recovered = `${path}-recovered`;
    await copyFile(path, recovered);
    await copyFile(logPathOf(path), logPathOf(recovered));
    await (await open(recovered)).close();
    const later = await DamagedFile.read(recovered);
    const file = await DamagedFile.read(path);
    // Its image was written, and no page of what the image speaks of.
    const { page, length } = later.image("a");
    const end = (page + 1) * file.pageSize;
    assert(length < 4000 && later.family("a").entry.version > file.family("a").entry.version);
    const bytes = new Uint8Array(Math.max(file.bytes.length, end));
    bytes.set(file.bytes);
    bytes.set(later.page(page).u8, page * file.pageSize);
    bytes[file.meta.generation % 2 * 4096 + 44] ^= 1;
    await writeFile(path, bytes);
    const report = await salvageAndCheck(path, model);
    assertEquals([report.log, report.complete], ["used", true]);
  });
});

test("salvage: random damage never ends it, and never makes entries up", async () => {
  const random = Random.fromEnvironment("salvage of random damage");
  await withFile(async (path, contents) => {
    const sound = new Uint8Array(await readFile(path));
    for (let round = 0; round < 4; round++) {
      const damaged = sound.slice();
      for (let i = 1 << random.int(6); i > 0; i--) {
        const at = random.int(damaged.length);
        const length = random.chance(0.5) ? 1 : random.int(3 * 4096);
        damaged.set(random.bytes(length).subarray(0, damaged.length - at), at);
      }
      await writeFile(path, damaged);
      const { report, contents: found } = await salvaged(path);
      // With old pages in doubt, old values may come back.
      if (report.losses.some(({ kind }) => kind === "doubtful")) continue;
      for (const [name, content] of found) {
        const whole = contents.get(name) ??
          [...contents.values()].find((one) => [...content.keys()].every((key) => one.has(key)));
        for (const [key, value] of content) assertEquals(whole?.get(key), value, `${name} ${key}`);
      }
      let missing = 0;
      for (const content of contents.values()) missing += content.size;
      for (const content of found.values()) missing -= content.size;
      if (missing > 0) assert(!report.complete, `${missing} entries are missing without a word`);
    }
  });
});

test("salvage: refuses what it must, and leaves nothing behind", async () => {
  await withFile(async (path) => {
    const dir = join(path, "..");
    const names = async () => (await readdir(dir)).sort();
    const refused = async (code: string, fn: () => Promise<unknown>) => {
      const before = await names();
      assertEquals((await assertRejects(fn, ManifoldError)).code, code);
      assertEquals(await names(), before, code);
    };
    const to = join(dir, "to.manifold");
    await refused("already-exists", () => salvage(path, path));
    await writeFile(logPathOf(to), "mine");
    await refused("already-exists", () => salvage(path, to));
    await rm(logPathOf(to));
    await refused("not-found", () => salvage(join(dir, "nowhere"), to));
    await refused("invalid-argument", () => salvage("", to));
    await refused("invalid-argument", () => salvage(path, to, 1 as never));
    await refused("aborted", () => salvage(path, to, { signal: AbortSignal.abort() }));
    const controller = new AbortController();
    await refused("aborted", () =>
      salvage(path, to, {
        onProgress: ({ entries }) => entries > 0 && controller.abort(),
        signal: controller.signal,
      }));
    const other = join(dir, "other");
    await writeFile(other, new Uint8Array(100_000).fill(7));
    await refused("not-a-database", () => salvage(other, to));
    await writeFile(other, "");
    await refused("not-a-database", () => salvage(other, to));
    {
      await using _db = await open(path, SMALL);
      await refused("locked", () => salvage(path, to));
    }
    {
      // Others may read it meanwhile.
      await using _db = await open(path, { readOnly: true });
      const seen: number[] = [];
      const report = await salvage(path, to, { onProgress: ({ entries }) => seen.push(entries) });
      assert(report.complete);
      assertEquals(seen.at(-1), report.entries);
    }
    await refused("already-exists", () => salvage(path, to));
    assertEquals(await names(), ["damaged.manifold", "other", "to.manifold"]);
  });
});
