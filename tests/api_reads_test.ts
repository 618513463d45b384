/**
 * Reads of tables against a model, and what must hold around them: results are the caller's own, reads
 * nest, errors say where, and no epoch or pin is left behind.
 */

import { bytes, text, u32 } from "../lib/api/codecs/mod.ts";
import type { Codec } from "../lib/api/codec.ts";
import type { Range } from "../lib/api/range.ts";
import { Snapshot } from "../lib/api/snapshot.ts";
import { rawTableOf, TableReader } from "../lib/api/table_reader.ts";
import { FAMILY_GHOST } from "../lib/memory/family_slots.ts";
import { Pins } from "../lib/memory/pins.ts";
import { ManifoldError } from "../lib/errors.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "./support/assert.ts";
import { LocalFamily } from "./support/local_family.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const CODECS = "u32\0bytes";

function encoded(number: number): Uint8Array {
  const key = new Uint8Array(4);
  new DataView(key.buffer).setUint32(0, number);
  return key;
}

function valueOf(number: number): Uint8Array {
  return new Uint8Array(number % 50 === 8 ? 9000 + number : number % 200).fill(number);
}

/** A table of the even numbers below `end`. */
async function numbers(
  end: number,
): Promise<{ family: LocalFamily; table: TableReader<number, Uint8Array> }> {
  const family = await LocalFamily.create();
  const all = modelOf(end, {});
  for (let from = 0; from < all.length; from += 500) {
    family.write("numbers", (operations, table) => {
      for (const n of all.slice(from, from + 500)) operations.set(table, encoded(n), valueOf(n));
    }, CODECS);
  }
  return { family, table: new TableReader("numbers", u32, bytes, family.source) };
}

function code(fn: () => unknown): string {
  const error = assertThrows(fn);
  assert(error instanceof ManifoldError, String(error));
  return error.code;
}

function nothingHeld(family: LocalFamily): void {
  const { reader } = family.database;
  assert(!reader.epochs.inside, "an epoch was left open");
  assertEquals(Pins.count(reader.control), 0);
}

function randomRange(random: Random, end: number): Range<number> {
  const range: { -readonly [F in keyof Range<number>]: Range<number>[F] } = {};
  if (random.chance(0.5)) range[random.pick(["gte", "gt"] as const)] = random.int(end + 10);
  if (random.chance(0.5)) range[random.pick(["lte", "lt"] as const)] = random.int(end + 10);
  if (random.chance(0.4)) range.reverse = random.chance(0.7);
  if (random.chance(0.5)) range.limit = random.int(random.pick([3, 40, end]));
  if (random.chance(0.4)) range.offset = random.int(random.pick([3, end]));
  return range;
}

function modelOf(end: number, range: Range<number>): number[] {
  let numbers = Array.from({ length: end / 2 }, (_, i) => i * 2).filter((n) =>
    !(n < range.gte! || n <= range.gt! || n > range.lte! || n >= range.lt!)
  );
  if (range.reverse) numbers.reverse();
  numbers = numbers.slice(range.offset ?? 0);
  return range.limit === undefined ? numbers : numbers.slice(0, range.limit);
}

for (const cacheBytes of [8 * 4096, 4 * 2 ** 20]) {
  test(`every read of random ranges is the model's, ${cacheBytes / 4096} frames`, async () => {
    const random = Random.fromEnvironment("api reads");
    const end = 2400;
    // Writing needs more frames than reading: the small cache serves a copy of the file.
    const { family, table } = await numbers(end);
    const small = cacheBytes < 100 * 4096 ? await reopen(family, cacheBytes) : table;
    for (let step = 0; step < 400; step++) {
      const range = randomRange(random, end);
      const expected = modelOf(end, range);
      const said = JSON.stringify(range);
      assertEquals([...small.keys(range)], expected, said);
      assertEquals(small.count(range), expected.length, said);
      assertEquals(small.first(range)?.[0], expected[0], said);
      assertEquals(small.last(range)?.[0], expected.at(-1), said);
      const entries = small.entries(range).toArray();
      assertEquals(entries.map(([key]) => key), expected, said);
      for (const [key, value] of entries) assertEquals(value, valueOf(key));
      const seen: number[] = [];
      const stop = random.int(expected.length + 5);
      const shown = small.scan(range, (key, value) => {
        const number = new DataView(key.slice().buffer).getUint32(0);
        assertEquals(value.length, valueOf(number).length);
        return seen.push(number) <= stop;
      });
      assertEquals(seen, expected.slice(0, stop + 1), said);
      assertEquals(shown, seen.length);
      if (step % 20 === 0) {
        assertEquals(
          small.values(range).map((value) => value.length).toArray(),
          expected.map((n) => valueOf(n).length),
        );
      }
    }
    for (let n = 0; n < end; n++) {
      const there = n % 2 === 0;
      assertEquals(small.get(n), there ? valueOf(n) : undefined);
      assertEquals(small.has(n), there);
      assertEquals(small.view(n, (value) => value.length), there ? valueOf(n).length : undefined);
      assertEquals(small.at(n)?.[0], n < end / 2 ? n * 2 : undefined);
    }
    assertEquals(small.getMany([4, 5, 2]), [valueOf(4), undefined, valueOf(2)]);
    assertEquals(small.stats().entries, end / 2);
    assert(small.stats().overflowValues > 0);
    nothingHeld(family);
  });
}

