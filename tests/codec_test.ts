/**
 * Protects the format of keys and values: what is encoded comes back, byte order is value order,
 * refused values and damaged bytes end in the right error and in no other.
 */

import fc from "fast-check";
import { compareBytes } from "../lib/api/bytes_order.ts";
import { checkCodec, type Codec } from "../lib/api/codec.ts";
import { ByteWriter } from "../lib/api/codec_writer.ts";
import { describe } from "../lib/api/codecs/describe.ts";
import {
  bool,
  bytes,
  f32Array,
  f64,
  i32,
  i64,
  json,
  text,
  tuple,
  u32,
  u64,
} from "../lib/api/codecs/mod.ts";
import { Framing } from "../lib/api/codecs/framing.ts";
import { MultimapEntryCodec, none } from "../lib/api/codecs/multimap_entry.ts";
import { tuneCodecs } from "../lib/api/codecs/tuning.ts";
import { type ErrorCode, ManifoldError } from "../lib/errors.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "./support/assert.ts";
import { test } from "./support/test.ts";

function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const writer = new ByteWriter();
  codec.encode(value, writer);
  return writer.view().slice();
}

/** Decodes from shared memory that is overwritten afterwards, as a frame may be. */
function decode<T>(codec: Codec<T>, encoded: Uint8Array): T {
  const shared = new Uint8Array(new SharedArrayBuffer(encoded.length + 3)).subarray(3);
  shared.set(encoded);
  const value = codec.decode(shared);
  shared.fill(0xee);
  return value;
}

function assertCode(code: ErrorCode, fn: () => unknown, ...parts: string[]): void {
  const error = assertThrows(fn, ManifoldError);
  assertEquals(error.code, code, error.message);
  for (const part of parts) assertStringIncludes(error.message, part);
}

type Order<T> = (a: T, b: T) => number;

const natural: Order<number | bigint | boolean> = (a, b) => a < b ? -1 : a > b ? 1 : 0;

const byCodePoint: Order<string> = (a, b) => {
  const x = [...a].map((character) => character.codePointAt(0)!);
  const y = [...b].map((character) => character.codePointAt(0)!);
  for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i] - y[i];
  return x.length - y.length;
};

const byElement = (...orders: Order<never>[]): Order<unknown[]> => (a, b) => {
  for (let i = 0; i < orders.length; i++) {
    const order = orders[i](a[i] as never, b[i] as never);
    if (order !== 0) return order;
  }
  return 0;
};

/** Short strings over few characters, so that prefixes, NULs and equal ones are common. */
const anyText = fc.oneof(
  fc.string({ unit: fc.constantFrom("\0", "\x01", "\x02", "a", "\u{ffff}", "\u{10000}") }),
  fc.string({ unit: "binary" }),
  fc.string({ unit: "binary", minLength: 30, maxLength: 90 }),
);
const anyBytes = fc.oneof(
  fc.array(fc.constantFrom(0, 1, 2, 0xfe, 0xff), { maxLength: 6 }).map((a) => Uint8Array.from(a)),
  fc.uint8Array({ maxLength: 100 }),
).map((a) => new Uint8Array(a));
const anyF64 = fc.oneof(
  fc.double({ noNaN: true }),
  fc.constantFrom(0, -0, 1, -1, Infinity, -Infinity, Number.MIN_VALUE, -Number.MIN_VALUE),
  fc.constantFrom(Number.MAX_VALUE, -Number.MAX_VALUE, 2 ** 53, 2 ** 53 - 1, -(2 ** 53)),
  fc.constantFrom(2 ** -1022, 2 ** -1022 - 2 ** -1074, Number.EPSILON),
).map((value) => value + 0);
const anyU64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const anyI64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

interface OrderedCase<T> {
  codec: Codec<T>;
  values: fc.Arbitrary<T>;
  order: Order<T>;
}

function orderedCase<T>(codec: Codec<T>, values: fc.Arbitrary<T>, order: Order<never>) {
  return { codec, values, order } as OrderedCase<unknown>;
}

