/**
 * Loads and reads a database that is larger than its cache, and prints by how much the process has grown
 * since nothing was there: `memory_child.ts PATH CACHE_BYTES ENTRIES`, a line of JSON, a {@linkcode Grown}.
 *
 * @module
 */

import process from "node:process";

/** Bytes above the process without the database, and its workers. */
export interface Grown {
  readonly loading: number;
  readonly loaded: number;
  readonly reading: number;
  readonly read: number;
  readonly workers: number;
}

const VALUE_BYTES = 1000;
const BATCH_ENTRIES = 500;
const LOOK_EVERY = 1000;
/** Scatters numbers; no two of them meet, because it is odd. */
const FACTOR = 0x9e3779b1;

async function run(path: string, cacheBytes: number, entries: number): Promise<Grown> {
  const resident = (): number => process.memoryUsage().rss;
  const empty = resident();
  // Here, so that its code counts, too.
  const { bytes, open } = await import("../../mod.ts");
  let most = 0;
  const look = (): number => {
    const grown = resident() - empty;
    most = Math.max(most, grown);
    return grown;
  };
  const key = new Uint8Array(8);
  const view = new DataView(key.buffer);
  const value = new Uint8Array(VALUE_BYTES).fill(7);
  /** Scattered keys, in the same memory: the process shall grow by the database alone. */
  const keyOf = (i: number): Uint8Array => {
    view.setUint32(0, Math.imul(i, FACTOR) >>> 0);
    view.setUint32(4, i);
    return key;
  };
  function* batch(from: number): Generator<[Uint8Array, Uint8Array]> {
    const to = Math.min(entries, from + BATCH_ENTRIES);
    for (let i = from; i < to; i++) yield [keyOf(i), value];
  }

  await using db = await open(path, { cacheBytes });
  const table = (await db.columnFamily("bench")).table("entries", { key: bytes, value: bytes });
  for (let from = 0; from < entries; from += BATCH_ENTRIES) {
    await table.setMany(batch(from));
    look();
  }
  await db.checkpoint();
  const loaded = look();
  const loading = most;

  // All of it without returning to the event loop: nobody else collects what that leaves.
  most = 0;
  let sum = 0;
  for (let i = 0; i < entries; i++) {
    sum += table.get(keyOf(i))?.length ?? 0;
    if (i % LOOK_EVERY === 0) look();
  }
  let scanned = 0;
  for (const [, found] of table) {
    sum += found.length;
    if (++scanned % LOOK_EVERY === 0) look();
  }
  if (scanned !== entries || sum !== 2 * entries * VALUE_BYTES) {
    throw new Error(`memory: ${scanned} entries and ${sum} bytes were read`);
  }
  const read = look();
  return { loading, loaded, reading: most, read, workers: db.stats().threads - 1 };
}

if (import.meta.main) {
  const [path, cacheBytes, entries] = process.argv.slice(2);
  console.log(JSON.stringify(await run(path, Number(cacheBytes), Number(entries))));
}