/** The same family on a copy of its file, read through a cache of another size. */
async function reopen(
  family: LocalFamily,
  cacheBytes: number,
): Promise<TableReader<number, Uint8Array>> {
  const entry = family.checkpoint();
  const copy = await family.database.copyOfFile({ cacheBytes });
  const { source } = new LocalFamily(copy, "local", { id: family.engine.id, entry });
  return new TableReader("numbers", u32, bytes, source);
}

test("reads: bytes that get() gives are the caller's own, whatever happens to another one's buffer", async () => {
  const { family, table } = await numbers(1200);
  const given = new Map<number, Uint8Array>();
  for (let n = 0; n < 1200; n += 2) {
    const value = table.get(n)!;
    assertEquals(value, valueOf(n));
    assert(!(value.buffer instanceof SharedArrayBuffer));
    given.set(n, value);
  }
  for (const [n, value] of given) assertEquals(value, valueOf(n), `${n}`);
  for (const value of given.values()) value.fill(0xaa);
  for (const [n, value] of given) assertEquals(value, valueOf(n).fill(0xaa), `${n}`);
  for (const n of [6, 6, 400, 400, 400]) { // values of 6 bytes, and of none
    const value = table.get(n)!;
    assertEquals(value, valueOf(n));
    structuredClone(value.buffer, { transfer: [value.buffer as ArrayBuffer] });
  }
  assertEquals(table.get(8)!, valueOf(8));
  nothingHeld(family);
});

test("a table that was not written reads as empty", async () => {
  const { family } = await numbers(2);
  const table = new TableReader("nowhere", text, text, family.source);
  assertEquals(table.get("a"), undefined);
  assertEquals(table.has("a"), false);
  assertEquals(table.getMany(["a"]), [undefined]);
  assertEquals([...table], []);
  assertEquals([table.first(), table.last(), table.at(0), table.count()], [
    undefined,
    undefined,
    undefined,
    0,
  ]);
  assertEquals(table.scan(undefined, () => {}), 0);
  assertEquals(table.view("a", () => 1), undefined);
  assertEquals(table.stats().height, 0);
  nothingHeld(family);
});

test("results are the caller's own", async () => {
  const { family, table } = await numbers(600);
  const results: Uint8Array[] = [
    table.get(2)!,
    table.get(8)!,
    table.first()![1],
    table.at(3)![1],
    ...table.getMany([10]) as Uint8Array[],
    ...table.values(),
  ];
  const before = results.map((value) => value.slice());
  for (const value of results) assert(value.buffer instanceof ArrayBuffer);
  family.write("numbers", (operations, alias) => {
    for (let n = 0; n < 600; n += 2) {
      operations.set(alias, encoded(n), new Uint8Array(100).fill(255));
    }
  }, CODECS);
  assertEquals(results, before);
  results[0].fill(1);
  assertEquals(table.get(2), new Uint8Array(100).fill(255));
});

test("reads see each publication and not what comes before it", async () => {
  const { family, table } = await numbers(100);
  assertEquals(table.get(101), undefined);
  family.apply();
  family.engine.discard();
  family.write(
    "numbers",
    (operations, alias) => void operations.set(alias, encoded(101), encoded(1)),
    CODECS,
  );
  assertEquals(table.get(101), encoded(1));
  assertEquals(rawTableOf(table).resolve()?.root.count, 51);
});

test("reads may be made inside of reads", async () => {
  const { family, table: large } = await numbers(4000);
  // With 8 frames, inner reads use up all frames and go round the private ones.
  const table = await reopen(family, 8 * 4096);
  const readAll = () => {
    for (let n = 0; n < 4000; n += 22) assertEquals(table.get(n), valueOf(n));
  };
  for (const number of [8, 1008, 3990]) {
    const size = table.view(number, (value) => {
      const copy = value.slice();
      readAll();
      assertEquals([...table.keys({ limit: 3 })], [0, 2, 4]);
      assertEquals(value.slice(), copy);
      return value.length;
    });
    assertEquals(size, valueOf(number).length);
  }
  const seen: number[] = [];
  table.scan({ limit: 300 }, (key, value) => {
    const number = new DataView(key.slice().buffer).getUint32(0);
    if (seen.push(number) % 60 === 0) readAll();
    assertEquals(value.slice(), valueOf(number));
  });
  assertEquals(seen, modelOf(4000, { limit: 300 }));

  const nosy: Codec<number> = {
    ...u32,
    decode(bytes) {
      const number = u32.decode(bytes);
      assertEquals(large.get(number), valueOf(number));
      return number;
    },
    encode(value, target) {
      assertEquals(large.get(2), valueOf(2));
      u32.encode(value, target);
    },
  };
  const other = new TableReader("numbers", nosy, bytes, family.source);
  assertEquals(
    other.entries({ gte: 4, limit: 100 }).toArray().map(([key]) => key),
    modelOf(4000, {
      gte: 4,
      limit: 100,
    }),
  );
  assertEquals(other.get(8), valueOf(8));
  nothingHeld(family);
});

