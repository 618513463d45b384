/**
 * Protects what `salvage` promises: whatever is damaged, all the rest is in the new database, the report
 * names what is not, and the damaged files stay as they are.
 */

import { readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
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
import { DamagedFile } from "./support/damage.ts";
import { assertUntouched, DatabaseProcess, filesOf, lookAt } from "./support/database_process.ts";
import { Random } from "./support/random.ts";
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
