/** Protects the rules by which a thread looks for answers instead of sleeping: only where that pays, and never for long. */

import { setTimeout } from "node:timers";
import { Patience } from "../lib/api/patience.ts";
import { allocateControl, Control } from "../lib/memory/control.ts";
import { joinThread, leaveThread } from "../lib/memory/threads.ts";
import { setWorkerState, WORKER_RUNNING } from "../lib/memory/worker_table.ts";
import { pollWhile } from "../lib/runtime/polling.ts";
import { assert, assertEquals, assertLess } from "./support/assert.ts";
import { test } from "./support/test.ts";

/** A database with its host, its keeper and one worker. */
function openControl(): Control {
  const control = new Control(allocateControl());
  for (let i = 0; i < 3; i++) joinThread(control, -1);
  setWorkerState(control, 0, WORKER_RUNNING);
  return control;
}

/** How many of so many waits were awake, if those are so long, ms. */
function looksOf(patience: Patience, waits: number, ms: number): number {
  let looks = 0;
  for (let i = 0; i < waits; i++) {
    if (!patience.looks()) continue;
    looks++;
    patience.looked(ms);
  }
  return looks;
}

test("patience: ends when answers come late, outlives a late one, and comes back", () => {
  const patience = new Patience(openControl(), 4, 2);
  assertEquals(looksOf(patience, 1000, 0.1), 1000);
  patience.looked(1000);
  assertEquals(looksOf(patience, 1000, 0.1), 1000);
  assertLess(looksOf(patience, 1000, 5), 600);
  looksOf(patience, 1000, 0.1);
  assertEquals(looksOf(patience, 1000, 0.1), 1000);
});

test("patience: rests longer and longer where it is in vain", () => {
  const patience = new Patience(openControl(), 4, 2);
  assert(looksOf(patience, 2000, 5) > looksOf(patience, 2000, 5));
  looksOf(patience, 100_000, 5);
  assertLess(looksOf(patience, 100_000, 5), 4000);
});

test("patience: a processor is left for the workers", () => {
  const control = openControl();
  const patience = new Patience(control, 4, 2);
  assert(!new Patience(control, 4, 1).looks());
  const attached = joinThread(control, -1);
  assert(!patience.looks());
  assert(new Patience(control, 4, 3).looks());
  leaveThread(control, attached);
  assert(patience.looks());
  // A second worker is no thread that may look for answers.
  joinThread(control, -1);
  setWorkerState(control, 1, WORKER_RUNNING);
  assert(patience.looks());
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
