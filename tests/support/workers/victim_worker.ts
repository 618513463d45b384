/** A thread of `threads_test.ts` that is terminated in the middle of what it does. */

import { workerData } from "node:worker_threads";
import { attach } from "../../../mod.ts";
import { makeValue } from "./self_checking.ts";
import { ACCOUNTS, ROWS_PER_THREAD, type VictimData } from "./thread_messages.ts";
import { checkBank, checkMirror, inverseKey, ROWS, tablesOf } from "./thread_tables.ts";

const { handle, thread, mode, progress } = workerData as VictimData;
// It must not end by itself when it has nothing left to wait for.
setInterval(() => {}, 1000);
const db = await attach(handle);
const tables = await tablesOf(db);

function done(): void {
  Atomics.add(progress, 0, 1);
  Atomics.notify(progress, 0);
}

function readAll(): void {
  using snapshot = tables.mirror.snapshot();
  checkMirror(
    snapshot.table(tables.rows),
    snapshot.table(tables.inverse),
    snapshot.table(tables.counts),
    0,
    Infinity,
  );
  done();
}

/** Batches that keep the relation, for rows that are this thread's alone; as fast as they go. */
async function enqueue(): Promise<void> {
  const have = new Map<number, number>();
  for (let version = 1;; version++) {
    const row = thread * ROWS_PER_THREAD + version % ROWS_PER_THREAD;
    const batch = tables.mirror.batch();
    const old = have.get(row);
    if (old !== undefined) batch.delete(tables.inverse, inverseKey(row, old));
    batch.set(tables.rows, row, makeValue(ROWS, row, version, version % 5000));
    batch.set(tables.inverse, inverseKey(row, version), row);
    have.set(row, version);
    batch.set(tables.counts, thread, have.size);
    const commit = batch.commit({ durability: "eventual" }).then(done);
    if (version % 64 === 0) await commit;
  }
}

/** Takes the turn, changes something, and never comes to an end. */
function holdTurn(): Promise<void> {
  return tables.bank.transaction((tx) => {
    const accounts = tx.table(tables.accounts);
    accounts.set(thread % ACCOUNTS, accounts.get(thread % ACCOUNTS)! + 1_000_000);
    done();
    return new Promise<void>(() => {});
  });
}

async function makeFamilies(): Promise<void> {
  for (let i = 0;; i++) {
    await db.columnFamily(`victim-${thread}-${i % 3}`);
    done();
    await db.deleteColumnFamily(`victim-${thread}-${i % 3}`);
  }
}

switch (mode) {
  case "reading":
    for (;;) readAll();
  /* falls through */
  case "enqueueing":
    await enqueue();
    break;
  case "snapshot": {
    const snapshots = [tables.mirror.snapshot(), tables.bank.snapshot()];
    const iterator = tables.values.entries();
    iterator.next();
    checkBank(snapshots[1].table(tables.accounts));
    done();
    for (;;) Atomics.wait(progress, 0, Atomics.load(progress, 0), 10);
  }
  /* falls through */
  case "turn":
    await holdTurn();
    break;
  case "making":
    await makeFamilies();
}
