/**
 * Protects multimaps: they read as a map of sorted sets, whatever the codecs, directly, in transactions, in
 * snapshots and after a reopening; their answers to writes count what was there; and no table is taken for one.
 */

import fc from "fast-check";
import { join } from "node:path";
import {
  bool,
  bytes,
  type Codec,
  type Database,
  type EntryIterator,
  f64,
  i32,
  i64,
  json,
  ManifoldError,
  type Multimap,
  type MultimapReader,
  open,
  openInMemory,
  type Range,
  type Table,
  text,
  tuple,
  u32,
} from "../mod.ts";
import { compareBytes } from "../lib/api/bytes_order.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "./support/assert.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

/** A codec, and what is to be true of its values. */
interface Sort<T> {
  readonly codec: Codec<T>;
  readonly values: fc.Arbitrary<T>;
  order(a: T, b: T): number;
  readonly prefixes?: fc.Arbitrary<unknown>;
  begins?(value: T, prefix: unknown): boolean;
}

const natural = <T extends number | bigint | boolean>(a: T, b: T): number =>
  a < b ? -1 : a > b ? 1 : 0;

const someText = fc.string({
  unit: fc.constantFrom("\0", "\x01", "a", "\uffff", "\u{10ffff}"),
  maxLength: 3,
});

const TEXT: Sort<string> = {
  codec: text,
  values: someText,
  order: (a, b) => {
    const x = [...a].map((character) => character.codePointAt(0)!);
    const y = [...b].map((character) => character.codePointAt(0)!);
    for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i] - y[i];
    return x.length - y.length;
  },
  prefixes: someText,
  begins: (value, prefix) => value.startsWith(prefix as string),
};

const someBytes = fc.array(fc.constantFrom(0, 1, 2, 0xfe, 0xff), { maxLength: 3 })
  .map((items) => Uint8Array.from(items));

const BYTES: Sort<Uint8Array> = {
  codec: bytes,
  values: someBytes,
  order: compareBytes,
  prefixes: someBytes,
  begins: (value, prefix) => (prefix as Uint8Array).every((byte, i) => value[i] === byte),
};

const I32: Sort<number> = {
  codec: i32,
  values: fc.constantFrom(-(2 ** 31), -2, -1, 0, 1, 255, 256, 2 ** 31 - 1),
  order: natural,
};

const U32: Sort<number> = { codec: u32, values: fc.nat({ max: 5 }), order: natural };

const F64: Sort<number> = {
  codec: f64,
  values: fc.constantFrom(-Infinity, -1.5, -1, 0, 0.5, 3, Infinity),
  order: natural,
};

const I64: Sort<bigint> = {
  codec: i64,
  values: fc.constantFrom(-(2n ** 63n), -1n, 0n, 1n, 2n ** 63n - 1n),
  order: natural,
};

const BOOL: Sort<boolean> = { codec: bool, values: fc.boolean(), order: natural };

function both<A, B>(a: Sort<A>, b: Sort<B>): Sort<readonly [A, B]> {
  return {
    codec: tuple(a.codec, b.codec) as Codec<readonly [A, B]>,
    values: fc.tuple(a.values, b.values),
    order: (x, y) => a.order(x[0], y[0]) || b.order(x[1], y[1]),
    prefixes: fc.oneof(fc.constant([]), fc.tuple(a.values)),
    begins: (value, prefix) => {
      const leading = prefix as A[];
      return leading.length === 0 || a.order(value[0], leading[0]) === 0;
    },
  };
}

/** A user's codec, of one value only. */
const NOTHING: Sort<null> = {
  codec: { name: "nothing", ordered: true, encode() {}, decode: () => null },
  values: fc.constant(null),
  order: () => 0,
};

/** The same, of a length that is known. */
const FIXED_NOTHING: Sort<null> = {
  ...NOTHING,
  codec: { ...NOTHING.codec, fixedSize: 0 },
};

const isIn = <T>(sort: Sort<T>, range: Range<T>, value: T): boolean =>
  (range.gte === undefined || sort.order(value, range.gte) >= 0) &&
  (range.gt === undefined || sort.order(value, range.gt) > 0) &&
  (range.lte === undefined || sort.order(value, range.lte) <= 0) &&
  (range.lt === undefined || sort.order(value, range.lt) < 0) &&
  (range.prefix === undefined || sort.begins!(value, range.prefix));

