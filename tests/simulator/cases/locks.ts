/**
 * Locks, turns and places in the table of threads, when a thread that has one dies.
 *
 * @module
 */

import { Inbox } from "../../../lib/engine/inbox.ts";
import {
  FLAG_FIRST,
  FLAG_LAST,
  REQUEST_RELEASE,
  REQUEST_TURN,
} from "../../../lib/engine/requests.ts";
import type { ThreadMemory } from "../../../lib/engine/thread_memory.ts";
import { Writer } from "../../../lib/engine/writer.ts";
import { assert } from "../../../lib/errors.ts";
import { Control, FAMILY_LOCK } from "../../../lib/memory/control.ts";
import { newFamilyState } from "../../../lib/memory/family_slots.ts";
import { SpinLock } from "../../../lib/memory/spin_lock.ts";
import {
  buryThread,
  countThreads,
  joinThread,
  leaveThread,
  markDead,
  sessionOf,
  watchedThread,
} from "../../../lib/memory/threads.ts";
import { pauseBriefly, sleepWhile } from "../../../lib/memory/waiting.ts";
import {
  setWorkerState,
  wakeWorker,
  WORKER_ENDED,
  WORKER_RUNNING,
  workerState,
  workerWakeIndex,
} from "../../../lib/memory/worker_table.ts";
import type { Actor, Case } from "../explore.ts";
import { FAMILY, makeWorld, member, plainFrames, SLOT, type World } from "./world.ts";

interface Guarded extends World {
  /** Who is inside, and how often anyone was. */
  readonly guarded: SharedArrayBuffer;
}

/** Enters what the lock guards so many times. */
function enter(thread: number, times: number, world: Guarded, { note }: Actor): void {
  const lock = new SpinLock(new Control(world.memory.control).words, FAMILY_LOCK);
  const guarded = new Int32Array(world.guarded);
  for (let i = 0; i < times; i++) {
    lock.acquire(thread);
    Atomics.store(guarded, 0, thread + 1);
    const count = Atomics.load(guarded, 1);
    Atomics.store(guarded, 1, count + 1);
    assert(Atomics.load(guarded, 0) === thread + 1, "two threads hold the lock");
    lock.release();
    note(i);
  }
}

/** Two threads and a third, which may die with the lock. */
export const lock: Case<Guarded> = {
  setup: () => ({ ...makeWorld(4, { frames: 4 }), guarded: new SharedArrayBuffer(8) }),
  threads: [
    { name: "first", run: (world, actor) => enter(0, 2, world, actor) },
    { name: "second", run: (world, actor) => enter(1, 1, world, actor) },
    { name: "mortal", run: (world, actor) => enter(2, 1, world, actor), mortal: true },
    {
      name: "host",
      run: (world) =>
        new SpinLock(new Control(world.memory.control).words, FAMILY_LOCK).releaseOf(2),
      buries: "mortal",
    },
  ],
  plain: () => ({ state: [], rest: [] }),
  check(world, { mortal }) {
    const [, count] = new Int32Array(world.guarded);
    assert(count >= 3 + mortal.length && count <= 4, `${count} times inside`);
    const { words } = new Control(world.memory.control);
    assert(Atomics.load(words, FAMILY_LOCK) === 0, "the lock is free");
  },
};

/** Joins, and leaves again. */
function stay(liveness: number, world: World, { note }: Actor): void {
  const control = new Control(world.memory.control);
  const thread = joinThread(control, liveness);
  const session = sessionOf(control, thread);
  const line = new Int32Array(world.file);
  assert(Atomics.exchange(line, thread, liveness) === 0, `slot ${thread} has two owners`);
  note(`${thread}, ${session}`);
  assert(sessionOf(control, thread) === session, `slot ${thread} got another session`);
  Atomics.store(line, thread, 0);
  leaveThread(control, thread);
}

/** As the host does it; the watch knows of the dead what it is called, not its slot. */
function buryJoined(liveness: number, world: World): void {
  const control = new Control(world.memory.control);
  const dead = watchedThread(control, liveness);
  if (dead < 0 || !markDead(control, dead)) return;
  const line = new Int32Array(world.file);
  Atomics.compareExchange(line, dead, liveness, 0);
  buryThread(control, dead);
}

