/**
 * A write queue that wraps and is full: two producers, their worker, and a producer that dies anywhere.
 *
 * @module
 */

import { Inbox, type Request } from "../../../lib/engine/inbox.ts";
import { FLAG_FIRST, FLAG_LAST, REQUEST_TRANSACTION } from "../../../lib/engine/requests.ts";
import { assert } from "../../../lib/errors.ts";
import { DEATHS } from "../../../lib/memory/control.ts";
import { markDead } from "../../../lib/memory/threads.ts";
import { bumpAndWake, pauseBriefly, sleepWhile } from "../../../lib/memory/waiting.ts";
import {
  setWorkerState,
  wakeWorker,
  WORKER_RUNNING,
  workerWakeIndex,
} from "../../../lib/memory/worker_table.ts";
import type { Actor, Case } from "../explore.ts";
import { FAMILY, makeWorld, member, SLOT, type World } from "./world.ts";

const WORKER = 0;
const MORTAL = 1;
const HOST = 3;
const RING_BYTES = 256;
/** How long the worker and a producer sleep, ms; in an exploration no time passes. */
const SLEEP_MS = 100;

/** Puts a request with `bytes` of payload into the ring, all of them `mark`; waits for room. */
function push(
  world: World,
  thread: number,
  mark: number,
  bytes: number,
  { checksum }: Actor,
): void {
  const { rings: [ring], control, session } = member(world, thread, checksum);
  const payload = new Uint8Array(bytes).fill(mark);
  for (;;) {
    const space = Atomics.load(ring.words, ring.spaceIndex);
    const pushed = ring.push({
      thread,
      session,
      request: mark,
      kind: REQUEST_TRANSACTION,
      flags: FLAG_FIRST | FLAG_LAST,
      slot: SLOT,
      family: FAMILY,
      payloadBytes: bytes,
      argument: 0,
    }, payload);
    if (pushed) break;
    sleepWhile(ring.words, ring.spaceIndex, space, SLEEP_MS);
  }
  wakeWorker(control, 0);
}

/** So many requests wait, and the end of the ring is 32 bytes away. */
function setup(waiting: number, actor: Actor): World {
  const world = makeWorld(4, { frames: 4, ringBytes: RING_BYTES });
  const { rings: [ring], control } = member(world, WORKER, actor.checksum);
  setWorkerState(control, 0, WORKER_RUNNING);
  let cursor = 0;
  const push64 = () => push(world, WORKER, 0, 32, actor);
  const take = () => {
    ring.peek(cursor);
    ring.release(cursor = ring.next);
  };
  push(world, WORKER, 0, 0, actor);
  take();
  for (let i = 0; i < 3 - waiting; i++) {
    push64();
    take();
  }
  for (let i = 0; i < waiting; i++) push64();
  return world;
}

function produce(thread: number, bytes: number, world: World, actor: Actor): void {
  push(world, thread, thread, bytes, actor);
  actor.note("sent");
}

/** Takes requests until that of each producer has come, or the producer is dead and nothing is left of it. */
function consume(producers: readonly number[], world: World, { checksum, note }: Actor): void {
  const { rings: [ring], control } = member(world, WORKER, checksum);
  const { words } = control;
  const inbox = new Inbox(control, ring);
  const wake = workerWakeIndex(0);
  const missing = new Set(producers);
  let deaths = 0;
  for (;;) {
    const seen = Atomics.load(words, wake);
    const requests: Request[] = [];
    inbox.take(RING_BYTES, requests);
    for (const { request, thread, memory, from, to } of requests) {
      const payload = memory.u8.subarray(from, to);
      const whole = payload.every((byte) => byte === request);
      assert(whole, `request ${request} of thread ${thread} has the payload ${payload}`);
      if (request !== 0) note(request);
      missing.delete(request);
    }
    inbox.release();
    if (missing.size === 0) return;
    if (requests.length > 0) continue;
    if (deaths > 0) missing.delete(MORTAL);
    if (missing.size === 0) {
      const { waitingBytes } = ring;
      assert(waitingBytes === 0, `${waitingBytes} bytes of a dead thread stay in the ring`);
      return;
    }
    // What was finished before the death was told is in the ring: it is looked at once more.
    const before = deaths;
    deaths = Atomics.load(words, DEATHS);
    if (deaths === before) sleepWhile(words, wake, seen, SLEEP_MS);
  }
}

/** What the host does for a dead thread. */
function bury(dead: number, world: World, actor: Actor): void {
  const { rings: [ring], control, thread } = member(world, HOST, actor.checksum);
  assert(markDead(control, dead), "it was alive");
  while (!ring.releaseOf(dead, thread)) pauseBriefly();
  bumpAndWake(control.words, DEATHS);
  wakeWorker(control, 0);
}

const plain = (world: World) => ({ state: [new Int32Array(world.memory.rings[0])], rest: [] });

/** Nothing comes twice or from nobody, and all that was sent comes. */
function check(sent: readonly number[], perhaps: readonly number[], got: readonly unknown[]): void {
  assert(new Set(got).size === got.length, `something came twice: ${got}`);
  for (const one of sent) assert(got.includes(one), `${one} was sent, and ${got} came`);
  for (const one of got) {
    assert([...sent, ...perhaps].includes(Number(one)), `${one} came, and nobody sent it`);
  }
}

/** Two producers meet the end of the ring, and have to wait for room. */
export const full: Case<World> = {
  setup: (actor) => setup(3, actor),
  threads: [
    { name: "worker", run: (world, actor) => consume([1, 2], world, actor) },
    { name: "first", run: (world, actor) => produce(1, 32, world, actor) },
    { name: "second", run: (world, actor) => produce(2, 0, world, actor) },
  ],
  plain,
  check(_, { worker }) {
    check([1, 2], [], worker);
  },
};

function dies(survivors: readonly number[]): Case<World> {
  return {
    setup: (actor) => setup(2, actor),
    threads: [
      { name: "worker", run: (world, actor) => consume([MORTAL, ...survivors], world, actor) },
      { name: "mortal", run: (world, actor) => produce(MORTAL, 32, world, actor), mortal: true },
      ...survivors.map((one) => ({
        name: "second",
        run: (world: World, actor: Actor) => produce(one, 0, world, actor),
      })),
      { name: "host", run: (world, actor) => bury(MORTAL, world, actor), buries: "mortal" },
    ],
    plain,
    check(_, { worker, mortal }) {
      if (mortal.length > 0) check([MORTAL, ...survivors], [], worker);
      else check(survivors, [MORTAL], worker);
    },
  };
}

/** A producer dies anywhere; also while another one waits for it or for room. */
export const dying: Case<World> = dies([]);
export const dyingAmongOthers: Case<World> = dies([2]);
