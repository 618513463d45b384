/**
 * The thread of `raw_syncs.ts`.
 *
 * @module
 */

import { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { ENDED, PAUSED, type RawSamples, type RawSyncsData, SAMPLES, WINDOW } from "./raw_syncs.ts";

const BLOCK = 4096;
/** The file is written over and over: it does not grow while it is measured. */
const BLOCKS = 256;
/** Between two samples: the disk is to be asked, not kept busy. */
const REST_MS = 2;

const { path, words } = workerData as RawSyncsData;
const samples: RawSamples = new Map();
const block = new Uint8Array(BLOCK).fill(7);
const file = openSync(path, "w");
for (let i = 0; i < BLOCKS; i++) writeSync(file, block, 0, BLOCK, i * BLOCK);
fsyncSync(file);
parentPort!.postMessage("ready");

for (let next = 0;;) {
  const window = Atomics.load(words, WINDOW);
  if (window === ENDED) break;
  if (window === PAUSED) {
    Atomics.wait(words, WINDOW, PAUSED, 1000);
    continue;
  }
  const begun = performance.now();
  writeSync(file, block, 0, BLOCK, next * BLOCK);
  fdatasyncSync(file);
  const ms = performance.now() - begun;
  next = (next + 1) % BLOCKS;
  // One that began in a window and ended in another belongs to none.
  if (Atomics.load(words, WINDOW) === window) {
    const times = samples.get(window);
    if (times === undefined) samples.set(window, [ms]);
    else times.push(ms);
    Atomics.add(words, SAMPLES, 1);
    Atomics.notify(words, SAMPLES);
  }
  Atomics.wait(words, WINDOW, window, REST_MS);
}
closeSync(file);
parentPort!.postMessage(samples);
