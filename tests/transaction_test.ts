/**
 * Protects transactions of one family: what is committed is as if they had run one after the other, whoever runs
 * beside them. Each way to read is disturbed, where it looked and beside that; nothing else is a conflict.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Codec,
  type ColumnFamily,
  i32,
  i64,
  ManifoldError,
  openInMemory,
  type Table,
  text,
  type Transaction,
  type TransactionTable,
  u32,
  u64,
} from "../mod.ts";
import { assert, assertEquals } from "./support/assert.ts";
import { test } from "./support/test.ts";

const codecs = { key: text, value: u32 };

function gate(): { readonly passed: Promise<void>; open(): void } {
  let open = (): void => {};
  const passed = new Promise<void>((resolve) => open = resolve);
  return { passed, open };
}

/** Has something done between the first run of a function and its commit; says how often it was run. */
async function disturbed<T>(
  family: ColumnFamily,
  fn: (tx: Transaction) => T,
  disturb: () => Promise<unknown>,
  options?: { maxAttempts?: number },
): Promise<{ result: T; runs: number }> {
  const hasRun = gate();
  const goOn = gate();
  let runs = 0;
  const done = family.transaction(async (tx) => {
    const result = fn(tx);
    if (++runs > 1) return result;
    hasRun.open();
    await goOn.passed;
    return result;
  }, options);
  await hasRun.passed;
  await disturb();
  goOn.open();
  return { result: await done, runs };
}

type Rows = TransactionTable<string, number>;

/** Ways to read the keys b, d, f, h; writes that they must notice, and writes that they need not. */
const READS: [string, (t: Rows) => unknown, notices: string[], not: string[]][] = [
  ["get", (t) => t.get("d"), ["d"], ["c", "e", "b"]],
  ["get of nothing", (t) => t.get("e"), ["e"], ["d", "f"]],
  ["has", (t) => t.has("d"), ["d"], ["c"]],
  ["getMany", (t) => t.getMany(["b", "e"]), ["b", "e"], ["c", "d"]],
  ["view", (t) => t.view("d", (bytes) => bytes.length), ["d"], ["c"]],
  ["delete", (t) => t.delete("d"), ["d"], ["c"]],
  ["delete of nothing", (t) => t.delete("e"), ["e"], ["d"]],
  ["all entries", (t) => t.entries().toArray(), ["a", "d", "z"], []],
  ["a range", (t) => t.entries({ gte: "c", lt: "g" }).toArray(), ["c", "d", "fz"], ["b", "g", "h"]],
  ["a range of nothing", (t) => t.keys({ gt: "d", lt: "f" }).toArray(), ["e"], ["d", "f"]],
  ["two entries", (t) => t.entries().take(2).toArray(), ["a", "c", "d"], ["e", "f", "z"]],
  ["limit", (t) => t.entries({ limit: 2 }).toArray(), ["a", "c", "d"], ["e", "z"]],
  [
    "offset",
    (t) => t.entries({ offset: 1, limit: 1 }).toArray(),
    ["a", "b", "d"],
    ["e", "h"],
  ],
  ["an offset beyond", (t) => t.keys({ offset: 9 }).toArray(), ["a", "z"], []],
  ["reverse", (t) => t.keys({ reverse: true, limit: 2 }).toArray(), ["f", "g", "z"], ["e", "a"]],
  [
    "reverse with offset",
    (t) => t.keys({ reverse: true, offset: 1, limit: 1 }).toArray(),
    ["f", "h", "z"],
    ["e"],
  ],
  ["an iterator left open", (t) => t.keys().next().value, ["a", "b"], ["c", "d"]],
  ["an iterator not begun", (t) => void t.keys(), [], ["a", "b"]],
  [
    "seek",
    (t) => {
      const keys = t.keys();
      return [keys.next().value, keys.seek("f").next().value];
    },
    ["a", "b", "f"],
    ["c", "d", "e", "g"],
  ],
  ["scan to its end", (t) => t.scan({ gte: "e" }, () => {}), ["e", "f", "z"], ["d"]],
  ["scan", (t) => t.scan(undefined, (key) => key[0] < 100), ["a", "d"], ["e", "f"]],
  ["first", (t) => t.first(), ["a", "b"], ["c", "h"]],
  ["first from", (t) => t.first({ gt: "b", offset: 1 }), ["c", "d", "f"], ["b", "g"]],
  ["last", (t) => t.last(), ["h", "i"], ["g", "a"]],
  ["last of some", (t) => t.last({ limit: 2 }), ["a", "b", "d"], ["e"]],
  ["last before", (t) => t.last({ lt: "e" }), ["d", "dz"], ["e", "c"]],
  ["last of few", (t) => t.last({ offset: 3, limit: 9 }), ["a", "z"], []],
  ["count", (t) => t.count(), ["a", "d", "z"], []],
  ["count of a range", (t) => t.count({ gte: "c", lt: "f" }), ["c", "d", "e"], ["b", "f"]],
  ["at", (t) => t.at(1), ["a", "b", "c", "d"], ["e", "h"]],
  ["at beyond", (t) => t.at(9), ["a", "z"], []],
  ["deleteRange", (t) => t.deleteRange({ gte: "c", lt: "g" }), ["c", "d", "e"], ["b", "g"]],
  ["nothing", () => {}, [], ["a", "d"]],
  ["a blind set", (t) => t.set("d", 1), [], ["d", "e"]],
  ["set, then get", (t) => (t.set("d", 1), t.get("d")), [], ["d"]],
  ["set, then delete", (t) => (t.set("d", 1), t.delete("d")), [], ["d"]],
  [
    "a count after own writes",
    (t) => (t.set("c", 1), t.set("d", 1), t.count({ gte: "c", lt: "f" })),
    ["c", "e"],
    ["b", "f"],
  ],
  [
    "what was deleted before is not read again",
    (t) => (t.deleteRange({ gte: "d", lte: "d" }), t.first({ gte: "c" })),
    ["c", "d", "f"],
    ["b", "g"],
  ],
];

