/**
 * Protects against what callers give by mistake or on purpose: values that are not what they look like, codecs
 * that misbehave, ranges that contradict themselves, and callbacks that throw, nest or call back into the
 * database. Each has one defined outcome, and whatever it is, the database goes on and has no entry that
 * nobody put there.
 */

import { join } from "node:path";
import {
  bool,
  bytes,
  type ByteWriter,
  type Codec,
  type Database,
  type ErrorCode,
  f32Array,
  f64,
  json,
  ManifoldError,
  open,
  openInMemory,
  type Range,
  type Table,
  text,
  tuple,
  u32,
} from "../mod.ts";
import { assert, assertEquals, assertThrows } from "./support/assert.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

async function withDatabase(fn: (db: Database) => Promise<void>): Promise<void> {
  await using db = await openInMemory({ pageSize: 4096, cacheBytes: 2 ** 20, maxWorkers: 1 });
  await fn(db);
}

/** Fails unless `fn` throws or rejects with that code, and a message with all of `words`. */
async function refused(code: ErrorCode, words: string[], fn: () => unknown): Promise<void> {
  let result: unknown;
  try {
    result = await fn();
  } catch (error) {
    assert(error instanceof ManifoldError, `${code} ${words}: another error came: ${error}`);
    assertEquals(error.code, code, error.message);
    for (const word of words) {
      assert(error.message.includes(word), `"${word}" is not in: ${error.message}`);
    }
    return;
  }
  throw new Error(`${code} ${words} was expected, but it gave ${result}`);
}

/** Fails unless `fn` throws or rejects with that very error. */
async function passesOn(error: unknown, fn: () => unknown): Promise<void> {
  let thrown: unknown;
  try {
    await fn();
  } catch (caught) {
    thrown = caught;
  }
  assert(thrown === error, `it gave ${thrown}`);
}

async function numbered(db: Database, count: number): Promise<Table<number, string>> {
  const table = (await db.columnFamily("shop")).table("numbers", { key: u32, value: text });
  await table.setMany(Array.from({ length: count }, (_, i) => [i, `value ${i}`]));
  return table;
}

test("hostile input: ranges that are empty, inverted or beyond the end give nothing", () =>
  withDatabase(async (db) => {
    const table = await numbered(db, 1000);
    const names = (await db.columnFamily("shop")).table("names", { key: text, value: u32 });
    await names.setMany(Array.from({ length: 300 }, (_, i) => [`n${i}`, i]));
    const MAX = Number.MAX_SAFE_INTEGER;
    const nothing: Range<number>[] = [
      { gte: 5, lt: 5 },
      { gt: 5, lte: 5 },
      { gt: 5, lt: 6 },
      { gte: 700, lte: 3 },
      { gt: 4294967295 },
      { lt: 0 },
      { limit: 0 },
      { limit: -0 },
      { offset: 1000 },
      { offset: MAX },
      { gte: 10, lt: 20, offset: 10 },
      { gte: 10, offset: MAX, limit: MAX },
      { gte: 1000 },
    ];
    for (const empty of nothing) {
      for (const range of [empty, { ...empty, reverse: true }]) {
        const what = JSON.stringify(range);
        assertEquals(table.entries(range).toArray(), [], what);
        assertEquals(table.count(range), 0, what);
        assertEquals([table.first(range), table.last(range)], [undefined, undefined], what);
        assertEquals(table.scan(range, () => assert(false, what)), 0, what);
        await (await db.columnFamily("shop")).transaction((tx) => {
          assertEquals(tx.table(table).entries(range).toArray(), [], what);
          assertEquals(tx.table(table).count(range), 0, what);
          assertEquals(tx.table(table).last(range), undefined, what);
        });
      }
      const { limit: _limit, offset: _offset, ...bounds } = empty;
      if (Object.keys(bounds).length < Object.keys(empty).length) continue;
      assertEquals(await table.deleteRange(empty), 0);
    }
    assertEquals(table.count(), 1000);
    // A prefix and bounds hold together.
    assertEquals(names.count({ prefix: "n1", gte: "n2" }), 0);
    assertEquals(names.count({ prefix: "n1", lt: "n1" }), 0);
    assertEquals(names.keys({ prefix: "n1", gt: "n1", lte: "n11" }).toArray().length, 12);
    assertEquals(names.count({ prefix: "" }), 300);
    assertEquals(names.count({ prefix: "", offset: 299, limit: MAX }), 1);
    assertEquals(names.at(MAX), undefined);
    // What is undefined is not given.
    assertEquals(table.count({ gte: undefined, limit: undefined, reverse: undefined }), 1000);
  }));

