/**
 * Protects what `verify` promises: a sound database of any shape is said to be sound, also while it is
 * written, and each kind of damage is found, once, where it is, also behind a checksum that is right.
 */

import { truncate } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import {
  attach,
  bytes,
  type Database,
  ManifoldError,
  open,
  openInMemory,
  type OpenOptions,
  text,
  u32,
  type VerifyFinding,
  type VerifyReport,
} from "../mod.ts";
import type { SharedMemory } from "../lib/engine/thread_memory.ts";
import { Arena } from "../lib/memory/arena.ts";
import { CELL_COUNT_LOW, slotWord } from "../lib/tree/cell.ts";
import {
  isLeaf,
  pageCount,
  WORD_BIRTH_LOW,
  WORD_KIND,
  WORD_NUMBER,
  WORD_SLOTS,
  WORD_TABLE,
} from "../lib/tree/page.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLessOrEqual,
  assertRejects,
} from "./support/assert.ts";
import { DamagedFile } from "./support/damaged_file.ts";
import { Random } from "./support/random.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";
import type { ThreadData, ThreadResult } from "./support/workers/thread_messages.ts";
import { ACCOUNTS, BALANCE, COMMITS, STOP } from "./support/workers/thread_messages.ts";
import { tablesOf } from "./support/workers/thread_tables.ts";

const SMALL: OpenOptions = { pageSize: 4096, cacheBytes: 2 ** 20, logBytes: 2 ** 18 };

/** Fails unless the report has no finding. */
function assertSound(report: VerifyReport, what = ""): void {
  assertEquals(report.findings, [], what);
  assert(report.ok && report.findingsTotal === 0, what);
}

/** Two families; three levels, overflow values, pages that are free again. */
async function fill(db: Database): Promise<void> {
  const shop = await db.columnFamily("shop");
  const stock = shop.table("stock", { key: text, value: bytes });
  await stock.setMany(
    Array.from({ length: 6000 }, (_, i): [string, Uint8Array] => [
      `item-${String(i).padStart(5, "0")}`,
      new Uint8Array(100).fill(i),
    ]),
  );
  const images = shop.table("images", { key: text, value: bytes });
  for (let i = 0; i < 12; i++) {
    await images.set(`image-${i}`, new Uint8Array(5000 + i * 3000).fill(i));
  }
  await images.set("small", new Uint8Array(10));
  await stock.deleteRange({ gte: "item-02000", lt: "item-02500" });
  await images.delete("image-7");
  const empty = shop.table("empty", { key: u32, value: text });
  await empty.set(1, "one");
  await empty.delete(1);
  await (await db.columnFamily("other")).table("t", { key: u32, value: text }).set(1, "one");
}

async function withFile(
  fn: (path: string) => Promise<void>,
  options: OpenOptions = SMALL,
): Promise<void> {
  await withTempDir(async (dir) => {
    const path = join(dir, "verified.manifold");
    {
      await using db = await open(path, options);
      await fill(db);
      await db.checkpoint();
      // Another version behind the checkpoint's, so that the file has pages that were replaced.
      const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: bytes });
      await stock.set("item-00001", new Uint8Array(50));
    }
    await fn(path);
  });
}

test("verify: sound databases are sound, with figures that fit", async () => {
  await withFile(async (path) => {
    for (const readOnly of [true, false]) {
      await using db = await open(path, { ...SMALL, pageSize: undefined, readOnly });
      const report = await db.verify();
      assertSound(report);
      const { families, tables, entries, overflowValues } = report;
      assertEquals(
        { families, tables, entries, overflowValues },
        { families: 2, tables: 4, entries: 5500 + 12 + 1, overflowValues: 11 },
      );
      assertGreater(report.pages, 200);
      assertGreater(report.bytesChecked, report.pages * 3000);
      assertGreater(report.freeBytes, 0);
    }
  });
});

for (const pageSize of [8192, 65536]) {
  test(`verify: pages of ${pageSize} bytes`, async () => {
    await withFile(async (path) => {
      await using db = await open(path, { readOnly: true });
      const report = await db.verify();
      assertSound(report);
      assertEquals(report.overflowValues, pageSize === 8192 ? 11 : 7);
    }, { ...SMALL, pageSize, cacheBytes: 2 ** 23 });
  });
}

