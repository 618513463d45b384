/** Protects large writes that are under way at once: each keeps its operations until it is settled. */

import { bytes, openInMemory } from "../mod.ts";
import { assertEquals } from "./support/assert.ts";
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