test("hostile input: ranges that contradict themselves are refused", () =>
  withDatabase(async (db) => {
    const table = await numbered(db, 10);
    const bad: unknown[] = [
      { gt: 1, gte: 1 },
      { lt: 1, lte: 1 },
      { gte: undefined, gt: NaN },
      { limit: NaN },
      { limit: -1 },
      { limit: 2 ** 53 },
      { limit: 1n },
      { limit: null },
      { offset: NaN },
      { offset: -1 },
      { offset: 2 ** 53 },
      { offset: Infinity },
      { reverse: "no" },
      { gte: null },
      { gte: 2 ** 32 },
      { prefix: 1 },
      { start: 1 },
      [],
      new Uint8Array(1),
      () => {},
    ];
    for (const range of bad as Range<number>[]) {
      await refused("invalid-argument", [], () => table.entries(range));
      await refused("invalid-argument", [], () => table.count(range));
      await refused("invalid-argument", [], () => table.last(range));
      await refused("invalid-argument", [], () => table.scan(range, () => {}));
      await refused("invalid-argument", [], () => table.deleteRange(range));
    }
    const error = new Error("mine");
    const range = {
      get limit(): number {
        throw error;
      },
    };
    await passesOn(error, () => table.count(range));
    assertEquals(table.count(), 10);
  }));

test("hostile input: NaN is refused, -0 is 0, lone surrogates are refused where they cannot be kept", () =>
  withDatabase(async (db) => {
    const family = await db.columnFamily("shop");
    const numbers = family.table("numbers", { key: f64, value: f64 });
    await refused("invalid-argument", ["NaN"], () => numbers.set(NaN, 1));
    await numbers.set(-0, -0);
    assertEquals(numbers.get(0), 0);
    assertEquals(numbers.count(), 1);
    const texts = family.table("texts", { key: text, value: json() });
    for (const lone of ["\ud800", "a\udc00b", "\udc00\ud800", "x".repeat(5000) + "\ud83d"]) {
      await refused("invalid-argument", ["surrogate"], () => texts.set(lone, 1));
      await refused("invalid-argument", ["surrogate"], () => texts.get(lone));
      await refused("invalid-argument", ["surrogate"], () => texts.count({ prefix: lone }));
      await refused("invalid-argument", ["surrogate"], () => db.columnFamily(lone));
      // JSON has an escape for them.
      await texts.set("a", { [lone]: lone });
      assertEquals(texts.get("a"), { [lone]: lone });
    }
    const vectors = family.table("vectors", { value: f32Array(2) });
    const key = new Uint8Array(1);
    await vectors.set(key, new Float32Array([NaN, -0]));
    assert(Object.is(vectors.get(key)![1], -0));
  }));

