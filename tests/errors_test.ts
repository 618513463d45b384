/**
 * Every error code that can occur, provoked once through the public API: the code is the one that is
 * documented, the message names place and remedy, and nothing that was refused has changed a file.
 */

import { spawnSync } from "node:child_process";
import { copyFile, mkdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import {
  attach,
  bool,
  bytes,
  type Codec,
  type Database,
  type ErrorCode,
  f32Array,
  f64,
  i64,
  json,
  ManifoldError,
  open,
  openInMemory,
  type OpenOptions,
  type Snapshot,
  type SpawnWorker,
  text,
  tuple,
  u32,
} from "../mod.ts";
import { spawnWorker } from "../lib/runtime/workers.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import { META_BYTES } from "../lib/storage/meta.ts";
import { WORD_KIND, WORD_TABLE } from "../lib/tree/page.ts";
import { NoMemory } from "./support/allocation_guard.ts";
import { assert, assertEquals, assertGreater } from "./support/assert.ts";
import { runScript, runtimes, thisRuntime } from "./support/child.ts";
import { assertUntouched, DatabaseProcess, filesOf } from "./support/database_process.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const SMALL: OpenOptions = { pageSize: 4096, cacheBytes: 2 ** 20, logBytes: 2 ** 18 };

/** Fails unless `fn` throws or rejects with that code and a message with all of `words`. */
async function refused(
  code: ErrorCode,
  words: readonly string[],
  fn: () => unknown,
): Promise<ManifoldError> {
  let result: unknown;
  try {
    result = await fn();
  } catch (error) {
    assert(error instanceof ManifoldError, `${code}: another error came: ${error}`);
    assertEquals(error.code, code, error.message);
    for (const word of words) {
      assert(error.message.includes(word), `"${word}" is not in: ${error.message}`);
    }
    assertEquals(error.name, "ManifoldError");
    return error;
  }
  throw new Error(`${code} was expected, but it gave ${result}`);
}

/** The same, and the files of `path` are what they were. */
async function refusedUntouched(
  code: ErrorCode,
  words: readonly string[],
  path: string,
  options?: OpenOptions,
): Promise<void> {
  const before = await filesOf(path);
  const { mtimeMs } = await stat(path);
  await refused(code, [path, ...words], () => open(path, options));
  await assertUntouched(path, before);
  assertEquals((await stat(path)).mtimeMs, mtimeMs);
}

/** A small database, closed. */
async function makeDatabase(path: string): Promise<void> {
  await using db = await open(path, SMALL);
  const table = (await db.columnFamily("shop")).table("stock", { key: text });
  await table.setMany(Array.from({ length: 200 }, (_, i) => [`key-${i}`, new Uint8Array(300)]));
}

async function withDatabase(fn: (db: Database) => Promise<void>): Promise<void> {
  await using db = await openInMemory({ cacheBytes: 2 ** 20 });
  await fn(db);
}

test("errors: closed names the database and what to do", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "closed.manifold");
    const db = await open(path, SMALL);
    const family = await db.columnFamily("shop");
    const table = family.table("stock", { key: text });
    // More than an iterator takes along at once.
    await table.setMany(Array.from({ length: 5000 }, (_, i) => [`a${i}`, new Uint8Array(20)]));
    const snapshot = family.snapshot();
    const iterator = table.keys();
    const batch = family.batch().set(table, "b", new Uint8Array(1));
    const disposed = family.snapshot();
    disposed.dispose();
    await refused("closed", ["shop"], () => disposed.table(table));
    let escaped: { get(key: string): unknown } | undefined;
    await family.transaction((tx) => void (escaped = tx.table(table)));
    await refused("closed", ["shop"], () => escaped!.get("a"));
    const done = family.batch();
    await done.commit();
    await refused("closed", ["shop"], () => done.set(table, "a", new Uint8Array(1)));
    const handle = db.share();
    await db.close();
    await db.close();
    const calls: Record<string, () => unknown> = {
      columnFamily: () => db.columnFamily("shop"),
      createColumnFamily: () => db.createColumnFamily("x"),
      deleteColumnFamily: () => db.deleteColumnFamily("shop"),
      columnFamilies: () => db.columnFamilies(),
      checkpoint: () => db.checkpoint(),
      stats: () => db.stats(),
      configure: () => db.configure({}),
      share: () => db.share(),
      verify: () => db.verify(),
      table: () => family.table("stock"),
      tables: () => family.tables(),
      deleteTable: () => family.deleteTable("stock"),
      transaction: () => family.transaction(() => {}),
      batch: () => family.batch(),
      snapshot: () => family.snapshot(),
      familyStats: () => family.stats(),
      get: () => table.get("a"),
      getMany: () => table.getMany(["a"]),
      entries: () => table.entries().toArray(),
      count: () => table.count(),
      scan: () => table.scan({}, () => {}),
      set: () => table.set("a", new Uint8Array(1)),
      delete: () => table.delete("a"),
      setMany: () => table.setMany([["a", new Uint8Array(1)]]),
      deleteRange: () => table.deleteRange({}),
      commit: () => batch.commit(),
      snapshotRead: () => snapshot.table(table).get("a"),
      next: () => iterator.toArray(),
    };
    for (const [name, call] of Object.entries(calls)) {
      const error = await refused("closed", ["open it again"], call);
      assert(error.message.includes(path), `${name}: ${error.message}`);
    }
    await refused("closed", [], () => attach(handle));
  });
});