async function filled(family: ColumnFamily): Promise<Table<string, number>> {
  const table = family.table("rows", codecs);
  await table.deleteRange({});
  await table.setMany([["b", 2], ["d", 4], ["f", 6], ["h", 8]]);
  return table;
}

test("transaction: each way to read conflicts with what changes what it saw, and with nothing else", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const log = family.table("log", codecs);
  for (const [name, read, notices, others] of READS) {
    for (const key of [...notices, ...others]) {
      for (const how of ["set", "delete"] as const) {
        const table = await filled(family);
        const was = table.get(key);
        if (how === "delete" && was === undefined) continue;
        const { runs } = await disturbed(family, (tx) => {
          read(tx.table(table));
          tx.table(log).set("done", 1);
        }, () => how === "set" ? table.set(key, 77) : table.delete(key));
        assertEquals(runs, notices.includes(key) ? 2 : 1, `${name}, ${how} ${key}`);
      }
    }
  }
});

test("transaction: what is not changed, or is as before, is no conflict; one that only reads has none", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const table = await filled(family);
  const same = await disturbed(family, (tx) => {
    const t = tx.table(table);
    t.set("z", t.count());
  }, () => table.set("d", 4));
  assertEquals(same.runs, 1);
  const reads = await disturbed(family, (tx) => tx.table(table).count(), () => table.set("y", 1));
  assertEquals(reads, { result: 5, runs: 1 });
  const { version } = family.stats();
  await family.transaction((tx) => tx.table(table).entries().toArray());
  assertEquals(family.stats().version, version);
});

