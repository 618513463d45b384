/**
 * Protects the kernel: that its checksums are XXH64 as others compute it, wherever the bytes lie and
 * however they are cut, and that what is loaded was assembled from its source.
 */

import { readFile } from "node:fs/promises";
import { createXXHash64 } from "hash-wasm";
import { kernelOn } from "../lib/memory/kernel.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import { assembleKernel, KERNEL_MODULE } from "../tools/assemble_kernel.ts";
import { assert, assertEquals } from "./support/assert.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const hasher = await createXXHash64();

/** The checksum by another implementation. */
function expected(...pieces: Uint8Array[]): Uint8Array {
  hasher.init();
  for (const piece of pieces) hasher.update(piece);
  return hasher.digest("binary");
}

const memory = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
const u8 = new Uint8Array(memory.buffer);
const kernel = kernelOn(memory);
const sumWords = new Int32Array(2);
const sumBytes = new Uint8Array(sumWords.buffer);

/** Compares the kernel's sum of `length` bytes at `at` with the other implementation's. */
function checkSum(at: number, length: number): void {
  sumWords[0] = kernel.sum(at, length);
  sumWords[1] = kernel.second();
  assertEquals(sumBytes, expected(u8.slice(at, at + length)), `${length} bytes at ${at}`);
}

test("kernel: sums every length, wherever it lies, as another implementation does", () => {
  const random = Random.fromEnvironment("kernel sums");
  u8.set(random.bytes(u8.length));
  for (let length = 0; length <= 300; length++) {
    for (let at = 0; at < 36; at += 4) checkSum(at, length);
    checkSum(u8.length - length, length);
  }
  for (const pageSize of [4096, 8192, 16384, 32768, 65536]) {
    for (let at = 0; at + pageSize <= u8.length; at += pageSize) checkSum(at + 8, pageSize - 8);
  }
  for (let i = 0; i < 500; i++) {
    const at = random.int(u8.length);
    checkSum(at, random.int(u8.length - at));
  }
});

test("kernel: the sums of the specification's sanity checks", async () => {
  const checksum = await Checksum.create();
  const kinds: [string, string][] = [
    ["", "ef46db3751d8e999"],
    ["a", "d24ec4f1a98c6e5b"],
    ["abc", "44bc2cf5ad770999"],
  ];
  for (const [text, sum] of kinds) {
    const made = checksum.of(new TextEncoder().encode(text));
    assertEquals([...made].map((byte) => byte.toString(16).padStart(2, "0")).join(""), sum);
  }
});

test("checksum: pieces make the same sum however they are cut, in plain and in shared memory", async () => {
  const random = Random.fromEnvironment("checksum pieces");
  const checksum = await Checksum.create();
  for (let round = 0; round < 300; round++) {
    const length = random.int(random.chance(0.2) ? 200_000 : 500);
    const whole = random.chance(0.5)
      ? new Uint8Array(new SharedArrayBuffer(length))
      : new Uint8Array(length);
    whole.set(random.bytes(length));
    const pieces: Uint8Array[] = [];
    for (let from = 0; from < length;) {
      const to = Math.min(length, from + random.int(random.chance(0.5) ? 40 : 60_000));
      pieces.push(whole.subarray(from, to));
      from = to;
    }
    const sum = expected(whole.slice());
    assertEquals(checksum.of(...pieces), sum);
    const target = new Uint8Array(20);
    checksum.put(whole, target, 5);
    assertEquals(target.subarray(5, 13), sum);
    assertEquals([...target.subarray(0, 5), ...target.subarray(13)], new Array(12).fill(0));
    assert(checksum.matches(target, 5, ...pieces));
    target[5 + random.int(8)] ^= 1 << random.int(8);
    assert(!checksum.matches(target, 5, ...pieces));
  }
});

test("kernel: copies bytes and nothing beside them", () => {
  u8.fill(0);
  for (let i = 0; i < 100; i++) u8[1000 + i] = i + 1;
  kernel.copy(2003, 1001, 98);
  assertEquals(u8.slice(2000, 2104), new Uint8Array([0, 0, 0, ...u8.slice(1001, 1099), 0, 0, 0]));
});

test("kernel: the module that is loaded is the one that its source makes", async () => {
  const made = (await assembleKernel()).replaceAll(/\s/g, "");
  assertEquals((await readFile(KERNEL_MODULE, "utf8")).replaceAll(/\s/g, ""), made);
});