const ordered: OrderedCase<unknown>[] = [
  orderedCase(
    new MultimapEntryCodec(text, text),
    fc.tuple(anyText, anyText),
    byElement(byCodePoint as Order<never>, byCodePoint as Order<never>) as Order<never>,
  ),
  orderedCase(
    new MultimapEntryCodec(i32, bytes),
    fc.tuple(fc.integer({ min: -2, max: 2 }), anyBytes),
    byElement(natural, compareBytes as Order<never>) as Order<never>,
  ),
  orderedCase(
    new MultimapEntryCodec(tuple(bytes, tuple(text)), f64),
    fc.tuple(fc.tuple(anyBytes, fc.tuple(anyText)), fc.constantFrom(-1, 0, 1)),
    byElement(
      byElement(
        compareBytes as Order<never>,
        byElement(byCodePoint as Order<never>) as Order<never>,
      ) as Order<never>,
      natural,
    ) as Order<never>,
  ),
  orderedCase(bytes, anyBytes, compareBytes as Order<never>),
  orderedCase(text, anyText, byCodePoint as Order<never>),
  orderedCase(bool, fc.boolean(), natural),
  orderedCase(u32, fc.integer({ min: 0, max: 0xffff_ffff }), natural),
  orderedCase(i32, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), natural),
  orderedCase(u64, anyU64, natural),
  orderedCase(i64, anyI64, natural),
  orderedCase(f64, anyF64, natural),
  orderedCase(
    tuple(text, u32),
    fc.tuple(anyText, fc.integer({ min: 0, max: 3 })),
    byElement(byCodePoint as Order<never>, natural) as Order<never>,
  ),
  orderedCase(
    tuple(i32, bool),
    fc.tuple(fc.integer({ min: -2, max: 2 }), fc.boolean()),
    byElement(natural, natural) as Order<never>,
  ),
  orderedCase(
    tuple(bytes, bytes, text),
    fc.tuple(anyBytes, anyBytes, anyText),
    byElement(
      compareBytes as Order<never>,
      compareBytes as Order<never>,
      byCodePoint as Order<never>,
    ) as Order<never>,
  ),
  orderedCase(
    tuple(tuple(text, tuple(bytes)), f64, tuple(u32, i64), text),
    fc.tuple(
      fc.tuple(anyText, fc.tuple(anyBytes)),
      fc.constantFrom(-1, 0, 1),
      fc.tuple(fc.integer({ min: 0, max: 1 }), fc.constantFrom(-1n, 0n, 1n)),
      anyText,
    ),
    byElement(
      byElement(
        byCodePoint as Order<never>,
        byElement(compareBytes as Order<never>) as Order<never>,
      ) as Order<never>,
      natural,
      byElement(natural, natural) as Order<never>,
      byCodePoint as Order<never>,
    ) as Order<never>,
  ),
];

for (const { codec, values, order } of ordered) {
  test(`codec ${codec.name}: byte order is value order`, () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        const bytesOrder = Math.sign(compareBytes(encode(codec, a), encode(codec, b)));
        assertEquals(bytesOrder, Math.sign(order(a as never, b as never)));
      }),
      { numRuns: 2000 },
    );
  });

  test(`codec ${codec.name}: values come back, in the declared size`, () => {
    fc.assert(
      fc.property(values, (value) => {
        const encoded = encode(codec, value);
        if (codec.fixedSize !== undefined) assertEquals(encoded.length, codec.fixedSize);
        assertEquals(decode(codec, encoded), value);
      }),
      { numRuns: 1000 },
    );
  });
}

const everyCodec: Codec<unknown>[] = [
  ...ordered.map(({ codec }) => codec),
  json(),
  f32Array(2),
];

