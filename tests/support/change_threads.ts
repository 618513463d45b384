/**
 * Threads that change a table, and a copy of it that is kept in step by what is told of the changes.
 *
 * @module
 */

import { Worker } from "node:worker_threads";
import type { Database, Table } from "../../mod.ts";
import { assertEquals } from "./assert.ts";
import type { Random } from "./random.ts";
import type { ChangeWorkerData } from "./workers/change_worker.ts";

const worker = new URL("./workers/change_worker.ts", import.meta.url);

/** Starts threads that change the table "stock" of the family "shop"; resolves when all are through. */
export async function changeInThreads(
  db: Database,
  random: Random,
  threads: number,
  steps: number,
  valueBytes = 100,
): Promise<void> {
  const handle = db.share();
  await Promise.all(Array.from({ length: threads }, () => {
    const data: ChangeWorkerData = { handle, seed: random.int(2 ** 31), steps, valueBytes };
    const thread = new Worker(worker, { workerData: data });
    return new Promise<void>((resolve, reject) => {
      thread.once("error", reject);
      thread.once("message", (message) => {
        if (message === "done") resolve();
        else reject(new Error(String(message)));
      });
    });
  }));
}

/** What a change says of an entry. */
export interface ToldChange {
  readonly version: number;
  readonly key: string;
  readonly previous: Uint8Array | undefined;
  readonly value: Uint8Array | undefined;
}

/** A copy of a table: each change must begin where the one before has ended. */
export class Copy {
  readonly entries: Map<string, Uint8Array>;
  version = 0;
  told = 0;

  constructor(table?: Pick<Table<string, Uint8Array>, "entries">) {
    this.entries = new Map(table?.entries() ?? []);
  }

  apply({ version, key, previous, value }: ToldChange): void {
    assertEquals(previous, this.entries.get(key), `version ${version}: what ${key} was before`);
    assertEquals(version >= this.version, true, `version ${version} comes after ${this.version}`);
    this.version = version;
    this.told++;
    if (value === undefined) this.entries.delete(key);
    else this.entries.set(key, value);
  }

  /** Everything is as in the table. */
  check(table: Pick<Table<string, Uint8Array>, "entries">): void {
    const sorted = [...this.entries].sort(([a], [b]) => a < b ? -1 : 1);
    assertEquals(sorted, table.entries().toArray());
  }
}