function slice<T>(items: T[], { reverse, offset = 0, limit = Infinity }: Range<unknown>): T[] {
  return (reverse ? items.toReversed() : items).slice(offset, offset + limit);
}

/** A multimap as a sorted array. */
class Model<K, V> {
  readonly keys: Sort<K>;
  readonly values: Sort<V>;
  entries: [K, V][] = [];

  constructor(keys: Sort<K>, values: Sort<V>) {
    this.keys = keys;
    this.values = values;
  }

  copy(): Model<K, V> {
    const copy = new Model(this.keys, this.values);
    copy.entries = this.entries.slice();
    return copy;
  }

  #keep(keeps: (key: K, value: V) => boolean): number {
    const before = this.entries.length;
    this.entries = this.entries.filter(([key, value]) => keeps(key, value));
    return before - this.entries.length;
  }

  add(key: K, value: V): boolean {
    const added = this.delete(key, value);
    this.entries.push([key, value]);
    this.entries.sort((a, b) => this.keys.order(a[0], b[0]) || this.values.order(a[1], b[1]));
    return !added;
  }

  delete(key: K, value: V): boolean {
    const { keys, values } = this;
    return this.#keep((k, v) => keys.order(k, key) !== 0 || values.order(v, value) !== 0) > 0;
  }

  deleteAll(key: K): number {
    return this.#keep((k) => this.keys.order(k, key) !== 0);
  }

  deleteRange(range: Range<K>): number {
    return this.#keep((k) => !isIn(this.keys, range, k));
  }

  has(key: K, value: V): boolean {
    return this.get(key, {}).some((v) => this.values.order(v, value) === 0);
  }

  get(key: K, range: Range<V>): V[] {
    const found = this.entries.filter(([k, v]) =>
      this.keys.order(k, key) === 0 && isIn(this.values, range, v)
    );
    return slice(found.map(([, v]) => v), range);
  }

  range(range: Range<K>): [K, V][] {
    return slice(this.entries.filter(([key]) => isIn(this.keys, range, key)), range);
  }

  distinct(range: Range<K>): K[] {
    const found = this.entries.map(([key]) => key).filter((key) => isIn(this.keys, range, key));
    const same = (a: K, b: K): boolean => this.keys.order(a, b) === 0;
    return slice(found.filter((key, i) => i === 0 || !same(key, found[i - 1])), range);
  }
}

function someRange<T>(sort: Sort<T>): fc.Arbitrary<Range<T>> {
  return fc.record({
    lower: fc.option(fc.tuple(fc.constantFrom("gte", "gt"), sort.values)),
    upper: fc.option(fc.tuple(fc.constantFrom("lte", "lt"), sort.values)),
    prefix: fc.option(sort.prefixes ?? fc.constant(undefined), { freq: 2 }),
  }).map(({ lower, upper, prefix }) => ({
    ...(lower === null ? {} : { [lower[0]]: lower[1] }),
    ...(upper === null ? {} : { [upper[0]]: upper[1] }),
    ...(prefix === null || prefix === undefined ? {} : { prefix }),
  } as Range<T>));
}

function someRead<T>(sort: Sort<T>): fc.Arbitrary<Range<T>> {
  return fc.tuple(
    someRange(sort),
    fc.record({
      reverse: fc.boolean(),
      limit: fc.option(fc.nat({ max: 4 }), { nil: Infinity }),
      offset: fc.oneof(fc.constant(0), fc.nat({ max: 3 })),
    }),
  ).map(([range, shape]) => ({ ...range, ...shape }));
}

type Step<K, V> =
  | { do: "add" | "delete"; key: K; value: V }
  | { do: "addMany"; entries: [K, V][] }
  | { do: "deleteAll"; key: K }
  | { do: "deleteRange"; range: Range<K> };

function someStep<K, V>(keys: Sort<K>, values: Sort<V>): fc.Arbitrary<Step<K, V>> {
  const entry = { key: keys.values, value: values.values };
  const several = fc.array(fc.tuple(keys.values, values.values), { maxLength: 12 });
  return fc.oneof(
    fc.record({ do: fc.constant("add" as const), ...entry }),
    fc.record({ do: fc.constant("addMany" as const), entries: several }),
    fc.record({ do: fc.constant("delete" as const), ...entry }),
    fc.record({ do: fc.constant("deleteAll" as const), key: keys.values }),
    fc.record({ do: fc.constant("deleteRange" as const), range: someRange(keys) }),
  );
}

