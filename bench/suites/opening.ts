/**
 * Opening what was closed, and what was not; checkpoints, which make the difference, and what they cost
 * those who write meanwhile.
 *
 * @module
 */

import { rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { checkpointRows, measureCheckpoints } from "../support/checkpoints.ts";
import { BATCH_ENTRIES, fillFamily } from "../support/family_batches.ts";
import { openDatabase } from "../support/manifold.ts";
import { benchScript, finish, start } from "../support/processes.ts";
import { median } from "../support/results.ts";
import type { Suite, SuiteContext, SuiteResult, SuiteRow } from "./suite.ts";

const FAMILIES = 1000;
/** Processes that open the same file one after the other: their median is told. */
const OPENINGS = 3;
const MIB = 2 ** 20;
const LOG_MIB = [16, 64, 256];

const ms = (name: string, about: string): SuiteRow => ({ name, unit: "ms", better: "less", about });

const rows: readonly SuiteRow[] = [
  ms("open_families", `opening a closed file with ${FAMILIES} families of one entry`),
  ms("open_large", `opening a closed file with ${FAMILIES} families, 1 GiB of entries in all`),
  ms("open_large_put", "and a first durable put into one of them"),
  ...LOG_MIB.map((mib) => ms(`recover_${mib}`, `opening with ${mib} MiB of log after SIGKILL`)),
  {
    name: "recover_rate",
    unit: "entries/s",
    better: "more",
    about: `small entries replayed of the log of ${LOG_MIB.at(-1)} MiB`,
  },
  ...checkpointRows,
];

/** What a child says first; it goes on. */
async function tellingChild(args: readonly string[]) {
  const child = start(benchScript("suites/opening_child.ts", args));
  const told: unknown = JSON.parse(await child.nextLine());
  return { child, told };
}

/** What a child says at its end. */
async function askChild<T>(...args: string[]): Promise<T> {
  const { child, told } = await tellingChild(args);
  await finish(child, args.join(" "));
  return told as T;
}

/** Makes and closes a file with `entries` of 1 KiB in each family, and has it opened. */
async function openFile(dir: string, families: number, entries: number) {
  await mkdir(dir);
  const db = await openDatabase(dir);
  for (let i = 0; i < families; i++) await fillFamily(db, `family ${i}`, 42 + i, entries);
  await db.close();
  const times: { open: number; put: number }[] = [];
  for (let i = 0; i < OPENINGS; i++) {
    times.push(await askChild("open", dir, `family ${families >> 1}`));
  }
  rmSync(dir, { recursive: true });
  return {
    open: median(times.map(({ open }) => open)),
    put: median(times.map(({ put }) => put)),
  };
}

/** Fills a log, kills who has done it, and has the file opened; how long that takes, ms. */
async function recoverLog(dir: string, bytes: number) {
  await mkdir(dir);
  const { child, told: entries } = await tellingChild(["fill", dir, String(bytes)]);
  child.kill("SIGKILL");
  await child.exited;
  const ms = await askChild<number>("recover", dir, String(entries));
  rmSync(dir, { recursive: true });
  return { ms, entries: Number(entries) };
}

async function* run({ dir, share }: SuiteContext): AsyncGenerator<SuiteResult> {
  const small = await openFile(join(dir, "small"), share(FAMILIES), 1);
  yield { row: "open_families", value: small.open };
  const large = await openFile(join(dir, "large"), share(FAMILIES), BATCH_ENTRIES);
  yield { row: "open_large", value: large.open };
  yield { row: "open_large_put", value: large.put };
  for (const mib of LOG_MIB) {
    const { ms, entries } = await recoverLog(join(dir, `log-${mib}`), share(mib * MIB));
    yield { row: `recover_${mib}`, value: ms };
    if (mib === LOG_MIB.at(-1)) yield { row: "recover_rate", value: entries / ms * 1000 };
  }
}

export const opening: Suite = {
  name: "opening",
  about: "Opening closed and crashed databases; checkpoints, and what puts wait for them.",
  engines: ["manifold"],
  rows,
  async *run(context) {
    yield* run(context);
    yield* measureCheckpoints(context);
  },
};
