/**
 * What `opening.ts` does in processes of their own, so that no code has been compiled and no process has the
 * file open: `opening_child.ts MODE DIR ...`, which prints a line of JSON.
 *
 * - `fill DIR BYTES` fills a log, tells the number of entries, and waits to be killed;
 * - `recover DIR ENTRIES` opens what that has left, and tells how long it took, ms;
 * - `open DIR FAMILY` opens a closed file, puts one entry into that family, and tells how long each took, ms.
 *
 * @module
 */

import process from "node:process";
import { bytes, type ColumnFamily, type Database } from "../../mod.ts";
import { expectCount } from "../support/context.ts";
import { KeySource } from "../support/keys.ts";
import { openDatabase } from "../support/manifold.ts";

const BATCH_ENTRIES = 100;
const VALUE_BYTES = 16;
const IN_FLIGHT = 16;
/** How often it is looked how full the log is: looking visits every frame of the cache. */
const LOOKS = 64;
/** About what an entry takes of the log. */
const RECORD_BYTES = 52;
const LOG_BYTES = 2 ** 29;

const table = (family: ColumnFamily) => family.table("entries", { key: bytes, value: bytes });

/** No checkpoint is made: all that was written is in the log. */
function openLogged(dir: string): Promise<Database> {
  return openDatabase(dir, {
    logBytes: LOG_BYTES,
    checkpoint: { bytes: LOG_BYTES, intervalMs: 2 ** 31 - 1 },
  });
}

async function fill(dir: string, size: number): Promise<void> {
  const db = await openLogged(dir);
  const entries = table(await db.columnFamily("bench"));
  const keys = new KeySource();
  const value = new Uint8Array(VALUE_BYTES).fill(7);
  const lookEvery = Math.ceil(size / LOOKS / (BATCH_ENTRIES * RECORD_BYTES));
  let batches = 0;
  let nextLook = lookEvery;
  let full = false;
  const writeOn = async () => {
    while (!full) {
      batches++;
      await entries.setMany(keys.many(BATCH_ENTRIES).map((key) => [key, value] as const));
      if (batches < nextLook) continue;
      nextLook = batches + lookEvery;
      full = db.stats().logBytesUsed >= size;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, writeOn));
  console.log(JSON.stringify(batches * BATCH_ENTRIES));
  setInterval(() => {}, 60_000);
}

async function recover(dir: string, count: number): Promise<void> {
  const begun = performance.now();
  const db = await openLogged(dir);
  const ms = performance.now() - begun;
  expectCount("recover", table(await db.columnFamily("bench")).count(), count);
  await db.close();
  console.log(JSON.stringify(ms));
}

async function openClosed(dir: string, name: string): Promise<void> {
  const begun = performance.now();
  const db = await openDatabase(dir);
  const opened = performance.now();
  const entries = table(await db.columnFamily(name, { create: false }));
  const before = entries.count();
  await entries.set(new Uint8Array(1), new Uint8Array(VALUE_BYTES));
  const put = performance.now();
  // The next process puts the same again.
  await entries.delete(new Uint8Array(1));
  expectCount(name, entries.count(), before);
  await db.close();
  console.log(JSON.stringify({ open: opened - begun, put: put - opened }));
}

if (import.meta.main) {
  const [mode, dir, given] = process.argv.slice(2);
  if (mode === "fill") await fill(dir, Number(given));
  else if (mode === "recover") await recover(dir, Number(given));
  else if (mode === "open") await openClosed(dir, given);
  else throw new Error(`no mode is named ${mode}`);
}
