/** One of the four threads of `threads_test.ts`: writes, and checks all the time what it reads. */

import { parentPort, workerData } from "node:worker_threads";
import { attach, bytes, type Database, type Snapshot, u32 } from "../../../mod.ts";
import { Random } from "../random.ts";
import { checkValue, makeValue, placeNumber } from "./self_checking.ts";
import {
  ACCOUNTS,
  CHECKS,
  COMMITS,
  ROWS_PER_THREAD,
  STOP,
  type ThreadData,
  type ThreadResult,
  WORDS_PER_THREAD,
} from "./thread_messages.ts";
import {
  checkBank,
  checkMirror,
  inverseKey,
  LOOSE,
  move,
  ROWS,
  type Tables,
  tablesOf,
} from "./thread_tables.ts";

/** Writes under way at once. */
const WIDTH = 16;
const LOOSE_KEYS = 2000;

const data = workerData as ThreadData;
const random = new Random(data.seed);
const at = data.thread * WORDS_PER_THREAD;
/** Version of each row that this thread owns and that exists. */
const mine = new Map<number, number>();
let nextVersion = 1;
let churned = 0;
let held = 0;

function committed(): void {
  Atomics.add(data.progress, at + COMMITS, 1);
}

function checked(): void {
  Atomics.add(data.progress, at + CHECKS, 1);
}

function lengthOf(): number {
  if (random.chance(0.03)) return 3000 + random.int(20_000);
  return 20 + random.int(500);
}

/** Changes some of this thread's rows, their inverse and their number, in one batch. */
function writeRows(tables: Tables): Promise<void> {
  const batch = tables.mirror.batch();
  for (let i = 1 + random.int(6); i > 0; i--) {
    const row = data.thread * ROWS_PER_THREAD + random.int(ROWS_PER_THREAD);
    const old = mine.get(row);
    if (old !== undefined) batch.delete(tables.inverse, inverseKey(row, old));
    if (old !== undefined && random.chance(0.3)) {
      batch.delete(tables.rows, row);
      mine.delete(row);
      continue;
    }
    const version = nextVersion++;
    batch.set(tables.rows, row, makeValue(ROWS, row, version, lengthOf()));
    batch.set(tables.inverse, inverseKey(row, version), row);
    mine.set(row, version);
  }
  batch.set(tables.counts, data.thread, mine.size);
  return batch.commit(random.chance(0.3) ? { durability: "eventual" } : undefined);
}

function writeLoose(tables: Tables): Promise<unknown> {
  const key = random.int(LOOSE_KEYS);
  if (random.chance(0.02)) return tables.values.deleteRange({ gte: key, lt: key + 50 });
  if (random.chance(0.1)) return tables.values.delete(key);
  return tables.values.set(key, makeValue(LOOSE, key, nextVersion++, lengthOf()));
}

async function writeMany(tables: Tables): Promise<void> {
  const writes: Promise<unknown>[] = [];
  for (let i = 0; i < WIDTH; i++) {
    const write = random.chance(0.6) ? writeRows(tables) : writeLoose(tables);
    writes.push(write.then(committed));
  }
  await Promise.all(writes);
}

async function moveMoney(tables: Tables): Promise<void> {
  await move(tables, random.int(ACCOUNTS), random.int(ACCOUNTS), random.int(50));
  committed();
}

function read(tables: Tables): void {
  const from = random.int(4 * ROWS_PER_THREAD);
  using mirror = tables.mirror.snapshot();
  const rows = mirror.table(tables.rows);
  checkMirror(rows, mirror.table(tables.inverse), mirror.table(tables.counts), from, 40);
  using bank = tables.bank.snapshot();
  checkBank(bank.table(tables.accounts));
  checkBank(tables.accounts);
  for (let i = 0; i < 10; i++) {
    const key = random.int(LOOSE_KEYS);
    const value = tables.values.get(key);
    if (value !== undefined) checkValue(LOOSE, key, value);
    tables.values.view(key, (view) => checkValue(LOOSE, key, view));
  }
  checked();
}