test("errors: not-found and already-exists name what is missing or there", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "none.manifold");
    await refused("not-found", [path, "create"], () => open(path, { create: false }));
    await refused("not-found", [path], () => open(path, { readOnly: true }));
    await refused("not-found", [join(dir, "no")], () => open(join(dir, "no", "such.manifold")));
  });
  await withDatabase(async (db) => {
    await refused("not-found", [`"shop"`], () => db.deleteColumnFamily("shop"));
    await refused("not-found", [`"shop"`], () => db.columnFamily("shop", { create: false }));
    const family = await db.createColumnFamily("shop");
    await refused("already-exists", [`"shop"`], () => db.createColumnFamily("shop"));
    await refused("not-found", [`"stock"`, "tables()"], () => family.deleteTable("stock"));
    const table = family.table("stock", { key: text, value: text });
    await table.set("a", "b");
    await db.deleteColumnFamily("shop");
    await refused("not-found", [`"shop"`], () => table.get("a"));
    await refused("not-found", [`"shop"`], () => table.set("a", "c"));
    await refused("not-found", [`"shop"`], () => family.transaction(() => {}));
    await refused("not-found", [`"shop"`], () => family.batch().delete(table, "a").commit());
    await refused("not-found", [`"shop"`], () => family.tables());
    const again = await db.columnFamily("shop");
    assertEquals(again.tables(), []);
    await refused("not-found", [`"shop"`], () => table.get("a"));
  });
});

test("errors: type-mismatch when a table was made with other codecs", async () => {
  await withDatabase(async (db) => {
    const family = await db.columnFamily("shop");
    const early = family.table("stock", { key: u32, value: text });
    const table = family.table("stock", { key: text, value: u32 });
    await table.set("a", 1);
    await refused("type-mismatch", ["stock", "shop"], () => family.table("stock"));
    await refused("type-mismatch", ["stock"], () => early.get(1));
    await refused("type-mismatch", ["stock"], () => early.set(1, "a"));
    await refused("type-mismatch", ["stock"], () => early.setMany([[1, "a"]]));
    await refused("type-mismatch", ["stock"], () => family.transaction((tx) => tx.table(early)));
    assertEquals(table.get("a"), 1);
  });
});

test("errors: invalid-argument for each option, naming it and its range", async () => {
  const bad: Record<string, unknown[]> = {
    readOnly: [1, "yes", null],
    create: [0, "no"],
    pageSize: [0, 2048, 4097, 5000, 131072, 8192.5, "8192", NaN, -4096],
    cacheBytes: [0, 2 ** 20 - 1, 2 ** 37, 1.5 * 2 ** 20 + 0.5, "1", Infinity],
    logBytes: [0, 2 ** 18 - 1, 2 ** 33, NaN, "big"],
    durability: ["never", 1, null],
    maxWorkers: [0, 257, 1.5, "4"],
    onProgress: [1, "f", {}],
    spawnWorker: [true, {}],
    checkpoint: [1, "often", null],
  };
  await withTempDir(async (dir) => {
    const path = join(dir, "options.manifold");
    for (const [name, values] of Object.entries(bad)) {
      for (const value of values) {
        await refused("invalid-argument", [name], () => open(path, { [name]: value }));
      }
    }
    const checkpoints = [
      ["checkpoint.bytes", { bytes: 65535 }],
      ["checkpoint.bytes", { bytes: 2 ** 18 + 1 }],
      ["checkpoint.bytes", { bytes: "x" }],
      ["checkpoint.intervalMs", { intervalMs: 9 }],
      ["checkpoint.intervalMs", { intervalMs: 2 ** 31 }],
    ] as const;
    for (const [name, checkpoint] of checkpoints) {
      const options = { logBytes: 2 ** 18, checkpoint } as OpenOptions;
      await refused("invalid-argument", [name], () => open(path, options));
    }
    await refused("invalid-argument", ["pagesize"], () => open(path, { pagesize: 1 } as never));
    await refused("invalid-argument", ["options"], () => open(path, 1 as never));
    for (const place of [undefined, null, 7, "", "a\0b", new URL("http://x/y"), {}]) {
      await refused("invalid-argument", [], () => open(place as never));
    }
    await refused("invalid-argument", ["handle"], () => attach({} as never));
    await refused("invalid-argument", ["handle"], () => attach(undefined as never));
    assertEquals(await stat(path).catch(() => undefined), undefined);

    await using db = await open(path, SMALL);
    await refused(
      "invalid-argument",
      ["durability"],
      () => db.configure({ durability: "x" as never }),
    );
    await refused(
      "invalid-argument",
      ["checkpoint.bytes"],
      () => db.configure({ checkpoint: { bytes: 1 } }),
    );
    await refused(
      "invalid-argument",
      ["checkpoint.intervalMs"],
      () => db.configure({ checkpoint: { intervalMs: 0 } }),
    );
    await refused("invalid-argument", ["logBytes"], () => db.configure({ logBytes: 1 } as never));
    await refused("invalid-argument", [], () => db.configure(null as never));
  });
});

