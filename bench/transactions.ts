/**
 * Transactions of one family, beside plain writes: `deno run -A bench/transactions.ts`,
 * `bun run bench/transactions.ts`. Each line: operations a second, and how long one takes (median, longest).
 * `--only NAME`, `--seconds N`, `--entries N`.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { open, u32 } from "../mod.ts";

const { values } = parseArgs({
  options: { only: { type: "string" }, seconds: { type: "string" }, entries: { type: "string" } },
});
const SECONDS = Number(values.seconds ?? 3);
const ENTRIES = Number(values.entries ?? 100_000);

const directory = mkdtempSync(join(tmpdir(), "manifold-transactions-"));
const db = await open(join(directory, "bench.manifold"));
const family = await db.columnFamily("bench");
const table = family.table("counters", { key: u32, value: u32 });
for (let from = 0; from < ENTRIES; from += 10_000) {
  await table.setMany(Array.from({ length: 10_000 }, (_, i) => [from + i, 0] as const));
}

let runs = 0;
const anyKey = (): number => Math.floor(Math.random() * ENTRIES);

function increment(key: number): Promise<void> {
  return family.transaction((tx) => {
    runs++;
    const t = tx.table(table);
    t.set(key, t.get(key)! + 1);
  });
}

const workloads: [name: string, callers: number, run: () => Promise<unknown>][] = [
  ["set, one caller", 1, () => table.set(anyKey(), 1)],
  ["transaction, one caller", 1, () => increment(anyKey())],
  [
    "transaction without writes, one caller",
    1,
    () => family.transaction((tx) => tx.table(table).get(anyKey())),
  ],
  ["set, 256 callers", 256, () => table.set(anyKey(), 1)],
  ["transaction, 256 callers", 256, () => increment(anyKey())],
  ["transaction, 256 callers, one key", 256, () => increment(7)],
  ["transaction, 256 callers, one key, async", 256, () =>
    family.transaction(async (tx) => {
      runs++;
      const t = tx.table(table);
      const value = t.get(7)!;
      await Promise.resolve();
      t.set(7, value + 1);
    })],
];

async function measure(name: string, callers: number, run: () => Promise<unknown>) {
  const times: number[] = [];
  let end = performance.now() + 500;
  const call = async (keep: boolean) => {
    while (performance.now() < end) {
      const begun = performance.now();
      await run();
      if (keep) times.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: callers }, () => call(false)));
  runs = 0;
  const begun = performance.now();
  end = begun + SECONDS * 1000;
  await Promise.all(Array.from({ length: callers }, () => call(true)));
  const rate = times.length / (performance.now() - begun) * 1000;
  times.sort((a, b) => a - b);
  const ms = (index: number): string => times[index].toFixed(2).padStart(8);
  console.log(
    `${name.padEnd(42)} ${rate.toFixed(0).padStart(8)}/s  median ${ms(times.length >> 1)} ms  ` +
      `longest ${ms(times.length - 1)} ms` +
      (runs === 0 ? "" : `  runs ${(runs / times.length).toFixed(3)}`),
  );
}

for (const [name, callers, run] of workloads) {
  if (values.only === undefined || name.includes(values.only)) await measure(name, callers, run);
}
await db.close();
rmSync(directory, { recursive: true });