interface Held {
  readonly snapshot: Snapshot;
  readonly from: number;
  readonly digest: number;
  rounds: number;
}

/** Snapshots that are held over many commits of all threads must not change. */
class HeldSnapshots {
  readonly #tables: Tables;
  #held: Held[] = [];

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  #digest(snapshot: Snapshot, from: number): number {
    const { rows, inverse, counts } = this.#tables;
    return checkMirror(
      snapshot.table(rows),
      snapshot.table(inverse),
      snapshot.table(counts),
      from,
      60,
    ).digest;
  }

  step(): void {
    for (const one of this.#held) {
      if (--one.rounds > 0) continue;
      const digest = this.#digest(one.snapshot, one.from);
      if (digest !== one.digest) throw new Error("a snapshot has changed while it was held");
      one.snapshot.dispose();
      held++;
    }
    this.#held = this.#held.filter((one) => one.rounds > 0);
    if (this.#held.length >= 3) return;
    const snapshot = this.#tables.mirror.snapshot();
    const from = random.int(4 * ROWS_PER_THREAD);
    const digest = this.#digest(snapshot, from);
    this.#held.push({ snapshot, from, digest, rounds: 1 + random.int(60) });
  }

  dispose(): void {
    for (const one of this.#held) one.snapshot.dispose();
  }
}

/** Steps of an iterator, with writes of all threads between them. */
async function walkSlowly(tables: Tables): Promise<void> {
  let last = -1;
  for (const [row, value] of tables.rows.entries({ gte: random.int(1000), limit: 30 })) {
    if (row <= last) throw new Error(`row ${row} comes after ${last}`);
    last = row;
    checkValue(ROWS, row, value);
    if (random.chance(0.2)) {
      await writeRows(tables);
      committed();
    }
  }
}

/** Makes a family, lets it grow, and deletes it while a snapshot of it is still read. */
async function churn(db: Database): Promise<void> {
  const name = `churn-${data.thread}-${churned++}`;
  const place = placeNumber(name);
  const family = await db.columnFamily(name);
  const table = family.table("t", { key: u32, value: bytes });
  const count = 20 + random.int(200);
  const entries = (version: number) =>
    Array.from({ length: count }, (_, key): [number, Uint8Array] => [
      key,
      makeValue(place, key, version, random.chance(0.05) ? 10_000 + random.int(60_000) : 300),
    ]);
  await table.setMany(entries(1));
  {
    using snapshot = family.snapshot();
    if (random.chance(0.5)) await table.setMany(entries(2));
    await db.deleteColumnFamily(name);
    let seen = 0;
    for (const [key, value] of snapshot.table(table).entries()) {
      if (checkValue(place, key, value) !== 1) throw new Error("a snapshot shows a later version");
      seen++;
    }
    if (seen !== count) throw new Error(`${seen} of ${count} entries of a deleted family`);
  }
  for (let i = 0; i < 3; i++) committed();
}

async function run(): Promise<void> {
  const db = await attach(data.handle);
  const tables = await tablesOf(db);
  const snapshots = new HeldSnapshots(tables);
  try {
    while (Atomics.load(data.progress, STOP) === 0) {
      const dice = random.next();
      if (dice < 0.5) await writeMany(tables);
      else if (dice < 0.75) await moveMoney(tables);
      else if (dice < 0.8) await walkSlowly(tables);
      else if (dice < 0.83) await churn(db);
      read(tables);
      snapshots.step();
    }
  } finally {
    snapshots.dispose();
    await db.close();
  }
}

function post(result: ThreadResult): void {
  parentPort!.postMessage(result);
}

try {
  await run();
  post({ rows: [...mine], churned, held });
} catch (error) {
  post({ error: error instanceof Error ? error.stack ?? error.message : String(error) });
}