test("errors: invalid-argument for names, keys, values, ranges and codecs", async () => {
  await withDatabase(async (db) => {
    const names = ["", "a\0b", "x".repeat(256), "ü".repeat(128), "\ud800", 7, null, undefined];
    const family = await db.columnFamily("shop");
    for (const name of names as string[]) {
      await refused("invalid-argument", ["name", "255"], () => db.columnFamily(name));
      await refused("invalid-argument", ["name", "255"], () => db.createColumnFamily(name));
      await refused("invalid-argument", ["name", "255"], () => db.deleteColumnFamily(name));
      await refused("invalid-argument", ["name", "255"], () => family.table(name));
      await refused("invalid-argument", ["name", "255"], () => family.deleteTable(name));
    }
    for (const name of ["x".repeat(255), "ü".repeat(127), "\ufeff", " "]) {
      const table = (await db.columnFamily(name)).table(name, { key: text });
      await table.set("a", new Uint8Array(1));
      assertEquals(table.count(), 1);
      await db.deleteColumnFamily(name);
    }

    const keys: [Codec<never>, unknown[]][] = [
      [text as Codec<never>, [1, undefined, null, "\udc00", {}]],
      [u32 as Codec<never>, [-1, 1.5, 2 ** 32, "1", NaN, 1n]],
      [i64 as Codec<never>, [1, 2n ** 63n, -(2n ** 63n) - 1n]],
      [f64 as Codec<never>, [NaN, "1", 1n]],
      [bool as Codec<never>, [0, "true", undefined]],
      [bytes as Codec<never>, [[1], "a", new Uint16Array(1), undefined]],
      [tuple(text, u32) as Codec<never>, [["a"], ["a", -1], "a", ["a", 1, 2], null]],
    ];
    for (const [key, values] of keys) {
      const table = family.table(`of ${key.name}`, { key, value: text });
      for (const value of values as never[]) {
        await refused("invalid-argument", [], () => table.get(value));
        await refused("invalid-argument", [], () => table.set(value, "a"));
        await refused("invalid-argument", [], () => table.delete(value));
        await refused("invalid-argument", [], () => table.setMany([[value, "a"]]));
        if (value === undefined) continue;
        await refused("invalid-argument", [], () => table.count({ gte: value }));
        await refused("invalid-argument", [], () => table.deleteRange({ lt: value }));
      }
      assertEquals(table.count(), 0);
    }

    const table = family.table("t", { key: u32, value: text });
    const ranges: unknown[] = [
      { gt: 1, gte: 1 },
      { lt: 1, lte: 1 },
      { limit: -1 },
      { limit: 1.5 },
      { limit: "1" },
      { offset: -1 },
      { offset: Infinity },
      { reverse: 1 },
      { prefix: 1 },
      { from: 1 },
      "a",
      7,
      null,
      [1, 2],
      new Map(),
    ];
    for (const range of ranges as never[]) {
      await refused("invalid-argument", ["range"], () => table.entries(range));
      await refused("invalid-argument", ["range"], () => table.count(range));
      await refused("invalid-argument", ["range"], () => table.first(range));
      await refused("invalid-argument", ["range"], () => table.scan(range, () => {}));
      await refused("invalid-argument", ["range"], () => table.deleteRange(range));
    }
    for (const range of [{ reverse: true }, { limit: 1 }, { offset: 1 }]) {
      await refused("invalid-argument", ["deleteRange"], () => table.deleteRange(range));
    }
    for (const index of [-1, 1.5, NaN, "0", 2 ** 53] as never[]) {
      await refused("invalid-argument", ["at("], () => table.at(index));
    }
    await refused(
      "invalid-argument",
      ["durability"],
      () => table.set(1, "a", { durability: "soon" as never }),
    );
    await refused("invalid-argument", ["entry 0"], () => table.setMany(["ab"] as never));
    await refused("invalid-argument", ["codec"], () => family.table("x", { key: {} as never }));
    await refused("invalid-argument", ["codec"], () => family.table("x", { value: 1 as never }));
    await refused("invalid-argument", [], () => family.table("x", { key: json() as never }));
    await refused("invalid-argument", [], () => family.table("x", 1 as never));
    await refused("invalid-argument", ["function"], () => family.transaction(1 as never));
    for (const maxAttempts of [0, -1, 1.5, "2"] as never[]) {
      await refused(
        "invalid-argument",
        ["maxAttempts"],
        () => family.transaction(() => {}, { maxAttempts }),
      );
    }
    for (const timeoutMs of [0, -1, NaN, Infinity, 2 ** 31, "2"] as never[]) {
      await refused(
        "invalid-argument",
        ["timeoutMs"],
        () => family.transaction(() => {}, { timeoutMs }),
      );
    }
    for (const signal of [1, {}, null] as never[]) {
      await refused("invalid-argument", ["signal"], () => family.transaction(() => {}, { signal }));
    }
    await refused(
      "invalid-argument",
      ["savepoint"],
      () => family.transaction((tx) => tx.rollback({ number: 1 })),
    );
    const other = (await db.columnFamily("other")).table("t", { key: u32, value: text });
    await refused("invalid-argument", ["other", "shop"], () => family.batch().set(other, 1, "a"));
    await refused(
      "invalid-argument",
      ["other", "shop"],
      () => family.transaction((tx) => tx.table(other)),
    );
    await refused("invalid-argument", ["other", "shop"], () => family.snapshot().table(other));
    await refused(
      "invalid-argument",
      ["tx.table()"],
      () => family.transaction(async () => await table.set(1, "a")),
    );
    await refused(
      "invalid-argument",
      ["tx.table()"],
      () => family.transaction(async () => await family.transaction(() => {})),
    );
    assertEquals(table.count() + other.count(), 0);
  });
});

