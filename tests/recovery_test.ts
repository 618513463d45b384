/**
 * Processes that are killed: whatever they had acknowledged is there after the next opening, on the
 * same or the other runtime; what cannot be there any more is an error, never a silent loss.
 */

import { open as openFile, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { ManifoldError, open, type OpenOptions } from "../mod.ts";
import { assert, assertEquals, assertGreater, assertRejects } from "./support/assert.ts";
import { runtimes, thisRuntime } from "./support/child.ts";
import {
  assertUntouched,
  checkDatabase,
  DatabaseProcess,
  filesOf,
  lookAt,
} from "./support/database_process.ts";
import { Random } from "./support/random.ts";
import { type ModelValue, randomValue } from "./support/sorted_model.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const SMALL: OpenOptions = { pageSize: 4096, cacheBytes: 2 ** 20, logBytes: 2 ** 18 };
/** No checkpoint by itself, so that everything has to come from the log. */
const LOG_ONLY: OpenOptions = { pageSize: 4096, cacheBytes: 2 ** 22, logBytes: 2 ** 24 };

function randomWrites(
  random: Random,
  count: number,
  lengthMax: number,
): [string, ModelValue | null][] {
  return Array.from({ length: count }, () => [
    `key-${random.int(400)}`,
    random.chance(0.2) ? null : randomValue(random, random.int(lengthMax)),
  ]);
}

/**
 * Opens it here, compares, closes it, and compares what a second opening gives. `mayBeClean`: a process that
 * dies between the checkpoint that ends its recovery and the new life of the log leaves it clean.
 */
async function recoverAndCheck(
  path: string,
  child: DatabaseProcess,
  options: OpenOptions,
  mayBeClean = false,
): Promise<void> {
  const calls: number[] = [];
  {
    await using db = await open(path, { ...options, onProgress: ({ total }) => calls.push(total) });
    await checkDatabase(db, child.model);
  }
  if (!mayBeClean) assertGreater(calls.length, 0, "there was a recovery");
  calls.length = 0;
  await using db = await open(path, { ...options, onProgress: ({ total }) => calls.push(total) });
  await checkDatabase(db, child.model);
  assertEquals(calls, [], "the second opening has nothing to recover");
}

for (const on of runtimes) {
  test(`recovery: what a process killed on ${on} had acknowledged is there on ${thisRuntime}`, async () => {
    await withTempDir(async (dir) => {
      const path = join(dir, "killed.manifold");
      const random = new Random(11);
      await using child = new DatabaseProcess(on);
      await child.tell({ do: "open", path, options: LOG_ONLY });
      for (const family of ["a", "b"]) {
        for (const how of ["each", "at once", "batch"] as const) {
          const writes = randomWrites(random, 60, 1000);
          await child.tell({ do: "write", family, table: how, writes, how });
        }
      }
      await child.kill();
      const { meta, records } = await lookAt(path);
      assert(!meta.clean);
      assertGreater(records.length, 50);
      await recoverAndCheck(path, child, LOG_ONLY);
    });
  });

  test(`recovery: families and tables made, dropped and made again are recovered (${on} to ${thisRuntime})`, async () => {
    await withTempDir(async (dir) => {
      const path = join(dir, "lifecycle.manifold");
      const random = new Random(12);
      await using child = new DatabaseProcess(on);
      const write = (family: string, table: string, count: number) =>
        child.tell({
          do: "write",
          family,
          table,
          writes: randomWrites(random, count, 3000),
          how: "at once",
        });
      await child.tell({ do: "open", path, options: LOG_ONLY });
      await write("durable", "t", 50);
      await write("durable", "dropped", 50);
      await write("dropped after", "t", 50);
      await write("remade", "t", 50);
      await child.tell({ do: "checkpoint" });
      await child.tell({ do: "delete-table", family: "durable", table: "dropped" });
      await child.tell({ do: "delete-table", family: "durable", table: "t" });
      await write("durable", "t", 30);
      await child.tell({ do: "delete-family", family: "dropped after" });
      await child.tell({ do: "delete-family", family: "remade" });
      await write("remade", "other", 30);
      await child.tell({ do: "delete-family", family: "remade" });
      await write("remade", "t", 20);
      await child.tell({ do: "family", family: "empty" });
      await write("short", "t", 20);
      await child.tell({ do: "delete-family", family: "short" });
      await child.kill();
      assertGreater((await lookAt(path)).records.length, 8);
      await recoverAndCheck(path, child, LOG_ONLY);
    });
  });

  test(`recovery: eventual writes survive the death of their process (${on} to ${thisRuntime})`, async () => {
    await withTempDir(async (dir) => {
      const path = join(dir, "eventual.manifold");
      const random = new Random(13);
      await using child = new DatabaseProcess(on);
      await child.tell({ do: "open", path, options: { ...LOG_ONLY, durability: "eventual" } });
      for (const how of ["each", "at once"] as const) {
        const writes = randomWrites(random, 300, 300);
        await child.tell({ do: "write", family: "f", table: "t", writes, how });
      }
      await child.kill();
      await recoverAndCheck(path, child, LOG_ONLY);
    });
  });

  test(`recovery: transactions larger than the log, overflow values and a log gone round (${on} to ${thisRuntime})`, async () => {
    await withTempDir(async (dir) => {
      const path = join(dir, "large.manifold");
      const random = new Random(14);
      await using child = new DatabaseProcess(on);
      await child.tell({ do: "open", path, options: SMALL });
      for (let round = 0; round < 4; round++) {
        // Beyond a quarter of the log, and beyond all of it.
        for (const lengthMax of [3000, 30_000]) {
          const writes = randomWrites(random, 80, lengthMax);
          await child.tell({ do: "write", family: "f", table: "large", writes, how: "batch" });
        }
        const writes = randomWrites(random, 150, 5000);
        await child.tell({ do: "write", family: "f", table: "t", writes, how: "at once" });
        const overflow: [string, ModelValue][] = [[`o${round}`, randomValue(random, 300_000)]];
        await child.tell({ do: "write", family: "g", table: "o", writes: overflow, how: "each" });
        const few = randomWrites(random, 10, 2000);
        await child.tell({ do: "write", family: "f", table: "t", writes: few, how: "each" });
      }
      await child.kill();
      const { meta, records } = await lookAt(path);
      assertGreater(meta.logPosition, 2 ** 18, "the log went round");
      assertGreater(records.length, 0);
      await recoverAndCheck(path, child, SMALL);
    });
  });

  test(`recovery: killed during recoveries on ${on} again and again, nothing is lost`, async () => {
    await withTempDir(async (dir) => {
      const path = join(dir, "again.manifold");
      const random = new Random(15);
      await using child = new DatabaseProcess(on);
      await child.tell({ do: "open", path, options: LOG_ONLY });
      for (let round = 0; round < 5; round++) {
        const family = `f${round % 3}`;
        const writes = randomWrites(random, 2000, 1500);
        await child.tell({ do: "write", family, table: "t", writes, how: "at once" });
      }
      await child.kill();
      let died = 0;
      for (const dieAtProgress of [1, 1, 2, 2, 3, 4, 6]) {
        await using again = new DatabaseProcess(on, child.model);
        const answer = again.ask({ do: "open", path, options: LOG_ONLY, dieAtProgress });
        // It dies in the middle, or is through before and is killed with a clean start behind it.
        if (await answer.then(() => false, () => true)) died++;
        else {
          const writes = randomWrites(random, 20, 1500);
          await again.tell({ do: "write", family: "f0", table: "t", writes, how: "each" });
        }
      }
      assertGreater(died, 1);
      await recoverAndCheck(path, child, LOG_ONLY, true);
    });
  });
}

/** A database whose process was killed after `count` writes that were each a record of their own. */
async function killedAfterSingles(path: string, count: number): Promise<DatabaseProcess> {
  const random = new Random(16);
  const child = new DatabaseProcess("self");
  await child.tell({ do: "open", path, options: LOG_ONLY });
  await child.tell({ do: "family", family: "f" });
  for (let i = 0; i < count; i++) {
    const writes: [string, ModelValue][] = [[`k${i}`, randomValue(random, 200)]];
    await child.tell({ do: "write", family: "f", table: "t", writes, how: "each" });
  }
  await child.kill();
  return child;
}

async function garble(path: string, at: number): Promise<void> {
  const file = await openFile(path, "r+");
  const byte = new Uint8Array(1);
  await file.read(byte, 0, 1, at);
  byte[0] ^= 0x40;
  await file.write(byte, 0, 1, at);
  await file.close();
}

for (const tear of ["garbled", "cut off", "zeroed"]) {
  test(`recovery: a last record that is ${tear} is cut, and what came before it stays`, async () => {
    await withTempDir(async (dir) => {
      const path = join(dir, "torn.manifold");
      const log = `${path}-log`;
      await using child = await killedAfterSingles(path, 20);
      const { records } = await lookAt(path);
      const last = records.at(-1)!;
      const { size } = await stat(log);
      if (tear === "garbled") await garble(log, last.at + last.length - 1);
      else await truncate(log, last.at + (tear === "cut off" ? 70 : 0));
      if (tear === "zeroed") await truncate(log, size);
      child.model.get("f")!.get("t")!.delete("k19");
      await recoverAndCheck(path, child, LOG_ONLY);
    });
  });
}

test("recovery: damage in the middle of the log is reported with its position, and nothing is changed", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "damaged.manifold");
    await using _ = await killedAfterSingles(path, 20);
    const { records } = await lookAt(path);
    for (const record of [records[0], records[7], records.at(-2)!]) {
      await garble(`${path}-log`, record.at + 66);
      const before = await filesOf(path);
      const error = await assertRejects(
        () => open(path, LOG_ONLY),
        ManifoldError,
        `position ${record.position}`,
      );
      assertEquals(error.code, "corrupt");
      assert(error.message.includes(`${path}-log`), error.message);
      await assertUntouched(path, before);
      await garble(`${path}-log`, record.at + 66);
    }
    await (await open(path, LOG_ONLY)).close();
  });
});

