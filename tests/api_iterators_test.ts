/**
 * Iterators: the version at their creation, seeking forth and back, the language's helpers, and pins
 * that are taken only when needed and always given back.
 */

import { bytes, u32 } from "../lib/api/codecs/mod.ts";
import type { Range } from "../lib/api/range.ts";
import { Snapshot } from "../lib/api/snapshot.ts";
import { TableReader } from "../lib/api/table_reader.ts";
import { Pins } from "../lib/memory/pins.ts";
import { ManifoldError } from "../lib/errors.ts";
import { assert, assertEquals, assertInstanceOf, assertThrows } from "./support/assert.ts";
import { LocalFamily } from "./support/local_family.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const END = 3000;

function encoded(number: number): Uint8Array {
  const key = new Uint8Array(4);
  new DataView(key.buffer).setUint32(0, number);
  return key;
}

function put(
  family: LocalFamily,
  from: number,
  to: number,
  step: number,
  length: number,
  codecs = "u32\0bytes",
): void {
  family.write("t", (operations, table) => {
    for (let n = from; n < to; n += step) {
      operations.set(table, encoded(n), new Uint8Array(length).fill(n));
    }
  }, codecs);
}

async function make(): Promise<{ family: LocalFamily; table: TableReader<number, Uint8Array> }> {
  const family = await LocalFamily.create({ cacheBytes: 200 * 4096 });
  put(family, 0, END, 2, 60);
  return { family, table: new TableReader("t", u32, bytes, family.source) };
}

function pins(family: LocalFamily): number {
  return Pins.count(family.database.reader.control);
}

function evens(from: number, to: number): number[] {
  return Array.from({ length: Math.ceil((to - from) / 2) }, (_, i) => from + i * 2);
}

test("an iterator goes over the version at its creation", async () => {
  const { family, table } = await make();
  const iterator = table.entries();
  const small = table.entries({ gte: 10, limit: 10 });
  const backwards = table.keys({ reverse: true });
  const seen: number[] = [];
  for (const [key, value] of iterator) {
    seen.push(key);
    assertEquals(value, new Uint8Array(60).fill(key));
    if (seen.length % 100 === 0) {
      put(family, seen.length, END, 7, 90);
      family.reclaim();
    }
  }
  assertEquals(seen, evens(0, END));
  assertEquals(small.map(([key]) => key).toArray(), evens(10, 30));
  assertEquals([...backwards], evens(0, END).reverse());
  assertEquals(pins(family), 0);
  assert(table.count() > END / 2);
});

test("entries of bytes belong to the caller, who may write to them and give them away", async () => {
  const family = await LocalFamily.create({ cacheBytes: 200 * 4096 });
  const codecs = "bytes\0bytes";
  put(family, 0, END, 2, 60, codecs);
  put(family, 1, END, 300, 3000, codecs); // among small ones some that are longer than a page's part
  put(family, 151, END, 300, 9000, codecs); // and some that get a buffer of their own
  const length = (n: number): number => n % 300 === 1 ? 3000 : n % 300 === 151 ? 9000 : 60;
  const expected = (n: number): Uint8Array => new Uint8Array(length(n)).fill(n);
  const untyped = new TableReader("t", bytes, bytes, family.source);
  const kept: [Uint8Array, Uint8Array][] = [];
  let number = 0;
  using iterator = untyped.entries();
  for (const [key, value] of iterator) {
    const n = new DataView(key.buffer, key.byteOffset, 4).getUint32(0);
    assertEquals(value, expected(n));
    value.fill(0xee);
    key.fill(0xee);
    if (++number % 50 === 0) structuredClone(value, { transfer: [value.buffer as ArrayBuffer] });
    if (number === 700) iterator.seek(encoded(300));
  }
  assert(number > 1900); // those between were given twice
  for (const entry of untyped.entries()) kept.push(entry);
  for (const [key, value] of kept) {
    assertEquals(value, expected(new DataView(key.buffer, key.byteOffset, 4).getUint32(0)));
  }
  assertEquals(untyped.keys().toArray(), kept.map(([key]) => key));
  assertEquals(
    untyped.values({ reverse: true }).toArray(),
    kept.map(([, value]) => value).reverse(),
  );
});

