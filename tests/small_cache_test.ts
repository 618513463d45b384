/**
 * The smallest cache with the largest pages and more workers than it has room for: everyone gets on,
 * though frames are held by sleeping workers and dealt out to idle families.
 */

import { openInMemory, text } from "../mod.ts";
import { assertEquals } from "./support/assert.ts";
import { test } from "./support/test.ts";

const FAMILIES = 12;
const ROUNDS = 8;

for (const pageSize of [4096, 16384, 65536]) {
  test(`a cache of 1 MiB serves ${FAMILIES} workers at once with pages of ${pageSize} bytes`, async () => {
    await using db = await openInMemory({ cacheBytes: 2 ** 20, pageSize, maxWorkers: FAMILIES });
    const tables = await Promise.all(
      Array.from({ length: FAMILIES }, async (_, i) => {
        const family = await db.columnFamily(`family ${i}`);
        return family.table("t", { key: text, value: text });
      }),
    );
    const value = (i: number, round: number): string => `${i}/${round} `.padEnd(1000, "x");
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(
        tables.map((table, i) =>
          table.setMany(
            Array.from({ length: 50 }, (_, k) => [`${round * 7919 % 1000}.${k}`, value(i, round)]),
          )
        ),
      );
    }
    for (const [i, table] of tables.entries()) {
      assertEquals(table.count(), ROUNDS * 50);
      for (let round = 0; round < ROUNDS; round++) {
        assertEquals(table.get(`${round * 7919 % 1000}.49`), value(i, round));
      }
    }
  });
}
