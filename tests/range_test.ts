/** Protects which keys a range means: checked against a filter over plain values. */

import fc from "fast-check";
import { compareBytes, keyAfter, prefixSuccessor } from "../lib/api/bytes_order.ts";
import type { Codec } from "../lib/api/codec.ts";
import type { ByteWriter } from "../lib/api/codec_writer.ts";
import { bytes, f64, text, tuple, u32 } from "../lib/api/codecs/mod.ts";
import { type EncodedRange, encodeKey, encodeRange, type Range } from "../lib/api/range.ts";
import { ManifoldError } from "../lib/errors.ts";
import { assertEquals, assertStringIncludes, assertThrows } from "./support/assert.ts";
import { test } from "./support/test.ts";

function holds(range: EncodedRange, key: Uint8Array): boolean {
  if (range.empty) return false;
  const { lower, upper } = range;
  if (lower !== null) {
    const order = compareBytes(key, lower.key);
    if (order < 0 || (order === 0 && !lower.inclusive)) return false;
  }
  if (upper !== null) {
    const order = compareBytes(key, upper.key);
    if (order > 0 || (order === 0 && !upper.inclusive)) return false;
  }
  return true;
}

function assertRefused<K>(codec: Codec<K>, range: unknown, ...parts: string[]): void {
  const error = assertThrows(() => encodeRange(codec, range as Range<K>), ManifoldError);
  assertEquals(error.code, "invalid-argument");
  for (const part of parts) assertStringIncludes(error.message, part);
}

/** A range with any of the fields; the two of a pair never together. */
function anyRange<K, P>(keys: fc.Arbitrary<K>, prefixes: fc.Arbitrary<P>) {
  return fc.record({
    lower: fc.option(fc.tuple(fc.constantFrom("gte" as const, "gt" as const), keys)),
    upper: fc.option(fc.tuple(fc.constantFrom("lte" as const, "lt" as const), keys)),
    prefix: fc.option(prefixes),
  }).map(({ lower, upper, prefix }) => ({
    ...(lower === null ? {} : { [lower[0]]: lower[1] }),
    ...(upper === null ? {} : { [upper[0]]: upper[1] }),
    ...(prefix === null ? {} : { prefix }),
  }));
}

function meant<K>(range: Range<K>, key: K, order: (a: K, b: K) => number): boolean {
  return (range.gte === undefined || order(key, range.gte) >= 0) &&
    (range.gt === undefined || order(key, range.gt) > 0) &&
    (range.lte === undefined || order(key, range.lte) <= 0) &&
    (range.lt === undefined || order(key, range.lt) < 0);
}

test("range: bytes with prefixes of 0xFF", () => {
  const key = fc.array(fc.constantFrom(0, 1, 0xfe, 0xff), { maxLength: 4 })
    .map((a) => Uint8Array.from(a));
  fc.assert(
    fc.property(anyRange(key, key), key, (given, k) => {
      const range = given as Range<Uint8Array>;
      const { prefix } = range;
      const expected = meant(range, k, compareBytes) &&
        (prefix === undefined || prefix.every((byte, i) => k[i] === byte));
      assertEquals(holds(encodeRange(bytes, range), k), expected);
    }),
    { numRuns: 5000 },
  );
});

test("range: text, prefix as startsWith", () => {
  const key = fc.string({
    unit: fc.constantFrom("\0", "a", "\u{ffff}", "\u{10ffff}"),
    maxLength: 3,
  });
  const order = (a: string, b: string) => compareBytes(encodeKey(text, a), encodeKey(text, b));
  fc.assert(
    fc.property(anyRange(key, key), key, (given, k) => {
      const range = given as Range<string>;
      const expected = meant(range, k, order) && k.startsWith(range.prefix ?? "");
      assertEquals(holds(encodeRange(text, range), encodeKey(text, k)), expected);
    }),
    { numRuns: 5000 },
  );
});

test("range: tuples, prefix as leading elements", () => {
  const codec = tuple(text, tuple(u32, text), u32);
  const part = fc.constantFrom("", "\0", "\x01", "a", "a\0", "b");
  const number = fc.constantFrom(0, 1, 255, 256, 0xffff_ffff);
  const key = fc.tuple(part, fc.tuple(number, part), number);
  const prefix = fc.tuple(key, fc.integer({ min: 0, max: 3 })).map(([k, n]) => k.slice(0, n));
  type Key = [string, [number, string], number];
  const order = (a: Key, b: Key) => compareBytes(encodeKey(codec, a), encodeKey(codec, b));
  fc.assert(
    fc.property(anyRange(key, prefix), key, (given, k) => {
      const range = given as Range<Key>;
      const expected = meant(range, k, order) && (range.prefix === undefined ||
        JSON.stringify(k.slice(0, range.prefix.length)) === JSON.stringify(range.prefix));
      assertEquals(holds(encodeRange(codec, range), encodeKey(codec, k)), expected);
    }),
    { numRuns: 5000 },
  );
});