/** What both a multimap and one in a transaction write. */
interface Writes<K, V> {
  add(key: K, value: V): boolean | Promise<boolean>;
  delete(key: K, value: V): boolean | Promise<boolean>;
  deleteAll(key: K): number | Promise<number>;
  deleteRange(range: Range<K>): number | Promise<number>;
  addMany?(entries: [K, V][]): Promise<number>;
}

/** Does a step and compares the answers. */
async function take<K, V>(writes: Writes<K, V>, model: Model<K, V>, step: Step<K, V>) {
  switch (step.do) {
    case "add":
    case "delete":
      assertEquals(
        await writes[step.do](step.key, step.value),
        model[step.do](step.key, step.value),
      );
      break;
    case "addMany": {
      let added = 0;
      for (const [key, value] of step.entries) if (model.add(key, value)) added++;
      let told = 0;
      if (writes.addMany !== undefined) told = await writes.addMany(step.entries);
      else for (const [key, value] of step.entries) if (await writes.add(key, value)) told++;
      assertEquals(told, added);
      break;
    }
    case "deleteAll":
      assertEquals(await writes.deleteAll(step.key), model.deleteAll(step.key));
      break;
    case "deleteRange":
      assertEquals(await writes.deleteRange(step.range), model.deleteRange(step.range));
  }
}

interface Reads<K, V> {
  ranges: Range<K>[];
  inKey: [K, Range<V>][];
  entries: [K, V][];
  seeks: [K, number][];
}

function someReads<K, V>(keys: Sort<K>, values: Sort<V>): fc.Arbitrary<Reads<K, V>> {
  return fc.record({
    ranges: fc.array(someRead(keys), { minLength: 3, maxLength: 3 }),
    inKey: fc.array(fc.tuple(keys.values, someRead(values)), { minLength: 3, maxLength: 3 }),
    entries: fc.array(fc.tuple(keys.values, values.values), { minLength: 2, maxLength: 2 }),
    seeks: fc.array(fc.tuple(keys.values, fc.nat({ max: 2 })), { minLength: 3, maxLength: 3 }),
  });
}

/** Takes some, seeks, and compares what comes then. */
function checkSeek<S, T>(
  make: () => EntryIterator<S, T>,
  expected: T[],
  [to, first]: readonly [S, number],
  isBefore: (item: T) => boolean,
): void {
  if (first >= expected.length) return; // it would have ended
  using iterator = make();
  for (let i = 0; i < first; i++) assertEquals(iterator.next().value, expected[i]);
  assertEquals([...iterator.seek(to)], expected.filter((item) => !isBefore(item)));
}

function check<K, V>(map: MultimapReader<K, V>, model: Model<K, V>, reads: Reads<K, V>): void {
  const { keys, values } = model;
  assertEquals([...map], model.entries);
  assertEquals(map.count(), model.entries.length);
  for (const range of reads.ranges) {
    const entries = model.range(range);
    const distinct = model.distinct(range);
    assertEquals([...map.entries(range)], entries);
    assertEquals([...map.values(range)], entries.map(([, value]) => value));
    assertEquals([...map.keys(range)], distinct);
    assertEquals(map.first(range), entries[0]);
    assertEquals(map.last(range), entries.at(-1));
    for (const seek of reads.seeks) {
      const before = (key: K): boolean => keys.order(key, seek[0]) * (range.reverse ? -1 : 1) < 0;
      checkSeek(() => map.entries(range), entries, seek, ([key]) => before(key));
      checkSeek(() => map.keys(range), distinct, seek, before);
    }
  }
  for (const [key, range] of reads.inKey) {
    const expected = model.get(key, range);
    assertEquals([...map.get(key, range)], expected);
    assertEquals(map.count(key), model.get(key, {}).length);
    assertEquals(map.has(key), model.get(key, {}).length > 0);
    for (const [, value] of reads.entries) {
      const before = (v: V): boolean => values.order(v, value) * (range.reverse ? -1 : 1) < 0;
      checkSeek(() => map.get(key, range), expected, [value, 1], before);
    }
  }
  for (const [key, value] of reads.entries) {
    assertEquals(map.has(key, value), model.has(key, value));
  }
}

