/**
 * Values from 1 KiB to 16 MiB: how fast they are written durably and read, and what memory that leaves; and
 * one large transaction through the log and around it.
 *
 * @module
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { benchScript, jsonLines } from "../support/processes.ts";
import { storeEngines } from "./support/stores/mod.ts";
import type { Suite, SuiteResult, SuiteRow } from "./suite.ts";
import { transactions } from "./values_transactions.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
/** Of all values of one size. */
const TOTAL_BYTES = 128 * MIB;

interface Size {
  readonly name: string;
  readonly bytes: number;
}

const sizes: readonly Size[] = [
  { name: "1k", bytes: KIB },
  { name: "10k", bytes: 10 * KIB },
  { name: "100k", bytes: 100 * KIB },
  { name: "1m", bytes: MIB },
  { name: "16m", bytes: 16 * MIB },
];

function rowsOf({ name, bytes }: Size): SuiteRow[] {
  const size = bytes < MIB ? `${bytes / KIB} KiB` : `${bytes / MIB} MiB`;
  return [
    {
      name: `write_${name}`,
      unit: "MB/s",
      better: "more",
      about: `values of ${size}, in durable batches of up to 1 MiB or of one value`,
    },
    {
      name: `read_${name}`,
      unit: "MB/s",
      better: "more",
      about: "point reads of all of them, scattered; the bytes belong to the caller",
    },
    {
      name: `memory_${name}`,
      unit: "bytes",
      better: "less",
      about: "resident memory of the process after that, pages of mapped files included",
    },
  ];
}

export const values: Suite = {
  name: "values",
  about: "Large values, 128 MiB of each size in a new database and process.",
  engines: storeEngines,
  rows: [...sizes.flatMap(rowsOf), ...transactions.rows],
  async *run(context) {
    const { engine, dir, share } = context;
    for (const { name, bytes } of sizes) {
      const own = join(dir, name);
      mkdirSync(own);
      const count = Math.max(1, Math.round(share(TOTAL_BYTES) / bytes));
      const args = [engine, own, name, String(bytes), String(count)];
      const command = benchScript("suites/support/values_process.ts", args);
      yield* jsonLines<SuiteResult>(command, `values of ${bytes} bytes`);
    }
    if (engine === "manifold") yield* transactions.run(context);
  },
};
