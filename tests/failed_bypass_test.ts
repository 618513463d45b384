/**
 * Protects what a checkpoint is making while the database fails: a transaction past the log, which it has pinned before it is
 * published, is whole in the file or not there.
 */

import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { ManifoldError, open, type OpenOptions, text } from "../mod.ts";
import { assert, assertEquals } from "./support/assert.ts";
import { gatedWorkers } from "./support/spawn.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";
import { GATE_IS_SHUT, GATE_WORDS, LOG_FAILS, WAITS } from "./support/workers/gate_words.ts";

const OPTIONS: OpenOptions = {
  pageSize: 4096,
  cacheBytes: 2 ** 22,
  logBytes: 2 ** 18,
  maxWorkers: 2,
  checkpoint: { intervalMs: 2 ** 30 },
};
const codecs = { key: text, value: text };
const ENTRIES = 400;

function codeOf(error: unknown): string {
  if (!(error instanceof ManifoldError)) throw error;
  return error.code;
}

test("a transaction past the log, pinned by a checkpoint while the database fails, is whole or not there", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "f.manifold");
    const gate = new Int32Array(new SharedArrayBuffer(4 * GATE_WORDS));
    const db = await open(path, { ...OPTIONS, spawnWorker: gatedWorkers(gate) });
    const [large, small] = await Promise.all(
      ["large", "small"].map((name) => db.columnFamily(name)),
    );
    const table = large.table("t", codecs);
    await table.set("before", "here");
    await small.table("t", codecs).set("before", "here");
    await db.checkpoint();

    Atomics.store(gate, GATE_IS_SHUT, 1);
    const entries = Array.from(
      { length: ENTRIES },
      (_, i) => [`k${i}`, `${i}`.repeat(200)] as const,
    );
    const past = table.setMany(entries).then(() => "done", codeOf);
    while (Atomics.load(gate, WAITS) === 0) await setTimeout(1);
    // The checkpoint has pinned it. Now the log fails, and its worker hears of that before the keeper goes on.
    Atomics.store(gate, LOG_FAILS, 1);
    assertEquals(
      await small.table("t", codecs).set("lost", "yes").then(() => "done", codeOf),
      "failed",
    );
    assertEquals(await past, "failed");
    await setTimeout(100);
    Atomics.store(gate, GATE_IS_SHUT, 0);
    Atomics.notify(gate, GATE_IS_SHUT);
    await db.close().catch(codeOf);

    await using again = await open(path, OPTIONS);
    assertEquals((await again.verify()).findings, []);
    const found = (await again.columnFamily("large")).table("t", codecs);
    assertEquals(found.get("before"), "here");
    assert([1, 1 + ENTRIES].includes(found.count()), `${found.count()} entries`);
    assertEquals(found.keys().toArray().length, found.count());
  }));
