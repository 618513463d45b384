/**
 * Protects large writes: that those under way at once keep their operations until they are settled, and that
 * one has the effect of its operations in their order, whatever order they are applied in.
 */

import { type Batch, bytes, openInMemory, text, u32 } from "../mod.ts";
import { SORTED_MAX } from "../lib/engine/write_order.ts";
import { assert, assertEquals } from "./support/assert.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const ENTRIES = 500;
const ROUNDS = 4;
const WRITERS = 6;

/** The value of an entry: of another length and content in each write. */
function valueOf(write: number, i: number): Uint8Array {
  return new Uint8Array(700 + 40 * write + (i % 7)).fill(write * 31 + i);
}

function keyOf(write: number, i: number): Uint8Array {
  return new Uint8Array([write, i >> 8, i & 255]);
}

test("large writes: the memory of one serves the next, and none that is under way", async () => {
  await using db = await openInMemory();
  const family = await db.columnFamily("f");
  const table = family.table("t", { key: bytes, value: bytes });
  function* entries(write: number): Generator<[Uint8Array, Uint8Array]> {
    for (let i = 0; i < ENTRIES; i++) yield [keyOf(write, i), valueOf(write, i)];
  }
  for (let round = 0; round < ROUNDS; round++) {
    const under: Promise<void>[] = [];
    for (let writer = 0; writer < WRITERS; writer++) {
      const write = round * WRITERS + writer;
      if (writer % 2 === 0) {
        under.push(table.setMany(entries(write)));
      } else {
        const batch = family.batch();
        for (const [key, value] of entries(write)) batch.set(table, key, value);
        under.push(batch.commit());
      }
      // The next begins with what the first has given back.
      if (writer === WRITERS / 2) await under[0];
    }
    await Promise.all(under);
  }
  assertEquals(table.count(), ROUNDS * WRITERS * ENTRIES);
  for (let write = 0; write < ROUNDS * WRITERS; write++) {
    for (let i = 0; i < ENTRIES; i++) {
      assertEquals(table.get(keyOf(write, i)), valueOf(write, i));
    }
  }
});

test("large writes: writes to one key take effect in their order, and range deletions in between", async () => {
  const random = Random.fromEnvironment("large writes, order");
  await using db = await openInMemory();
  const family = await db.columnFamily("f");
  // Two that have most of it, and more than are sorted at once.
  const names = ["ants", "bees", ...Array.from({ length: 20 }, (_, i) => `bugs ${i}`)];
  const tables = names.map((name) => family.table(name, { key: text, value: text }));
  const models = tables.map(() => new Map<string, string>());
  const prefixes = ["", "x", "a rather long prefix, ", "a rather long prefix, and more of it, "];
  for (let round = 0; round < 3; round++) {
    const batch: Batch = family.batch();
    for (let i = 0; i < 9000; i++) {
      const which = random.chance(0.9) ? random.int(2) : random.int(tables.length);
      const [table, model] = [tables[which], models[which]];
      const key = random.pick(prefixes) + random.int(300);
      if (random.chance(0.2)) {
        batch.delete(table, key);
        model.delete(key);
      } else if (random.chance(0.001)) {
        batch.deleteRange(table, { gte: key, lt: `${key}9` });
        for (const one of [...model.keys()]) if (one >= key && one < `${key}9`) model.delete(one);
      } else {
        const value = `${round}.${i}`.padEnd(random.int(300), "-");
        batch.set(table, key, value);
        model.set(key, value);
      }
    }
    await batch.commit();
    for (const [which, table] of tables.entries()) {
      const expected = [...models[which]].sort(([a], [b]) => (a < b ? -1 : 1));
      assertEquals(table.entries().toArray(), expected);
    }
  }
});

test("large writes: a load of random keys fills its pages", async () => {
  const random = Random.fromEnvironment("large writes, load");
  await using db = await openInMemory({ cacheBytes: 256 * 2 ** 20 });
  const family = await db.columnFamily("f");
  const table = family.table("t", { key: u32, value: u32 });
  const batch = family.batch();
  // Each key twice, and some once more: a little more than is sorted at once.
  const count = SORTED_MAX / 2;
  const keyAt = (i: number): number => Math.imul(i % count, 2654435761) >>> 0;
  for (let i = 0; i < 2 * count + 1000; i++) batch.set(table, keyAt(i), i);
  await batch.commit();
  assertEquals(table.count(), count);
  assert(table.stats().fill > 0.9, `filled to ${table.stats().fill}`);
  for (let i = 0; i < 1000; i++) {
    const at = random.int(count);
    assertEquals(table.get(keyAt(at)), (at < 1000 ? 2 : 1) * count + at);
  }
  let last = -1;
  for (const key of table.keys()) {
    assert(key > last);
    last = key;
  }
});