test("verify: what was not written to the file yet is checked in memory", async () => {
  await withTempDir(async (dir) => {
    await using db = await open(join(dir, "new.manifold"), { ...SMALL, cacheBytes: 2 ** 25 });
    assertSound(await db.verify(), "a new file");
    await fill(db);
    const before = await db.verify();
    assertSound(before, "no checkpoint yet");
    assertEquals(before.entries, 5513);
    await db.checkpoint();
    await (await db.columnFamily("shop")).table("stock", { key: text, value: bytes })
      .set("item-03000", new Uint8Array(5));
    const after = await db.verify();
    assertSound(after, "one version behind the checkpoint");
    assertEquals(after.entries, 5513);
    const { cache: { evictions, clean } } = db.stats();
    await db.verify();
    assertEquals(db.stats().cache.evictions, evictions, "the cache stays as it is");
    // Fewer, if a worker has given pages back meanwhile.
    assertLessOrEqual(db.stats().cache.clean, clean);
  });
});

test("verify: deleted families, held snapshots and databases in memory", async () => {
  const check = async (db: Database) => {
    await fill(db);
    using snapshot = (await db.columnFamily("shop")).snapshot();
    using other = (await db.columnFamily("other")).snapshot();
    await db.deleteColumnFamily("shop");
    assertSound(await db.verify(), "a ghost");
    await db.checkpoint();
    await db.columnFamily("shop");
    assertSound(await db.verify(), "a ghost without a place in the file");
    snapshot.dispose();
    await db.checkpoint();
    await db.checkpoint();
    await fill(db);
    assertSound(await db.verify(), "its space used anew");
    assertEquals(other.version > 0, true);
  };
  await withTempDir(async (dir) => {
    await using db = await open(join(dir, "ghosts.manifold"), SMALL);
    await check(db);
  });
  // A cache so small that pages are in its memory file as well as in frames.
  await using db = await openInMemory({ pageSize: 4096, cacheBytes: 2 ** 20 });
  await check(db);
  assertGreater((await db.verify()).freeBytes, 0);
});

/** Lets a thread of the thread test write while `fn` runs. */
async function whileWriting(
  db: Database,
  seed: number,
  fn: (stop: () => boolean) => Promise<void>,
): Promise<number> {
  const progress = new Int32Array(new SharedArrayBuffer(64));
  const data: ThreadData = { handle: db.share(), thread: 0, seed, progress };
  const worker = new Worker(
    new URL("./support/workers/threads_worker.ts", import.meta.url),
    { workerData: data },
  );
  const result = new Promise<ThreadResult>((resolve) => {
    worker.once("message", resolve);
    worker.once("error", (error) => resolve({ error: String(error) }));
  });
  try {
    await fn(() => Atomics.load(progress, COMMITS) > 1500);
  } finally {
    Atomics.store(progress, STOP, 1);
  }
  assertEquals((await result).error, undefined);
  return Atomics.load(progress, COMMITS);
}

test("verify: while attached threads write, evict, make checkpoints and delete families", async () => {
  const random = Random.fromEnvironment("verify while writing");
  await withTempDir(async (dir) => {
    await using db = await open(join(dir, "busy.manifold"), {
      ...SMALL,
      checkpoint: { bytes: 2 ** 17, intervalMs: 50 },
      maxWorkers: 2,
    });
    const tables = await tablesOf(db);
    await tables.accounts.setMany(
      Array.from({ length: ACCOUNTS }, (_, i): [number, number] => [i, BALANCE]),
    );
    const big = (await db.columnFamily("big")).table("t", { key: u32, value: bytes });
    const size = 30_000;
    const entry = (
      i: number,
    ): [number, Uint8Array] => [i, new Uint8Array(i % 300 === 0 ? 6000 : 80)];
    await big.setMany(Array.from({ length: size }, (_, i) => entry(i)));
    let verified = 0;
    let ended = false;
    // Long enough to check that checkpoints end meanwhile, and pages would be used anew.
    const churn = (async () => {
      while (!ended) await big.setMany(Array.from({ length: 30 }, () => entry(random.int(size))));
    })();
    try {
      const commits = await whileWriting(db, random.int(2 ** 31), async (enough) => {
        while (!enough() || verified < 5) {
          assertSound(await db.verify(), `the ${verified + 1}th`);
          verified++;
        }
      });
      assertGreater(commits, 1000);
    } finally {
      ended = true;
      await churn;
    }
    assertSound(await db.verify());
    await using attached = await attach(db.share());
    assertSound(await attached.verify(), "in an attached thread");
    await db.checkpoint();
    assertEquals(db.stats().pins, 0, "nothing stays pinned");
  });
});