test("entries come out right however the cells of their leaves lie", async () => {
  const random = new Random(7);
  for (const sorted of [true, false]) {
    const family = await LocalFamily.create({ cacheBytes: 400 * 4096 });
    const order = Array.from({ length: 1500 }, (_, n) => n);
    if (!sorted) order.sort(() => random.int(3) - 1);
    const lengths = order.map(() => random.int(5) === 0 ? random.int(5000) : random.int(40));
    const value = (n: number) => new Uint8Array(lengths[n]).fill(n);
    family.fill("t", order.map((n) => [encoded(n), value(n)] as const));
    family.write("t", (operations, table) => {
      for (let n = 0; n < 1500; n += 3) operations.delete(table, encoded(n));
    });
    const left = order.filter((n) => n % 3 > 0).sort((a, b) => a - b);
    const table = new TableReader("t", bytes, bytes, family.source);
    for (let round = 0; round < 60; round++) {
      const from = random.int(left.length);
      const limit = round % 10 === 0 ? left.length : random.int(100);
      const reverse = round % 2 === 1;
      const expected = (reverse ? left.slice(0, from + 1).reverse() : left.slice(from))
        .slice(0, limit);
      const key = encoded(left[from]);
      const range = reverse ? { lte: key, reverse, limit } : { gte: key, limit };
      const found = table.entries(range).toArray();
      assertEquals(found.map(([key]) => key), expected.map(encoded));
      found.forEach(([, bytes], i) => assertEquals(bytes, value(expected[i])));
      assertEquals([...table.keys(range)], expected.map(encoded));
      assertEquals(table.values(range).toArray().length, expected.length);
    }
  }
});

test("keys of bytes are looked up as they are, whatever memory they lie in", async () => {
  class Key extends Uint8Array {}
  const family = await LocalFamily.create({ cacheBytes: 200 * 4096 });
  family.fill("t", Array.from({ length: 500 }, (_, n) => [encoded(n), encoded(n * 2)] as const));
  const table = new TableReader("t", bytes, bytes, family.source);
  const places = [
    new Uint8Array(new SharedArrayBuffer(8), 2, 4),
    new Uint8Array(new ArrayBuffer(4, { maxByteLength: 64 })),
    new Key(4),
  ];
  for (const key of places) {
    key.set(encoded(77));
    assertEquals(table.get(key), encoded(154));
    assertEquals(table.view(key, (value) => value[3]), 154);
    assert(table.has(key));
    assert(!table.has(key.subarray(0, 3)));
    key.set(encoded(500));
    assertEquals(table.get(key), undefined);
  }
  assertEquals(table.get(new Uint8Array(0)), undefined);
  const gone = encoded(77);
  structuredClone(gone, { transfer: [gone.buffer as ArrayBuffer] });
  for (const key of [gone, "77" as unknown as Uint8Array, [0, 0, 0, 77] as unknown as Uint8Array]) {
    for (
      const read of [() => table.get(key), () => table.has(key), () => table.view(key, () => 1)]
    ) {
      assertEquals(assertThrows(read, ManifoldError).code, "invalid-argument");
    }
  }
});

test("a range that the first batch exhausts takes no pin", async () => {
  const { family, table } = await make();
  const iterators = [
    table.entries({ gte: 1000, limit: 10 }),
    table.entries({ gte: 2990 }),
    table.keys({ lt: 20, reverse: true }),
    table.values({ gte: 5, lt: 6 }),
    table.keys({ offset: 1495 }),
  ];
  assertEquals(pins(family), 0);
  assertEquals(iterators.map((iterator) => [...iterator].length), [10, 5, 10, 0, 5]);
});

test("whatever ends an iterator gives its pin back", async () => {
  const { family, table } = await make();
  for (const _ of table) break;
  assertEquals(pins(family), 0);
  const [first, second] = table.keys();
  assertEquals([first, second, pins(family)], [0, 2, 0]);
  assertEquals(table.keys().take(3).toArray(), [0, 2, 4]);
  assertEquals(table.keys().find((key) => key > 9), 10);
  assertEquals(table.keys().drop(2).take(1).toArray(), [4]);
  assertEquals(pins(family), 0);
  {
    using iterator = table.keys();
    iterator.next();
    assertEquals(pins(family), 1);
    assertEquals(iterator.return(), { done: true, value: undefined });
    assertEquals(iterator.next(), { done: true, value: undefined });
    assertEquals(pins(family), 0);
  }
  using _held = table.keys();
  using _sharing = table.keys();
  assertEquals(pins(family), 1);
});

