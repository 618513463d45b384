/**
 * Reads of one thread, without a database around them: 500,000 entries of 24-byte keys and 150-byte
 * values on 16 KiB pages, all in the cache.
 *
 * `deno bench -A bench/reads_bench.ts`; on both runtimes `deno run -A` / `bun run` gives one pass of
 * each in operations per second.
 *
 * @module
 */

import { bytes } from "../lib/api/codecs/mod.ts";
import { TableReader } from "../lib/api/table_reader.ts";
import { LocalFamily } from "../tests/support/local_family.ts";
import { Random } from "../tests/support/random.ts";

const ENTRIES = 500_000;
const KEYS = 4096;

const random = new Random(1);
const keys = Array.from({ length: ENTRIES }, () => random.bytes(24));
const value = random.bytes(150);
const family = await LocalFamily.create({ pageSize: 16384, cacheBytes: 256 * 2 ** 20 });
family.fill("t", keys.map((key) => [key, value] as const));
const table = new TableReader("t", bytes, bytes, family.source);

let next = 0;
function key(): Uint8Array {
  next = (next + 1013) % ENTRIES;
  return keys[next];
}

/** What is measured, and how many operations one call is. */
const cases: { name: string; operations: number; run(): unknown }[] = [
  {
    name: "get",
    operations: KEYS,
    run() {
      let sum = 0;
      for (let i = 0; i < KEYS; i++) sum += table.get(key())!.length;
      return sum;
    },
  },
  {
    name: "view",
    operations: KEYS,
    run() {
      let sum = 0;
      for (let i = 0; i < KEYS; i++) sum += table.view(key(), (bytes) => bytes.length)!;
      return sum;
    },
  },
  {
    name: "range of 10",
    operations: KEYS,
    run() {
      let sum = 0;
      for (let i = 0; i < KEYS; i++) sum += [...table.entries({ gte: key(), limit: 10 })].length;
      return sum;
    },
  },
  {
    name: "scan, per entry",
    operations: ENTRIES,
    run() {
      let sum = 0;
      table.scan(undefined, (key, value) => {
        sum += key.length + value.length;
      });
      return sum;
    },
  },
  {
    name: "for of entries, per entry",
    operations: ENTRIES,
    run() {
      let sum = 0;
      for (const [key, value] of table) sum += key.length + value.length;
      return sum;
    },
  },
  {
    name: "for of keys, per entry",
    operations: ENTRIES,
    run() {
      let sum = 0;
      for (const key of table.keys()) sum += key.length;
      return sum;
    },
  },
  {
    name: "at",
    operations: KEYS,
    run() {
      let sum = 0;
      for (let i = 0; i < KEYS; i++) sum += table.at((i * 7919) % ENTRIES)![1].length;
      return sum;
    },
  },
  {
    name: "count of a range",
    operations: KEYS,
    run() {
      let sum = 0;
      for (let i = 0; i < KEYS; i++) sum += table.count({ gte: key() });
      return sum;
    },
  },
];

const benched = (globalThis as { Deno?: { bench?: unknown } }).Deno !== undefined &&
  !import.meta.main;
for (const { name, operations, run } of cases) {
  if (benched) {
    Deno.bench(`${name} × ${operations}`, () => void run());
    continue;
  }
  let best = Infinity;
  for (const end = performance.now() + 1500; performance.now() < end;) {
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  }
  console.log(`${name}: ${Math.round(operations / best * 1000).toLocaleString("en")}/s`);
}