test("verify: progress, the signal, closing and wrong options", async () => {
  await withFile(async (path) => {
    const db = await open(path, SMALL);
    const seen: { pagesChecked: number; pagesTotal: number }[] = [];
    const { pages } = await db.verify({ onProgress: (progress) => seen.push(progress) });
    assertEquals(seen.at(-1), { pagesChecked: pages, pagesTotal: pages });
    seen.reduce((before, now) => {
      assert(now.pagesChecked >= before.pagesChecked && now.pagesChecked <= now.pagesTotal);
      return now;
    });
    const aborted = await assertRejects(
      () => db.verify({ signal: AbortSignal.abort("enough") }),
      ManifoldError,
    );
    assertEquals([aborted.code, aborted.cause], ["aborted", "enough"]);
    const controller = new AbortController();
    const late = await assertRejects(
      () => db.verify({ onProgress: () => controller.abort(), signal: controller.signal }),
      ManifoldError,
    );
    assertEquals(late.code, "aborted");
    await assertRejects(
      () =>
        db.verify({
          onProgress: () => {
            throw new Error("mine");
          },
        }),
      Error,
      "mine",
    );
    for (const options of [1, null, { onProgress: 1 }, { signal: {} }]) {
      const error = await assertRejects(() => db.verify(options as never), ManifoldError);
      assertEquals(error.code, "invalid-argument");
    }
    assertEquals(db.stats().pins, 0, "nothing stays pinned");
    const running = db.verify({ onProgress: () => void db.close() });
    assertEquals((await assertRejects(() => running, ManifoldError)).code, "closed");
    await db.close();
    assertEquals((await assertRejects(() => db.verify(), ManifoldError)).code, "closed");
  });
});

/** What a damage must be found as. */
interface Expected {
  readonly kind: VerifyFinding["kind"];
  readonly page?: number;
  readonly family?: string;
  readonly table?: string;
  readonly says?: RegExp;
  /** How many findings there are, this one first; 1 when not given. */
  readonly findings?: number;
}