test("hostile input: an array whose buffer was detached or has shrunk is refused, not taken as empty", () =>
  withDatabase(async (db) => {
    const family = await db.columnFamily("shop");
    const table = family.table("blobs", { key: bytes, value: bytes });
    const tuples = family.table("tuples", { key: tuple(bytes, u32), value: f32Array(2) });
    const key = new Uint8Array([1]);
    await table.set(key, new Uint8Array([7]));

    const detached = new Uint8Array(8);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    const shrinking = new ArrayBuffer(16, { maxByteLength: 32 });
    const outside = new Uint8Array(shrinking, 8, 8);
    const tracking = new Uint8Array(shrinking, 8);
    const atTheEnd = new Uint8Array(shrinking, 4);
    shrinking.resize(4);
    for (const [name, array] of Object.entries({ detached, outside, tracking })) {
      assertEquals(array.length, 0);
      await refused("invalid-argument", ["bytes"], () => table.set(key, array));
      await refused("invalid-argument", ["bytes"], () => table.set(array, key));
      await refused("invalid-argument", ["bytes"], () => table.get(array));
      await refused("invalid-argument", ["bytes"], () => table.count({ prefix: array }));
      await refused("invalid-argument", ["element 0"], () => tuples.get([array, 1]));
      assertEquals(table.count(), 1, name);
    }
    const floats = new Float32Array(shrinking, 0, 1);
    await refused("invalid-argument", ["f32Array(2)"], () => tuples.set([key, 1], floats));
    await table.set(atTheEnd, new Uint8Array(0));
    assertEquals(table.get(new Uint8Array(0)), new Uint8Array(0), "an empty one is a value");

    // The bytes at the time of the call count.
    const growing = new ArrayBuffer(2, { maxByteLength: 8 });
    const view = new Uint8Array(growing);
    const written = table.set(key, view);
    growing.resize(8);
    view.fill(9);
    await written;
    assertEquals(table.get(key), new Uint8Array(2));
    const shared = new Uint8Array(new SharedArrayBuffer(4));
    shared.fill(5);
    const sharing = table.set(shared, shared);
    shared.fill(6);
    await sharing;
    assertEquals(table.get(new Uint8Array(4).fill(5)), new Uint8Array(4).fill(5));
    assertEquals(table.get(shared), undefined);
    assert(!(table.get(new Uint8Array(4).fill(5))!.buffer instanceof SharedArrayBuffer));
  }));

test("hostile input: what a value throws while it is encoded reaches the caller, and nothing is written", () =>
  withDatabase(async (db) => {
    const family = await db.columnFamily("shop");
    const table = family.table("values", { key: text, value: json() });
    const error = new Error("mine");
    const getter = {
      first: 1,
      get second(): number {
        throw error;
      },
    };
    const toJson = {
      toJSON(): never {
        throw error;
      },
    };
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    for (const value of [getter, toJson, cycle, 1n, Symbol("s"), () => {}, undefined, proxy]) {
      const name = typeof value;
      await refused("invalid-argument", ["json"], () => table.set("a", value));
      await refused("invalid-argument", ["json"], () => table.setMany([["b", 1], ["a", value]]));
      const batch = family.batch().set(table, "c", name);
      await refused("invalid-argument", ["json"], () => batch.set(table, "a", value));
      await batch.commit();
      await family.transaction(async (tx) => {
        await refused("invalid-argument", ["json"], () => tx.table(table).set("a", value));
      });
      assertEquals([...table.entries()], [["c", name]]);
    }
    const withCause = await table.set("a", getter).catch((caught: unknown) => caught);
    assert((withCause as ManifoldError).cause === error);
    const deep = JSON.parse("[".repeat(5000) + "]".repeat(5000));
    await table.set("deep", deep).then(
      () => assertEquals(JSON.stringify(table.get("deep")), JSON.stringify(deep)),
      (caught) => assertEquals((caught as ManifoldError).code, "invalid-argument"),
    );
  }));

/** A codec of strings that does something else first. */
function meddling(meddle: (value: string, target: ByteWriter) => unknown): Codec<string> {
  return {
    name: "meddling",
    ordered: true,
    encode(value, target): void {
      const result = meddle(value, target);
      if (result === undefined) target.utf8(value);
      return result as undefined;
    },
    decode: (encoded) => text.decode(encoded),
  };
}

