import type { Database } from "lmdb";
import { join } from "node:path";
import {
  addOneTo,
  COUNTER_BYTES,
  type Engine,
  type Entry,
  type ModuleKind,
} from "../support/engine.ts";
import { packageVersion } from "./versions.ts";

export const lmdb: ModuleKind = {
  name: "lmdb",
  title: "lmdb-js",
  get settings() {
    // With overlapping syncs a commit is acknowledged before the disk has it.
    return `${packageVersion("lmdb")}, overlappingSync: false, binary keys and values`;
  },
  shrink: 1,
  runtimes: ["deno", "bun"],
  async open(dir): Promise<Engine> {
    const { open } = await import("lmdb");
    const db = open<Uint8Array, Uint8Array>({
      path: join(dir, "bench.lmdb"),
      keyEncoding: "binary",
      encoding: "binary",
      mapSize: 8 * 2 ** 30,
      overlappingSync: false,
    });
    // Made when it is asked for: its name is an entry that a scan would give.
    let counters: Database<Uint8Array, Uint8Array>;
    const commit = (entries: readonly Entry[]) => {
      db.transactionSync(() => {
        for (const [key, value] of entries) db.put(key, value);
      });
    };
    return {
      load: commit,
      // Puts of several callers are committed together.
      put: async (key, value) => void await db.put(key, value),
      commit,
      // Not by transactionSync: lmdb-js 3.5 may then fail at a later commit ("reserved freelist had a data
      // entry with zero-size"). This is one transaction, too, and on disk when it resolves.
      async remove(keys) {
        await db.batch(() => {
          for (const key of keys) db.remove(key);
        });
      },
      loadCounters(keys) {
        counters = db.openDB({ name: "counters", keyEncoding: "binary", encoding: "binary" });
        db.transactionSync(() => {
          for (const key of keys) counters.put(key, new Uint8Array(COUNTER_BYTES));
        });
      },
      // One by one, as SQLite: that is what is compared.
      addOne: (key) =>
        db.transactionSync(() => {
          const value = counters.getBinary(key)!;
          const number = addOneTo(value);
          counters.put(key, value);
          return number;
        }),
      get: (key) => db.getBinary(key)![0],
      view: (key) => db.getBinaryFast(key)![0],
      range10: (key) => [...db.getRange({ start: key, limit: 10 })].length,
      scan() {
        let count = 0;
        for (const { key, value } of db.getRange({})) if (key.length + value.length > 0) count++;
        return count;
      },
      close: () => db.close(),
    };
  },
};