test("errors: not-supported says what to do instead", async () => {
  await withTempDir(async (dir) => {
    await withDatabase(async (db) => {
      await refused("not-supported", ["compact()"], () => db.compact());
      const to = join(dir, "backup");
      await refused("not-supported", ["backup()"], () => db.backup(to));
      assertEquals(await stat(to).catch(() => undefined), undefined);
      for (const cacheBytes of [2 ** 20 - 1, 2 ** 40]) {
        await refused("invalid-argument", ["cacheBytes"], () => db.configure({ cacheBytes }));
      }
    });
  });
});

test("errors: too-large for keys beyond a quarter of a page and values beyond 1 GiB", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 20, pageSize: 4096 });
  const family = await db.columnFamily("shop");
  const table = family.table("stock", { key: text });
  const longest = "k".repeat(1024);
  const longer = longest + "k";
  await table.set(longest, new Uint8Array(5000));
  assertEquals(table.get(longest)?.length, 5000);
  const value = new Uint8Array(1);
  // Memory that is never touched: the system has not to find it.
  const huge = new Uint8Array(2 ** 30 + 2 ** 17);
  for (
    const [words, key, given] of [
      [["stock", "1025"], longer, value],
      [["split the value"], "a", huge],
    ] as const
  ) {
    await refused("too-large", words, () => table.set(key, given));
    await refused("too-large", words, () => table.setMany([["b", value], [key, given]]));
    await refused("too-large", words, () => family.batch().set(table, key, given));
    await refused(
      "too-large",
      words,
      () => family.transaction((tx) => tx.table(table).set(key, given)),
    );
  }
  await refused("too-large", ["1025"], () => table.delete(longer));
  assertEquals(table.get(longer), undefined);
  assertEquals([...table.keys()], [longest]);
  assertEquals(await table.deleteRange({ lt: longer }), 1);
});

test("errors: aborted carries its reason, and the transaction has no effect", async () => {
  await withDatabase(async (db) => {
    const family = await db.columnFamily("shop");
    const table = family.table("stock", { key: text, value: u32 });
    const why = new Error("sold out");
    const error = await refused("aborted", ["shop", "sold out"], () =>
      family.transaction((tx) => {
        tx.table(table).set("a", 1);
        tx.abort(why);
      }));
    assertEquals(error.cause, why);
    await refused("aborted", ["shop"], () =>
      family.transaction((tx) => {
        try {
          tx.table(table).set("a", 1);
          tx.abort();
        } catch {
          // The transaction stays aborted.
        }
      }));
    const own = new RangeError("mine");
    try {
      await family.transaction((tx) => {
        tx.table(table).set("a", 1);
        throw own;
      });
      throw new Error("it resolved");
    } catch (thrown) {
      assert(thrown === own);
    }
    assertEquals(table.count(), 0);
  });
});

