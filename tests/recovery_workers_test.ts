/**
 * Which worker is started when in a recovery is up to the system: whoever has records to apply is waited for,
 * whatever the others do.
 */

import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { clearInterval, setInterval, setTimeout } from "node:timers";
import { open, type OpenOptions, type SpawnWorker, text } from "../mod.ts";
import { LIFE_RECOVERING, lifeOf } from "../lib/engine/life.ts";
import { Control } from "../lib/memory/control.ts";
import { wantWorker } from "../lib/memory/worker_table.ts";
import type { WorkerData } from "../workers/worker_data.ts";
import { assert, assertEquals } from "./support/assert.ts";
import { OneThread } from "./support/one_thread.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const OPTIONS: OpenOptions = {
  pageSize: 4096,
  cacheBytes: 2 ** 20,
  logBytes: 2 ** 18,
  maxWorkers: 3,
};
const codecs = { key: text, value: text };

/** The worker whose family has records, and one that has no family. */
const BUSY = 1;
const IDLE = 2;
/** How much later the busy one starts, ms. */
const LATE_MS = 200;

test("recovery: a worker that is started late is waited for, whoever else comes and has nothing to do", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "killed.manifold");
    using threads = new OneThread();
    await makeKilled(join(dir, "whole.manifold"), path, threads.spawn);
    let sawRecovery = false;
    const spawn: SpawnWorker = (url, given) => {
      const data = given as WorkerData;
      if (data.role === "keeper") {
        const control = new Control(data.shared.control);
        const timer = setInterval(() => {
          if (lifeOf(control) !== LIFE_RECOVERING) return;
          clearInterval(timer);
          sawRecovery = true;
          wantWorker(control, IDLE);
        }, 1);
      }
      return data.worker === BUSY
        ? late(() => threads.spawn(url, given))
        : threads.spawn(url, given);
    };
    await using db = await open(path, { ...OPTIONS, spawnWorker: spawn });
    assert(sawRecovery, "there was a recovery");
    const family = await db.columnFamily("b");
    assertEquals(family.table("t", codecs).get("k"), "v");
  });
});

/** A file of two families, and a log that has a change of the second one. */
async function makeKilled(whole: string, path: string, spawnWorker: SpawnWorker): Promise<void> {
  await using db = await open(whole, { ...OPTIONS, spawnWorker });
  await db.columnFamily("a");
  const family = await db.columnFamily("b");
  await db.checkpoint();
  await family.table("t", codecs).set("k", "v");
  await copyFile(whole, path);
  await copyFile(`${whole}-log`, `${path}-log`);
}

/** A worker that the system lets begin late. */
function late(start: () => ReturnType<SpawnWorker>): ReturnType<SpawnWorker> {
  let real: ReturnType<SpawnWorker> | undefined;
  let onExit: (code: number) => void = () => {};
  const timer = setTimeout(() => {
    real = start();
    real.onExit((code) => onExit(code));
  }, LATE_MS);
  return {
    onError() {},
    onExit: (callback) => void (onExit = callback),
    unref() {},
    terminate() {
      clearTimeout(timer);
      return real?.terminate() ?? Promise.resolve();
    },
  };
}