/** Each makes one kind of damage and says what has to be found. */
const damages: Record<string, (file: DamagedFile) => Expected> = {
  "a changed byte of a leaf": (file) => {
    const { page } = file.leaves("shop", "stock")[5];
    file.flipIn(page, 2000);
    return { kind: "checksum", page, family: "shop", table: "stock" };
  },
  "a changed byte of a branch": (file) => {
    const { page } = file.branches("shop", "stock")[1];
    file.flipIn(page, 100);
    return { kind: "checksum", page, family: "shop", table: "stock" };
  },
  "a changed byte of a catalog": (file) => {
    const { page } = file.catalog("shop")[0];
    file.flipIn(page, 4090);
    return { kind: "checksum", page, family: "shop" };
  },
  "a changed byte of an overflow value": (file) => {
    const { page } = file.values("shop", "images")[3];
    file.flipIn(page, 4500);
    return { kind: "checksum", page, family: "shop", table: "images" };
  },
  "a changed byte of an allocator image": (file) => {
    const { page } = file.image("shop");
    file.flipIn(page, 60);
    return { kind: "checksum", page, family: "shop" };
  },
  "a page at the place of another": (file) => {
    const [{ page }, other] = file.leaves("shop", "stock");
    file.page(page).u8.set(file.page(other.page).u8);
    return { kind: "page-number", page, says: new RegExp(`page ${other.page}`) };
  },
  "an older page in its place": (file) => {
    const { page } = file.leaves("shop", "stock")[3];
    file.page(page).u32[WORD_BIRTH_LOW]--;
    file.seal(page);
    return { kind: "reference", page, says: /a write was lost/ };
  },
  "an older overflow value in its place": (file) => {
    const { page, length } = file.values("shop", "images")[2];
    file.page(page).u32[WORD_BIRTH_LOW]--;
    file.sealRun(page, length);
    return { kind: "reference", page, table: "images" };
  },
  "a page that is younger than what refers to it": (file) => {
    const leaf = file.leaves("shop", "stock")[9];
    const reference = file.reference(leaf);
    const born = file.page(reference.page).u32[WORD_BIRTH_LOW] + 1;
    file.page(leaf.page).u32[WORD_BIRTH_LOW] = born;
    reference.u32[reference.word + 1] = born;
    file.seal(leaf.page);
    file.seal(reference.page);
    return { kind: "birth", page: leaf.page };
  },
  "a page of another table": (file) => {
    const { page } = file.leaves("shop", "stock")[2];
    file.page(page).u32[WORD_TABLE]++;
    file.seal(page);
    return { kind: "owner", page, table: "stock" };
  },
  "a slot that leads out of its page": (file) => {
    const { page } = file.leaves("shop", "stock")[2];
    file.page(page).u32[WORD_SLOTS + 1] |= 0xfff0;
    file.seal(page);
    return { kind: "structure", page };
  },
  "a hint that is not its key's": (file) => {
    const { page } = file.leaves("shop", "stock")[2];
    file.page(page).u32[WORD_SLOTS]++;
    file.seal(page);
    return { kind: "structure", page, says: /hint/ };
  },
  "swapped keys": (file) => {
    const { page } = file.leaves("shop", "stock")[4];
    file.swapSlots(page, 0, 1);
    file.seal(page);
    return { kind: "key-order", page, family: "shop", table: "stock" };
  },
  "keys that belong to another page": (file) => {
    const leaves = file.leaves("shop", "stock");
    const [a, b] = [file.reference(leaves[6]), file.reference(leaves[7])];
    for (let i = 0; i < 6; i++) {
      [a.u32[a.word + i], b.u32[b.word + i]] = [b.u32[b.word + i], a.u32[a.word + i]];
    }
    file.seal(a.page);
    return { kind: "key-order", page: leaves[7].page, says: /separator/, findings: 2 };
  },
  "a wrong count in a branch": (file) => {
    const { page, u32, word } = file.reference(file.leaves("shop", "stock")[4]);
    u32[word + CELL_COUNT_LOW]++;
    file.seal(page);
    return { kind: "count", page, family: "shop", table: "stock" };
  },
  "a wrong count in the catalog": (file) => {
    const { leaf, at } = file.tableEntry("shop", "stock");
    file.page(leaf).u32[(at >> 2) + 6]++;
    file.seal(leaf);
    return { kind: "count", family: "shop", table: "stock" };
  },
  "a table with an id that was never given": (file) => {
    const { leaf, at } = file.tableEntry("shop", "empty");
    file.page(leaf).u32[at >> 2] = 77;
    file.seal(leaf);
    return { kind: "catalog", family: "shop", table: "empty" };
  },
  "a table without codecs": (file) => {
    const { leaf, at } = file.tableEntry("shop", "empty");
    file.page(leaf).u8[at + 32 + "u32".length] = 0x2e;
    file.seal(leaf);
    return { kind: "catalog", page: leaf, family: "shop", table: "empty" };
  },
  "a page owned twice": (file) => {
    const leaves = file.leaves("shop", "stock");
    const [a, b] = [file.reference(leaves[6]), file.reference(leaves[7])];
    for (let i = 0; i < 4; i++) b.u32[b.word + i] = a.u32[a.word + i];
    file.seal(b.page);
    return { kind: "owned-twice", page: leaves[6].page };
  },
  "overlapping overflow values": (file) => {
    const [a, b] = file.values("shop", "images").filter((value) => file.pagesOf(value) > 2);
    file.page(b.leaf).u32[b.word] = a.page + 1;
    file.seal(b.leaf);
    return { kind: "owned-twice", page: a.page + 1, table: "images" };
  },
  "a reference that leads out of the file": (file) => {
    const { page, u32, word } = file.reference(file.leaves("shop", "stock")[6]);
    u32[word] = file.directory.filePages + 10;
    file.seal(page);
    return { kind: "extent", page: file.directory.filePages + 10 };
  },
  "a reference into another family": (file) => {
    const { page, u32, word } = file.reference(file.leaves("shop", "stock")[6]);
    u32[word] = file.catalog("other")[0].page;
    file.seal(page);
    return { kind: "extent", page: u32[word], family: "shop" };
  },
  "a leaked page": (file) => {
    const page = file.freePage("shop");
    file.setUsed("shop", page, true);
    return { kind: "leaked", page, family: "shop" };
  },
  "a page in use that counts as free": (file) => {
    const { page } = file.leaves("shop", "stock")[11];
    file.setUsed("shop", page, false);
    return { kind: "not-allocated", page, family: "shop" };
  },
  "an image with segments that are not the family's": (file) => {
    const { page, length } = file.image("shop");
    file.page(page).u32[12 + 1]--;
    file.sealRun(page, length);
    return { kind: "allocator-image", page, family: "shop" };
  },
  "a wrong number of pages in the directory": (file) => {
    file.family("shop").entry.pages++;
    file.sealDirectory();
    return { kind: "allocator-image", family: "shop", says: /counts/ };
  },
};

