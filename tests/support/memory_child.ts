/**
 * Writes and reads a database that is many times its cache, and prints by how many MiB the process grew
 * at the most. Arguments: path, MiB of the cache, MiB of data.
 */

import process from "node:process";
import { bytes, open } from "../../mod.ts";

const [path, cacheMiB, dataMiB] = process.argv.slice(2);
const residentMiB = (): number => process.memoryUsage().rss / 2 ** 20;
const before = residentMiB();
let most = 0;

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
  most = Math.max(most, residentMiB() - before);
}
for (let round = 0; round < 2; round++) {
  for (let i = 0; i < 20_000; i++) table.at((i * 7919) % entries);
  most = Math.max(most, residentMiB() - before);
}
console.log(`entries ${table.count()}`);
console.log(`grown ${Math.round(most)}`);
