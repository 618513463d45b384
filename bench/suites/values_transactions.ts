/**
 * One large transaction, through the log and around it (docs/design.md, section 3): around it the bytes are
 * written once, but a checkpoint has to be waited for.
 *
 * @module
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { bytes } from "../../mod.ts";
import { expectCount, secondsOf } from "../support/context.ts";
import { KeySource } from "../support/keys.ts";
import { openDatabase } from "../support/manifold.ts";
import type { SuiteContext, SuiteResult, SuiteRow } from "./suite.ts";

const TRANSACTION_BYTES = 64 * 2 ** 20;
const VALUE_BYTES = 10 * 1024;
/** One before does not count: code is being compiled, and the log is begun. */
const MEASURED = 3;
const LOG_BYTES_LEAST = 2 ** 18;
const NEVER_MS = 2 ** 31 - 1;
/** A transaction goes around the log if it is more than a quarter of it. */
const ways = [
  { row: "transaction_logged", logFactor: 16, bypasses: false, about: "through the log" },
  { row: "transaction_bypassing", logFactor: 1, bypasses: true, about: "around the log" },
] as const;

async function* measure(
  { row, logFactor, bypasses }: typeof ways[number],
  { dir, share }: SuiteContext,
): AsyncGenerator<SuiteResult> {
  const count = Math.ceil(share(TRANSACTION_BYTES) / VALUE_BYTES);
  const own = join(dir, row);
  mkdirSync(own);
  const db = await openDatabase(own, {
    // Only those that go around the log shall make checkpoints.
    checkpoint: { intervalMs: NEVER_MS },
    logBytes: Math.max(LOG_BYTES_LEAST, count * VALUE_BYTES * logFactor),
  });
  const family = await db.columnFamily("values");
  const table = family.table("values", { key: bytes, value: bytes });
  const keys = new KeySource();
  const value = new Uint8Array(VALUE_BYTES).fill(7);
  const commit = async () => {
    const entries = keys.many(count).map((key) => [key, value] as const);
    return await secondsOf(() => table.setMany(entries));
  };
  await commit();
  let seconds = 0;
  for (let i = 0; i < MEASURED; i++) seconds += await commit();
  const payload = count * VALUE_BYTES;
  const { logBytesUsed } = db.stats();
  if (bypasses ? logBytesUsed >= payload : logBytesUsed < (MEASURED + 1) * payload) {
    throw new Error(`${row}: ${logBytesUsed} bytes in the log for values of ${payload}`);
  }
  expectCount(row, table.count(), (MEASURED + 1) * count);
  yield { row, value: MEASURED * payload / 1e6 / seconds };
  await db.close();
}

/** A part of the suite of large values. */
export const transactions = {
  rows: ways.map(({ row, about }): SuiteRow => ({
    name: row,
    unit: "MB/s",
    better: "more",
    about: `64 MiB as values of 10 KiB in one transaction, ${about} (Manifold only)`,
  })),
  async *run(context: SuiteContext): AsyncGenerator<SuiteResult> {
    for (const way of ways) yield* measure(way, context);
  },
};
