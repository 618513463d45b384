/**
 * How long checkpoints take, and what single durable puts wait while they are made: each round of puts
 * during a checkpoint follows one of as many changed pages without.
 *
 * @module
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { bytes, type Table } from "../../mod.ts";
import type { SuiteContext, SuiteResult, SuiteRow } from "../suites/suite.ts";
import { callersMs, expectCount, LOAD_ENTRIES, SMALL_BYTES, STRIDE } from "./context.ts";
import { KeySource } from "./keys.ts";
import { Latencies, latencyRows } from "./latencies.ts";
import { databasePath, openDatabase } from "./manifold.ts";
import { RawSyncs } from "./raw_syncs.ts";

const BATCH_ENTRIES = 1000;
/** Scattered entries that are changed before a checkpoint: most of them in a page of their own. */
const CHANGED = 20_000;
const ROUNDS = 12;
/** Of each, for puts without a checkpoint, the part of the time that callers have. */
const QUIET_PART = 1 / 6;
const LOG_BYTES = 2 ** 30;

const WINDOWS = [
  { name: "quiet", number: 1, about: "without a checkpoint" },
  { name: "busy", number: 2, about: "while a checkpoint is made" },
] as const;
const [QUIET, BUSY] = WINDOWS;

export const checkpointRows: readonly SuiteRow[] = [
  {
    name: "checkpoint_all",
    unit: "ms",
    better: "less",
    about: "a checkpoint of all 500,000 entries of 150 bytes",
  },
  {
    name: "checkpoint_changed",
    unit: "ms",
    better: "less",
    about: `one after ${CHANGED} scattered changes of them, while single puts go on`,
  },
  ...WINDOWS.flatMap(({ name, about }) => [
    ...latencyRows(`put_${name}`, `single durable puts ${about}`),
    ...latencyRows(
      `raw_${name}`,
      `4 KiB written with fdatasync in that time, without the database`,
    ),
  ]),
];

type Entries = Table<Uint8Array, Uint8Array>;

/** Scattered keys of those that are there, others at each call. */
class Scattered {
  readonly #keys: readonly Uint8Array[];
  #at = 0;

  constructor(keys: readonly Uint8Array[]) {
    this.#keys = keys;
  }

  next(): Uint8Array {
    this.#at = (this.#at + STRIDE) % this.#keys.length;
    return this.#keys[this.#at];
  }
}

async function change(
  entries: Entries,
  count: number,
  nextKey: () => Uint8Array,
  value: Uint8Array,
): Promise<void> {
  for (let left = count; left > 0; left -= BATCH_ENTRIES) {
    const size = Math.min(left, BATCH_ENTRIES);
    await entries.setMany(Array.from({ length: size }, () => [nextKey(), value] as const));
  }
}

export async function* measureCheckpoints(
  { dir, scale, share }: SuiteContext,
): AsyncGenerator<SuiteResult> {
  const db = await openDatabase(dir, {
    logBytes: LOG_BYTES,
    // None but those that are asked for.
    checkpoint: { bytes: LOG_BYTES, intervalMs: 2 ** 31 - 1 },
  });
  const entries = (await db.columnFamily("bench")).table("entries", { key: bytes, value: bytes });
  const value = new Uint8Array(SMALL_BYTES).fill(7);
  const loaded = new KeySource().many(share(LOAD_ENTRIES));
  let at = 0;
  await change(entries, loaded.length, () => loaded[at++], value);
  const begun = performance.now();
  await db.checkpoint();
  yield { row: "checkpoint_all", value: performance.now() - begun };

  const scattered = new Scattered(loaded);
  const puts = { quiet: new Latencies(), busy: new Latencies() };
  const putWhile = async (latencies: Latencies, goesOn: () => boolean) => {
    do {
      const begun = performance.now();
      await entries.set(scattered.next(), value);
      latencies.add(performance.now() - begun);
    } while (goesOn());
  };
  const raw = new RawSyncs(join(dir, "raw"));
  await raw.ready();
  // While its code is being compiled.
  await putWhile(new Latencies(), endsIn(callersMs(scale) * QUIET_PART));
  let checkpointsMs = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await change(entries, share(CHANGED), () => scattered.next(), value);
    raw.begin(QUIET.number);
    await putWhile(puts.quiet, endsIn(callersMs(scale) * QUIET_PART));
    await raw.pause();
    raw.begin(BUSY.number);
    const begun = performance.now();
    let ended = false;
    const checkpoint = db.checkpoint().finally(() => {
      checkpointsMs += performance.now() - begun;
      ended = true;
    });
    await Promise.all([checkpoint, putWhile(puts.busy, () => !ended)]);
    await raw.pause();
  }
  const { done, failed } = db.stats().checkpoints;
  expectCount("checkpoints", done - failed, 1 + ROUNDS);
  expectCount("checkpoints", entries.count(), loaded.length);
  await db.close();
  yield { row: "checkpoint_changed", value: checkpointsMs / ROUNDS };
  const rawLatencies = await raw.end();
  for (const { name, number } of WINDOWS) {
    yield* puts[name].results(`put_${name}`);
    yield* rawLatencies.get(number)!.results(`raw_${name}`);
  }
  rmSync(databasePath(dir));
}

function endsIn(ms: number): () => boolean {
  const end = performance.now() + ms;
  return () => performance.now() < end;
}