test("hostile input: a codec takes nothing away that others have written", () =>
  withDatabase(async (db) => {
    const family = await db.columnFamily("shop");
    const good = family.table("good", { key: text, value: text });
    const meddlings: Record<string, (value: string, target: ByteWriter) => unknown> = {
      truncate: (value, target) => {
        target.truncate(Math.max(0, target.length - 30));
        target.utf8(value.repeat(40));
        return null;
      },
      truncateToNothing: (_value, target) => (target.truncate(0), null),
    };
    for (const [name, meddle] of Object.entries(meddlings)) {
      const codec = meddling(meddle);
      const asKey = family.table(`${name} key`, { key: codec, value: text });
      const asValue = family.table(`${name} value`, { key: text, value: codec });
      const inTuple = family.table(`${name} tuple`, { key: tuple(text, codec), value: text });
      const batch = family.batch().set(good, name, "kept");
      await refused("invalid-argument", [], () => batch.set(asKey, "a", "b"));
      await refused("invalid-argument", [], () => batch.set(asValue, "a", "b"));
      await refused("invalid-argument", [], () => batch.set(inTuple, ["a", "b"], "c"));
      await refused("invalid-argument", [], () => batch.delete(asKey, "a"));
      await batch.set(good, `${name} too`, "kept").commit();
      await refused("invalid-argument", [], () => asKey.set("a", "b"));
      await refused("invalid-argument", [], () => asValue.setMany([["a", "b"]]));
      await refused("invalid-argument", [], () => inTuple.get(["a", "b"]));
      assertEquals([good.get(name), good.get(`${name} too`)], ["kept", "kept"]);
    }
    // To begin anew with one's own bytes is allowed.
    const again = meddling((_value, target) => {
      target.utf8("first attempt");
      target.reset();
    });
    const table = family.table("again", { key: tuple(text, again), value: again });
    await family.batch().set(good, "before", "kept").set(table, ["a", "b"], "c").commit();
    assertEquals([...table.entries()], [[["a", "b"], "c"]]);
    assertEquals(good.get("before"), "kept");
  }));

test("hostile input: a codec that encodes later is refused, and what it writes then goes nowhere", () =>
  withDatabase(async (db) => {
    const family = await db.columnFamily("shop");
    const good = family.table("good", { key: text, value: text });
    let later: (() => void)[] = [];
    const codec = meddling((value, target) =>
      new Promise<void>((resolve) => {
        later.push(() => {
          target.utf8(`late ${value}`);
          resolve();
        });
      })
    );
    const table = family.table("late", { key: text, value: codec });
    const keyed = family.table("late keys", { key: codec, value: text });
    const batch = family.batch().set(good, "a", "kept");
    const calls: (() => unknown)[] = [
      () => batch.set(table, "k", "v"),
      () => batch.delete(keyed, "k"),
      () => table.set("k", "v"),
      () => table.setMany([["k", "v"]]),
      () => keyed.get("k"),
      () => keyed.has("k"),
      () => keyed.getMany(["k"]),
      () => keyed.view("k", () => {}),
      () => keyed.count({ gte: "k" }),
      () => family.transaction((tx) => tx.table(table).set("k", "v")),
    ];
    for (const call of calls) {
      await refused("invalid-argument", ["meddling", "promise"], call);
      for (const write of later) write();
      later = [];
    }
    await batch.set(good, "b", "kept").commit();
    for (const key of ["c", "d"]) await good.set(key, "kept");
    assertEquals([...good.values()], ["kept", "kept", "kept", "kept"]);
    assertEquals(family.tables(), ["good"]);
  }));

