import { type Database, type Key, open } from "lmdb";
import { join } from "node:path";
import { bytesOnDisk } from "../../../support/disk.ts";
import type { Store, StoreKind, Typed, TypedTable } from "./store.ts";
import { successor } from "./successor.ts";

const ENCODINGS = {
  text: { encoding: "string" },
  json: { encoding: "json" },
  u32: { keyEncoding: "uint32", encoding: "ordered-binary" },
} as const;

function storeIn(dir: string): Store {
  const path = join(dir, "suite.lmdb");
  // The root holds the names of the databases: a scan of it would give them, too.
  const root = open({ path, mapSize: 16 * 2 ** 30, maxDbs: 8, overlappingSync: false });
  const db: Database<Uint8Array, Uint8Array> = root.openDB({
    name: "entries",
    keyEncoding: "binary",
    encoding: "binary",
  });
  const commit: Store["commit"] = (entries) => {
    db.transactionSync(() => {
      for (const [key, value] of entries) db.put(key, value);
    });
  };
  // By `batch` for the reason that engines/lmdb.ts gives.
  const remove = async (keys: Iterable<Uint8Array>) => {
    await db.batch(() => {
      for (const key of keys) db.remove(key);
    });
  };
  return {
    load: commit,
    commit,
    put: async (key, value) => void await db.put(key, value),
    remove,
    async removeRange(from, to) {
      const keys = [...db.getKeys({ start: from, end: to })];
      await remove(keys);
      return keys.length;
    },
    get: (key) => db.getBinary(key),
    getMany: (keys) => keys.map((key) => db.getBinary(key)),
    view: (key) => db.getBinaryFast(key)![0],
    range({ from, prefix, reverse, limit }) {
      const bounds = prefix === undefined
        ? { start: from }
        : { start: prefix, end: successor(prefix) };
      let sum = 0;
      for (const { value } of [...db.getRange({ ...bounds, reverse, limit })]) sum += value[0];
      return sum;
    },
    keys() {
      let length = 0;
      for (const key of db.getKeys({})) length += key.length;
      return length;
    },
    scan(see) {
      let count = 0;
      for (const { value } of db.getRange({})) {
        see(value);
        count++;
      }
      return count;
    },
    typed<Kind extends keyof Typed>(kind: Kind) {
      const own: Database<Typed[Kind][1], Key> = root.openDB({ name: kind, ...ENCODINGS[kind] });
      return {
        load(entries) {
          own.transactionSync(() => {
            for (const [key, value] of entries) own.put(key, value);
          });
        },
        get: (key) => own.get(key),
      } satisfies TypedTable<Kind>;
    },
    settle: () => bytesOnDisk(path),
    share: () => undefined,
    close: () => root.close(),
  };
}

export const lmdbStore: StoreKind = {
  // It has no cache of its own: the system's is in its place.
  open: (dir) => Promise.resolve(storeIn(dir)),
  join: (dir) => Promise.resolve(storeIn(dir)),
};
