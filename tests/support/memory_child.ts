/**
 * Writes and reads a database that is many times its cache, and prints by how many MiB the process grew
 * at the most. Arguments: path, MiB of the cache, MiB of data.
 */

import process from "node:process";
import { bytes, open } from "../../mod.ts";
import { assertEquals } from "./assert.ts";

const [path, cacheMiB, dataMiB] = process.argv.slice(2);
const residentMiB = (): number => process.memoryUsage().rss / 2 ** 20;
const before = residentMiB();
let most = 0;
const look = (): void => {
  most = Math.max(most, residentMiB() - before);
};

await using db = await open(path, { cacheBytes: Number(cacheMiB) * 2 ** 20 });
const table = (await db.columnFamily("f")).table("t", { key: bytes, value: bytes });
const key = new Uint8Array(8);
const view = new DataView(key.buffer);
const value = new Uint8Array(1000).fill(7);
const entries = Number(dataMiB) * 1000;

/** One key after the other in the same memory: the process shall grow by the database alone. */
function* scattered(from: number, to: number): Generator<[Uint8Array, Uint8Array]> {
  for (let i = from; i < to; i++) {
    view.setUint32(0, Math.imul(i, 0x9e3779b1) >>> 0);
    view.setUint32(4, i);
    yield [key, value];
  }
}

for (let from = 0; from < entries; from += 500) {
  await table.setMany(scattered(from, from + 500));
  look();
}
for (let round = 0; round < 2; round++) {
  for (let i = 0; i < 20_000; i++) table.at((i * 7919) % entries);
  look();
}

// The thread reads for long without returning to its event loop: nobody else collects what that leaves.
const hot = [...table.keys({ limit: 500 })];
for (let round = 0; round < 600; round++) {
  for (const one of hot) assertEquals(table.get(one)?.length, value.length);
  if (round % 10 === 0) look();
}
let scanned = 0;
for (const [, found] of table.entries()) {
  assertEquals(found.length, value.length);
  if (++scanned % 5000 === 0) look();
}
assertEquals(scanned, entries);
for (let round = 0; round < 600; round++) {
  assertEquals(table.getMany(hot).length, hot.length);
  if (round % 10 === 0) look();
}
console.log(`entries ${table.count()}`);
console.log(`grown ${Math.round(most)}`);