test("hostile input: a codec that writes nothing, or lies about its size or order", () =>
  withDatabase(async (db) => {
    const family = await db.columnFamily("shop");
    const silent: Codec<string> = { ...meddling(() => null), name: "silent" };
    const empty = family.table("empty", { key: silent, value: silent });
    await empty.setMany([["a", "b"], ["c", "d"]]);
    assertEquals([...empty.entries()], [["", ""]], "no bytes are a key like any other");

    const liar: Codec<string> = { ...meddling(() => undefined), name: "liar", fixedSize: 3 };
    const lies = family.table("lies", { key: tuple(liar, u32), value: text });
    await refused("invalid-argument", ["fixedSize 3"], () => lies.set(["abcd", 1], "a"));
    await lies.set(["abc", 1], "a");
    assertEquals([...lies.keys()], [["abc", 1]]);

    // A codec that says it keeps order and does not: the order is that of the bytes.
    const backwards: Codec<string> = {
      name: "backwards",
      ordered: true,
      encode: (value, target) => target.utf8([...value].reverse().join("")),
      decode: (encoded) => [...text.decode(encoded)].reverse().join(""),
    };
    const table = family.table("backwards", { key: backwards, value: text });
    await table.setMany([["ab", "1"], ["ba", "2"]]);
    assertEquals([...table.keys()], ["ba", "ab"]);
    assertEquals(table.get("ab"), "1");

    const wrong: Codec<string> = {
      name: "wrong",
      ordered: true,
      encode: (_value, target) => target.raw("text" as never),
      decode: () => 7 as never,
    };
    const returns = family.table("returns", { key: text, value: wrong });
    await refused("invalid-argument", ["Uint8Array"], () => returns.set("a", "b"));
    const throwing = family.table("throwing", {
      key: text,
      value: {
        name: "text",
        ordered: true,
        encode: (value: string, target: ByteWriter) => text.encode(value, target),
        decode: (): string => {
          throw error;
        },
      },
    });
    const error = new Error("mine");
    await throwing.set("a", "b");
    for (
      const read of [
        () => throwing.get("a"),
        () => throwing.getMany(["a"]),
        () => throwing.entries().toArray(),
        () => throwing.first(),
        () => throwing.at(0),
        () => family.transaction((tx) => tx.table(throwing).get("a")),
      ]
    ) await passesOn(error, read);
    assertEquals(family.table("throwing", { key: text, value: text }).get("a"), "b");
  }));

test("hostile input: a codec that calls back while it encodes or decodes", () =>
  withDatabase(async (db) => {
    const family = await db.columnFamily("shop");
    const good = await numbered(db, 3000);
    let act: (() => unknown) | undefined;
    const calling: Codec<string> = {
      ...meddling(() => void act?.()),
      decode(encoded) {
        act?.();
        return text.decode(encoded);
      },
    };
    const table = family.table("calling", { key: calling, value: calling });
    await table.setMany([["a", "1"], ["b", "2"], ["c", "3"]]);

    // Reads and writes of other things, and of the table itself, nest.
    const writes: Promise<unknown>[] = [];
    let depth = 0;
    act = () => {
      if (depth > 3) return;
      depth++;
      assertEquals(good.get(7), "value 7");
      assertEquals(good.count({ lt: 100 }), 100);
      assertEquals([...good.keys({ limit: 2 })], [0, 1]);
      table.get("a");
      writes.push(good.set(9999, "nested"), table.set("z", "nested"));
      depth--;
    };
    assertEquals(table.get("b"), "2");
    assertEquals(table.getMany(["c", "a"]), ["3", "1"]);
    assertEquals(table.entries({ lt: "d" }).toArray(), [["a", "1"], ["b", "2"], ["c", "3"]]);
    await table.set("d", "4");
    await family.batch().set(table, "e", "5").set(good, 5000, "x").commit();
    act = undefined;
    await Promise.all(writes);
    assertEquals(table.get("z"), "nested");
    assertEquals([table.get("d"), table.get("e"), good.get(5000)], ["4", "5", "x"]);

    // The batch that a value is encoded for cannot be used meanwhile.
    const batch = family.batch().set(good, 1, "in the batch");
    act = () => batch.set(good, 2, "nested");
    await refused("invalid-argument", ["codec"], () => batch.set(table, "f", "6"));
    act = () => batch.delete(good, 3);
    await refused("invalid-argument", ["codec"], () => batch.set(table, "f", "6"));
    const commits: Promise<unknown>[] = [];
    act = () => void commits.push(batch.commit());
    await refused("invalid-argument", ["codec"], async () => {
      batch.set(table, "f", "6");
      await Promise.all(commits);
    });
    act = undefined;
    await Promise.allSettled(commits);
    await batch.commit();
    assertEquals([good.get(1), good.get(2), good.get(3)], ["in the batch", "value 2", "value 3"]);

    // Nor the iterator that an entry is decoded for.
    const iterator = table.entries();
    for (const use of [() => iterator.next(), () => iterator.return(), () => iterator.seek("b")]) {
      act = use;
      await refused("invalid-argument", ["iterator"], () => iterator.next());
    }
    act = undefined;
    iterator.return();
    assertEquals(iterator.next().done, true);
  }));