let made = 0;

/** Random steps and reads on a multimap of these. */
async function tryOut<K, V>(db: Database, keys: Sort<K>, values: Sort<V>): Promise<void> {
  const family = await db.columnFamily("f");
  const steps = fc.array(someStep(keys, values), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(
      steps,
      steps,
      steps,
      someReads(keys, values),
      async (first, second, third, reads) => {
        const map = family.multimap(`m${made++}`, { key: keys.codec, value: values.codec });
        const model = new Model(keys, values);
        for (const step of first) await take(map, model, step);
        check(map, model, reads);

        using snapshot = family.snapshot();
        const before = model.copy();
        await family.transaction(async (tx) => {
          const inside = tx.multimap(map);
          for (const step of second) await take(inside, model, step);
          check(inside, model, reads);
          check(map, before, reads);
        });
        check(map, model, reads);

        const batch = family.batch();
        for (const step of third) addTo(batch.multimap(map), model, step);
        await batch.commit();
        check(map, model, reads);
        check(snapshot.multimap(map), before, reads);
      },
    ),
    { numRuns: 100 },
  );
}

function addTo<K, V>(
  batch: { [M in "add" | "delete"]: (key: K, value: V) => unknown } & {
    deleteAll(key: K): unknown;
    deleteRange(range: Range<K>): unknown;
  },
  model: Model<K, V>,
  step: Step<K, V>,
): void {
  const writes: Writes<K, V> = {
    add: (key, value) => (batch.add(key, value), model.add(key, value)),
    delete: (key, value) => (batch.delete(key, value), model.delete(key, value)),
    deleteAll: (key) => (batch.deleteAll(key), model.deleteAll(key)),
    deleteRange: (range) => (batch.deleteRange(range), model.deleteRange(range)),
  };
  if (step.do === "addMany") { for (const [key, value] of step.entries) writes.add(key, value); }
  else if (step.do === "deleteAll") writes.deleteAll(step.key);
  else if (step.do === "deleteRange") writes.deleteRange(step.range);
  else writes[step.do](step.key, step.value);
}

function testSort<K, V>(name: string, keys: Sort<K>, values: Sort<V>): void {
  test(`multimap of ${name} reads as a map of sorted sets`, async () => {
    await using db = await openInMemory({ cacheBytes: 2 ** 25 });
    await tryOut(db, keys, values);
  });
}

testSort("text and text", TEXT, TEXT);
testSort("bytes and bytes", BYTES, BYTES);
testSort("u32 and text", U32, TEXT);
testSort("i32 and f64", I32, F64);
testSort("text and i64", TEXT, I64);
testSort("tuples and tuples", both(TEXT, both(BYTES, BOOL)), both(I32, TEXT));
testSort("tuples of a fixed size and bytes", both(BOOL, U32), BYTES);
testSort("one key and one value", NOTHING, NOTHING);
testSort("one key of no bytes", FIXED_NOTHING, TEXT);

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);

test("a multimap's keys come once each, however many values they have", async () => {
  await using db = await openInMemory();
  const family = await db.columnFamily("f");
  const map = family.multimap("m", { key: u32, value: text });
  // Around the number of entries that are passed before a jump, an entry of an empty value included.
  const sizes = [1, 2, 30, 31, 32, 33, 34, 64, 65, 3000, 1, 5000, 32, 1];
  // Behind the entries of the last key there is no place to jump to.
  const last = 2 ** 32 - 1;
  assertEquals(await map.addMany(range(0, 100).map((n) => [last, `${n}`])), 100);
  assertEquals([...map.keys()], [last]);
  assertEquals([...map.entries({ gt: last })], []);
  assertEquals(await map.deleteAll(last), 100);
  const entries = sizes.flatMap((size, key) =>
    range(0, size).map((n): [number, string] => [key, n === 0 ? "" : `v${n}`])
  );
  assertEquals(await map.addMany(entries), entries.length);
  const check = (map: MultimapReader<number, string>): void => {
    const keys = range(0, sizes.length);
    assertEquals([...map.keys()], keys);
    assertEquals([...map.keys({ reverse: true })], keys.toReversed());
    assertEquals([...map.keys({ gt: 2, lte: 11, offset: 2, limit: 6 })], keys.slice(5, 11));
    assertEquals([...map.keys({ reverse: true, offset: 3, limit: 2 })], [10, 9]);
    for (const [key, size] of sizes.entries()) assertEquals(map.count(key), size);
  };
  check(map);
  await family.transaction((tx) => {
    check(tx.multimap(map));
    tx.multimap(map).add(20, "x");
    tx.multimap(map).deleteAll(9);
    assertEquals([...tx.multimap(map).keys({ gt: 7 })], [8, 10, 11, 12, 13, 20]);
  });
});

