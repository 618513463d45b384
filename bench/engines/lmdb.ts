import { join } from "node:path";
import { addOneTo, type Engine, type EngineKind, type Entry } from "../support/engine.ts";

export const lmdb: EngineKind = {
  name: "lmdb",
  title: "lmdb-js",
  // Without it a commit is acknowledged before the disk has it.
  settings: "overlappingSync: false, binary keys and values",
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
      // One by one, as SQLite: that is what is compared.
      addOne: (key) =>
        db.transactionSync(() => {
          const value = db.getBinary(key)!;
          const number = addOneTo(value);
          db.put(key, value);
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