test("errors: closed for a transaction that runs when the database is closed, and for who waits for it", async () => {
  const db = await openInMemory({ cacheBytes: 2 ** 20 });
  const table = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
  const family = await db.columnFamily("shop");
  let closing: Promise<void> | undefined;
  const code = (error: unknown): unknown => error instanceof ManifoldError ? error.code : error;

  const running = family.transaction(async (tx) => {
    tx.table(table).set("a", 1);
    queueMicrotask(() => {
      closing = db.close();
    });
    await new Promise((resolve) => setTimeout(resolve, 0));
    tx.table(table).set("a", 2);
  });
  const waiting = table.set("b", 1).then(() => "done", code);
  assertEquals(await running.then(() => "done", code), "closed");
  await closing;
  assert(["done", "closed"].includes(await waiting as string), String(await waiting));
});

test("errors: locked for a second opening, in this process and in others", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "locked.manifold");
    {
      await using db = await open(path, SMALL);
      await db.columnFamily("shop");
      await refused("locked", [path, "attach"], () => open(path));
      await refused("locked", [path, "attach"], () => open(path, { readOnly: true }));
      for (const on of runtimes) {
        await using child = new DatabaseProcess(on);
        for (const readOnly of [false, true]) {
          const answer = await child.ask({ do: "open", path, options: { readOnly } });
          assert(!answer.ok && answer.code === "locked", JSON.stringify(answer));
          assert(answer.message.includes(path));
        }
      }
      assertEquals(db.columnFamilies(), ["shop"]);
    }
    for (const on of runtimes) {
      await using child = new DatabaseProcess(on);
      await child.tell({ do: "open", path, options: SMALL });
      await refused("locked", [path], () => open(path));
      await child.tell({ do: "write", family: "f", table: "t", writes: [], how: "each" });
      await refused("locked", [path], () => open(path, { readOnly: true }));
      await child.tell({ do: "close" });
      await using reader = await open(path, { readOnly: true });
      const answer = await child.ask({ do: "open", path });
      assert(!answer.ok && answer.code === "locked", JSON.stringify(answer));
      await child.tell({ do: "open", path, options: { readOnly: true } });
      assert(reader.columnFamilies().includes("f"));
    }
  });
});

test("errors: read-only for every write of a database opened with readOnly", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "readonly.manifold");
    await makeDatabase(path);
    const before = await filesOf(path);
    const { mtimeMs } = await stat(path);
    {
      await using db = await open(path, { readOnly: true });
      const family = await db.columnFamily("shop");
      const table = family.table("stock", { key: text });
      assertEquals(table.count(), 200);
      const value = new Uint8Array(1);
      const calls: (() => unknown)[] = [
        () => db.columnFamily("new"),
        () => db.createColumnFamily("new"),
        () => db.deleteColumnFamily("shop"),
        () => db.checkpoint(),
        () => family.deleteTable("stock"),
        () => family.transaction((tx) => tx.table(table).set("a", value)),
        () => family.batch().set(table, "a", value).commit(),
        () => table.set("a", value),
        () => table.setMany([["a", value]]),
        () => table.delete("key-1"),
        () => table.deleteRange({}),
      ];
      for (const call of calls) await refused("read-only", [path, "readOnly"], call);
      assertEquals(table.count(), 200);
    }
    await assertUntouched(path, before);
    assertEquals((await stat(path)).mtimeMs, mtimeMs);
  });
});

test("errors: permission-denied names the flags that Deno needs", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "permitted.manifold");
    await makeDatabase(path);
    const before = await filesOf(path);
    const script = new URL("./support/permission_child.ts", import.meta.url);
    const tryWith = async (permissions: string[], readOnly: boolean): Promise<string> => {
      const args = [path, readOnly ? "readOnly" : "write"];
      return (await runScript("deno", script, args, { permissions })).join("\n");
    };
    for (
      const [permissions, readOnly] of [
        [["--deny-run"], false],
        [["--deny-run"], true],
        [[`--allow-read=${dir}`], false],
      ] as const
    ) {
      const said = await tryWith([...permissions], readOnly);
      assert(said.startsWith("permission-denied "), said);
      for (const word of [path, "--allow-read", "--allow-write"]) assert(said.includes(word), said);
    }
    await assertUntouched(path, before);
    assertEquals(await tryWith([`--allow-read=${dir}`], true), "opened 1");
    assertEquals(await tryWith([`--allow-read=${dir}`, `--allow-write=${dir}`], false), "opened 1");
  });
});

test("errors: not-a-database for foreign files, empty ones and directories, which stay as they are", async () => {
  await withTempDir(async (dir) => {
    const contents = {
      empty: new Uint8Array(0),
      short: new TextEncoder().encode("hello"),
      text: new TextEncoder().encode("manifest\n".repeat(3000)),
      zeros: new Uint8Array(20_000),
      sqlite: new TextEncoder().encode("SQLite format 3\0".padEnd(8192, "x")),
    };
    for (const [name, bytes] of Object.entries(contents)) {
      const path = join(dir, name);
      await writeFile(path, bytes);
      await refusedUntouched("not-a-database", [], path);
      await refusedUntouched("not-a-database", [], path, { readOnly: true });
    }
    for (const readOnly of [false, true]) {
      await refused("not-a-database", ["/dev/null"], () => open("/dev/null", { readOnly }));
    }
    const path = join(dir, "directory");
    await mkdir(path);
    await refused("not-a-database", [path, "directory"], () => open(path));
    await refused("not-a-database", [path, "directory"], () => open(path, { readOnly: true }));
  });
});

