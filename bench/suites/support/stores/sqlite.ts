import { join } from "node:path";
import { openSqlite } from "../../../support/sqlite.ts";
import { KEY_BYTES } from "../../../support/keys.ts";
import { bytesOnDisk } from "../../../support/disk.ts";
import type { Store, StoreKind, Typed, TypedTable } from "./store.ts";
import { successor } from "./successor.ts";

interface Row {
  readonly k: Uint8Array;
  readonly v: Uint8Array;
}

const COLUMNS = {
  text: "k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID",
  json: "k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID",
  // The row's own number: that is the fastest key there is.
  u32: "k INTEGER PRIMARY KEY, v INTEGER)",
};

const CACHE_BYTES = 2 ** 30;
const NO_LIMIT = -1;
const FIRST = new Uint8Array(0);
const LAST = new Uint8Array(KEY_BYTES + 1).fill(255);

async function storeIn(dir: string, cacheBytes: number): Promise<Store> {
  const path = join(dir, "suite.sqlite");
  const db = await openSqlite(path);
  db.exec(
    // Others may be writing: it waits for them.
    "PRAGMA busy_timeout=60000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; " +
      `PRAGMA cache_size=-${Math.ceil(cacheBytes / 1024)}; ` +
      "CREATE TABLE IF NOT EXISTS kv(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID",
  );
  const put = db.prepare("INSERT OR REPLACE INTO kv VALUES(?,?)");
  const remove = db.prepare("DELETE FROM kv WHERE k=?");
  const removeRange = db.prepare("DELETE FROM kv WHERE k>=? AND k<?");
  const get = db.prepare("SELECT v FROM kv WHERE k=?");
  const range = db.prepare("SELECT k, v FROM kv WHERE k>=? AND k<? ORDER BY k LIMIT ?");
  const reverseRange = db.prepare("SELECT k, v FROM kv WHERE k<=? ORDER BY k DESC LIMIT ?");
  const keys = db.prepare("SELECT k FROM kv ORDER BY k");
  const all = db.prepare("SELECT k, v FROM kv ORDER BY k");
  const transaction = (work: () => void) => {
    db.exec("BEGIN IMMEDIATE");
    work();
    db.exec("COMMIT");
  };
  const commit: Store["commit"] = (entries) =>
    transaction(() => {
      for (const [key, value] of entries) put.run(key, value);
    });
  const getOne = (key: Uint8Array) => (get.get(key) as Row | undefined | null)?.v;
  return {
    load: commit,
    commit,
    put: (key, value) => void put.run(key, value),
    remove: (keys) =>
      transaction(() => {
        for (const key of keys) remove.run(key);
      }),
    removeRange: (from, to) => Number(removeRange.run(from, to).changes),
    get: getOne,
    getMany: (keys) => keys.map(getOne),
    range({ from, prefix, reverse, limit = NO_LIMIT }) {
      const rows = reverse
        ? reverseRange.all(from ?? LAST, limit)
        : range.all(prefix ?? from ?? FIRST, prefix && successor(prefix) || LAST, limit);
      let sum = 0;
      for (const { v } of rows as Row[]) sum += v[0];
      return sum;
    },
    keys() {
      let length = 0;
      for (const { k } of keys.iterate() as Iterable<Row>) length += k.length;
      return length;
    },
    scan(see) {
      let count = 0;
      for (const { v } of all.iterate() as Iterable<Row>) {
        see(v);
        count++;
      }
      return count;
    },
    typed<Kind extends keyof Typed>(kind: Kind) {
      db.exec(`CREATE TABLE IF NOT EXISTS typed_${kind}(${COLUMNS[kind]}`);
      const put = db.prepare(`INSERT OR REPLACE INTO typed_${kind} VALUES(?,?)`);
      const get = db.prepare(`SELECT v FROM typed_${kind} WHERE k=?`);
      const isJson = kind === "json";
      return {
        load: (entries) =>
          transaction(() => {
            for (const [key, value] of entries) {
              put.run(key, isJson ? JSON.stringify(value) : value as string | number);
            }
          }),
        get(key) {
          const found = (get.get(key) as { v: Typed[Kind][1] } | undefined | null)?.v;
          return isJson && typeof found === "string" ? JSON.parse(found) : found;
        },
      } satisfies TypedTable<Kind>;
    },
    settle() {
      db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
      return bytesOnDisk(path);
    },
    share: () => cacheBytes,
    close: () => db.close(),
  };
}

export const sqliteStore: StoreKind = {
  open: (dir, { cacheBytes = CACHE_BYTES }) => storeIn(dir, cacheBytes),
  join: (dir, shared) => storeIn(dir, shared as number),
};
