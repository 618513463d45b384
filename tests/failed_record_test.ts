/**
 * Protects the log's end: a large record that cannot be written, with another worker's record behind its place, ends the database.
 * It must not be refused as if nothing had happened: what stands behind the gap could never become durable.
 */

import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { ManifoldError, open, type OpenOptions, text } from "../mod.ts";
import { assertEquals } from "./support/assert.ts";
import { gatedWorkers } from "./support/spawn.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";
import { GATE_IS_SHUT, GATE_WORDS, RECORD_FAILS, WAITS } from "./support/workers/gate_words.ts";

const OPTIONS: OpenOptions = {
  pageSize: 4096,
  cacheBytes: 2 ** 22,
  logBytes: 2 ** 20,
  maxWorkers: 2,
  checkpoint: { intervalMs: 2 ** 30, bytes: 2 ** 19 },
};
const codecs = { key: text, value: text };
/** More than 64 KiB, less than a quarter of the log. */
const LARGE = Array.from({ length: 500 }, (_, i) => [`k${i}`, `${i}`.repeat(50)] as const);

function codeOf(error: unknown): string {
  if (!(error instanceof ManifoldError)) throw error;
  return error.code;
}

test("a large record that cannot be written, with another behind it, ends the database", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "f.manifold");
    const gate = new Int32Array(new SharedArrayBuffer(4 * GATE_WORDS));
    const db = await open(path, { ...OPTIONS, spawnWorker: gatedWorkers(gate) });
    const [large, small] = await Promise.all(
      ["large", "small"].map(async (name) => (await db.columnFamily(name)).table("t", codecs)),
    );
    // Both workers run, and the log's ring has its bytes: then others may stand behind a record that is being written.
    await Promise.all([large.set("before", "here"), small.set("before", "here")]);

    Atomics.store(gate, RECORD_FAILS, 1);
    Atomics.store(gate, GATE_IS_SHUT, 1);
    const failing = large.setMany(LARGE).then(() => "done", codeOf);
    while (Atomics.load(gate, WAITS) === 0) await setTimeout(1);
    const behind = small.set("behind", "it").then(() => "done", codeOf);
    await setTimeout(50);
    Atomics.store(gate, GATE_IS_SHUT, 0);
    Atomics.notify(gate, GATE_IS_SHUT);
    const late = setTimeout(10_000, "waits for ever", { ref: false });
    assertEquals(await Promise.race([behind, late]), "failed");
    assertEquals(await Promise.race([failing, late]), "failed");
    assertEquals(await small.set("after", "it").then(() => "done", codeOf), "failed");
    await db.close().catch(codeOf);

    await using again = await open(path, OPTIONS);
    assertEquals((await again.verify()).findings, []);
    const found = (await again.columnFamily("large")).table("t", codecs);
    assertEquals([...found.keys()], ["before"]);
    assertEquals((await again.columnFamily("small")).table("t", codecs).get("before"), "here");
  }));