test("errors: unsupported-version names the version of the file and the one that is read", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "future.manifold");
    await makeDatabase(path);
    const checksum = await Checksum.create();
    const content = new Uint8Array(await readFile(path));
    for (const at of [0, META_BYTES]) {
      const page = content.subarray(at, at + META_BYTES);
      page[12] = 77;
      checksum.put(page.subarray(0, META_BYTES - 8), page, META_BYTES - 8);
    }
    await writeFile(path, content);
    await refusedUntouched("unsupported-version", ["77", "1"], path);
    await refusedUntouched("unsupported-version", ["77", "1"], path, { readOnly: true });
  });
});

test("errors: needs-recovery for a readOnly opening after a crash", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "crashed.manifold");
    await using child = new DatabaseProcess("self");
    await child.tell({ do: "open", path, options: SMALL });
    await child.tell({ do: "family", family: "f" });
    await child.kill();
    await refusedUntouched("needs-recovery", ["readOnly"], path, { readOnly: true });
    await (await open(path)).close();
    await (await open(path, { readOnly: true })).close();
  });
});

test("errors: corrupt for damaged meta pages, directories and pages, with the place", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "damaged.manifold");
    await makeDatabase(path);
    const whole = new Uint8Array(await readFile(path));
    const view = new DataView(whole.buffer);
    const damage = async (places: number[]): Promise<void> => {
      const content = whole.slice();
      for (const at of places) content[at] ^= 4;
      await writeFile(path, content);
    };
    await damage([100, META_BYTES + 100]);
    await refusedUntouched("corrupt", ["meta", "backup"], path);
    const generation = [0, META_BYTES].map((at) => view.getUint32(at + 40, true));
    const newest = generation[0] > generation[1] ? 0 : META_BYTES;
    const directory = view.getUint32(newest + 64, true) * 4096;
    await damage([directory + 30]);
    await refusedUntouched("corrupt", ["directory", `${directory}`], path);
    await refusedUntouched("corrupt", ["directory"], path, { readOnly: true });
    await writeFile(path, whole.subarray(0, whole.length - 5000));
    await refusedUntouched("corrupt", ["end of the file"], path);

    const leaves: number[] = [];
    for (let at = 8192; at < whole.length; at += 4096) {
      const kind = view.getUint32(at + WORD_KIND * 4, true) & 0xff;
      if (kind === 1 && view.getUint32(at + WORD_TABLE * 4, true) !== 0) leaves.push(at);
    }
    await damage(leaves.map((at) => at + 2000));
    const before = await filesOf(path);
    {
      await using db = await open(path, { readOnly: true });
      const table = (await db.columnFamily("shop")).table("stock", { key: text });
      const words = [path, "shop", "page", "checksum"];
      await refused("corrupt", words, () => table.get("key-1"));
      await refused("corrupt", words, () => table.entries().toArray());
      await refused("corrupt", words, () => table.scan({}, () => {}));
      await refused("corrupt", words, () => table.first());
    }
    await assertUntouched(path, before);
    // A write that meets the page is refused, and the rest of the database goes on.
    await using db = await open(path, SMALL);
    const family = await db.columnFamily("shop");
    const table = family.table("stock", { key: text });
    // The worker says which page; so does this thread.
    const byRead = await refused("corrupt", [], () => table.get("key-1"));
    const [page] = /page \d+ \(at byte \d+\)/.exec(byRead.message)!;
    const words = ["stock", "shop", path, page];
    await refused("corrupt", words, () => table.set("key-1", new Uint8Array(1)));
    const other = family.table("other", { key: text });
    await other.set("a", new Uint8Array(1));
    assertEquals(other.count(), 1);
  });
});