test("a multimap is there again after a reopening, and is a table of its family", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "m.manifold");
    const options = { key: text, value: i32 };
    {
      await using db = await open(path);
      const map = (await db.columnFamily("f")).multimap("m", options);
      await map.addMany([["b", 1], ["a", -1], ["b", -7], ["a", -1]]);
      assertEquals(map.stats().entries, 3);
    }
    await using db = await open(path);
    const family = await db.columnFamily("f");
    const map = family.multimap("m", options);
    assertEquals([...map], [["a", -1], ["b", -7], ["b", 1]]);
    assertEquals(family.tables(), ["m"]);
    assertEquals((await db.verify()).findings, []);
    await family.deleteTable("m");
    assertEquals([family.tables(), [...map]], [[], []]);
    assertEquals(await map.add("c", 1), true);
    assertEquals(family.tables(), ["m"]);
  });
});

test("answers to adds at the same time count each entry once", async () => {
  await using db = await openInMemory();
  const family = await db.columnFamily("f");
  const map = family.multimap("m", { key: text, value: u32 });
  const answers = await Promise.all([
    map.add("a", 1),
    map.add("a", 1),
    map.addMany([["a", 1], ["a", 2], ["a", 2]]),
    map.delete("a", 1),
    map.add("a", 1),
    map.deleteAll("a"),
    map.deleteAll("a"),
    map.delete("a", 1),
  ]);
  assertEquals(answers, [true, false, 1, true, true, 2, 0, false]);
});

async function refusal(code: string, what: Promise<unknown>, ...parts: string[]): Promise<void> {
  const error = await assertRejects(() => what, ManifoldError);
  assertEquals(error.code, code);
  for (const part of parts) assertStringIncludes(error.message, part);
}

function refused(code: string, what: () => unknown, ...parts: string[]): void {
  const error = assertThrows(what, ManifoldError);
  assertEquals(error.code, code);
  for (const part of parts) assertStringIncludes(error.message, part);
}

test("neither a table is opened as a multimap, nor a multimap as a table or another one", async () => {
  await using db = await openInMemory();
  const family = await db.columnFamily("f");
  await family.table("t", { key: text, value: u32 }).set("a", 1);
  await family.table("p", { key: tuple(text, u32), value: bytes }).set(["a", 1], new Uint8Array());
  await family.multimap("m", { key: text, value: u32 }).add("a", 1);
  const mismatch = "type-mismatch";
  refused(mismatch, () => family.multimap("t", { key: text, value: u32 }), "by table()");
  refused(mismatch, () => family.multimap("p", { key: text, value: u32 }), "tuple(text,u32)");
  refused(mismatch, () => family.table("m", { key: text, value: u32 }), "by multimap()");
  refused(mismatch, () => family.table("m", { key: tuple(text, u32), value: bytes }));
  refused(mismatch, () => family.multimap("m", { key: text, value: i32 }), "multimap(text,i32)");
  refused(mismatch, () => family.multimap("m", { key: u32, value: text }));
});

