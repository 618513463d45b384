/**
 * One large transaction, through the log and around it (docs/design.md, section 3): around it the bytes are
 * written once, but a checkpoint has to be waited for.
 *
 * @module
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expectCount } from "../support/context.ts";
import { KeySource } from "../support/keys.ts";
import { secondsOf } from "./support/measurement.ts";
import type { SuiteContext, SuiteResult, SuiteRow } from "./suite.ts";

const TRANSACTION_BYTES = 64 * 2 ** 20;
const VALUE_BYTES = 10 * 1024;
/** One before does not count: code is being compiled, and the log is begun. */
const MEASURED = 3;
const LOG_BYTES_LEAST = 2 ** 18;
/** A transaction goes around the log if it is more than a quarter of it. */
const ways = [
  { row: "transaction_logged", logFactor: 16, bypasses: false, about: "through the log" },
  { row: "transaction_bypassing", logFactor: 1, bypasses: true, about: "around the log" },
] as const;

async function* measure(
  { row, logFactor, bypasses }: typeof ways[number],
  { dir, share }: SuiteContext,
): AsyncGenerator<SuiteResult> {
  const { bytes } = await import("../../mod.ts");
  const { openDatabase } = await import("../support/manifold.ts");
  const count = Math.ceil(share(TRANSACTION_BYTES) / VALUE_BYTES);
  const own = join(dir, row);
  mkdirSync(own);
  const db = await openDatabase(own, {
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
  const checkpoints = db.stats().checkpoints.done;
  let seconds = 0;
  for (let i = 0; i < MEASURED; i++) seconds += await commit();
  // What goes around the log is made durable by a checkpoint, and by nothing else.
  const made = db.stats().checkpoints.done - checkpoints;
  expectCount(`${row}, checkpoints`, made, bypasses ? MEASURED : 0);
  expectCount(row, table.count(), (MEASURED + 1) * count);
  yield { row, value: MEASURED * count * VALUE_BYTES / 1e6 / seconds };
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