test("errors: corrupt for a log that is missing, foreign, a link or a directory", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "a.manifold");
    const foreign = join(dir, "b.manifold");
    const log = `${path}-log`;
    await using a = new DatabaseProcess("self");
    await using b = new DatabaseProcess("self");
    for (const [child, place] of [[a, path], [b, foreign]] as const) {
      await child.tell({ do: "open", path: place, options: SMALL });
      await child.tell({ do: "family", family: "f" });
      await child.kill();
    }
    const own = await readFile(log);
    await rm(log);
    await refusedUntouched("corrupt", ["missing", log], path);
    await writeFile(log, await readFile(`${foreign}-log`));
    await refusedUntouched("corrupt", [log, "another database"], path);
    await writeFile(log, own.subarray(0, 100));
    await refusedUntouched("corrupt", [log], path);
    await writeFile(log, new Uint8Array(10_000));
    await refusedUntouched("corrupt", [log], path);
    await rm(log);
    await mkdir(log);
    await refused("corrupt", [log, "directory"], () => open(path));
    await rm(log, { recursive: true });
    const elsewhere = join(dir, "elsewhere");
    await writeFile(elsewhere, own);
    await symlink(elsewhere, log);
    await refused("corrupt", [log, "symlink"], () => open(path));
    assert(Buffer.compare(await readFile(elsewhere), own) === 0);
    await rm(log);
    await writeFile(log, own);
    await using db = await open(path);
    assertEquals(db.columnFamilies(), ["f"]);
  });
});

test("errors: a link or a directory where the log of a clean file belongs is never written to", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "clean.manifold");
    await makeDatabase(path);
    const log = `${path}-log`;
    const precious = join(dir, "precious");
    await writeFile(precious, "mine");
    await symlink(precious, log);
    await refused("corrupt", [log, "symlink"], () => open(path));
    await rm(log);
    await mkdir(log);
    await refused("corrupt", [log, "directory"], () => open(path));
    assertEquals(await readFile(precious, "utf8"), "mine");
  });
});

/** Opens with workers that the test can end. */
async function openWithWorkers(
  path: string,
): Promise<{ db: Database; end(role: string): Promise<void> }> {
  const handles: { role: string; handle: ReturnType<SpawnWorker> }[] = [];
  const db = await open(path, {
    ...SMALL,
    spawnWorker: (url, data) => {
      const handle = spawnWorker(url, data);
      handles.push({ role: (data as { role: string }).role, handle });
      return handle;
    },
  });
  const end = async (role: string): Promise<void> => {
    for (const one of handles) if (one.role === role) await one.handle.terminate();
  };
  return { db, end };
}

for (const role of ["writer", "keeper"]) {
  test(`errors: failed after the death of a ${role}; reads go on, and nothing is lost`, async () => {
    await withTempDir(async (dir) => {
      const path = join(dir, "failed.manifold");
      const acknowledged = new Set<string>();
      {
        const { db, end } = await openWithWorkers(path);
        await using _ = db;
        const family = await db.columnFamily("shop");
        const table = family.table("stock", { key: text });
        const value = new Uint8Array(100);
        await table.set("first", value);
        acknowledged.add("first");
        // All of them are settled, one way or the other.
        const writes = Array.from({ length: 500 }, (_, i) => table.set(`w${i}`, value));
        const ended = end(role);
        const results = await Promise.allSettled(writes);
        await ended;
        results.forEach((result, i) => {
          if (result.status === "fulfilled") acknowledged.add(`w${i}`);
          else assertEquals((result.reason as ManifoldError).code, "failed");
        });
        // The end of a thread is told by an event: some turns later.
        let error: unknown;
        for (let i = 0; i < 10_000 && error === undefined; i++) {
          await table.set(`after${i}`, value).then(
            () => acknowledged.add(`after${i}`),
            (reason) => error = reason,
          );
        }
        assert(error instanceof ManifoldError && error.cause instanceof ManifoldError);
        assertEquals(error.code, "failed");
        for (const word of [path, role, "open it again"]) {
          assert(error.message.includes(word), error.message);
        }
        for (
          const call of [
            () => table.delete("first"),
            () => family.transaction((tx) => tx.table(table).set("x", value)),
            () => family.batch().set(table, "x", value).commit(),
            () => db.checkpoint(),
            () => db.createColumnFamily("new"),
            () => db.deleteColumnFamily("shop"),
          ]
        ) await refused("failed", [path], call);
        assertEquals(table.get("first")?.length, 100);
        for (const key of acknowledged) assert(table.has(key), `${key} can be read`);
      }
      // Of a copy: on Bun what a terminated thread had open stays open and locked with the process.
      const copy = join(dir, "copy.manifold");
      await copyFile(path, copy);
      await copyFile(`${path}-log`, `${copy}-log`);
      await using db = await open(copy, SMALL);
      const table = (await db.columnFamily("shop")).table("stock", { key: text });
      for (const key of acknowledged) assert(table.has(key), `${key} is there`);
    });
  });
}

test("errors: failed when no worker can be started", async () => {
  await using db = await openInMemory({
    cacheBytes: 2 ** 20,
    spawnWorker: () => {
      throw new Error("no threads here");
    },
  });
  await refused("failed", ["no threads here"], () => db.columnFamily("shop"));
  await refused("failed", ["no threads here"], () => db.columnFamily("shop"));
});