for (const codec of everyCodec) {
  test(`codec ${codec.name}: damaged bytes are a value or corrupt`, () => {
    fc.assert(
      fc.property(fc.oneof(anyBytes, fc.uint8Array({ maxLength: 20 })), (damaged) => {
        let value: unknown;
        try {
          value = decode(codec, damaged);
        } catch (error) {
          assert(error instanceof ManifoldError, String(error));
          assertEquals(error.code, "corrupt");
          return;
        }
        // An ordered codec reads only what it writes: two encodings of one key would be two keys.
        if (codec.ordered) assertEquals(encode(codec, value), new Uint8Array(damaged));
      }),
      { numRuns: 3000 },
    );
  });

  test(`codec ${codec.name}: refused values are invalid-argument and name the codec`, () => {
    const strange: unknown[] = [undefined, () => 1, Symbol("s"), Object(1n)];
    if (codec.name !== "json") strange.push(null, {}, [], new Date(), new Map(), NaN);
    for (const value of strange) {
      assertCode("invalid-argument", () => encode(codec, value), codec.name);
    }
  });
}

test("codec json: what JSON takes comes back", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const again = JSON.parse(JSON.stringify(value));
    assertEquals(decode(json(), encode(json(), value)), again);
  }));
  assertEquals(decode(json(), encode(json(), "\ud800 é \u{1f600}")), "\ud800 é \u{1f600}");
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  assertCode("invalid-argument", () => encode(json(), cycle), "json", "JSON.stringify");
  assertCode("invalid-argument", () => encode(json(), 1n), "json");
  assertCode("corrupt", () => decode(json(), new Uint8Array(0)));
  assertCode("corrupt", () => decode(json(), new TextEncoder().encode("{")));
});

test("codec f32Array: every bit comes back, aligned or not", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 12, maxLength: 12 }), (bits) => {
    const codec = f32Array(3);
    const value = new Float32Array(new Uint8Array(bits).buffer);
    const encoded = encode(codec, value);
    assertEquals(encoded, new Uint8Array(bits));
    const read = decode(codec, encoded);
    assert(read instanceof Float32Array && !(read.buffer instanceof SharedArrayBuffer));
    assertEquals(
      new Uint8Array(read.buffer, read.byteOffset, read.byteLength).slice(),
      new Uint8Array(bits),
    );
  }));
  assertEquals(f32Array(384).name, "f32Array(384)");
  for (const dim of [0, -1, 1.5, NaN, 2 ** 28 + 1, "3" as never]) {
    assertCode("invalid-argument", () => f32Array(dim), "f32Array", "dim");
  }
  assertCode("invalid-argument", () => encode(f32Array(2), new Float32Array(3)), "f32Array(2)");
  const gone = new Float32Array(2);
  structuredClone(gone, { transfer: [gone.buffer] });
  assertCode("invalid-argument", () => encode(f32Array(2), gone), "f32Array(2)", "detached");
});

test("codec bytes: detached buffers are refused, empty ones and views are not", () => {
  const gone = new Uint8Array(2);
  structuredClone(gone, { transfer: [gone.buffer] });
  assertCode("invalid-argument", () => encode(bytes, gone), "bytes", "detached");
  assertEquals(decode(bytes, encode(bytes, new Uint8Array(0))), new Uint8Array(0));
  assertEquals(encode(bytes, new Uint8Array([1, 2, 3, 4]).subarray(1, 3)), new Uint8Array([2, 3]));
  assertCode("invalid-argument", () => encode<unknown>(bytes, new ArrayBuffer(2)), "ArrayBuffer");
});

