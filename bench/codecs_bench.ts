/**
 * What codecs cost, in nanoseconds per call, on the runtime that runs this file:
 * `deno run bench/codecs_bench.ts`, `bun bench/codecs_bench.ts`. Encoded bytes lie on shared memory,
 * as frames do. Each figure is the best of five rounds.
 *
 * @module
 */

import { ByteWriter } from "../lib/api/codec_writer.ts";
import type { Codec } from "../lib/api/codec.ts";
import { bytes, f32Array, f64, i64, json, text, tuple, u32 } from "../lib/api/codecs/mod.ts";
import { tuneCodecs } from "../lib/api/codecs/tuning.ts";
import { encodeRange } from "../lib/api/range.ts";
import { SortedMap } from "../lib/api/sorted_map.ts";

const CALLS = 200_000;
const ROUNDS = 5;
const SAMPLES = 512;

/** Results are kept a while, so that allocation is paid for. */
const kept = new Array<unknown>(1024);

function measure(name: string, call: (i: number) => unknown): void {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let i = 0; i < CALLS; i++) kept[i & 1023] = call(i);
    best = Math.min(best, performance.now() - start);
  }
  console.log(`${name.padEnd(44)} ${(best * 1e6 / CALLS).toFixed(0).padStart(7)} ns`);
}

const writer = new ByteWriter();

function measureCodec<T>(name: string, codec: Codec<T>, sample: (i: number) => T): void {
  const values = Array.from({ length: SAMPLES }, (_, i) => sample(i));
  const encoded = values.map((value) => {
    writer.reset();
    codec.encode(value, writer);
    const shared = new Uint8Array(new SharedArrayBuffer(writer.length));
    shared.set(writer.view());
    return shared;
  });
  measure(`${name}: encode`, (i) => {
    writer.reset();
    codec.encode(values[i & (SAMPLES - 1)], writer);
    return undefined;
  });
  measure(`${name}: decode`, (i) => codec.decode(encoded[i & (SAMPLES - 1)]));
}

const ascii = (length: number) => (i: number) => `${i}`.padStart(length, "abcdefgh");
const filled = (length: number) => (i: number) => new Uint8Array(length).fill(i);

measureCodec("u32", u32, (i) => i * 7919);
measureCodec("i64", i64, (i) => BigInt(i) - 256n);
measureCodec("f64", f64, (i) => i / 7 - 40);
measureCodec("tuple(text,u32)", tuple(text, u32), (i) => [ascii(12)(i), i]);
measureCodec("json, 3 members", json(), (i) => ({ name: ascii(8)(i), visits: i, tags: ["a"] }));
measureCodec("f32Array(384)", f32Array(384), (i) => new Float32Array(384).fill(i));

for (const length of [8, 24, 150, 1024]) {
  measureCodec(`text, ${length} ASCII`, text, ascii(length));
}
measureCodec("text, 50 Greek", text, (i) => `${i}`.padStart(50, "αβγδ"));

for (const length of [8, 150, 1024, 4096]) {
  tuneCodecs({ carveBytesMin: 0 });
  measureCodec(`bytes, ${length}, carved`, bytes, filled(length));
  tuneCodecs({ carveBytesMin: 4097 });
  measureCodec(`bytes, ${length}, own buffers`, bytes, filled(length));
}
tuneCodecs({ carveBytesMin: 0 });

const ranged = tuple(text, u32);
measure("encodeRange: { prefix }", (i) => encodeRange(text, { prefix: `${i & 511}` }));
measure(
  "encodeRange: tuple { gte, lt, limit }",
  (i) => encodeRange(ranged, { gte: ["a", i & 511], lt: ["b", 0], limit: 10 }),
);

const keys = Array.from({ length: CALLS }, () => crypto.getRandomValues(new Uint8Array(24)));
let map = new SortedMap<number>();
measure("SortedMap: set, 200 K random keys of 24 bytes", (i) => {
  if (i === 0) map = new SortedMap();
  map.set(keys[i], i);
  return undefined;
});
measure("SortedMap: get", (i) => map.get(keys[i]));
measure("SortedMap: 10 sets and a clone", (i) => {
  if (i % 10 !== 0) return undefined;
  const small = new SortedMap<number>();
  for (let j = 0; j < 10; j++) small.set(keys[i + j], j);
  return small.clone();
});