test("transaction: tables that are made, deleted and made again by others are compared by what is in them", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const log = family.table("log", codecs);
  const run = (read: (t: Rows) => unknown, disturb: () => Promise<unknown>) =>
    disturbed(family, (tx) => {
      const result = read(tx.table(family.table("rows", codecs)));
      tx.table(log).set("done", 1);
      return result;
    }, disturb);
  const table = family.table("rows", codecs);
  const made = await run((t) => t.get("b"), () => filled(family));
  assertEquals(made, { result: 2, runs: 2 });
  const deleted = await run((t) => t.get("b"), () => family.deleteTable("rows"));
  assertEquals(deleted, { result: undefined, runs: 2 });
  assertEquals((await run((t) => t.get("b"), () => table.set("c", 1))).runs, 1);
  const anew = await run((t) => [t.get("b"), t.get("c")], async () => {
    await family.deleteTable("rows");
    await table.set("c", 1);
  });
  assertEquals(anew, { result: [undefined, 1], runs: 1 });
  const blind = await run((t) => t.set("x", 1), () => family.deleteTable("rows"));
  assertEquals(blind.runs, 2);
  assertEquals([...table], [["x", 1]]);
});

test("transaction: what was read stays read after a rollback to a savepoint", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const table = await filled(family);
  const { runs } = await disturbed(family, (tx) => {
    const t = tx.table(table);
    const before = tx.savepoint();
    t.set("z", t.get("d")!);
    tx.rollback(before);
    t.set("y", 1);
  }, () => table.set("d", 5));
  assertEquals(runs, 2);
});

test("transaction: the last attempt has the family to itself, and one attempt is the last", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const table = await filled(family);
  for (const maxAttempts of [1, 2, 5]) {
    let runs = 0;
    const writes: Promise<void>[] = [];
    const rivals: (() => void)[] = [];
    // Behind each run, a write that would be in its way if it could.
    const done = family.transaction(async (tx) => {
      runs++;
      const t = tx.table(table);
      const count = t.get("d")!;
      const rival = gate();
      rivals.push(rival.open);
      await new Promise((resolve) => setTimeout(resolve, 20));
      t.set("d", count + 1);
    }, { maxAttempts });
    const disturb = setInterval(() => writes.push(table.set("d", 100)), 1);
    await done;
    clearInterval(disturb);
    await Promise.all(writes);
    assert(runs <= maxAttempts, `${runs} of ${maxAttempts}`);
  }
});

test("transaction: increments of one key by many callers are all there", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const table = family.table("counters", codecs);
  const increment = (): Promise<number> =>
    family.transaction((tx) => {
      const t = tx.table(table);
      const next = (t.get("n") ?? 0) + 1;
      t.set("n", next);
      return next;
    });
  const results: number[] = [];
  await Promise.all(Array.from({ length: 50 }, async () => {
    for (let i = 0; i < 20; i++) results.push(await increment());
  }));
  assertEquals(table.get("n"), 1000);
  assertEquals(new Set(results).size, 1000);
});

test("transaction: if fewer than ten, insert: never eleven", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  for (const async of [false, true]) {
    const table = family.table(`rows ${async}`, codecs);
    const insert = (i: number): Promise<boolean> =>
      family.transaction(async (tx) => {
        const t = tx.table(table);
        if (t.count() >= 10) return false;
        if (async) await Promise.resolve();
        t.set(`k${i}`, i);
        return true;
      });
    const done = await Promise.all(Array.from({ length: 40 }, (_, i) => insert(i)));
    assertEquals(done.filter(Boolean).length, 10);
    assertEquals(table.count(), 10);
  }
});

test("transaction: savepoints nest, can be gone back to again, and end with what was before them", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const table = await filled(family);
  const other = family.table("other", codecs);
  let foreign: ReturnType<Transaction["savepoint"]> | undefined;
  await family.transaction((tx) => {
    foreign = tx.savepoint();
    tx.table(table).set("z", 1);
    throw new Error("on purpose");
  }).catch(() => {});
  await family.transaction((tx) => {
    const t = tx.table(table);
    t.set("a", 1);
    const first = tx.savepoint();
    t.deleteRange({ gte: "b", lt: "g" });
    const second = tx.savepoint();
    t.set("d", 40);
    t.delete("h");
    tx.table(other).set("x", 1);
    const entries = t.keys();
    assertEquals(t.keys().toArray(), ["a", "d"]);
    tx.rollback(second);
    assertEquals(t.keys().toArray(), ["a", "h"]);
    assertEquals(entries.toArray(), ["a", "d"]);
    assertEquals(tx.table(other).count(), 0);
    tx.rollback(first);
    assertEquals(t.keys().toArray(), ["a", "b", "d", "f", "h"]);
    assertEquals(t.count(), 5);
    for (const gone of [second, foreign!, { number: 1 }]) {
      let error: unknown;
      try {
        tx.rollback(gone);
      } catch (thrown) {
        error = thrown;
      }
      assert(error instanceof ManifoldError && error.code === "invalid-argument", String(error));
    }
    t.set("c", 3);
    tx.rollback(first);
    assertEquals(t.get("c"), undefined);
    t.delete("f");
  });
  assertEquals(table.entries().toArray(), [["a", 1], ["b", 2], ["d", 4], ["h", 8]]);
  assertEquals(other.count(), 0);
});

