/**
 * Checksums of pages and of pieces of the log, on shared memory:
 * `deno bench -A bench/checksum_bench.ts`.
 *
 * @module
 */

import { Checksum } from "../lib/storage/checksum.ts";

const checksum = await Checksum.create();
const target = new Uint8Array(8);

for (const size of [64, 512, 4096, 8192, 16384, 65536, 1048576]) {
  const memory = new Uint8Array(new SharedArrayBuffer(size)).fill(7);
  const name = size < 1024 ? `${size} B` : `${size / 1024} KiB`;

  Deno.bench(`put, ${name}`, { group: "put" }, () => {
    checksum.put(memory, target, 0);
  });
}

const page = new Uint8Array(new SharedArrayBuffer(8192)).fill(7);
const sum = new Uint8Array(8);
checksum.put(page, sum, 0);

Deno.bench("matches, 8 KiB", { group: "matches" }, () => {
  if (!checksum.matches(sum, 0, page)) throw new Error("the checksum changed");
});

const half = page.length / 2;
const halves = [page.subarray(0, half), page.subarray(half)];
Deno.bench("matches, 8 KiB in two pieces", { group: "matches" }, () => {
  if (!checksum.matches(sum, 0, ...halves)) throw new Error("the checksum changed");
});