test("recovery: readOnly opens a clean file without writing a byte, and refuses one that is not clean", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "read.manifold");
    await using child = await killedAfterSingles(path, 5);
    let before = await filesOf(path);
    const error = await assertRejects(() => open(path, { readOnly: true }), ManifoldError, path);
    assertEquals(error.code, "needs-recovery");
    await assertUntouched(path, before);

    await (await open(path, LOG_ONLY)).close();
    before = await filesOf(path);
    assertEquals(before[1], null, "a clean database has no log");
    const { mtimeMs } = await stat(path);
    for (let i = 0; i < 2; i++) {
      await using db = await open(path, { readOnly: true });
      await using other = await open(path, { readOnly: true });
      await checkDatabase(db, child.model);
      await checkDatabase(other, child.model);
    }
    await assertUntouched(path, before);
    assertEquals((await stat(path)).mtimeMs, mtimeMs);
  });
});

test("recovery: without the log of an unclean file, opening is refused until it is back", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "lost.manifold");
    await using child = await killedAfterSingles(path, 5);
    const log = `${path}-log`;
    const kept = (await filesOf(path))[1]!;
    await rm(log);
    const before = await filesOf(path);
    const error = await assertRejects(() => open(path), ManifoldError, log);
    assertEquals(error.code, "corrupt");
    await assertUntouched(path, before);
    const file = await openFile(log, "w");
    await file.write(kept);
    await file.close();
    await recoverAndCheck(path, child, LOG_ONLY);
  });
});