test("codec bytes: results are the caller's own, whatever happens to another one's buffer", () => {
  const results: Uint8Array[] = [];
  for (let i = 0; i < 3000; i++) results.push(decode(bytes, new Uint8Array(i % 130).fill(i)));
  for (const [i, result] of results.entries()) {
    assertEquals(result, new Uint8Array(i % 130).fill(i));
    assert(!(result.buffer instanceof SharedArrayBuffer));
    result.fill(0xaa);
  }
  for (const [i, result] of results.entries()) {
    assertEquals(result, new Uint8Array(i % 130).fill(0xaa));
  }
  const last = decode(bytes, new Uint8Array([1, 2, 3]));
  structuredClone(last.buffer, { transfer: [last.buffer as ArrayBuffer] });
  assertEquals(decode(bytes, new Uint8Array([4, 5])), new Uint8Array([4, 5]));
  // The second time nothing else has been cut from what was transferred.
  for (let i = 0; i < 3; i++) {
    const empty = bytes.decode(new Uint8Array(0)); // from where its copy begins the slab
    assertEquals(empty, new Uint8Array(0));
    structuredClone(empty.buffer, { transfer: [empty.buffer as ArrayBuffer] });
  }
});

test("codec text: long and astral strings, byte order marks, lone surrogates", () => {
  for (
    const value of ["", "\0", "\ufeffa", "\ufffd", "a\ufffdb".repeat(9), "é".repeat(5000)]
      .concat("\u{1f600}".repeat(30_000), "x".repeat(100_000) + "\u{10ffff}", "€".repeat(200_000))
  ) {
    const encoded = encode(text, value);
    assertEquals(encoded, new TextEncoder().encode(value));
    assertEquals(decode(text, encoded), value);
  }
  for (const value of ["\ud800", "a\udc00", "x".repeat(60) + "\ud83d", "\ude00\ud83d"]) {
    assertCode("invalid-argument", () => encode(text, value), "text", "surrogate");
  }
  // UTF-16 order would have it the other way round.
  assert("\u{10000}" < "\u{ffff}");
  assert(compareBytes(encode(text, "\u{10000}"), encode(text, "\u{ffff}")) > 0);
  for (const damaged of [[0xff], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0x61, 0xe2, 0x82]]) {
    assertCode("corrupt", () => decode(text, new Uint8Array(damaged)), "text");
    const long = new Uint8Array(2000).fill(0x61);
    long.set(damaged, 2000 - damaged.length);
    assertCode("corrupt", () => decode(text, long), "text");
  }
});

test("codec numbers: edges and what is refused", () => {
  assertEquals(encode(u32, 0x0102_0304), new Uint8Array([1, 2, 3, 4]));
  assertEquals(encode(i32, -1), new Uint8Array([0x7f, 0xff, 0xff, 0xff]));
  assertEquals(encode(u64, 2n ** 64n - 1n), new Uint8Array(8).fill(0xff));
  assertEquals(encode(i64, -(2n ** 63n)), new Uint8Array(8));
  assertEquals(encode(f64, 1), new Uint8Array([0xbf, 0xf0, 0, 0, 0, 0, 0, 0]));
  assertEquals(encode(f64, -0), encode(f64, 0));
  assert(Object.is(decode(f64, encode(f64, -0)), 0));
  assert(Object.is(decode(u32, encode(u32, -0)), 0));
  assert(Object.is(decode(i32, encode(i32, -0)), 0));
  for (const value of [-1, 2 ** 32, 0.5, Infinity, "1"]) {
    assertCode("invalid-argument", () => encode<unknown>(u32, value), "u32");
  }
  for (const value of [2 ** 31, -(2 ** 31) - 1, 0.5, 1n]) {
    assertCode("invalid-argument", () => encode<unknown>(i32, value), "i32");
  }
  for (const value of [-1n, 2n ** 64n, 1, 10n ** 100n]) {
    assertCode("invalid-argument", () => encode<unknown>(u64, value), "u64");
  }
  for (const value of [-(2n ** 63n) - 1n, 2n ** 63n, 1]) {
    assertCode("invalid-argument", () => encode<unknown>(i64, value), "i64");
  }
  assertCode("invalid-argument", () => encode(f64, NaN), "f64", "NaN");
  assertCode("corrupt", () => decode(f64, new Uint8Array(8).fill(0xff)), "NaN");
  assertCode("corrupt", () => decode(bool, new Uint8Array([2])), "bool");
});

