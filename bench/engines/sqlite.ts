import { join } from "node:path";
import process from "node:process";
import { thisRuntime } from "../../tests/support/child.ts";
import { addOneTo, COUNTER_BYTES, type Entry, type ModuleKind } from "../support/engine.ts";
import { openSqlite } from "../support/sqlite.ts";

interface Row {
  k: Uint8Array;
  v: Uint8Array;
}

export const sqlite: ModuleKind = {
  name: "sqlite",
  title: thisRuntime === "bun" ? "bun:sqlite" : "node:sqlite",
  settings: `SQLite ${process.versions.sqlite}, ` +
    "WAL, synchronous=FULL, WITHOUT ROWID, cache_size 1 GB",
  shrink: 1,
  runtimes: ["deno", "bun"],
  async open(dir) {
    const db = await openSqlite(join(dir, "bench.sqlite"));
    db.exec(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-1000000; " +
        "CREATE TABLE kv(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID; " +
        "CREATE TABLE counters(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID",
    );
    const put = db.prepare("INSERT OR REPLACE INTO kv VALUES(?,?)");
    const remove = db.prepare("DELETE FROM kv WHERE k=?");
    const get = db.prepare<Row>("SELECT v FROM kv WHERE k=?");
    const range = db.prepare("SELECT k, v FROM kv WHERE k>=? ORDER BY k LIMIT 10");
    const all = db.prepare<Row>("SELECT k, v FROM kv ORDER BY k");
    const putCounter = db.prepare("INSERT OR REPLACE INTO counters VALUES(?,?)");
    const getCounter = db.prepare<Row>("SELECT v FROM counters WHERE k=?");
    const commit = (entries: readonly Entry[]) => {
      db.exec("BEGIN");
      for (const [key, value] of entries) put.run(key, value);
      db.exec("COMMIT");
    };
    return {
      load: commit,
      put: (key, value) => void put.run(key, value),
      commit,
      remove(keys) {
        db.exec("BEGIN");
        for (const key of keys) remove.run(key);
        db.exec("COMMIT");
      },
      loadCounters(keys) {
        db.exec("BEGIN");
        for (const key of keys) putCounter.run(key, new Uint8Array(COUNTER_BYTES));
        db.exec("COMMIT");
      },
      addOne(key) {
        db.exec("BEGIN IMMEDIATE");
        const value = getCounter.get(key)!.v;
        const number = addOneTo(value);
        putCounter.run(key, value);
        db.exec("COMMIT");
        return number;
      },
      get: (key) => get.get(key)!.v[0],
      range10: (key) => range.all(key).length,
      scan() {
        let count = 0;
        for (const { k, v } of all.iterate()) if (k.length + v.length > 0) count++;
        return count;
      },
      close: () => db.close(),
    };
  },
};
