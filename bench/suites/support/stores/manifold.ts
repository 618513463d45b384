import {
  attach,
  bytes,
  type Codec,
  type Database,
  type DatabaseHandle,
  json,
  text,
  u32,
} from "../../../../mod.ts";
import { bytesOnDisk } from "../../../support/disk.ts";
import { openDatabase } from "../../../support/manifold.ts";
import type { Profile, Store, StoreKind, Typed, TypedTable } from "./store.ts";

const CODECS = {
  text: { key: text, value: text },
  json: { key: text, value: json<Profile>() },
  u32: { key: u32, value: u32 },
};

async function storeOf(db: Database): Promise<Store> {
  const family = await db.columnFamily("suite");
  const table = family.table("entries", { key: bytes, value: bytes });
  return {
    load: (entries) => table.setMany(entries),
    async commit(entries) {
      const batch = family.batch();
      for (const [key, value] of entries) batch.set(table, key, value);
      await batch.commit();
    },
    put: (key, value) => table.set(key, value),
    async remove(keys) {
      const batch = family.batch();
      for (const key of keys) batch.delete(table, key);
      await batch.commit();
    },
    removeRange: (from, to) => table.deleteRange({ gte: from, lt: to }),
    get: (key) => table.get(key),
    getMany: (keys) => table.getMany(keys),
    view: (key) => table.view(key, (value) => value[0])!,
    range({ from, prefix, reverse, limit }) {
      const bound = from === undefined ? {} : reverse ? { lte: from } : { gte: from };
      let sum = 0;
      const found = table.entries({
        ...bound,
        ...(prefix !== undefined && { prefix }),
        reverse,
        limit,
      });
      for (const [, value] of found.toArray()) sum += value[0];
      return sum;
    },
    keys() {
      let length = 0;
      for (const key of table.keys()) length += key.length;
      return length;
    },
    scan(see) {
      let count = 0;
      for (const [, value] of table) {
        see(value);
        count++;
      }
      return count;
    },
    scanView: (see) => table.scan(undefined, (_key, value) => see(value)),
    count: (from, to) => table.count({ gte: from, lt: to }),
    typed<Kind extends keyof Typed>(kind: Kind) {
      // The codecs of a kind are those of its entries, which the compiler cannot see through the index.
      const { key, value } = CODECS[kind] as unknown as {
        key: Codec<Typed[Kind][0]>;
        value: Codec<Typed[Kind][1]>;
      };
      const own = family.table(kind, { key, value });
      return {
        load: (entries) => own.setMany(entries),
        get: (key) => own.get(key),
      } satisfies TypedTable<Kind>;
    },
    async settle() {
      await db.checkpoint();
      return bytesOnDisk(db.path);
    },
    share: () => db.share(),
    close: () => db.close(),
  };
}

export const manifoldStore: StoreKind = {
  async open(dir, options) {
    return await storeOf(await openDatabase(dir, options));
  },
  async join(_dir, shared) {
    return await storeOf(await attach(shared as DatabaseHandle));
  },
};
