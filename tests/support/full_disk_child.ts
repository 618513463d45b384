/**
 * What a database does on a full disk: a tmpfs of its own, in a mount namespace of its own. Prints `passed`
 * at the end.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { appendFile, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { ManifoldError, open, type OpenOptions, text } from "../../mod.ts";
import { assert, assertEquals } from "./assert.ts";
import { bytesOf, ModelTable, randomValue } from "./sorted_model.ts";
import { Random } from "./random.ts";

const OPTIONS: OpenOptions = { pageSize: 4096, cacheBytes: 2 ** 20, logBytes: 2 ** 20 };
const DISK_BYTES = 8 * 2 ** 20;

function enter(dir: string): void {
  const flags = process.versions.bun === undefined ? ["run", "-A", "--no-check"] : ["run"];
  const mount = `mount -t tmpfs -o size=${DISK_BYTES} tmpfs "$0" && exec "$@"`;
  const self = [process.execPath, ...flags, fileURLToPath(import.meta.url), dir, "inside"];
  const { status } = spawnSync("unshare", ["-m", "sh", "-c", mount, dir, ...self], {
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
}

function isDiskFull(error: unknown): boolean {
  if (!(error instanceof ManifoldError) || error.code !== "disk-full") throw error;
  return true;
}

/** Takes 3 MiB of the disk, or what is left of it. */
async function takeRoom(ballast: string, pieces = 48, bytes = 65536): Promise<void> {
  for (let i = 0; i < pieces; i++) {
    try {
      await appendFile(ballast, new Uint8Array(bytes));
    } catch (error) {
      if ((error as { code?: string }).code === "ENOSPC") return;
      throw error;
    }
  }
}

async function inside(dir: string): Promise<void> {
  const path = join(dir, "full.manifold");
  const ballast = join(dir, "ballast");
  const random = new Random(31);
  const model = new ModelTable<string>();
  for (const [lengthMax, closeFull] of [[1000, false], [100_000, false], [1001, true]] as const) {
    let db = await open(path, OPTIONS);
    let table = (await db.columnFamily("f")).table("t", { key: text });
    model.checkEntries([...table], model.keys, "after the opening");
    await table.delete("none"); // the log is there now
    await takeRoom(ballast);
    let refused = 0;
    for (let i = 0; i < 20_000 && refused < 5; i++) {
      const writes = Array.from({ length: 20 }, (_, n) => {
        const value = randomValue(random, random.int(lengthMax));
        return [`${lengthMax}-${i}-${n}`, value] as const;
      });
      try {
        await table.setMany(writes.map(([key, value]) => [key, bytesOf(value)]));
        for (const [key, value] of writes) model.set(key, value);
      } catch (error) {
        if (isDiskFull(error)) refused++;
      }
    }
    assertEquals(refused, 5, "the disk is full");
    await db.checkpoint().catch(isDiskFull);
    model.checkEntries([...table], model.keys, "while the disk is full");
    // With room again, everything goes on.
    if (closeFull) await db.close().catch(isDiskFull);
    await rm(ballast);
    if (closeFull) {
      db = await open(path, OPTIONS);
      table = (await db.columnFamily("f")).table("t", { key: text });
      model.checkEntries([...table], model.keys, "after a close on the full disk");
    }
    for (let i = 0; i < 50; i++) {
      const value = randomValue(random, random.int(1000));
      await table.set(`after-${lengthMax}-${i}`, bytesOf(value));
      model.set(`after-${lengthMax}-${i}`, value);
    }
    await db.checkpoint();
    model.checkEntries([...table], model.keys, "after there was room again");
    await table.deleteRange({ prefix: `${lengthMax}-` });
    model.deleteRange({ prefix: `${lengthMax}-` });
    await db.checkpoint();
    await db.close();
  }
  await using db = await open(path, { readOnly: true });
  const table = (await db.columnFamily("f")).table("t", { key: text });
  model.checkEntries([...table], model.keys, "in the end");
  assert(model.keys.length === 150);
}

/** The code that a write is refused with. */
async function codeOf(write: () => Promise<unknown>): Promise<string> {
  return await write().then(() => "accepted", (error) => (error as ManifoldError).code);
}

/** The disk is full already when the first write of an opening comes, and when a file is to be made. */
async function fullFromTheStart(dir: string): Promise<void> {
  const path = join(dir, "first.manifold");
  const ballast = join(dir, "ballast");
  const fill = async (): Promise<void> => {
    await takeRoom(ballast, Infinity);
    await takeRoom(ballast, Infinity, 4096);
  };
  await fill();
  assertEquals(await codeOf(() => open(path, OPTIONS)), "disk-full", "a new file");
  await rm(ballast);
  const value = bytesOf(randomValue(new Random(1), 100));
  {
    await using db = await open(path, OPTIONS);
    await (await db.columnFamily("f")).table("t", { key: text }).set("old", value);
  }
  await fill();
  for (const closeFull of [true, false]) {
    const db = await open(path, OPTIONS);
    const family = await db.columnFamily("f");
    const table = family.table("t", { key: text });
    const writes = [
      () => table.set("new", value),
      () => db.columnFamily("g"),
      () => table.set("large", new Uint8Array(100_000)),
      () => table.set("bypassing", new Uint8Array(400_000)),
      () => family.transaction((tx) => tx.table(table).delete("old")),
    ];
    // One after the other, and all at once.
    for (const write of writes) assertEquals(await codeOf(write), "disk-full", "a first write");
    for (const code of await Promise.all(writes.map(codeOf))) assertEquals(code, "disk-full");
    await db.checkpoint(); // there is nothing to do
    assertEquals([...table.keys()], ["old"]);
    assertEquals(db.columnFamilies(), ["f"]);
    if (closeFull) {
      await db.close();
      continue;
    }
    await rm(ballast);
    for (const write of writes) await write();
    await fill();
    // What has its place in the log is accepted; an overflow value and a checkpoint need room.
    await table.set("new", bytesOf(randomValue(new Random(2), 100)));
    assertEquals(await codeOf(() => table.set("large", new Uint8Array(500_000))), "disk-full");
    await rm(ballast);
    await table.set("large", new Uint8Array(500_000));
    await db.checkpoint();
    await db.close();
  }
  await using db = await open(path, { ...OPTIONS, readOnly: true });
  const table = (await db.columnFamily("f")).table("t", { key: text });
  assertEquals([...table.keys()], ["bypassing", "large", "new"]);
  assertEquals(table.get("large")?.length, 500_000);
  assertEquals(table.get("new"), bytesOf(randomValue(new Random(2), 100)));
  assertEquals(db.columnFamilies(), ["f", "g"]);
}

const [dir, where] = process.argv.slice(2);
if (where === "inside") {
  await inside(dir);
  await rm(join(dir, "full.manifold"));
  await fullFromTheStart(dir);
  console.log("passed");
} else {
  enter(dir);
}
