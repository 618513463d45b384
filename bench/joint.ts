/**
 * What a batch over several families, each with a worker of its own, costs one caller, against a batch of one
 * family with as many entries: medians of latencies, in turns. `deno run -A bench/joint.ts`, or with Bun.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Durability, open, type Table, text } from "../mod.ts";

const ROUNDS = 9;
const BATCHES = 150;
const VALUE = "v".repeat(100);
const FAMILIES = [1, 2, 3];

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
}

const directory = mkdtempSync(join(tmpdir(), "manifold-"));
try {
  await using db = await open(join(directory, "joint.manifold"), { maxWorkers: 4 });
  const tables: Table<string, string>[] = [];
  for (const name of ["a", "b", "c"]) {
    tables.push((await db.columnFamily(name)).table("rows", { key: text, value: text }));
  }
  /** The median latency of batches of six entries over so many families, ms. */
  const latency = async (families: number, durability: Durability): Promise<number> => {
    const times: number[] = [];
    for (let i = 0; i < BATCHES; i++) {
      const batch = db.batch();
      for (let j = 0; j < 6; j++) batch.set(tables[j % families], `${i} ${j}`, VALUE);
      const started = performance.now();
      await batch.commit({ durability });
      times.push(performance.now() - started);
    }
    return median(times);
  };
  for (const durability of ["immediate", "eventual"] as const) {
    const times = FAMILIES.map((): number[] => []);
    for (let round = -1; round < ROUNDS; round++) {
      for (const [at, families] of FAMILIES.entries()) {
        const ms = await latency(families, durability);
        if (round >= 0) times[at].push(ms);
      }
    }
    const [one, ...more] = times.map(median);
    const others = more.map((ms, at) =>
      `${FAMILIES[at + 1]} families ${(ms * 1000).toFixed(0)} µs (× ${(ms / one).toFixed(2)})`
    );
    console.log(`${durability}: 1 family ${(one * 1000).toFixed(0)} µs, ${others.join(", ")}`);
  }
} finally {
  rmSync(directory, { recursive: true });
}