async function refusedAs(code: string, promise: Promise<unknown>): Promise<ManifoldError> {
  const error = await promise.then(() => undefined, (error: unknown) => error);
  assert(error instanceof ManifoldError, `it is ${error}`);
  assertEquals(error.code, code, error.message);
  return error;
}

test("transaction: a time-out or a signal ends it wherever it is, and nothing is applied", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const table = family.table("rows", codecs);
  const never = new Promise<never>(() => {});
  for (const maxAttempts of [1, 10]) {
    let late: Rows | undefined;
    const slow = family.transaction(async (tx) => {
      late = tx.table(table);
      late.set("a", 1);
      await never;
    }, { maxAttempts, timeoutMs: 20 });
    await refusedAs("timeout", slow);
    await refusedAs("timeout", Promise.resolve().then(() => late!.set("b", 1)));

    const controller = new AbortController();
    const reason = new Error("no more");
    const stopped = family.transaction(async (tx) => {
      tx.table(table).set("a", 1);
      setTimeout(() => controller.abort(reason), 1);
      await never;
    }, { maxAttempts, signal: controller.signal });
    assertEquals((await refusedAs("aborted", stopped)).cause, reason);
    let runs = 0;
    const before = family.transaction(() => void runs++, {
      maxAttempts,
      signal: controller.signal,
    });
    await refusedAs("aborted", before);
    assertEquals(runs, 0);

    // A function that does not wait is over before anything can end it, and then it is late.
    const busy = family.transaction((tx) => {
      tx.table(table).set("a", 1);
      const end = performance.now() + 5;
      while (performance.now() < end);
    }, { maxAttempts, timeoutMs: 1 });
    await refusedAs("timeout", busy);
  }
  // Waiting for the turn of somebody who keeps it.
  const held = gate();
  const holds = gate();
  const holder = family.transaction(async () => {
    holds.open();
    await held.passed;
  }, { maxAttempts: 1 });
  await holds.passed;
  await refusedAs("timeout", family.transaction(() => {}, { maxAttempts: 1, timeoutMs: 20 }));
  held.open();
  await holder;
  assertEquals(table.count(), 0);
  // The turn was given back.
  await table.set("a", 1);
  assertEquals(db.stats().pins, 0);
});

