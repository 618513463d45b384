/**
 * Protects what was acknowledged when log or data file are moved, removed or replaced while the
 * database is open: it is noticed, nothing more is taken, and what was taken stands in the data file under
 * whatever name that has; a file that came into the place of another is not written to.
 */

import { copyFile, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  attach,
  type ColumnFamily,
  type Database,
  ManifoldError,
  open,
  type OpenOptions,
  type Table,
  u32,
} from "../mod.ts";
import { assert, assertEquals, assertStringIncludes } from "./support/assert.ts";
import { exists } from "./support/fs.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const OPTIONS: OpenOptions = {
  pageSize: 4096,
  cacheBytes: 2 ** 20,
  logBytes: 2 ** 20,
  maxWorkers: 2,
};

function tableOf(family: ColumnFamily): Table<number, Uint8Array> {
  return family.table("rows", { key: u32 });
}

function valueOf(n: number): Uint8Array {
  return new Uint8Array(n % 700).fill(n);
}

/** Writes on until it is refused; returns the error and how many writes were acknowledged. */
async function writeOn(
  table: Table<number, Uint8Array>,
  first: number,
): Promise<{ error: ManifoldError; end: number }> {
  for (let n = first;; n++) {
    try {
      await table.set(n, valueOf(n));
    } catch (error) {
      if (!(error instanceof ManifoldError)) throw error;
      return { error, end: n };
    }
  }
}

/** All rows up to `end` are there, and at most the one that was refused besides. */
async function check(db: Database, end: number): Promise<void> {
  const table = tableOf(await db.columnFamily("f"));
  assertEquals(table.count({ lt: end }), end);
  for (const [n, value] of table) assertEquals(value, valueOf(n));
  assert(table.count() <= end + 1);
}

const LOSSES: readonly [string, (path: string) => Promise<void>, string][] = [
  ["the log is removed", (path) => rm(`${path}-log`), "-log"],
  ["the log is renamed", (path) => rename(`${path}-log`, `${path}-old`), "-log"],
  [
    "the log is replaced",
    async (path) => {
      await writeFile(`${path}-new-log`, new Uint8Array(10_000));
      await rename(`${path}-new-log`, `${path}-log`);
    },
    "-log",
  ],
  ["the data file is renamed", (path) => rename(path, `${path}-moved`), ".manifold"],
];

for (const [what, lose, names] of LOSSES) {
  test(`lost files: ${what} while commits go on; what was acknowledged is kept`, () =>
    withTempDir(async (dir) => {
      const path = join(dir, "lost.manifold");
      const db = await open(path, OPTIONS);
      const table = tableOf(await db.columnFamily("f"));
      for (let n = 0; n < 50; n++) await table.set(n, valueOf(n));
      await lose(path);
      const { error, end } = await writeOn(table, 50);
      assertEquals(error.code, "failed");
      for (const word of [path, names, "moved, removed or replaced"]) {
        assertStringIncludes(error.message, word);
      }
      assertEquals(table.count({ lt: end }), end, "reads go on");
      // It has failed for everyone, once what was acknowledged is in the file.
      const closed = await db.close().then(() => "", (reason) => (reason as ManifoldError).code);
      assert(closed === "" || closed === "failed");
      const moved = `${path}-moved`;
      await using again = await open(await exists(moved) ? moved : path, OPTIONS);
      await check(again, end);
      await tableOf(await again.columnFamily("f")).set(end, valueOf(end));
    }));
}

test("lost files: a data file that is removed is noticed, and can be read until it is closed", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "lost.manifold");
    const db = await open(path, OPTIONS);
    const table = tableOf(await db.columnFamily("f"));
    for (let n = 0; n < 50; n++) await table.set(n, valueOf(n));
    await rm(path);
    const { error, end } = await writeOn(table, 50);
    assertEquals(error.code, "failed");
    assertStringIncludes(error.message, "copy it before");
    assertEquals([...table.keys({ lt: end })].length, end);
    await db.close().catch((reason) => assertEquals((reason as ManifoldError).code, "failed"));
    assert(!(await exists(path)), "no file is made in its place");
  }));

test("lost files: a file that has come into the place of the data file is never written to", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "lost.manifold");
    const other = join(dir, "other.manifold");
    await (await open(other, OPTIONS)).close();
    const before = await readFile(other);
    const db = await open(path, OPTIONS);
    const handle = db.share();
    await tableOf(await db.columnFamily("f")).set(1, valueOf(1));
    await copyFile(other, `${path}-copy`);
    await rename(`${path}-copy`, path);
    const codeOf = (call: Promise<unknown>) =>
      call.then(() => "accepted", (error) => (error as ManifoldError).code);
    assertEquals(await codeOf(attach(handle)), "failed");
    // The worker of this one has not opened the file yet.
    assertEquals(await codeOf(db.columnFamily("g")), "failed");
    await db.close().catch(() => {});
    assertEquals(await readFile(path), before);
  }));