test("hostile input: a name that a codec changes, and what is no codec", () =>
  withDatabase(async (db) => {
    const family = await db.columnFamily("shop");
    let names = 0;
    const changing: Codec<string> = {
      get name() {
        return `name ${names++}`;
      },
      ordered: true,
      encode: (value, target) => target.utf8(value),
      decode: (encoded) => text.decode(encoded),
    };
    const table = family.table("t", { key: changing, value: text });
    await table.set("a", "1");
    await table.set("b", "2");
    assertEquals([...table.entries()], [["a", "1"], ["b", "2"]]);
    for (
      const codec of [null, 1, "text", {}, { ...text, name: "a\0b" }, { ...text, name: "a,b" }]
    ) {
      await refused(
        "invalid-argument",
        ["codec"],
        () => family.table("x", { key: codec as never }),
      );
    }
    await refused("invalid-argument", ["order"], () => family.table("x", { key: json() }));
  }));

test("hostile input: callbacks of view and scan that throw end it, and everything goes on", () =>
  withDatabase(async (db) => {
    const table = await numbered(db, 20_000);
    const error = new Error("mine");
    const fail = (): never => {
      throw error;
    };
    await passesOn(error, () => table.view(1, fail));
    await passesOn(error, () => table.scan({}, fail));
    let seen = 0;
    await passesOn(error, () => table.scan({}, () => ++seen === 15_000 ? fail() : undefined));
    await passesOn(error, () => table.view(1, () => table.scan({}, () => table.view(2, fail))));
    // Nothing is held: pages are given back and used again.
    assertEquals(db.stats().pins, 0);
    for (let i = 0; i < 30; i++) await table.setMany([[i, `again ${i}`]]);
    await table.deleteRange({});
    assertEquals([table.count(), table.scan({}, fail)], [0, 0]);
  }));

test("hostile input: callbacks of view and scan may do whatever the caller may", () =>
  withDatabase(async (db) => {
    const table = await numbered(db, 20_000);
    const family = await db.columnFamily("shop");
    const later: Promise<unknown>[] = [];
    const total = table.scan({}, (key) => {
      const number = u32.decode(key);
      if (number % 1000 !== 0) return;
      assertEquals(table.get(number), `value ${number}`);
      assertEquals(table.view(number + 1, (value) => text.decode(value)), `value ${number + 1}`);
      assertEquals(table.scan({ gte: number, limit: 3 }, () => {}), Math.min(3, 20_000 - number));
      using snapshot = family.snapshot();
      assert(snapshot.table(table).count() >= 20_000 - number / 1000, "no more was deleted so far");
      later.push(table.set(number, "changed"), table.delete(number + 1));
      for (const _entry of table.entries({ gte: number })) break;
    });
    assertEquals(total, 20_000, "the scan is of one version");
    await Promise.all(later);
    assertEquals([table.count(), table.get(5000), table.get(5001)], [19_980, "changed", undefined]);

    // The table, and then the family, go while they are looked at.
    let dropped: Promise<unknown> | undefined;
    assertEquals(
      table.scan({}, () => void (dropped ??= family.deleteTable("numbers"))),
      19_980,
    );
    await dropped;
    assertEquals(table.count(), 0);
    await numbered(db, 20_000);
    dropped = undefined;
    assertEquals(
      table.view(3, (value) => {
        dropped = db.deleteColumnFamily("shop");
        return text.decode(value);
      }),
      "value 3",
    );
    await dropped;
    await refused("not-found", ["shop"], () => table.view(3, () => {}));
    await refused("not-found", ["shop"], () => table.scan({}, () => {}));
  }));

/**
 * Pages that only the snapshot needed and that were never written to the file were given back in the middle: the rest of the scan
 * was `corrupt`.
 */
