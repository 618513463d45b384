/**
 * How fast a log of small entries is replayed. `recovery.ts write DIR ENTRIES` fills a log, says
 * "written" and waits to be killed; `recovery.ts open DIR ENTRIES`, another process as after a crash,
 * times the opening and prints a line of JSON.
 *
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import { bytes, open } from "../mod.ts";
import type { Measured } from "./runner.ts";
import { KeySource } from "./support/keys.ts";
import { RECOVERY } from "./support/workloads.ts";

const BATCH_ENTRIES = 100;
const VALUE_BYTES = 16;
const IN_FLIGHT = 16;
const LOG_BYTES = 64 * 2 ** 20;

async function openTable(dir: string) {
  const db = await open(join(dir, "recovery.manifold"), {
    logBytes: LOG_BYTES,
    // No checkpoint while it is written: all of it is in the log.
    checkpoint: { bytes: LOG_BYTES, intervalMs: 2 ** 31 - 1 },
  });
  const family = await db.columnFamily("bench");
  return { db, table: family.table("entries", { key: bytes, value: bytes }) };
}

async function write(dir: string, count: number): Promise<void> {
  const { table } = await openTable(dir);
  const keys = new KeySource();
  const value = new Uint8Array(VALUE_BYTES).fill(7);
  let left = count;
  const writeOn = async () => {
    while (left > 0) {
      const size = Math.min(left, BATCH_ENTRIES);
      left -= size;
      await table.setMany(keys.many(size).map((key) => [key, value] as const));
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, writeOn));
  console.log("written");
  setInterval(() => {}, 60_000);
}

async function reopen(dir: string, count: number): Promise<void> {
  const start = performance.now();
  const { db, table } = await openTable(dir);
  const ms = performance.now() - start;
  const found = table.count();
  if (found !== count) throw new Error(`recovery: ${found} entries instead of ${count}`);
  await db.close();
  const measured: Measured = { workload: RECOVERY.name, opsPerSecond: count / ms * 1000 };
  console.log(JSON.stringify(measured));
}

if (import.meta.main) {
  const [mode, dir, count] = process.argv.slice(2);
  await (mode === "write" ? write : reopen)(dir, Number(count));
}
