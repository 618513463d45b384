import { join } from "node:path";
import type { Transaction } from "../../mod.ts";
import { addOneTo, type EngineKind } from "../support/engine.ts";

export const manifold: EngineKind = {
  name: "manifold",
  title: "Manifold",
  // The workloads make more than the cache's default holds; LMDB maps its whole file.
  settings: "every write awaits its sync, cacheBytes 1 GiB as SQLite has, logBytes 256 MiB",
  shrink: 1,
  runtimes: ["deno", "bun"],
  async open(dir) {
    // Here, so that the processes of the peers do without it, as this one does without theirs.
    const { bytes, open, u32 } = await import("../../mod.ts");
    const db = await open(join(dir, "bench.manifold"), {
      cacheBytes: 2 ** 30,
      logBytes: 256 * 2 ** 20,
    });
    const family = await db.columnFamily("bench");
    const table = family.table("entries", { key: bytes, value: bytes });
    const second = await db.columnFamily("bench 2");
    const near = family.table("counts", { key: bytes, value: u32 });
    const far = second.table("counts", { key: bytes, value: u32 });
    const addOne = (tx: Transaction, key: Uint8Array) => {
      const t = tx.table(table);
      const value = t.get(key)!;
      const number = addOneTo(value);
      t.set(key, value);
      return number;
    };
    const addOneToBoth = (tx: Transaction, key: Uint8Array, counts: typeof near) => {
      const t = tx.table(counts);
      t.set(key, (t.get(key) ?? 0) + 1);
      return addOne(tx, key);
    };
    return {
      // As large a change goes around the log; batches on their way together are slower.
      load: (entries) => table.setMany(entries),
      put: (key, value) => table.set(key, value),
      async commit(entries) {
        const batch = family.batch();
        for (const [key, value] of entries) batch.set(table, key, value);
        await batch.commit();
      },
      addOne: (key) => family.transaction((tx) => addOne(tx, key)),
      addOneToTwo: (key, families) =>
        families === 1
          ? family.transaction((tx) => addOneToBoth(tx, key, near))
          : db.transaction([family, second], (tx) => addOneToBoth(tx, key, far)),
      get: (key) => table.get(key)![0],
      view: (key) => table.view(key, (value) => value[0])!,
      range10: (key) => table.entries({ gte: key, limit: 10 }).toArray().length,
      scan() {
        let count = 0;
        for (const [key, value] of table) if (key.length + value.length > 0) count++;
        return count;
      },
      scanView() {
        let touched = 0;
        const count = table.scan({}, (key, value) => {
          touched += key[0] + value[0];
        });
        return touched >= 0 ? count : -1;
      },
      close: () => db.close(),
    };
  },
};