test("codec tuple: names, sizes, errors that name the element", () => {
  assertEquals(tuple(text, u32).name, "tuple(text,u32)");
  assertEquals(tuple(tuple(text), f64).name, "tuple(tuple(text),f64)");
  assertEquals(tuple(u32, tuple(f64, bool)).fixedSize, 13);
  assertEquals(tuple(u32, text).fixedSize, undefined);
  assertEquals(encode(tuple(text, u32), ["a\0\x01", 1]).join(), "97,1,1,1,2,0,0,0,0,1");
  assertCode("invalid-argument", () => tuple());
  assertCode("invalid-argument", () => tuple(text, json()), "json", "order");
  const key = tuple(text, u32);
  assertCode(
    "invalid-argument",
    () => encode<unknown>(key, ["a"]),
    "tuple(text,u32)",
    "2 elements",
  );
  assertCode("invalid-argument", () => encode<unknown>(key, "ab"), "tuple(text,u32)");
  assertCode("invalid-argument", () => encode<unknown>(key, ["a", -1]), "element 1", "u32");
  assertCode("corrupt", () => decode(key, new Uint8Array([97, 1, 3, 0, 0, 0, 0, 1])));
  assertCode("corrupt", () => decode(key, new Uint8Array([97, 1])));
  assertCode("corrupt", () => decode(key, new Uint8Array([97, 0, 0, 0, 0, 1, 7])), "after");
});

test("codec tuple: a user's codec inside is framed like the package's, and checked", () => {
  const reversed: Codec<string> = {
    name: "reversed",
    ordered: true,
    encode: (value, target) => target.raw(encode(text, value).map((byte) => 255 - byte)),
    decode: (encoded) => text.decode(Uint8Array.from(encoded, (byte) => 255 - byte)),
  };
  fc.assert(fc.property(anyText, anyText, (a, b) => {
    const codec = tuple(reversed, text);
    assertEquals(decode(codec, encode(codec, [a, b])), [a, b]);
  }));
  const lying: Codec<number> = { ...u32, name: "lying", fixedSize: 3 };
  assertCode("invalid-argument", () => encode(tuple(lying), [1]), "fixedSize 3");
});

test("codec framing: an encoding ends where nothing of what follows is looked at", () => {
  const framings = [
    new Framing<unknown>(text as Codec<unknown>, "whole", 3),
    new Framing<unknown>(u32 as Codec<unknown>, "whole", 3),
    new Framing<unknown>(tuple(text, tuple(bytes, u32)) as Codec<unknown>, "whole", 3),
  ];
  const values = fc.tuple(
    anyText,
    fc.integer({ min: 0, max: 600 }),
    fc.tuple(anyText, fc.tuple(anyBytes, fc.integer({ min: 0, max: 1 }))),
  );
  fc.assert(fc.property(values, anyBytes, (three, behind) => {
    for (const [i, framing] of framings.entries()) {
      const target = new ByteWriter();
      target.u8(7);
      framing.encode(three[i], target);
      const end = target.length;
      target.raw(behind);
      assertEquals(framing.endOf(target.view(), 1), end);
      assertEquals(framing.decode(target.view(), 1), three[i]);
      for (let cut = 1; cut < end; cut++) {
        assertCode("corrupt", () => framing.endOf(target.view().subarray(0, cut), 1), "inside");
      }
    }
  }));
  const begun = new ByteWriter();
  framings[0].encodePrefix("a\0", begun);
  framings[2].encodePrefix(["b"], begun);
  assertEquals(begun.view().join(), "97,1,1,98,0");
  assertCode("corrupt", () => framings[1].endOf(new Uint8Array(3), 0), "whole", "element 3", "u32");
});