test("a snapshot reads its version until it is disposed of", async () => {
  const { family, table } = await numbers(1000);
  const snapshot = new Snapshot(family.source.snapshot());
  const frozen = snapshot.table(table);
  family.write("numbers", (operations, alias) => {
    operations.deleteRange(alias, null, { key: encoded(900), inclusive: true });
  }, CODECS);
  family.reclaim();
  assertEquals(table.count(), 49);
  assertEquals(frozen.count(), 500);
  assertEquals([...frozen.keys()], modelOf(1000, {}));
  family.database.writer.slots.setState(family.slot, FAMILY_GHOST);
  assertEquals(code(() => table.get(1)), "not-found");
  assertEquals(code(() => table.entries()), "not-found");
  assertEquals(frozen.get(8), valueOf(8));
  assertEquals(snapshot.table(frozen).get(8), valueOf(8));
  snapshot[Symbol.dispose]();
  snapshot.dispose();
  assertEquals(code(() => frozen.get(8)), "closed");
  assertEquals(code(() => snapshot.table(table)), "closed");
  nothingHeld(family);

  const { family: stranger, table: strange } = await numbers(2);
  using other = new Snapshot(stranger.source.snapshot());
  assertEquals(code(() => other.table(table)), "invalid-argument");
  assertEquals(other.table(strange).count(), 1);
});

test("a closed database says so, and takes no pin back", async () => {
  const { family, table } = await numbers(1000);
  const iterator = table.keys();
  const snapshot = new Snapshot(family.source.snapshot());
  const frozen = snapshot.table(table);
  family.database.closed = true;
  assertEquals(code(() => table.get(1)), "closed");
  assertEquals(code(() => frozen.get(1)), "closed");
  assertEquals(code(() => table.scan({}, () => {})), "closed");
  assertEquals(code(() => [...iterator]), "closed");
  snapshot.dispose();
  assertEquals(Pins.count(family.database.reader.control), 1);
});

test("codecs other than the recorded ones are a type-mismatch that names both", async () => {
  const { family } = await numbers(2);
  const table = new TableReader("numbers", text, u32, family.source);
  const error = assertThrows(() => table.get("a")) as ManifoldError;
  assertEquals(error.code, "type-mismatch");
  for (const name of ["numbers", "u32", "bytes", "text"]) assertStringIncludes(error.message, name);
  assertEquals(code(() => table.count()), "type-mismatch");
  nothingHeld(family);
});

test("what callbacks and codecs throw comes through and leaves nothing behind", async () => {
  const { family, table } = await numbers(1000);
  const own = new ManifoldError("corrupt", "my own");
  for (
    const fn of [
      () =>
        table.view(2, () => {
          throw own;
        }),
      () =>
        table.scan({}, () => {
          throw own;
        }),
    ]
  ) assertEquals(assertThrows(fn), own);
  assertEquals(code(() => table.get(-1)), "invalid-argument");
  assertEquals(code(() => table.getMany([1, NaN])), "invalid-argument");
  assertEquals(code(() => table.entries({ gte: 0.5 })), "invalid-argument");
  for (const index of [-1, 0.5, NaN, "1" as unknown as number]) {
    assertEquals(code(() => table.at(index)), "invalid-argument");
  }
  nothingHeld(family);
});

test("a damaged page is corrupt, with the table's name", async () => {
  const { family } = await numbers(4000);
  const entry = family.checkpoint();
  const copy = await family.database.copyOfFile({});
  const { source } = new LocalFamily(copy, "local", { id: family.engine.id, entry });
  const table = new TableReader("numbers", u32, bytes, source);
  const root = rawTableOf(table).resolve()!.root.ref[0];
  // All but the way to the root of the table.
  for (let page = 2; page < copy.file.size() / 4096; page++) {
    if (page !== root && page !== entry.root[0]) copy.file.bytes[page * 4096 + 100] ^= 1;
  }
  const reads: (() => unknown)[] = [
    () => table.get(8),
    () => table.has(8),
    () => table.getMany([8]),
    () => table.view(8, () => 1),
    () => table.scan({}, () => {}),
    () => [...table],
    () => table.keys({ reverse: true }),
    () => table.first(),
    () => table.last({ limit: 5 }),
    () => table.at(9),
    () => table.count({ gte: 100 }),
    () => table.stats(),
  ];
  for (const read of reads) {
    const error = assertThrows(read) as ManifoldError;
    assertEquals(error.code, "corrupt");
    assertStringIncludes(error.message, 'table "numbers" of the column family "local": ');
  }
  assert(!copy.reader.epochs.inside);
  assertEquals(Pins.count(copy.reader.control), 0);
});