/** Two threads join and leave, and one does that dies. */
export const joining: Case<World> = {
  setup: () => makeWorld(1, { frames: 4 }),
  threads: [
    { name: "first", run: (world, actor) => stay(11, world, actor) },
    { name: "second", run: (world, actor) => stay(12, world, actor) },
    { name: "mortal", run: (world, actor) => stay(13, world, actor), mortal: true },
    { name: "host", run: (world) => buryJoined(13, world), buries: "mortal" },
  ],
  plain: () => ({ state: [], rest: [] }),
  check(world, said) {
    const owners = Object.values(said).flat();
    assert(new Set(owners).size === owners.length, `slots and sessions were ${owners.join("; ")}`);
    const count = countThreads(new Control(world.memory.control));
    assert(count === 1, `${count} threads are left, and one has stayed`);
  },
};

/** A family whose worker runs and has been asked for turns by both clients. */
function turnWorld({ checksum }: Actor): World {
  const world = makeWorld(4, { frames: 4, ringBytes: 512 });
  const { slots, control } = member(world, 0, checksum);
  setWorkerState(control, 0, WORKER_RUNNING);
  const state = newFamilyState();
  state.version = 1;
  slots.publish(SLOT, state);
  // A lease that never ends: only the turn's end or its owner's death gives it to the next.
  for (const client of [1, 2]) push(member(world, client, checksum), REQUEST_TURN, 2 ** 30);
  return world;
}

/** The worker's loop, until all clients have ended. */
function serve(clients: readonly number[], world: World, { checksum, note }: Actor): void {
  const memory = member(world, 0, checksum);
  const { control } = memory;
  const inbox = new Inbox(control, memory.rings[0]);
  const writer = new Writer({ ...memory, inbox, recordBytesMax: Infinity, now: () => 0 });
  const wake = workerWakeIndex(0);
  for (;;) {
    const seen = Atomics.load(control.words, wake);
    let over = true;
    for (const one of clients) if (workerState(control, one) !== WORKER_ENDED) over = false;
    writer.expireTurns();
    if (writer.gather()) {
      writer.finish(() => {});
    } else if (over) {
      note("all have ended");
      return;
    } else {
      sleepWhile(control.words, wake, seen, 500);
    }
  }
}

function push(memory: ThreadMemory, kind: number, argument: number): void {
  const { thread, session, rings: [ring], control } = memory;
  const pushed = ring.push({
    thread,
    session,
    request: kind,
    kind,
    flags: FLAG_FIRST | FLAG_LAST,
    slot: SLOT,
    family: FAMILY,
    payloadBytes: 0,
    argument,
  }, new Uint8Array(0));
  assert(pushed, "the ring has room");
  wakeWorker(control, 0);
}

/** Waits for the turn, which was asked for, does something that nobody else may do meanwhile, and gives it up. */
function takeTurn(thread: number, world: World, { checksum, note }: Actor): void {
  const memory = member(world, thread, checksum);
  const { completions, control } = memory;
  const tail = completions.tailIndex(thread);
  while (Atomics.load(completions.words, tail) === 0) sleepWhile(completions.words, tail, 0, 500);
  const answer = { request: 0, status: 0, detail: 0, result: 0 };
  completions.read(thread, 0, answer);
  assert(answer.request === REQUEST_TURN && answer.status === 0, "the turn is granted");
  note(answer.result);
  const line = new Int32Array(world.file);
  assert(Atomics.exchange(line, 0, thread) === 0, "two threads have the turn");
  Atomics.store(line, 0, 0);
  setWorkerState(control, thread, WORKER_ENDED);
  push(memory, REQUEST_RELEASE, answer.result);
}

function buryClient(dead: number, world: World, { checksum }: Actor): void {
  const { rings: [ring], control, thread } = member(world, 3, checksum);
  Atomics.compareExchange(new Int32Array(world.file), 0, dead, 0);
  markDead(control, dead);
  while (!ring.releaseOf(dead, thread)) pauseBriefly();
  buryThread(control, dead);
  setWorkerState(control, dead, WORKER_ENDED);
  wakeWorker(control, 0);
}

/** The turn goes from one thread to another, also from a dead one. */
export const turn: Case<World> = {
  setup: turnWorld,
  threads: [
    { name: "worker", run: (world, actor) => serve([1, 2], world, actor) },
    { name: "mortal", run: (world, actor) => takeTurn(1, world, actor), mortal: true },
    { name: "second", run: (world, actor) => takeTurn(2, world, actor) },
    { name: "host", run: (world, actor) => buryClient(1, world, actor), buries: "mortal" },
  ],
  plain: (world) => ({
    state: [new Int32Array(world.memory.rings[0]), ...plainFrames(world)],
    rest: [new Int32Array(world.memory.completions)],
  }),
  check(_, { worker, second }) {
    assert(worker.length === 1 && second.length === 1, "both have ended");
  },
};
