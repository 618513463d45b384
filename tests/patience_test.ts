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

/** How many of so many waits were awake, if those are so long, and those asleep so long; ms. */
function looksOf(patience: Patience, waits: number, ms: number, asleep = 0.2): number {
  let looks = 0;
  for (let i = 0; i < waits; i++) {
    if (patience.looks()) {
      looks++;
      patience.looked(ms);
    } else {
      patience.slept(asleep);
    }
  }
  return looks;
}

/** Of a database, in whose threads answers come soon; in so many processors. */
function patienceIn(control: Control, processors: number): Patience {
  const patience = new Patience(control, 4, processors);
  assertEquals(looksOf(patience, 64, 0.1), 0);
  return patience;
}

test("patience: begins where answers come soon, and not before that is known", () => {
  assertEquals(looksOf(patienceIn(openControl(), 2), 1000, 0.1), 1000);
  const late = new Patience(openControl(), 4, 2);
  assertEquals(looksOf(late, 10_000, 0.1, 0.5), 0);
  // It is seen when the disk, or the processors, have time again.
  assert(looksOf(late, 1000, 0.1, 0.2) > 500);
});

test("patience: ends when answers come late, outlives a late one, and comes back", () => {
  const patience = patienceIn(openControl(), 2);
  assertEquals(looksOf(patience, 1000, 0.1), 1000);
  patience.looked(1000);
  assertEquals(looksOf(patience, 1000, 0.1), 1000);
  assertLess(looksOf(patience, 1000, 5), 600);
  looksOf(patience, 1000, 0.1);
  assertEquals(looksOf(patience, 1000, 0.1), 1000);
});

test("patience: rests longer and longer where it is in vain", () => {
  const patience = patienceIn(openControl(), 2);
  assert(looksOf(patience, 2000, 5) > looksOf(patience, 2000, 5));
  looksOf(patience, 100_000, 5);
  assertLess(looksOf(patience, 100_000, 5), 4000);
});

test("patience: a processor is left for the workers", () => {
  const control = openControl();
  const patience = patienceIn(control, 2);
  assert(!patienceIn(control, 1).looks());
  const attached = joinThread(control, -1);
  assert(!patience.looks());
  assert(patienceIn(control, 3).looks());
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
