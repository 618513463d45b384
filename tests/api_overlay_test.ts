/**
 * Protects what a transaction sees: its own writes merged with the version that it reads, checked
 * against plain arrays; and what it commits, applied by the engine.
 */

import { bytes } from "../lib/api/codecs/mod.ts";
import { compareBytes } from "../lib/api/bytes_order.ts";
import { OperationsWriter } from "../lib/api/operations_writer.ts";
import { Overlay } from "../lib/api/overlay.ts";
import type { OverlayEntries } from "../lib/api/overlay_entries.ts";
import type { EncodedRange, KeyBound } from "../lib/api/range.ts";
import { RawTable } from "../lib/api/raw_reads.ts";
import { operationMemory, OperationReader, TABLE_ALIAS } from "../lib/log/operations.ts";
import { ManifoldError } from "../lib/errors.ts";
import { assert, assertEquals, assertThrows } from "./support/assert.ts";
import { LocalFamily, Operations } from "./support/local_family.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

type Entry = [Uint8Array, Uint8Array];

/** A table as a sorted array. */
class Model {
  constructor(public entries: Entry[]) {}

  place(key: Uint8Array): number {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareBytes(this.entries[middle][0], key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const entry = this.entries[this.place(key)];
    return entry !== undefined && compareBytes(entry[0], key) === 0 ? entry[1] : undefined;
  }

  set(key: Uint8Array, value: Uint8Array): void {
    this.entries.splice(this.place(key), this.get(key) === undefined ? 0 : 1, [key, value]);
  }

  delete(key: Uint8Array): boolean {
    const there = this.get(key) !== undefined;
    if (there) this.entries.splice(this.place(key), 1);
    return there;
  }

  deleteRange(lower: KeyBound | null, upper: KeyBound | null): number {
    const before = this.entries.length;
    this.entries = this.entries.filter(([key]) => !inBounds(key, lower, upper));
    return before - this.entries.length;
  }

  range(range: EncodedRange): Entry[] {
    if (range.empty) return [];
    const found = this.entries.filter(([key]) => inBounds(key, range.lower, range.upper));
    if (range.reverse) found.reverse();
    return found.slice(range.offset, range.offset + range.limit);
  }
}

function inBounds(key: Uint8Array, lower: KeyBound | null, upper: KeyBound | null): boolean {
  const low = lower === null ? 1 : compareBytes(key, lower.key);
  const high = upper === null ? -1 : compareBytes(key, upper.key);
  return (low > 0 || (low === 0 && lower!.inclusive)) &&
    (high < 0 || (high === 0 && upper!.inclusive));
}

function randomKey(random: Random): Uint8Array {
  const key = new Uint8Array(random.int(4) + (random.chance(0.02) ? 0 : 1));
  for (let i = 0; i < key.length; i++) key[i] = 97 + random.int(5);
  return key;
}

function randomValue(random: Random): Uint8Array {
  // Some too large for a leaf.
  return random.bytes(random.chance(0.03) ? 3000 : random.int(40));
}

function randomBounds(random: Random): { lower: KeyBound | null; upper: KeyBound | null } {
  const bound = (): KeyBound | null =>
    random.chance(0.25) ? null : { key: randomKey(random), inclusive: random.chance(0.5) };
  let lower = bound();
  let upper = bound();
  if (lower !== null && upper !== null && compareBytes(lower.key, upper.key) > 0) {
    [lower, upper] = [upper, lower];
  }
  return { lower, upper };
}

function randomRange(random: Random): EncodedRange {
  const { lower, upper } = randomBounds(random);
  const order = lower === null || upper === null ? -1 : compareBytes(lower.key, upper.key);
  const limit = random.chance(0.5) ? Infinity : random.int(40);
  return {
    lower,
    upper,
    reverse: random.chance(0.5),
    limit,
    offset: random.chance(0.6) ? 0 : random.int(60),
    empty: limit === 0 || order > 0 || (order === 0 && !(lower!.inclusive && upper!.inclusive)),
  };
}

function rest(entries: OverlayEntries, most: number = Infinity): Entry[] {
  const found: Entry[] = [];
  while (found.length < most && entries.advance()) {
    found.push([entries.key().slice(), entries.value().slice()]);
  }
  return found;
}

function checkReads(random: Random, overlay: Overlay, model: Model): void {
  const key = randomKey(random);
  assertEquals(overlay.get(key), model.get(key));
  assertEquals(overlay.has(key), model.get(key) !== undefined);
  assertEquals(overlay.count(null, null), model.entries.length);

  const range = randomRange(random);
  const expected = model.range(range);
  assertEquals(rest(overlay.entries(range, true)), expected);
  assertEquals(overlay.countIn(range), expected.length);
  const first = overlay.first(range);
  assertEquals(first && [first.key, first.value], expected[0]);
  const last = overlay.last(range);
  assertEquals(last && [last.key, last.value], expected.at(-1));

  const index = random.int(model.entries.length + 2);
  const at = overlay.at(index);
  assertEquals(at && [at.key, at.value], model.entries[index]);

  checkSeeks(random, overlay, range, expected);
}

/** Seeking forth and back gives the range's entries from the key on. */
function checkSeeks(
  random: Random,
  overlay: Overlay,
  range: EncodedRange,
  expected: Entry[],
): void {
  const entries = overlay.entries(range, true);
  assertEquals(rest(entries, 2), expected.slice(0, 2));
  for (let i = 0; i < 3; i++) {
    const key = randomKey(random);
    const from = expected.findIndex(([at]) =>
      range.reverse ? compareBytes(at, key) <= 0 : compareBytes(at, key) >= 0
    );
    entries.seek(key);
    const most = 1 + random.int(3);
    const found = rest(entries, most);
    if (expected.length <= 2) continue; // it may have ended, and stays so
    assertEquals(found, from < 0 ? [] : expected.slice(from, from + most));
    if (from < 0 || from + most > expected.length) break;
  }
  entries.close();
}

function changeBoth(random: Random, overlay: Overlay, model: Model): void {
  const what = random.next();
  if (what < 0.5) {
    const key = randomKey(random);
    const value = randomValue(random);
    overlay.set(key, value);
    model.set(key, value);
  } else if (what < 0.85) {
    const key = randomKey(random);
    assertEquals(overlay.delete(key), model.delete(key));
  } else {
    const range = randomRange(random);
    if (range.empty) return;
    // Small ranges mostly, or nothing would be left.
    if (random.chance(0.8) && model.range(range).length > 30) return;
    assertEquals(
      overlay.deleteRange(range.lower, range.upper),
      model.deleteRange(range.lower, range.upper),
    );
  }
}

async function filledFamily(random: Random, count: number): Promise<[LocalFamily, Model]> {
  const family = await LocalFamily.create();
  const model = new Model([]);
  for (let i = 0; i < count; i++) model.set(randomKey(random), randomValue(random));
  if (count > 0) family.fill("t", model.entries);
  return [family, model];
}

test("overlay: reads and writes as a plain array does, over bases of all sizes", async () => {
  const random = Random.fromEnvironment("overlay");
  for (const count of [0, 3, 40, 700]) {
    for (let round = 0; round < 4; round++) {
      const [family, model] = await filledFamily(random, count);
      const source = family.source.snapshot();
      const overlay = new Overlay(new RawTable(source, "t", "bytes\0bytes"));
      checkReads(random, overlay, model);
      for (let step = 0; step < 120; step++) {
        changeBoth(random, overlay, model);
        checkReads(random, overlay, model);
      }
      source.dispose();
    }
  }
});

test("overlay: what it encodes, applied by the engine, gives what it showed", async () => {
  const random = Random.fromEnvironment("overlay commit");
  for (let round = 0; round < 15; round++) {
    const [family, model] = await filledFamily(random, random.pick([0, 5, 300]));
    const source = family.source.snapshot();
    const overlay = new Overlay(new RawTable(source, "t", "bytes\0bytes"));
    for (let step = 0; step < 60; step++) changeBoth(random, overlay, model);

    const writer = new OperationsWriter(4096);
    const id = random.chance(0.5) ? overlay.base.resolve()?.id : undefined;
    overlay.encode(writer, id ?? writer.openTable("t", "bytes\0bytes"));
    const { payload } = writer.take(true);
    assert(payload instanceof Uint8Array || payload.length === 0);
    source.dispose();
    if (payload instanceof Uint8Array) {
      family.engine.beginGroup();
      family.engine.apply(operationMemory(payload), 0, payload.length, null);
      family.engine.seal();
      family.engine.publish();
      family.engine.afterPublish();
    }
    const after = new Overlay(new RawTable(family.source, "t", "bytes\0bytes"));
    const everything = { ...randomRange(random), lower: null, upper: null, reverse: false };
    const range = { ...everything, limit: Infinity, offset: 0, empty: false };
    assertEquals(rest(after.entries(range, true)), model.entries);
  }
});

test("overlay: entries go over what was there when they were begun", async () => {
  const random = Random.fromEnvironment("overlay entries");
  const [family, model] = await filledFamily(random, 400);
  const overlay = new Overlay(new RawTable(family.source.snapshot(), "t", "bytes\0bytes"));
  for (let step = 0; step < 50; step++) changeBoth(random, overlay, model);
  const range: EncodedRange = {
    lower: null,
    upper: null,
    reverse: false,
    limit: Infinity,
    offset: 0,
    empty: false,
  };
  const before = model.entries.slice();
  const entries = overlay.entries(range, true);
  const begun = rest(entries, 10);
  for (let step = 0; step < 200; step++) changeBoth(random, overlay, model);
  // The family goes on, too.
  family.write("t", (operations, table) => operations.deleteRange(table, null, null));
  assertEquals([...begun, ...rest(entries)], before);
  assertEquals(rest(overlay.entries(range, true)), model.entries);
});

test("operations: a codec that throws leaves nothing of the operation behind", () => {
  const writer = new OperationsWriter(4096);
  const throwing = {
    ...bytes,
    name: "throwing",
    encode(value: Uint8Array, target: Parameters<typeof bytes.encode>[1]): void {
      target.raw(value);
      if (value[0] === 13) throw new Error("on purpose");
    },
  };
  const table = { name: "t", keyCodec: bytes, valueCodec: throwing };
  const key = new Uint8Array([1, 2, 3]);
  writer.set(1, table, key, new Uint8Array([4]));
  assertThrows(() => writer.set(1, table, key, new Uint8Array([13])), Error, "on purpose");
  assertThrows(() => writer.delete(1, table, new Uint8Array(1025)), ManifoldError, "1024");
  assertThrows(
    () => writer.set(1, table, new Uint8Array(1025), new Uint8Array(1)),
    ManifoldError,
    "1024",
  );
  writer.delete(1, table, key);
  const { payload } = writer.take(false);
  assert(payload instanceof Uint8Array);
  const reader = new OperationReader();
  reader.begin(operationMemory(payload.slice()), 0, payload.length);
  const kinds: number[] = [];
  while (reader.next()) kinds.push(reader.kind);
  assertEquals(kinds, [1, 2]);
});

test("operations: long ones are cut into chunks, and reopened by name", () => {
  const writer = new OperationsWriter(4096);
  const table = { name: "t", keyCodec: bytes, valueCodec: bytes };
  const alias = writer.openTable("new", "bytes\0bytes");
  const key = (n: number): Uint8Array => new Uint8Array([n]);
  for (let n = 0; n < 5; n++) {
    writer.set(n % 2 === 0 ? 7 : alias, table, key(n), new Uint8Array(9 * 2 ** 20).fill(n));
  }
  writer.deleteEncoded(8, key(9));
  const total = writer.byteLength;
  writer.reopen([{ id: 7, name: "seven", codecs: "a\0b" }, { id: 8, name: "eight", codecs: "" }]);
  const { payload, kept } = writer.take(true);
  assert(kept && Array.isArray(payload));
  const seen: [number, number][] = [];
  let bytesSeen = 0;
  for (const chunk of payload as Uint8Array[]) {
    bytesSeen += chunk.length;
    const reader = new OperationReader();
    reader.begin(operationMemory(chunk), 0, chunk.length);
    while (reader.next()) {
      seen.push([reader.kind, reader.kind === 4 ? 0 : reader.table - TABLE_ALIAS]);
      if (reader.kind === 1) {
        assertEquals(reader.valueLength, 9 * 2 ** 20);
        assertEquals(chunk[reader.valueOffset], chunk[reader.keyOffset]);
      }
    }
  }
  assert(bytesSeen > total);
  // Two tables opened in front, the one that was opened already is the third.
  assertEquals(seen, [[4, 0], [4, 0], [4, 0], [1, 0], [1, 2], [1, 0], [1, 2], [1, 0], [2, 1]]);
});

test("operations: bounds longer than any key mean what they say", async () => {
  const family = await LocalFamily.create();
  const longest = new Uint8Array(1024).fill(1);
  const operations = new Operations();
  const alias = operations.open("t");
  operations.set(alias, longest, new Uint8Array(1));
  operations.set(alias, new Uint8Array([2]), new Uint8Array(1));
  family.commit(operations);
  const beyond = new Uint8Array(70_000).fill(1);
  const deleteRange = (lower: KeyBound | null, upper: KeyBound | null): number => {
    const writer = new OperationsWriter(4096);
    writer.deleteRange(writer.openTable("t", "bytes\0bytes"), lower, upper);
    const { payload } = writer.take(true);
    assert(payload instanceof Uint8Array);
    family.engine.beginGroup();
    try {
      return family.engine.apply(operationMemory(payload), 0, payload.length, null);
    } finally {
      family.engine.discard();
    }
  };
  assertEquals(deleteRange({ key: beyond, inclusive: true }, null), 1);
  assertEquals(deleteRange(null, { key: beyond, inclusive: false }), 1);
  assertEquals(
    deleteRange({ key: longest, inclusive: true }, { key: beyond, inclusive: false }),
    1,
  );
});