test("errors: too-large when more versions are held than there are pins, until some are given back", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 24 });
  const family = await db.columnFamily("shop");
  const table = family.table("stock", { key: u32, value: u32 });
  const snapshots: Snapshot[] = [];
  let error: unknown;
  for (let i = 0; i < 10_000 && error === undefined; i++) {
    await table.set(0, i);
    try {
      snapshots.push(family.snapshot());
    } catch (reason) {
      error = reason;
    }
  }
  assert(error instanceof ManifoldError, "10,000 snapshots could be held");
  assertEquals(error.code, "too-large");
  assert(error.message.includes("dispose"), error.message);
  assertEquals(db.stats().pins, snapshots.length);
  snapshots.forEach((snapshot, i) => {
    if (i % 100 === 0) assertEquals(snapshot.table(table).get(0), i);
    snapshot.dispose();
  });
  using again = family.snapshot();
  assertEquals(again.table(table).get(0), snapshots.length);
});

const canMount = process.platform === "linux" && process.getuid?.() === 0 &&
  spawnSync("unshare", ["-m", "true"]).status === 0;

test(
  "errors: disk-full refuses writes, changes nothing, and ends when room is made",
  { ignore: !canMount },
  async () => {
    await withTempDir(async (dir) => {
      const script = new URL("./support/full_disk_child.ts", import.meta.url);
      const said = await runScript("self", script, [dir]);
      assertEquals(said.at(-1), "passed", said.join("\n"));
    });
  },
);

test("errors: too-large when there is no memory for any of the copies of a value", async () => {
  await using db = await openInMemory({ maxWorkers: 1 });
  const family = await db.columnFamily("f");
  const blobs = family.table("blobs", { key: text });
  const BYTES = 2 ** 20;
  const vectors = family.table("vectors", { key: text, value: f32Array(BYTES / 4) });
  const value = new Uint8Array(BYTES).fill(1);
  await blobs.set("a", value);
  await vectors.set("a", new Float32Array(BYTES / 4).fill(1));
  const calls: [name: string, call: () => unknown][] = [
    ["set", () => blobs.set("a", value)],
    ["batch", () => {
      const batch = family.batch();
      batch.set(blobs, "b", value);
      return batch.commit();
    }],
    ["transaction", () =>
      family.transaction((tx) => {
        tx.table(blobs).set("b", value);
        return tx.table(blobs).get("b");
      })],
    ["get", () => blobs.get("a")],
    ["get of an array", () => vectors.get("a")],
    ["getMany", () => blobs.getMany(["a"])],
    ["first", () => blobs.first()],
    ["entries", () => {
      using entries = blobs.entries();
      return [...entries];
    }],
    ["toArray", () => {
      using values = blobs.values({ reverse: true });
      return values.toArray();
    }],
    ["view", () => blobs.view("a", (lent) => lent.length)],
  ];
  for (const [name, call] of calls) {
    let refused = 0;
    for (let number = 0;; number++) {
      using memory = new NoMemory(number, BYTES);
      let error: unknown;
      try {
        await call();
      } catch (thrown) {
        error = thrown;
      }
      if (memory.count <= number) {
        assertEquals(error, undefined, name);
        break;
      }
      assert(error instanceof ManifoldError, `${name}, allocation ${number}: ${error}`);
      assertEquals(error.code, "too-large", `${name}, allocation ${number}`);
      refused++;
    }
    assertGreater(refused, 0, name);
    assertEquals(db.stats().pins, 0, name);
  }
});

const canLimit = process.platform === "linux" &&
  spawnSync("prlimit", ["--version"]).status === 0;

test(
  "errors: too-large when there is no memory for the cache or a value; the rest goes on",
  { ignore: !canLimit },
  () =>
    withTempDir(async (dir) => {
      const script = fileURLToPath(new URL("./support/scarce_child.ts", import.meta.url));
      const path = join(dir, "scarce.manifold");
      // KiB of address space. Less, and the runtime itself cannot start.
      const [limit, flags] = thisRuntime === "deno"
        ? [60_000_000, "run -A --no-check --v8-flags=--expose-gc"]
        : [18_000_000, "run"];
      // What the child makes lower is the soft limit.
      const command = `ulimit -v ${limit} && exec "$RUNTIME" ${flags} "$SCRIPT" "$FILE"`;
      const env = { RUNTIME: process.execPath, SCRIPT: script, FILE: path };
      const { status, stdout, stderr } = spawnSync("sh", ["-c", command], {
        encoding: "utf8",
        env: { ...process.env, ...env },
      });
      assertEquals(stdout.trim(), "passed", stderr);
      assertEquals(status, 0);
      await using db = await open(path, { readOnly: true });
      assertEquals((await db.verify()).findings, []);
      const table = (await db.columnFamily("f")).table("t", { key: text });
      assertEquals(table.get("small")?.length, 20);
      assertEquals(table.get("large")?.length, 2 * 2 ** 20);
    }),
);
