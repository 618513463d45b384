/**
 * Snapshots and iterators that nobody holds any more: the garbage collector gives their versions back.
 * Prints `passed` at the end. Deno needs `--v8-flags=--expose-gc`.
 *
 * @module
 */

import { openInMemory, text, u32 } from "../../mod.ts";
import { assert, assertEquals } from "./assert.ts";

const { gc, Bun } = globalThis as {
  gc?: () => void;
  Bun?: { gc(force: boolean): void };
};
const collect = Bun === undefined ? gc! : () => Bun.gc(true);

await using db = await openInMemory({ cacheBytes: 2 ** 20 });
const family = await db.columnFamily("f");
const table = family.table("t", { key: text, value: u32 });

/** In a function of its own, so that nothing of it stays on the stack. */
async function abandon(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await table.set(`key-${i}`, i);
    family.snapshot();
    family.snapshot().table(table).get("key-0");
    table.entries().next();
    family.snapshot().table(table).keys().next();
  }
}

await table.set("key", 1);
const held = family.snapshot();
await abandon(100);
await table.set("key", 2);
assert(db.stats().pins > 1, "they are held at first");
const { oldestPin } = db.stats();
assertEquals(oldestPin?.family, "f");
assertEquals(oldestPin?.version, held.version);
const word = new Int32Array(new SharedArrayBuffer(4));
for (let i = 0; i < 2000 && db.stats().pins > 1; i++) {
  collect();
  await Atomics.waitAsync(word, 0, 0, 1).value;
}
assertEquals(db.stats().pins, 1, "the one that is held");
assertEquals(held.table(table).get("key"), 1);
held.dispose();
assertEquals(db.stats().pins, 0);
assertEquals(db.stats().oldestPin, undefined);
console.log("passed");