test("range: defaults, counts, and what can hold nothing", () => {
  const everything = {
    lower: null,
    upper: null,
    reverse: false,
    limit: Infinity,
    offset: 0,
    empty: false,
  };
  assertEquals(encodeRange(text), everything);
  assertEquals(encodeRange(text, {}), everything);
  assertEquals(encodeRange(text, { gte: undefined, limit: undefined }), everything);
  assertEquals(encodeRange(text, { prefix: "" }), everything);
  assertEquals(encodeRange(tuple(text, u32), { prefix: [] }), everything);
  assertEquals(encodeRange(u32, { reverse: true, limit: Infinity, offset: 3 }), {
    ...everything,
    reverse: true,
    offset: 3,
  });
  assertEquals(encodeRange(u32, { gte: 2, lte: 2 }).empty, false);
  for (
    const range of [
      { limit: 0 },
      { gte: 2, lt: 2 },
      { gt: 2, lte: 2 },
      { gte: 3, lte: 2 },
    ]
  ) assertEquals(encodeRange(u32, range).empty, true);
  assertEquals(encodeRange(text, { prefix: "b", lt: "a" }).empty, true);
  assertEquals(encodeRange(text, { prefix: "a", gte: "b" }).empty, true);
});

test("range: refused ranges say why", () => {
  assertRefused(text, { gt: "a", gte: "a" }, "gt and gte");
  assertRefused(text, { lt: "a", lte: "a" }, "lt and lte");
  assertRefused(text, { from: "a" }, '"from"', "prefix");
  assertRefused(text, { gte: 1 }, "text", "number 1");
  assertRefused(text, { gte: null }, "text");
  assertRefused(text, { prefix: 1 }, "text");
  assertRefused(text, { prefix: "\ud800" }, "surrogate");
  assertRefused(text, { reverse: 1 }, "reverse");
  for (const limit of [-1, 0.5, NaN, "1", -Infinity]) assertRefused(text, { limit }, "limit");
  for (const offset of [-1, 0.5, NaN, Infinity, 1n]) assertRefused(text, { offset }, "offset");
  for (const range of [null, 1, "a", [], new Map(), new Uint8Array(0), () => 1]) {
    assertRefused(text, range, "range");
  }
  assertRefused(u32, { prefix: 1 }, "u32", "prefix");
  assertRefused(f64, { prefix: 1 }, "f64", "prefix");
  assertRefused(tuple(text, u32), { prefix: "a" }, "tuple(text,u32)");
  assertRefused(tuple(text, u32), { prefix: ["a", 1, 2] }, "tuple(text,u32)");
  assertRefused(tuple(text, u32), { prefix: [1] }, "element 0");
  assertRefused(tuple(text, u32), { gte: ["a"] }, "2 elements");
});

test("range: a codec that looks up another key meanwhile does no harm", () => {
  const nosy: Codec<string> = {
    name: "nosy",
    ordered: true,
    encode(value: string, target: ByteWriter) {
      target.utf8(value);
      encodeRange(text, { gte: "other", lt: "others" });
      target.utf8("!");
    },
    decode: (encoded) => text.decode(encoded),
  };
  const { lower, upper } = encodeRange(nosy, { gte: "a", lt: "b" });
  assertEquals(text.decode(lower!.key), "a!");
  assertEquals(text.decode(upper!.key), "b!");
});

test("bytes order: successors", () => {
  const any = fc.uint8Array({ maxLength: 4 }).map((a) => new Uint8Array(a));
  fc.assert(fc.property(any, any, (a, b) => {
    assertEquals(compareBytes(keyAfter(a), a) > 0, true);
    assertEquals(compareBytes(b, a) > 0, compareBytes(b, keyAfter(a)) >= 0);
    const successor = prefixSuccessor(a);
    const begins = a.every((byte, i) => b[i] === byte);
    const inSpan = compareBytes(b, a) >= 0 &&
      (successor === null || compareBytes(b, successor) < 0);
    assertEquals(begins, inSpan);
  }));
});
