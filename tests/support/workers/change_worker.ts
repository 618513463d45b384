/** A thread of `watch_test.ts` and `changes_test.ts`: changes entries at random, in every way there is. */

import { parentPort, workerData } from "node:worker_threads";
import { attach, bytes, type DatabaseHandle, text } from "../../../mod.ts";
import { Random } from "../random.ts";

/** What such a thread is given. */
export interface ChangeWorkerData {
  readonly handle: DatabaseHandle;
  readonly seed: number;
  readonly steps: number;
  /** Longer values are rare. */
  readonly valueBytes: number;
}

/** The keys that all threads change. */
export const KEYS = 200;

export function keyAt(number: number): string {
  return `key-${String(number).padStart(3, "0")}`;
}

async function run({ handle, seed, steps, valueBytes }: ChangeWorkerData): Promise<void> {
  const random = new Random(seed);
  await using db = await attach(handle);
  const family = await db.columnFamily("shop");
  const table = family.table("stock", { key: text, value: bytes });
  const other = family.table("other", { key: text, value: bytes });
  const key = () => keyAt(random.int(KEYS));
  const value = () => random.bytes(random.int(random.chance(0.02) ? valueBytes * 20 : valueBytes));
  const pending: Promise<unknown>[] = [];
  for (let step = 0; step < steps; step++) {
    const kind = random.int(10);
    const durability = random.chance(0.5) ? "eventual" : "immediate";
    if (kind < 4) pending.push(table.set(key(), value(), { durability }));
    else if (kind < 6) pending.push(table.delete(key(), { durability }));
    else if (kind < 7) {
      const from = random.int(KEYS);
      const range = { gte: keyAt(from), lt: keyAt(from + random.int(20)) };
      pending.push(table.deleteRange(range, { durability }));
    } else if (kind < 8) {
      pending.push(table.setMany(Array.from({ length: 20 }, () => [key(), value()] as const)));
    } else if (kind < 9) {
      const batch = family.batch();
      for (let i = random.int(6); i >= 0; i--) {
        batch.set(table, key(), value()).delete(table, key()).set(other, key(), value());
      }
      pending.push(batch.commit({ durability }));
    } else {
      const moved = key();
      pending.push(family.transaction((tx) => {
        const had = tx.table(table).get(moved);
        if (had !== undefined) tx.table(table).delete(moved);
        tx.table(table).set(key(), had ?? value());
      }));
    }
    if (pending.length >= 16) await Promise.all(pending.splice(0));
  }
  await Promise.all(pending);
}

if (workerData !== null) {
  run(workerData as ChangeWorkerData).then(
    () => parentPort!.postMessage("done"),
    (error) => parentPort!.postMessage(String(error?.stack ?? error)),
  );
}
