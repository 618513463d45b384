import { join } from "node:path";
import type { Transaction } from "../../mod.ts";
import { addOneTo, COUNTER_BYTES, type ModuleKind } from "../support/engine.ts";

export const manifold: ModuleKind = {
  name: "manifold",
  title: "Manifold",
  // The workloads make more than the cache's default holds; LMDB maps its whole file.
  settings: "every write awaits its sync, cacheBytes 1 GiB as SQLite has, logBytes 256 MiB",
  shrink: 1,
  runtimes: ["deno", "bun"],
  async open(dir) {
    // Here, so that the processes of the peers do without it, as this one does without theirs.
    const { bytes, open } = await import("../../mod.ts");
    const db = await open(join(dir, "bench.manifold"), {
      cacheBytes: 2 ** 30,
      logBytes: 256 * 2 ** 20,
    });
    const family = await db.columnFamily("bench");
    const table = family.table("entries", { key: bytes, value: bytes });
    const second = await db.columnFamily("bench 2");
    const counters = family.table("counters", { key: bytes, value: bytes });
    const near = family.table("counters 2", { key: bytes, value: bytes });
    const far = second.table("counters", { key: bytes, value: bytes });
    const addOne = (tx: Transaction, key: Uint8Array, table = counters) => {
      const t = tx.table(table);
      const value = t.get(key) ?? new Uint8Array(COUNTER_BYTES);
      const number = addOneTo(value);
      t.set(key, value);
      return number;
    };
    const addOneToBoth = (tx: Transaction, key: Uint8Array, other: typeof near) => {
      addOne(tx, key, other);
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
      async remove(keys) {
        const batch = family.batch();
        for (const key of keys) batch.delete(table, key);
        await batch.commit();
      },
      loadCounters: (keys) =>
        counters.setMany(keys.map((key) => [key, new Uint8Array(COUNTER_BYTES)] as const)),
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
      countRange: (from, to) => table.count({ gte: from, lt: to }),
      close: () => db.close(),
    };
  },
};