test("codec multimap: names, bytes and refusals", () => {
  const codec = new MultimapEntryCodec(text, u32);
  assertEquals(codec.name, "multimap(text,u32)");
  assertEquals(encode(codec, ["a\0", 1]).join(), "97,1,1,0,0,0,0,1");
  assertEquals(encode(new MultimapEntryCodec(u32, text), [1, "a\0"]).join(), "0,0,0,1,97,0");
  assertCode("invalid-argument", () => new MultimapEntryCodec(text, json()), "json", "sorted");
  assertCode("invalid-argument", () => new MultimapEntryCodec(json(), text), "json", "keys");
  assertCode("invalid-argument", () => encode<unknown>(codec, ["a"]), codec.name, "1 elements");
  assertEquals([encode(none, undefined).length, decode(none, new Uint8Array())], [0, undefined]);
  assertCode("corrupt", () => decode(none, new Uint8Array(1)), "none");
});

test("codec: what is not a codec is refused", () => {
  checkCodec(json(), "value");
  assertCode("invalid-argument", () => checkCodec(json(), "key"), "json");
  const bad = [
    undefined,
    null,
    "text",
    {},
    { ...text, name: "" },
    { ...text, name: "a,b" },
    { ...text, name: "a)(" },
    { ...text, name: "a\0" },
    { ...text, name: "é".repeat(128) },
    { ...text, encode: undefined },
    { ...text, decode: 1 },
    { ...text, ordered: "yes" },
    { ...text, fixedSize: -1 },
    { ...text, encodePrefix: true },
  ];
  for (const codec of bad) assertCode("invalid-argument", () => checkCodec(codec, "value"));
});

test("codec: bytes that a codec cannot read are refused, and errors that are not a codec's stay as they are", () => {
  const nan = new Uint8Array(8).fill(0xff);
  assertCode("corrupt", () => f64.decode(nan), "NaN");
  assertCode("corrupt", () => f64.decode(new Uint8Array([0x7f, ...nan.subarray(1)])), "-0");
  assertCode("corrupt", () => text.decode(new Uint8Array([0x61, 0xff])), "codec text", "UTF-8");
  assertCode("corrupt", () => text.decode(new Uint8Array(2000).fill(0xff)), "UTF-8");
  assertEquals(text.decode(new Uint8Array([0x61, 0xc3, 0xa9])), "aé");
  const whim = {
    toJSON() {
      throw "whim";
    },
  };
  assertCode(
    "invalid-argument",
    () => json().encode(whim, new ByteWriter()),
    "a string of 4 UTF-16 units",
  );

  const mine = new Error("mine");
  class FailingWriter extends ByteWriter {
    override utf8(): void {
      throw mine;
    }
  }
  assertEquals(assertThrows(() => text.encode("a", new FailingWriter())), mine);
  assertEquals(assertThrows(() => tuple(text).encode(["a"], new FailingWriter())), mine);

  const prefix = new ByteWriter();
  text.encodePrefix!("a", prefix);
  bytes.encodePrefix!(new Uint8Array([9]), prefix);
  tuple(text, text).encodePrefix!(["b"], prefix);
  assertEquals([...prefix.view()], [0x61, 9, 0x62, 0]);
  assertCode(
    "invalid-argument",
    () => tuple(text).encodePrefix!(["a", "b"], prefix),
    "up to 1 leading",
  );
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  assertCode("invalid-argument", () => text.encode(proxy as string, prefix), "not an object");
  assertEquals(
    [() => 1, Symbol("s"), null, [1], -0, 2n ** 90n, new Uint16Array(2)].map(describe).join("; "),
    "a function; a symbol; null; an array of 1 elements; the number -0; a bigint of more than 80 bits; " +
      "a Uint16Array of 4 bytes",
  );
});

test("codec text: what a runtime puts into no string is too large, or damage if it is short", () => {
  tuneCodecs({
    decodeUtf8: () => {
      throw new RangeError("too long for a string");
    },
  });
  try {
    assertCode(
      "too-large",
      () => text.decode(new Uint8Array(2 ** 29)),
      "536870912 bytes",
      "view()",
    );
    assertCode("corrupt", () => text.decode(new Uint8Array(1)), "UTF-8");
  } finally {
    tuneCodecs({ decodeUtf8: null });
  }
});
