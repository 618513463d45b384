/**
 * Protects what transactions promise together: whatever threads and callers do at once, over one family and
 * several, there is an order, which keeps that of real time, in which each would have seen what
 * it saw. Random transactions, single writes, batches, snapshots, scans and counts are recorded, and the history is checked
 * for a cycle of dependencies (tests/support/history/).
 *
 * MANIFOLD_HISTORY_SECONDS makes it longer; MANIFOLD_SEED repeats its choices, though not their timing.
 */

import { join } from "node:path";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { type Database, open } from "../mod.ts";
import { assertGreater, assertGreaterOrEqual } from "./support/assert.ts";
import { SharedBoard } from "./support/history/board.ts";
import { assertSerializable } from "./support/history/check.ts";
import { readEverything, type World } from "./support/history/clients.ts";
import type { Recorded } from "./support/history/history.ts";
import {
  ATTEMPTS,
  COMMITTED,
  CONFLICTED,
  CONTROL_WORDS,
  type HistoryThreadData,
  type HistoryThreadResult,
  STOP,
} from "./support/history/messages.ts";
import { placeIn } from "./support/history/objects.ts";
import { Random } from "./support/random.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const SECONDS = Number(process.env.MANIFOLD_HISTORY_SECONDS || 30);
/** In that time, so many transactions at least, of which so many must have met a conflict. */
const TRANSACTIONS_MIN = 30_000;
const CONFLICTED_MIN = 0.05;
/** A slow machine is given so many times as long. */
const PATIENCE = 5;
/** A history is checked, and forgotten, after so long. */
const ROUND_SECONDS = 7.5;
const THREADS = 4;

const script = new URL("./support/workers/history_worker.ts", import.meta.url);

/** Small enough that pages are evicted, and checkpoints made. */
const OPTIONS = {
  pageSize: 4096,
  cacheBytes: 2 * 2 ** 20,
  logBytes: 2 ** 21,
  checkpoint: { bytes: 2 ** 19, intervalMs: 1000 },
};

interface Round {
  readonly families: number;
  readonly workers: number;
  /** Callers of a thread at once. */
  readonly callers: number;
  readonly slots: number;
}

const ROUNDS: readonly Round[] = [
  { families: 1, workers: 1, callers: 12, slots: 12 },
  { families: 3, workers: 3, callers: 12, slots: 12 },
  { families: 2, workers: 2, callers: 4, slots: 2 },
  { families: 4, workers: 2, callers: 24, slots: 8 },
];

/** What was done, over all rounds. */
interface Sums {
  seconds: number;
  committed: number;
  conflicted: number;
  attempts: number;
  recorded: number;
  edges: number;
}

async function runRound(dir: string, round: Round, random: Random, sums: Sums): Promise<void> {
  const path = join(dir, "history.manifold");
  const options = { ...OPTIONS, maxWorkers: round.workers };
  const names = Array.from({ length: round.families }, (_, i) => `family${i}`);
  const board = new SharedBoard(round.families, random);
  const control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS));
  const history: Recorded[] = [];
  {
    await using db = await open(path, options);
    for (const name of names) await db.columnFamily(name);
    const threads = Array.from({ length: THREADS }, (_, thread) =>
      startThread({
        handle: db.share(),
        board: board.buffer,
        control: control.buffer as SharedArrayBuffer,
        families: names,
        slots: round.slots,
        callers: round.callers,
        thread,
        seed: random.next32(),
      }));
    const started = performance.now();
    // An early result is an error.
    await Promise.race([...threads, passed(ROUND_SECONDS * 1000)]);
    Atomics.store(control, STOP, 1);
    for (const { error, history: part } of await Promise.all(threads)) {
      if (error !== undefined) throw new Error(error);
      history.push(...part);
    }
    sums.seconds += (performance.now() - started) / 1000;
    readEverything(await worldOf(db, names, board), "at the end");
  }
  {
    await using db = await open(path, options);
    readEverything(await worldOf(db, names, board), "opened again");
  }
  history.push(...board.history);
  const { edges } = assertSerializable(history);
  sums.recorded += history.length;
  sums.edges += edges;
  sums.committed += control[COMMITTED];
  sums.conflicted += control[CONFLICTED];
  sums.attempts += control[ATTEMPTS];
  console.log(
    `${JSON.stringify(round)}: ${control[COMMITTED]} transactions, of which ${
      control[CONFLICTED]
    } met a conflict; ${control[ATTEMPTS]} attempts; ${history.length} recorded, ${edges} edges`,
  );
}

async function worldOf(db: Database, names: readonly string[], board: SharedBoard): Promise<World> {
  const families = await Promise.all(names.map((name) => db.columnFamily(name)));
  return {
    db,
    places: families.map(placeIn),
    board,
    slots: 0,
    pause: () => Promise.resolve(),
    judge(error) {
      throw error;
    },
    ran() {},
  };
}

function startThread(data: HistoryThreadData): Promise<HistoryThreadResult> {
  const worker = new Worker(script, { workerData: data });
  return new Promise((resolve) => {
    worker.once("message", resolve);
    worker.once("error", (error) => resolve({ error: String(error), history: [] }));
    worker.once("exit", () => resolve({ error: "a thread ended without a result", history: [] }));
  });
}

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

test(
  `history: transactions of ${THREADS} threads over one family and several have a serial order`,
  { timeoutMs: (SECONDS * PATIENCE * 2 + 60) * 1000 },
  async () => {
    const random = Random.fromEnvironment("history");
    const sums: Sums = {
      seconds: 0,
      committed: 0,
      conflicted: 0,
      attempts: 0,
      recorded: 0,
      edges: 0,
    };
    const isEnough = (): boolean => sums.seconds >= SECONDS && sums.committed >= TRANSACTIONS_MIN;
    for (let i = 0; !isEnough() && sums.seconds < SECONDS * PATIENCE; i++) {
      const round = ROUNDS[i % ROUNDS.length];
      await withTempDir((dir) => runRound(dir, round, random, sums));
    }
    const share = sums.conflicted / sums.committed;
    console.log(
      `${sums.committed} transactions in ${sums.seconds.toFixed(1)} s, of which ` +
        `${(share * 100).toFixed(1)} % met a conflict; ${sums.attempts} attempts, ` +
        `${sums.recorded} recorded, ${sums.edges} dependencies`,
    );
    assertGreaterOrEqual(sums.committed, TRANSACTIONS_MIN);
    assertGreater(share, CONFLICTED_MIN);
  },
);