test("what a multimap refuses", async () => {
  await using db = await openInMemory({ pageSize: 4096 });
  const family = await db.columnFamily("f");
  const other = await db.columnFamily("g");
  const map = family.multimap("m", { key: text, value: text });
  const argument = "invalid-argument";
  const long = { ...text, name: "x".repeat(130) };
  refused(
    argument,
    () => family.multimap("j", { key: text, value: json() as Codec<string> }),
    "order",
  );
  refused(argument, () => family.multimap("j", { key: json(), value: text }), "keys");
  refused(argument, () => family.multimap("j", {} as { key: typeof text; value: typeof text }));
  refused(
    argument,
    () => family.multimap("j", null as unknown as { key: Codec<1>; value: Codec<1> }),
  );
  refused(argument, () => family.multimap("j", { key: long, value: long }), "255 bytes");
  refused(argument, () => map.get(1 as unknown as string), "codec text");
  refused(argument, () => map.get("a", { gt: 1 as unknown as string }), "codec text");
  refused(argument, () => map.keys({ gte: "a", gt: "a" }));
  await refusal(argument, map.add("a", undefined as unknown as string), "codec text");
  await refusal(argument, map.addMany(1 as unknown as [string, string][]), "addMany", "iterable");
  await refusal(argument, map.addMany(["ab" as unknown as [string, string]]), "entry 0", "string");
  await refusal(argument, map.deleteRange({ limit: 1 }), "limit");
  await refusal(argument, map.deleteRange(undefined as unknown as Range<string>));

  // The page of 4,096 bytes takes keys of 1,024 bytes; one byte ends the key.
  const size = 1024 - 1 - 3;
  assert(await map.add("abc", "v".repeat(size)));
  const tooLong = "v".repeat(size + 1);
  await refusal("too-large", map.add("abc", tooLong), "1025 bytes", "1024", 'multimap "m"');
  await refusal("too-large", map.addMany([["a", "b"], ["abc", tooLong]]), 'multimap "m"');
  await refusal("too-large", map.delete("abc", tooLong));
  refused("too-large", () => family.batch().multimap(map).add("abc", tooLong));
  await refusal("too-large", family.transaction((tx) => tx.multimap(map).add("abc", tooLong)));
  assertEquals(map.has("abc", tooLong), false);
  assertEquals(map.count(), 1);

  using snapshot = family.snapshot();
  const frozen = snapshot.multimap(map);
  const table = map as unknown as Table<string, string>;
  const plain = family.table("t", { key: text, value: text });
  await refusal(argument, family.transaction((tx) => tx.table(table)), "not a table");
  await refusal(
    argument,
    family.transaction((tx) => tx.multimap(frozen as Multimap<string, string>)),
    "not a multimap",
  );
  await refusal(argument, other.transaction((tx) => tx.multimap(map)), "column family");
  await refusal(argument, family.transaction(() => map.add("a", "b")), "inside a transaction");
  refused(argument, () => snapshot.multimap(plain as never), "not a multimap");
  refused(argument, () => other.snapshot().multimap(map), "column family");
  refused(argument, () => family.batch().multimap(frozen as Multimap<string, string>));
  await family.transaction((tx) => {
    refused(argument, () => snapshot.multimap(tx.multimap(map)), "not a table");
  });

  // Its encoding of a key lies about its length, so that values would be taken for keys.
  const lying = family.multimap("l", { key: { ...text, fixedSize: 2 }, value: text });
  await refusal(argument, lying.add("abc", "d"), "fixedSize 2");
});

test("an iterator of a multimap ends with its transaction, and holds its version until then", async () => {
  await using db = await openInMemory();
  const family = await db.columnFamily("f");
  const map = family.multimap("m", { key: text, value: u32 });
  await map.addMany(range(0, 1000).map((n): [string, number] => [`k${n % 3}`, n]));
  const values = map.get("k1");
  const keys = map.keys();
  assertEquals(keys.next().value, "k0");
  await map.deleteRange({});
  assertEquals([...values].length, 333);
  assertEquals([...keys], ["k1", "k2"]);
  assertEquals([map.count(), map.has("k1"), [...map.keys()]], [0, false, []]);

  const kept = await family.transaction((tx) => {
    tx.multimap(map).add("a", 1);
    return tx.multimap(map).get("a");
  });
  refused("closed", () => kept.next());
  assertEquals([...map], [["a", 1]]);
  assertEquals(map.get("a").map((value) => value + 1).toArray(), [2]);
  using ended = map.entries();
  ended.return();
  assertEquals(ended.seek("a").next().done, true);
  using endedKeys = map.keys();
  endedKeys.return();
  assertEquals(endedKeys.seek("a").next().done, true);
});
