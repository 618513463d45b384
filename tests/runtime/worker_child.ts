/** A process that waits for a worker, for `runtime_worker_test.ts`. */

import process from "node:process";
import { keepAlive } from "../../lib/runtime/keep_alive.ts";
import { spawnWorker } from "../../lib/runtime/workers.ts";

const echoWorker = new URL("./echo_worker.ts", import.meta.url);
const words = new Int32Array(new SharedArrayBuffer(8));
const what = process.argv[2];

const release = keepAlive();
if (what === "unref") {
  spawnWorker(echoWorker, { words, value: 1, waits: true }).unref();
  if (Atomics.load(words, 1) === 0) await Atomics.waitAsync(words, 1, 0).value;
  console.log("started");
  release();
  console.log("end of main");
} else if (what === "held") {
  spawnWorker(echoWorker, { words, value: 1 }).unref();
  if (Atomics.load(words, 1) === 0) await Atomics.waitAsync(words, 1, 0).value;
  console.log("woken");
  release();
} else if (what === "released") {
  Promise.resolve(Atomics.waitAsync(words, 1, 0).value).then(() => console.log("woken by nobody"));
  release();
  console.log("released");
}