for (const way of ["scan", "getMany"] as const) {
  test(`hostile input: a snapshot that is disposed of in the middle of its ${way} is read to the end`, () =>
    withTempDir(async (dir) => {
      const checkpoint = { bytes: 2 ** 25, intervalMs: 2 ** 30 };
      await using db = await open(join(dir, "h.manifold"), { checkpoint, pageSize: 4096 });
      let onValue = (): void => {};
      const value: Codec<string> = {
        ...text,
        decode: (bytes) => (onValue(), text.decode(bytes)),
      };
      const table = (await db.columnFamily("f")).table("t", { key: text, value });
      const keys = Array.from({ length: 5000 }, (_, i) => `${i}`.padStart(6, "0"));
      await table.setMany(keys.map((key) => [key, "one"] as const));
      const snapshot = (await db.columnFamily("f")).snapshot();
      await table.setMany(keys.map((key) => [key, "two"] as const));

      const old = snapshot.table(table);
      const word = new Int32Array(new SharedArrayBuffer(4));
      let isDisposed = false;
      const dispose = (): void => {
        if (isDisposed) return;
        isDisposed = true;
        snapshot.dispose();
        Atomics.wait(word, 0, 0, 1200); // until a worker that has nothing to do has looked for pages to give back
      };
      if (way === "scan") {
        const ones: string[] = [];
        old.scan({}, (_key, bytes) => {
          dispose();
          ones.push(new TextDecoder().decode(bytes));
        });
        assertEquals(ones, keys.map(() => "one"));
      } else {
        onValue = dispose;
        assertEquals(old.getMany(keys), keys.map(() => "one"));
      }
    }));
}

/**
 * A scan that read the same table in its callback, and met a commit there, went on to hold the version of
 * that read instead of its own: its pages were given back under it, and it ended in `corrupt`.
 */
test("hostile input: a scan stays with its version whatever its callback reads", async () => {
  await using db = await openInMemory({ pageSize: 4096, cacheBytes: 2 ** 24, maxWorkers: 1 });
  const count = 20_000;
  const table = await numbered(db, count);
  const later: Promise<unknown>[] = [];
  /** Has everything written anew, and waits in the callback until it can be read. */
  const rewrite = (mark: string): void => {
    const entries = Array.from({ length: count }, (_, i) => [i, `${mark} ${i}`] as const);
    later.push(table.setMany(entries));
    while (table.get(0) !== `${mark} 0`);
  };
  let wrong = 0;
  const total = table.scan({}, (key, value) => {
    const number = u32.decode(key);
    if (text.decode(value) !== `value ${number}`) wrong++;
    if (number % 4000 === 0) rewrite(`round ${number}`);
  });
  assertEquals([total, wrong], [count, 0]);
  await Promise.all(later);
});

test("hostile input: a database that is closed in the middle of a read ends it with closed", async () => {
  for (const close of ["view", "scan", "iterator", "decode", "setMany", "transaction"]) {
    const db = await openInMemory({ pageSize: 4096, cacheBytes: 2 ** 20, maxWorkers: 1 });
    const table = await numbered(db, 20_000);
    const family = await db.columnFamily("shop");
    let closing: Promise<void> | undefined;
    const shut = (): void => void (closing ??= db.close());
    if (close === "view") {
      assertEquals(table.view(3, (value) => (shut(), text.decode(value))), "value 3");
    } else if (close === "scan") {
      await refused("closed", ["open it again"], () => table.scan({}, shut));
    } else if (close === "iterator") {
      await refused("closed", ["open it again"], () => table.keys().forEach(shut));
    } else if (close === "decode") {
      const value: Codec<string> = { ...text, decode: (encoded) => (shut(), text.decode(encoded)) };
      const again = family.table("numbers", { key: u32, value });
      assertEquals(again.get(3), "value 3");
      await refused("closed", ["open it again"], () => again.get(3));
    } else if (close === "setMany") {
      const entries = function* (): Generator<[number, string]> {
        yield [30_000, "a"];
        shut();
        yield [30_001, "b"];
      };
      await refused("closed", ["open it again"], () => table.setMany(entries()));
    } else {
      await refused("closed", [], () =>
        family.transaction(async (tx) => {
          tx.table(table).set(1, "a");
          shut();
          await closing;
        }));
    }
    await closing;
    await refused("closed", ["open it again"], () => table.get(1));
  }
});

