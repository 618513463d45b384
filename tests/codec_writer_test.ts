/** Protects the buffer under every encoding: growth, its bound, reuse; and the tuning of decoders. */

import { ByteWriter, WRITER_BYTES_MAX } from "../lib/api/codec_writer.ts";
import { bytes, text } from "../lib/api/codecs/mod.ts";
import { tuneCodecs } from "../lib/api/codecs/tuning.ts";
import { ManifoldError } from "../lib/errors.ts";
import { assert, assertEquals, assertThrows } from "./support/assert.ts";
import { test } from "./support/test.ts";

test("writer: appends, grows, truncates, resets", () => {
  const writer = new ByteWriter(1);
  writer.u8(0x1ff);
  writer.u32be(0x8000_0001);
  writer.u64be(0x0102_0304_0506_0708n);
  writer.raw(new Uint8Array([9, 9]));
  writer.utf8("é");
  assertEquals(writer.view().join(), "255,128,0,0,1,1,2,3,4,5,6,7,8,9,9,195,169");
  assertEquals(writer.length, 17);
  assertEquals(writer.view(15).join(), "195,169");
  writer.truncate(1);
  assertEquals(writer.reserve(3), 1);
  writer.bytes.set([1, 2, 3], 1);
  assertEquals(writer.view().join(), "255,1,2,3");
  writer.reset();
  assertEquals(writer.length, 0);
  writer.raw(new Uint8Array(2 ** 23));
  writer.reset();
  assert(writer.bytes.length < 2 ** 23, "a huge buffer is given back");
});

test("writer: refuses what it cannot hold, and is as before", () => {
  const writer = new ByteWriter();
  writer.u8(1);
  assertEquals(
    assertThrows(() => writer.reserve(WRITER_BYTES_MAX), ManifoldError).code,
    "too-large",
  );
  for (const count of [-1, 1.5, NaN, Infinity]) {
    assertEquals(
      assertThrows(() => writer.reserve(count), ManifoldError).code,
      "invalid-argument",
    );
  }
  for (const length of [-1, 2, 0.5, NaN]) {
    assertThrows(() => writer.truncate(length), ManifoldError);
  }
  assertThrows(() => writer.utf8("\ud800"), ManifoldError);
  assertThrows(() => new ByteWriter(0), ManifoldError);
  assertThrows(() => new ByteWriter(2 ** 31), ManifoldError);
  assertEquals(writer.view().join(), "1");
});

test("tuning: another decoder and other bounds give the same results", () => {
  const plain = new TextDecoder("utf-8", { ignoreBOM: true });
  tuneCodecs({ carveBytesMin: 10, carveBytesMax: 20, decodeUtf8: (b) => plain.decode(b) });
  try {
    for (const value of ["", "a", "\ufeffé", "a\ufffdb", "\u{1f600}".repeat(999)]) {
      assertEquals(text.decode(new TextEncoder().encode(value)), value);
    }
    assertEquals(
      assertThrows(() => text.decode(new Uint8Array([0xff])), ManifoldError).code,
      "corrupt",
    );
    for (let length = 0; length < 30; length++) {
      const value = bytes.decode(new Uint8Array(length).fill(7));
      assertEquals(value, new Uint8Array(length).fill(7));
      assertEquals(value.buffer.byteLength === length, length < 10 || length > 20);
    }
  } finally {
    tuneCodecs({ carveBytesMin: 0, carveBytesMax: 4096, decodeUtf8: null });
  }
});
