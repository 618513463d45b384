/** Protects the rules by which a thread looks for answers instead of sleeping: only where that pays, and never for long. */

import { setTimeout } from "node:timers";
import { Patience } from "../lib/api/patience.ts";
import { allocateControl, Control } from "../lib/memory/control.ts";
import { joinThread, leaveThread } from "../lib/memory/threads.ts";
import { setWorkerState, WORKER_RUNNING } from "../lib/memory/worker_table.ts";
import { pollWhile } from "../lib/runtime/polling.ts";
import { assert, assertEquals } from "./support/assert.ts";
import { test } from "./support/test.ts";

const FAST_MS = 0.1;
const SLOW_MS = 5;

/** A database with its host, its keeper and one worker. */
function openControl(): Control {
  const control = new Control(allocateControl());
  for (let i = 0; i < 3; i++) joinThread(control, -1);
  setWorkerState(control, 0, WORKER_RUNNING);
  return control;
}

test("patience: for one request, not for several", () => {
  const patience = new Patience(openControl(), 4, 2);
  assert(patience.pays(1));
  assert(!patience.pays(2));
});

test("patience: ends when answers come late, outlives a late one, and comes back", () => {
  const patience = new Patience(openControl(), 4, 2);
  for (let i = 0; i < 50; i++) patience.waited(FAST_MS);
  patience.waited(1000);
  assert(patience.pays(1));
  for (let i = 0; i < 10; i++) patience.waited(SLOW_MS);
  assert(!patience.pays(1));
  for (let i = 0; i < 50; i++) patience.waited(FAST_MS);
  assert(patience.pays(1));
});

test("patience: a processor is left for the workers", () => {
  const control = openControl();
  const patience = new Patience(control, 4, 2);
  assert(!new Patience(control, 4, 1).pays(1));
  const attached = joinThread(control, -1);
  assert(!patience.pays(1));
  assert(new Patience(control, 4, 3).pays(1));
  leaveThread(control, attached);
  assert(patience.pays(1));
  // A second worker is no thread that may look for answers.
  joinThread(control, -1);
  setWorkerState(control, 1, WORKER_RUNNING);
  assert(patience.pays(1));
});

test("polling: sees a change, and lets the event loop go on", async () => {
  const words = new Int32Array(new SharedArrayBuffer(4));
  // Changed by the loop itself: a loop that stood still would never see it.
  setTimeout(() => Atomics.store(words, 0, 1), 2);
  assertEquals(await pollWhile(words, 0, 0, 60_000), true);
  assertEquals(await pollWhile(words, 0, 0, 60_000), true);
});

test("polling: ends", async () => {
  const words = new Int32Array(new SharedArrayBuffer(4));
  const begun = performance.now();
  assertEquals(await pollWhile(words, 0, 0, 1), false);
  assert(performance.now() - begun >= 1);
});