/** Kinds that are no matter of one table. */
const OF_FAMILY = ["allocator-image", "leaked", "not-allocated"];

function assertFound(report: VerifyReport, expected: Expected, pageSize: number): void {
  const what = JSON.stringify(report.findings, null, 1);
  assertEquals(report.findingsTotal, expected.findings ?? 1, what);
  assert(!report.ok);
  const [finding] = report.findings;
  assertEquals(finding.kind, expected.kind, what);
  assertEquals(finding.page, expected.page, what);
  if (expected.page !== undefined) {
    assertEquals(finding.position, expected.page * pageSize, what);
    assert(finding.message.includes(`page ${expected.page}`), what);
  }
  if (expected.family !== undefined) assertEquals(finding.family, expected.family, what);
  if (expected.table !== undefined) assertEquals(finding.table, expected.table, what);
  if (OF_FAMILY.includes(finding.kind)) assertEquals(finding.table, undefined, what);
  if (expected.says !== undefined) assert(expected.says.test(finding.message), what);
}

test("verify: each kind of damage is found once, where it is", async () => {
  await withFile(async (path) => {
    const sound = (await DamagedFile.read(path)).bytes.slice();
    for (const [name, damage] of Object.entries(damages)) {
      const file = await DamagedFile.read(path);
      const expected = damage(file);
      await file.write();
      try {
        await using db = await open(path, { readOnly: true });
        assertFound(await db.verify(), expected, file.pageSize);
      } catch (error) {
        throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
      }
      file.bytes.set(sound);
      await file.write();
    }
  });
});

test("verify: meta pages, directory and length of the file", async () => {
  await withFile(async (path) => {
    const file = await DamagedFile.read(path);
    const sound = file.bytes.slice();
    const newest = file.meta.generation % 2 * 4096;
    const directory = file.meta.directoryPage * file.pageSize;
    const cases: [string, () => void | Promise<void>, [string, number | undefined][]][] = [
      ["the older meta page", () => file.flip(4096 - newest + 40), [["meta", 4096 - newest]]],
      ["the newest meta page", () => file.flip(newest + 40), [["meta", newest]]],
      ["the directory", () => file.flip(directory + 30), [["directory", directory]]],
      [
        "both meta pages",
        () => [0, 4096].forEach((at) => file.flip(at + 40)),
        [["meta", 0], ["meta", 4096]],
      ],
    ];
    for (const [name, damage, expected] of cases) {
      // What an opening would refuse is damaged while the database is open.
      await using db = await open(path, { readOnly: true });
      await damage();
      await file.write();
      const { findings } = await db.verify();
      const found = findings.map((
        { kind, position },
      ): [string, number | undefined] => [kind, position]);
      // Without the newest meta page nothing but the older one's directory is left, which is another.
      assertEquals(found.slice(0, expected.length), expected, name);
      assert(found.slice(expected.length).every(([kind]) => kind === "directory"), name);
      file.bytes.set(sound);
      await file.write();
    }
    await using db = await open(path, { readOnly: true });
    assertSound(await db.verify());
    const length = sound.length - 4096 * 3;
    await truncate(path, length);
    const { findings } = await db.verify();
    assertEquals([findings[0].kind, findings[0].position], ["truncated", length]);
    assert(
      findings.slice(1).every(({ kind, position }) =>
        kind === "unreadable" && position! >= length - 40_000
      ),
    );
  });
});