test("it is an iterator of the language", async () => {
  const { table } = await make();
  const iterator = table.entries({ limit: 100 });
  assertInstanceOf(iterator, Iterator);
  assert(iterator[Symbol.iterator]() === iterator);
  const names = iterator.filter(([key]) => key % 20 === 0).map(([key]) => `n${key}`);
  assertEquals(names.toArray(), [
    "n0",
    "n20",
    "n40",
    "n60",
    "n80",
    "n100",
    "n120",
    "n140",
    "n160",
    "n180",
  ]);
  assertEquals(
    table.keys().reduce((sum, key) => sum + key, 0),
    evens(0, END).reduce((a, b) => a + b),
  );
});

test("an iterator outlives the snapshot that it was begun on", async () => {
  const { family, table } = await make();
  const snapshot = new Snapshot(family.source.snapshot());
  const iterator = snapshot.table(table).keys();
  assertEquals(pins(family), 1);
  snapshot.dispose();
  family.write("t", (operations, alias) => {
    operations.deleteRange(alias, null, null);
  }, "u32\0bytes");
  family.reclaim();
  assertEquals(pins(family), 1);
  assertEquals([...iterator], evens(0, END));
  assertEquals(pins(family), 0);
});

test("large values are read when they are asked for, of the right version", async () => {
  const family = await LocalFamily.create();
  const table = new TableReader("t", u32, bytes, family.source);
  put(family, 0, 20, 1, 50_000);
  const iterator = table.entries({ limit: 3 });
  assertEquals(pins(family), 1, "what is read later must be held");
  put(family, 0, 20, 1, 70_000);
  family.reclaim();
  for (const [key, value] of iterator) assertEquals(value, new Uint8Array(50_000).fill(key));
  assertEquals(pins(family), 0);
  assertEquals(table.keys({ limit: 3 }).toArray(), [0, 1, 2]);
});

test("seeking goes to the first entry at or behind a key, both ways", async () => {
  const random = Random.fromEnvironment("api iterators");
  const { family, table } = await make();
  for (let round = 0; round < 150; round++) {
    const range: { -readonly [F in keyof Range<number>]: Range<number>[F] } = {};
    const from = random.int(END);
    const to = from + random.int(random.pick([60, END]));
    if (random.chance(0.6)) range.gte = from;
    if (random.chance(0.6)) range.lt = to;
    if (random.chance(0.5)) range.reverse = true;
    if (random.chance(0.3)) range.limit = random.int(random.pick([20, 400]));
    if (random.chance(0.3)) range.offset = random.int(100);
    let model = evens(0, END).filter((n) => !(n < range.gte! || n >= range.lt!));
    if (range.reverse) model.reverse();
    model = model.slice(range.offset ?? 0).slice(0, range.limit ?? END);

    using iterator = table.keys(range);
    let at = 0;
    if (random.chance(0.3)) put(family, random.int(END), END, 50, random.int(100)); // not seen
    for (let step = 0; step < 20; step++) {
      if (random.chance(0.4)) {
        const key = random.int(END + 20);
        const found = model.findIndex((n) => range.reverse ? n <= key : n >= key);
        at = found < 0 ? model.length : found;
        assert(iterator.seek(key) === iterator);
      }
      for (let i = random.int(60); i >= 0 && at < model.length; i--) {
        const said = `${JSON.stringify(range)}, entry ${at}`;
        assertEquals(iterator.next(), { done: false, value: model[at++] }, said);
      }
      if (at === model.length && random.chance(0.3)) {
        assertEquals(iterator.next().done, true);
        iterator.seek(0);
        assertEquals(iterator.next().done, true);
        break;
      }
    }
    // What was put in is taken out, so that the model stays.
    family.write("t", (operations, alias) => {
      for (let n = 1; n < END; n += 2) operations.delete(alias, encoded(n));
    }, "u32\0bytes");
  }
  assertEquals(pins(family), 0);
});