test("transaction: update, setIfAbsent and increment are atomic", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const rows = family.table("rows", codecs);
  const many = Array.from({ length: 100 }, (_, i) => i);
  const sums = await Promise.all(many.map((i) => rows.increment("n", i + 1)));
  assertEquals(rows.get("n"), 5050);
  assertEquals(new Set(sums).size, 100);
  const set = await Promise.all(many.map((i) => rows.setIfAbsent("once", i)));
  assertEquals(set.filter(Boolean).length, 1);
  assertEquals(rows.get("once"), set.indexOf(true));
  await Promise.all(many.map(() => rows.update("twice", (value = 0) => value + 2)));
  assertEquals(rows.get("twice"), 200);
  assertEquals(await rows.update("twice", () => undefined), undefined);
  assertEquals(rows.has("twice"), false);
  assertEquals(await rows.update("none", () => undefined), undefined);

  const own = new Error("mine");
  const thrown = await rows.update("n", () => {
    throw own;
  }).catch((error) => error);
  assert(thrown === own);
  await refusedAs("invalid-argument", rows.update("n", (() => Promise.resolve(1)) as never));
  await refusedAs("invalid-argument", rows.update("n", 1 as never));
  await refusedAs("invalid-argument", family.transaction(() => rows.increment("n")));
  assertEquals(rows.get("n"), 5050);

  for (const [codec, low, high] of INTEGERS) {
    const table = family.table(`of ${codec.name}`, { key: text, value: codec as Codec<number> });
    const one = (typeof low === "bigint" ? 1n : 1) as number;
    assertEquals(await table.increment("a"), one);
    assertEquals(await table.increment("a", -one as number), (one as number) - one);
    for (const [edge, by] of [[low, -one], [high, one]]) {
      await table.set("edge", edge as number);
      await refusedAs("invalid-argument", table.increment("edge", by as number));
      assertEquals(table.get("edge"), edge as number);
    }
    const wrong = (typeof low === "bigint" ? 1 : 1n) as unknown as number;
    for (const by of [wrong, 1.5, NaN, "1" as never]) {
      await refusedAs("invalid-argument", table.increment("a", by));
    }
  }
  const texts = family.table("texts", { key: text, value: text });
  await refusedAs("type-mismatch", texts.increment("a"));
});

const INTEGERS: [Codec<number> | Codec<bigint>, number | bigint, number | bigint][] = [
  [u32, 0, 2 ** 32 - 1],
  [i32, -(2 ** 31), 2 ** 31 - 1],
  [u64, 0n, 2n ** 64n - 1n],
  [i64, -(2n ** 63n), 2n ** 63n - 1n],
];

test("transaction: what is given to setIfAbsent and increment may be changed after the call", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const table = family.table("bytes");
  const counts = family.table("counts", { value: u32 });
  const key = new Uint8Array([1]);
  const value = new Uint8Array([2]);
  // Many, so that most are run again.
  const done = Array.from({ length: 30 }, () => counts.increment(key));
  const set = Array.from({ length: 30 }, () => table.setIfAbsent(key, value));
  key[0] = value[0] = 9;
  await Promise.all([...done, ...set]);
  assertEquals([...counts], [[new Uint8Array([1]), 30]]);
  assertEquals([...table], [[new Uint8Array([1]), new Uint8Array([2])]]);
});

test("transaction: a function keeps its caller's async context, in a line with others too", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const table = family.table("rows", codecs);
  const storage = new AsyncLocalStorage<number>();
  await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      storage.run(i, () =>
        family.transaction((tx) => {
          assertEquals(storage.getStore(), i);
          const t = tx.table(table);
          t.set("n", (t.get("n") ?? 0) + 1);
        }))),
  );
  assertEquals(table.get("n"), 50);
});

test("transaction: what one throws in a line of many meets nobody else", async () => {
  await using db = await openInMemory({ cacheBytes: 2 ** 22 });
  const family = await db.columnFamily("f");
  const table = family.table("rows", codecs);
  const own = new Error("mine");
  const outcomes = await Promise.allSettled(
    Array.from({ length: 200 }, (_, i) =>
      family.transaction((tx) => {
        const t = tx.table(table);
        t.set("n", (t.get("n") ?? 0) + 1);
        t.set(`k${i}`, i);
        if (i % 10 === 3) throw own;
        if (i % 10 === 4) tx.abort();
        if (i % 10 === 5) tx.table(family.table("rows", { key: text, value: text }));
        return i;
      })),
  );
  for (const [i, outcome] of outcomes.entries()) {
    if (outcome.status === "fulfilled") assertEquals(outcome.value, i);
    else if (i % 10 === 3) assert(outcome.reason === own);
    else {
      assert(outcome.reason instanceof ManifoldError, String(outcome.reason));
      assertEquals(outcome.reason.code, i % 10 === 4 ? "aborted" : "type-mismatch");
    }
    const there = outcome.status === "fulfilled" ? i : undefined;
    assertEquals(table.get(`k${i}`), there);
  }
  assertEquals(table.get("n"), 140);
  assertEquals(table.count(), 141);
});