test("hostile input: iterables that throw, write or are none", () =>
  withDatabase(async (db) => {
    const table = await numbered(db, 10);
    const error = new Error("mine");
    const throwing = function* (): Generator<[number, string]> {
      yield [100, "a"];
      throw error;
    };
    await passesOn(error, () => table.setMany(throwing()));
    let returned = false;
    const watched = function* (): Generator<[number, string]> {
      try {
        yield [100, "a"];
        yield [101, 7 as never];
      } finally {
        returned = true;
      }
    };
    await refused("invalid-argument", ["text"], () => table.setMany(watched()));
    assert(returned, "a generator that is left is told");
    const own: Promise<void>[] = [];
    const writing = function* (): Generator<[number, string]> {
      own.push(table.set(200, "from within"));
      yield [200, "from without"];
      own.push(table.setMany([[201, "from within"]]));
      yield [202, "from without"];
    };
    await table.setMany(writing());
    await Promise.all(own);
    assertEquals(table.get(200), "from without", "writes are applied in the order of their calls");
    assertEquals([table.get(201), table.get(202)], ["from within", "from without"]);
    // Reading the table that is being written sees what was there before.
    await table.setMany(
      table.entries({ lt: 10 }).map(([key, value]) => [key + 10, value] as const),
    );
    assertEquals(table.count({ lt: 20 }), 20);

    for (const entries of [undefined, null, 5, {}, Promise.resolve([])] as never[]) {
      await refused("invalid-argument", ["setMany", "iterable"], () => table.setMany(entries));
      await refused("invalid-argument", ["getMany", "iterable"], () => table.getMany(entries));
    }
    for (const entry of [1, "ab", null, {}, [], [1]] as never[]) {
      await refused("invalid-argument", [], () => table.setMany([[300, "a"], entry]));
    }
    const steps: number[] = [];
    const onProgress = (done: number): void => {
      steps.push(done);
      throw error;
    };
    const many = Array.from({ length: 5000 }, (_, i) => [1000 + i, "a"] as const);
    await passesOn(error, () => table.setMany(many, { onProgress }));
    await refused(
      "invalid-argument",
      ["onProgress"],
      () => table.setMany([[300, "a"]], { onProgress: 1 as never }),
    );
    assertEquals([steps, table.count({ gte: 300 })], [[4096], 0]);
  }));

test("hostile input: arguments of another kind are refused by name", () =>
  withDatabase(async (db) => {
    const table = await numbered(db, 3);
    const family = await db.columnFamily("shop");
    const flags = family.table("flags", { key: bool, value: bool });
    await flags.set(true, false);
    using snapshot = family.snapshot();
    for (const thing of [undefined, null, "numbers", 1, {}, snapshot.table(table)] as never[]) {
      await refused("invalid-argument", ["table"], () => family.batch().set(thing, 1, 1));
      await refused("invalid-argument", ["table"], () => family.batch().delete(thing, 1));
      await refused("invalid-argument", ["table"], () => family.batch().deleteRange(thing, {}));
      await refused(
        "invalid-argument",
        ["table"],
        () => family.transaction((tx) => tx.table(thing)),
      );
    }
    for (const thing of [undefined, null, "numbers", 1, {}, family] as never[]) {
      await refused("invalid-argument", ["table"], () => snapshot.table(thing));
    }
    for (const show of [undefined, null, "f", {}] as never[]) {
      await refused("invalid-argument", ["view", "function"], () => table.view(1, show));
      await refused("invalid-argument", ["view", "function"], () => table.view(99, show));
      await refused("invalid-argument", ["scan", "function"], () => table.scan({}, show));
      await family.transaction(async (tx) => {
        await refused("invalid-argument", ["function"], () => tx.table(table).view(1, show));
        await refused("invalid-argument", ["function"], () => tx.table(table).scan({}, show));
      });
      await refused("invalid-argument", ["function"], () => family.transaction(show));
    }
    for (const options of ["immediate", 1, true] as never[]) {
      await refused("invalid-argument", ["options"], () => table.set(1, "a", options));
      await refused("invalid-argument", ["options"], () => table.delete(1, options));
      await refused("invalid-argument", ["options"], () => family.batch().commit(options));
    }
    assertThrows(() => (table as unknown as { fill: () => void }).fill(), TypeError);
    assertEquals(table.count(), 3);
  }));
