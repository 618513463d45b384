/**
 * Protects a checkpoint whose meta page may be in the file, though its sync has failed: nothing that it refers to may be written
 * again, so that whichever meta page the next opening finds is right.
 */

import { join } from "node:path";
import { ManifoldError, open, type OpenOptions, text } from "../mod.ts";
import { assert, assertEquals } from "./support/assert.ts";
import { gatedWorkers } from "./support/spawn.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";
import { GATE_WORDS, METAS_UNTIL_FAILURE } from "./support/workers/gate_words.ts";

const OPTIONS: OpenOptions = {
  pageSize: 8192,
  cacheBytes: 2 ** 22,
  logBytes: 2 ** 18,
  maxWorkers: 1,
  checkpoint: { intervalMs: 2 ** 30, bytes: 2 ** 18 },
};
const codecs = { key: text, value: text };
/** More than a quarter of the log: it goes past it. */
const LARGE = Array.from({ length: 400 }, (_, i) => [`k${i}`, `${i}`.repeat(200)] as const);

function codeOf(error: unknown): string {
  if (!(error instanceof ManifoldError)) throw error;
  return error.code;
}

// A transaction past the log has its checkpoint write both meta pages.
for (const failing of ["first", "second"]) {
  test(`nothing is written over a checkpoint whose ${failing} meta page could not be synced`, () =>
    withTempDir(async (dir) => {
      const path = join(dir, "f.manifold");
      const gate = new Int32Array(new SharedArrayBuffer(4 * GATE_WORDS));
      const db = await open(path, { ...OPTIONS, spawnWorker: gatedWorkers(gate) });
      const table = (await db.columnFamily("a")).table("t", codecs);
      await table.set("before", "here");
      await db.checkpoint();
      Atomics.store(gate, METAS_UNTIL_FAILURE, failing === "first" ? 1 : 2);
      const past = table.setMany(LARGE).then(() => "done", codeOf);
      // Values on pages of their own, which are written before anything else of their transactions.
      const next = await Promise.all(
        Array.from(
          { length: 5 },
          (_, i) => table.set(`n${i}`, "y".repeat(50_000)).then(() => "done", codeOf),
        ),
      );
      assertEquals(await past, "failed");
      await db.close().catch(codeOf);

      await using again = await open(path, OPTIONS);
      assertEquals((await again.verify()).findings, []);
      const found = (await again.columnFamily("a")).table("t", codecs);
      assertEquals(found.get("before"), "here");
      const large = found.count({ gte: "k", lt: "l" });
      assert(large === 0 || large === LARGE.length, `${large} entries of the transaction`);
      next.forEach((outcome, i) => {
        if (outcome === "done") assertEquals(found.get(`n${i}`), "y".repeat(50_000));
      });
    }));
}