test("verify: damage in memory is found in the published version", async () => {
  await using db = await openInMemory({ pageSize: 4096 });
  await fill(db);
  assertSound(await db.verify());
  const { shared } = db.share().parts as { shared: SharedMemory };
  const arena = new Arena(shared.pageSize, shared.arena);
  let page = -1;
  for (let frame = 0; page < 0 && frame < arena.frameCount; frame++) {
    const { u32: words } = arena.chunk(frame);
    const base = arena.base(frame);
    if (!isLeaf(words, base) || pageCount(words, base) < 10) continue;
    // A frame that still holds its page: one that was retired would not be looked at.
    const table = new Int32Array(shared.frames.table);
    const number = words[(base >> 2) + WORD_NUMBER];
    if (table[number] !== frame + 1) continue;
    for (const word of [0, 1]) {
      const [a, b] = [slotWord(base, 0) + word, slotWord(base, 1) + word];
      [words[a], words[b]] = [words[b], words[a]];
    }
    page = number;
  }
  assertFound(await db.verify(), { kind: "key-order", page, family: "shop" }, 4096);
});

test("verify: random damage of what is in use is found, and never ends it", async () => {
  const random = Random.fromEnvironment("verify of random damage");
  await withFile(async (path) => {
    const file = await DamagedFile.read(path);
    const sound = file.bytes.slice();
    const { bitOf } = file.image("shop");
    const used = [
      ...file.table("shop", "stock").map(({ page }) => page),
      ...file.values("shop", "images").map(({ page }) => page),
    ];
    for (const page of used) assert(file.bit(bitOf(page)));
    await using db = await open(path, { readOnly: true });
    for (let round = 0; round < 60; round++) {
      const page = random.pick(used);
      // Behind a checksum that is right every second time; then it may be a byte that nothing looks at.
      const at = 8 + random.int(file.pageSize - 8);
      file.bytes[page * file.pageSize + at] ^= 1 << random.int(8);
      const isTree = file.page(page).u32[WORD_TABLE] !== 0 && random.chance(0.5);
      if (isTree) file.seal(page);
      const { start, length } = random.chance(0.3)
        ? { start: random.int(sound.length), length: random.int(20_000) }
        : { start: 0, length: 0 };
      file.bytes.set(random.bytes(length).subarray(0, sound.length - start), start);
      await file.write();
      const report = await db.verify();
      if (!isTree && length === 0 && file.page(page).u32[WORD_KIND] % 4 !== 3) {
        assert(report.findings.some((finding) => finding.page === page), `round ${round}`);
      }
      file.bytes.set(sound);
    }
    await file.write();
    assertSound(await db.verify());
  });
});

test("verify: a thousand findings are kept and all are counted", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "ruined.manifold");
    {
      await using db = await open(path, SMALL);
      const table = (await db.columnFamily("f")).table("t", { key: u32, value: bytes });
      await table.setMany(
        Array.from({ length: 1300 }, (_, i): [number, Uint8Array] => [i, new Uint8Array(5000)]),
      );
    }
    const file = await DamagedFile.read(path);
    for (const { page } of file.values("f", "t")) file.flipIn(page, 4000);
    await file.write();
    await using db = await open(path, { readOnly: true });
    const { findings, findingsTotal } = await db.verify();
    assertEquals([findings.length, findingsTotal], [1000, 1300]);
  });
});
