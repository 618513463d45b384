/**
 * Protects the rules by which threads share memory (lib/memory, lib/log/group_commit.ts,
 * lib/engine/retired_pages.ts). Several views of one shared memory stand for several threads, and
 * their steps are interleaved by hand, at the places where a race would lose or corrupt data.
 */

import process from "node:process";
import { Client } from "../lib/api/client.ts";
import { readDirectory } from "../lib/api/create_file.ts";
import { Host } from "../lib/api/host.ts";
import { FamilyPager } from "../lib/engine/family_pager.ts";
import { Keeper } from "../lib/engine/keeper.ts";
import { type Reclaiming, RetiredPages } from "../lib/engine/retired_pages.ts";
import { allocateSharedMemory, ThreadMemory } from "../lib/engine/thread_memory.ts";
import { GroupCommit, LOG_IS_FULL } from "../lib/log/group_commit.ts";
import {
  LOG_DURABLE,
  LOG_LOCK,
  LOG_POSITIONS,
  PIN_WORDS,
  PINS,
  PINS_USED,
  PUBLISH_LOCK,
  THREAD_WORDS,
  THREADS,
  THREADS_USED,
  WATCHER_WORDS,
  WATCHERS,
  WATCHERS_USED,
} from "../lib/memory/control.ts";
import { Epochs } from "../lib/memory/epochs.ts";
import {
  FAMILY_CREATING,
  FAMILY_FREE,
  FAMILY_GHOST,
  FAMILY_LIVE,
  type FamilyState,
  newFamilyEntry,
  newFamilyState,
} from "../lib/memory/family_slots.ts";
import { durableGeneration, setDurableGeneration } from "../lib/memory/keeper_state.ts";
import { FRAME_CLEAN, FRAME_DIRTY, FRAME_LIMBO } from "../lib/memory/frames.ts";
import { Pins } from "../lib/memory/pins.ts";
import { SpinLock } from "../lib/memory/spin_lock.ts";
import { isAlive, joinThread } from "../lib/memory/threads.ts";
import { addWatcher } from "../lib/memory/watchers.ts";
import {
  retireIdleWorkers,
  setWorkerState,
  wantWorker,
  WORKER_DRAINED,
  WORKER_ENDED,
  WORKER_IDLE,
  WORKER_RUNNING,
  WORKER_WANTED,
  workerState,
} from "../lib/memory/worker_table.ts";
import { ENTRY_REQUEST, type EntryHeader, type WriteRing } from "../lib/memory/write_ring.ts";
import type { HostThreads } from "../lib/runtime/threads.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import { DIRECTORY_OWNER } from "../lib/storage/extents.ts";
import { PageAllocator } from "../lib/storage/page_allocator.ts";
import { PageWriterOut } from "../lib/storage/page_writer.ts";
import { WORD_BIRTH_HIGH, WORD_BIRTH_LOW, WORD_FAMILY, WORD_NUMBER } from "../lib/tree/page.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertNotEquals,
  assertThrows,
} from "./support/assert.ts";
import { LocalFamily, MemoryFile, Operations } from "./support/local_family.ts";
import { Random } from "./support/random.ts";
import type { WorkerData } from "../workers/worker_data.ts";
import { test } from "./support/test.ts";

const FRAMES = 256;
const PAGE_SIZE = 4096;
/** The word of a write ring that is its lock. */
const RING_LOCK = 2;

/** `count` threads on one shared memory, with families in slots 0 and 1. */
async function threads(count: number): Promise<{ file: MemoryFile; all: ThreadMemory[] }> {
  const checksum = await Checksum.create();
  const file = new MemoryFile();
  const shared = allocateSharedMemory({
    pageSize: PAGE_SIZE,
    cacheBytes: FRAMES * PAGE_SIZE,
    pagesMax: 4096,
    workers: 2,
    ringBytes: 4096,
  });
  const all = Array.from(
    { length: count },
    (_, i) => new ThreadMemory(shared, file, checksum, i),
  );
  all[0].slots.take(1, "one", 0, FAMILY_LIVE);
  all[0].slots.take(2, "two", 1, FAMILY_LIVE);
  return { file, all };
}

/** Takes every frame that can be had. */
function takeAll(memory: ThreadMemory, family = 0): number[] {
  const taken: number[] = [];
  for (;;) {
    const frame = memory.frames.take(family, 3 * FRAMES);
    if (frame < 0) return taken;
    taken.push(frame);
  }
}

/** Shows a clean page. */
function show(memory: ThreadMemory, page: number, family = 0): number {
  const frame = memory.frames.take(family, 3 * FRAMES);
  assert(frame >= 0);
  return memory.frames.publishClean(frame, page, family, false);
}

test("epochs: a frame is not filled anew while a thread may still be reading it", async () => {
  const { all: [a, b] } = await threads(2);
  const frame = show(a, 5);
  b.epochs.enter();
  assertEquals(b.frames.find(5), frame);
  assertEquals(a.frames.unlink(5), frame);
  assertEquals(b.frames.find(5), -1);
  const others = takeAll(a);
  assertEquals(others.length, FRAMES - 1);
  assert(!others.includes(frame));
  b.epochs.leave();
  assertEquals(takeAll(a), [frame]);
});

test("epochs: who comes after the unlinking holds nothing up, and nesting ends with the outermost", async () => {
  const { all: [a, b] } = await threads(2);
  b.epochs.enter();
  b.epochs.enter();
  show(a, 5);
  a.frames.unlink(5);
  b.epochs.leave();
  assertEquals(takeAll(a).length, FRAMES - 1, "the inner leave does not end the epoch");
  b.epochs.leave();
  b.epochs.enter();
  assertEquals(takeAll(a).length, 1);
  b.epochs.leave();
});

test("epochs: they wrap, skip 0, and are compared across the wrap", async () => {
  const { all: [a, b] } = await threads(2);
  Atomics.store(a.control.words, 16, -2);
  b.epochs.enter();
  const tags = Array.from({ length: 5 }, () => a.epochs.tag());
  assertEquals(tags, [-2, -1, 1, 2, 3]);
  for (const tag of tags) assert(!Epochs.passed(tag, a.epochs.horizon()));
  b.epochs.leave();
  for (const tag of tags) assert(Epochs.passed(tag, a.epochs.horizon()));
});

test("frames: an evicted one is not filled anew within the epoch of a reader", async () => {
  const { all: [a, b] } = await threads(2);
  for (let page = 1; page <= FRAMES; page++) show(a, page);
  b.epochs.enter();
  assertEquals(takeAll(a), [], "all are evicted, none is given out");
  b.epochs.leave();
  assertEquals(takeAll(a).length, FRAMES);
});

test("frames: memory is touched ahead of the clock hand, once for each frame, and changes nothing", async () => {
  const { all: [a, b] } = await threads(2);
  const taken = [a.frames.take(0, FRAMES), b.frames.take(0, FRAMES)];
  assertEquals(taken, [0, 1], "the hand has passed these");
  a.frames.resize(100);
  assertEquals([a.frames.nextUntouched(), b.frames.nextUntouched()], [2, 3]);
  const filled = a.frames.take(0, FRAMES);
  const { u8 } = a.arena.chunk(filled);
  const base = a.arena.base(filled);
  u8.fill(7, base, base + PAGE_SIZE);
  while (a.store.touchAhead() || b.store.touchAhead());
  assertEquals(a.frames.nextUntouched(), -1);
  assert(u8.subarray(base, base + PAGE_SIZE).every((byte) => byte === 7));
  a.frames.resize(FRAMES);
  const rest = Array.from({ length: FRAMES - 100 }, () => b.frames.nextUntouched());
  assertEquals(rest, Array.from({ length: FRAMES - 100 }, (_, i) => 100 + i));
  assertEquals(b.frames.nextUntouched(), -1);
});

test("frames: a thread that sends frames to limbo and takes none does not remember them all", async () => {
  const { all: [a, b] } = await threads(2);
  const times = 6_000_000;
  const cycle = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const frame = a.frames.take(0, FRAMES);
      if (frame < 0) continue;
      a.frames.publishDirty(frame, 7, 0);
      b.frames.unlink(7); // as the keeper does for deleted families
    }
  };
  cycle(10_000);
  const before = process.memoryUsage().rss;
  cycle(times);
  const grown = process.memoryUsage().rss - before;
  assertLess(grown, times * 4, "bytes for what was sent to limbo");
});

test("frames: a page that is unlinked while a reader brings it in leaves no frame behind", async () => {
  const { all: [a, b] } = await threads(2);
  const frame = a.frames.take(0, FRAMES);
  const { slots } = a;
  const addFrames = slots.addFrames.bind(slots);
  slots.addFrames = (slot, by) => {
    // Between the page table and the state of the frame.
    if (by > 0) assertEquals(b.frames.unlink(7), -1);
    addFrames(slot, by);
  };
  a.frames.publishClean(frame, 7, 0, false);
  assertEquals(b.frames.find(7), -1);
  assertEquals(b.frames.census().clean, 0);
  assertEquals(b.frames.kind(frame), FRAME_LIMBO);
  assertEquals(slots.frames(0), 0);
});

test("frames: the frames of a deleted family go without those that took its pages over", async () => {
  const { all: [a, b] } = await threads(2);
  const old = show(a, 9, 0);
  Atomics.store(a.frames.table, 9, 0);
  const fresh = b.frames.take(1, FRAMES);
  b.frames.publishDirty(fresh, 9, 1);
  a.epochs.enter();
  for (let frame = 0; frame < FRAMES; frame++) a.frames.unlinkFrame(frame, 0);
  a.epochs.leave();
  assertEquals(a.frames.kind(old), FRAME_LIMBO);
  assertEquals(b.frames.find(9), fresh);
  assertEquals(b.frames.kind(fresh), FRAME_DIRTY);
});

test("frames: a family keeps its sure share whatever others need", async () => {
  const { all: [a] } = await threads(1);
  const share = FRAMES / 4 / 2;
  for (let page = 1; page <= share; page++) show(a, page, 0);
  for (let page = share + 1; page <= 4 * FRAMES; page++) {
    let frame = -1;
    for (let i = 0; frame < 0 && i < 10; i++) frame = a.frames.take(1, FRAMES);
    a.frames.publishClean(frame, page, 1, false);
  }
  assertEquals(a.slots.frames(0), share);
  for (let page = 1; page <= share; page++) assert(a.frames.find(page) >= 0, `page ${page}`);
});

test("pages: one that was made anew while it was to be written is not overwritten", async () => {
  const { file, all: [a, b] } = await threads(2);
  const before = a.frames.take(0, FRAMES);
  a.frames.publishDirty(before, 9, 0);
  const writer = new PageWriterOut(b.store, b.epochs);
  let after = -1;
  const written = writer.write([{ page: 9, frame: before }], () => {
    // Its worker gives the page back and takes it again, in one group.
    a.frames.unlink(9);
    after = a.frames.take(0, FRAMES);
    a.frames.publishDirty(after, 9, 0);
    return true;
  });
  assertEquals(written, 0);
  assertEquals(file.size(), 0);
  assertEquals(a.frames.find(9), after);
  assertEquals(a.frames.kind(after), FRAME_DIRTY);
});

/** A frame with a fresh page of the first family, made for a version. */
function freshPage(memory: ThreadMemory, page: number, version: number): number {
  const frame = memory.frames.take(0, 3 * FRAMES);
  const { u32 } = memory.arena.chunk(frame);
  const at = memory.arena.base(frame) >> 2;
  u32[at + WORD_NUMBER] = page;
  u32[at + WORD_FAMILY] = 1;
  u32[at + WORD_BIRTH_LOW] = version;
  u32[at + WORD_BIRTH_HIGH] = 0;
  memory.frames.publishDirty(frame, page, 0);
  return frame;
}

test("pages: the keeper writes none of a version that is being made", async () => {
  const { all: [a, b], file } = await threads(2);
  a.slots.publish(0, { ...newFamilyState(), version: 5 });
  const [old, fresh] = [freshPage(b, 9, 5), freshPage(b, 10, 6)];
  const commit = new GroupCommit(a.control, a.thread);
  commit.begin(1 << 20, 1 << 20);
  const keeper = keeperOf(a, commit);
  keeper.writePages(keeper.begin());
  assertEquals([old, fresh].map((frame) => a.frames.kind(frame)), [FRAME_CLEAN, FRAME_DIRTY]);
  assertEquals(file.size(), 10 * PAGE_SIZE);
});

test("pages: a worker that needs frames writes none that another one is making", async () => {
  const { all: [a, b], file } = await threads(2);
  a.slots.publish(0, { ...newFamilyState(), version: 5 });
  const [old, fresh] = [freshPage(b, 9, 5), freshPage(b, 10, 6)];
  takeAll(b);
  const { control, slots, epochs, pins, store } = a;
  const allocator = new PageAllocator(PAGE_SIZE, () => 100);
  const family = { slot: 1, family: 2, name: "two" };
  const pager = new FamilyPager({ control, slots, epochs, pins, store, allocator, ...family });
  epochs.enter();
  pager.reserve(1);
  epochs.leave();
  assertEquals(a.frames.find(9), -1, "its frame is that of the other family");
  assertEquals(a.frames.kind(fresh), FRAME_DIRTY);
  assertNotEquals(old, fresh);
  assertEquals(file.size(), 10 * PAGE_SIZE);
});

/** Stations of retired pages, with a thread of its own that reclaims. */
class Reclaimer implements Reclaiming {
  readonly given: number[] = [];
  readonly retired = new RetiredPages();
  /** Runs after the first of the two looks. */
  between: (() => void) | undefined;
  constructor(readonly memory: ThreadMemory) {}

  #looked<T>(result: T): T {
    const { between } = this;
    this.between = undefined;
    between?.();
    return result;
  }

  horizon(): number {
    return this.#looked(this.memory.epochs.horizon());
  }

  pins(): number[] {
    return this.#looked(this.memory.pins.versionsOf(1));
  }

  unlink(page: number): void {
    this.memory.frames.unlink(page);
  }

  hold(page: number): void {
    this.memory.frames.evict(page);
  }

  tag(): number {
    return this.memory.epochs.tag();
  }

  giveBack(page: number): void {
    this.given.push(page);
  }

  /** A run of one page, retired by a version that is published now. */
  retire(page: number, birth: number, version: number): void {
    this.retired.add(page, 1, birth);
    this.retired.published(version, this.tag());
  }

  reclaim(times = 4): void {
    for (let i = 0; i < times; i++) this.retired.reclaim(this);
  }
}

test("pins: a page born at b and retired at r stays while a pin lies in [b, r)", async () => {
  for (const [pinned, stays] of [[2, false], [3, true], [4, true], [5, false], [6, false]]) {
    const { all: [a, b] } = await threads(2);
    b.epochs.enter();
    const pin = b.pins.take(1, pinned as number);
    b.epochs.leave();
    const reclaimer = new Reclaimer(a);
    reclaimer.retire(7, 3, 5);
    reclaimer.reclaim();
    assertEquals(reclaimer.given, stays ? [] : [7], `pin ${pinned}`);
    b.pins.release(pin);
    reclaimer.reclaim();
    assertEquals(reclaimer.given, [7]);
  }
});

test("slots: pins, watchers and threads are counted before they are taken, so that a dead thread's are found", async () => {
  const { all: [{ control, pins }] } = await threads(1);
  const { compareExchange } = Atomics;
  const tables = [
    { first: PINS, words: PIN_WORDS, used: PINS_USED },
    { first: WATCHERS, words: WATCHER_WORDS, used: WATCHERS_USED },
    { first: THREADS + 1, words: THREAD_WORDS, used: THREADS_USED },
  ];
  const taken = tables.map(() => 0);
  Atomics.compareExchange = ((words: Int32Array, index: number, from: number, to: number) => {
    tables.forEach(({ first, words: size, used }, i) => {
      const slot = (index - first) / size;
      if (!Number.isInteger(slot) || slot < 0 || slot > 100) return;
      taken[i]++;
      assertGreater(Atomics.load(words, used), slot);
    });
    return compareExchange(words, index, from, to);
  }) as typeof Atomics.compareExchange;
  try {
    pins.take(1, 4);
    pins.take(1, 5);
    addWatcher(control, 0, 1);
    joinThread(control, -1);
  } finally {
    Atomics.compareExchange = compareExchange;
  }
  assert(taken.every((count) => count > 0), `${taken}`);
});

test("pins: another family's do not count, and one that is shared holds to its last use", async () => {
  const { all: [a, b] } = await threads(2);
  b.epochs.enter();
  b.pins.take(2, 4);
  const pin = b.pins.take(1, 4);
  assertEquals(b.pins.take(1, 4), pin);
  b.epochs.leave();
  assertEquals(Pins.count(a.control), 2);
  const reclaimer = new Reclaimer(a);
  reclaimer.retire(7, 3, 5);
  b.pins.release(pin);
  reclaimer.reclaim();
  assertEquals(reclaimer.given, []);
  b.pins.release(pin);
  reclaimer.reclaim();
  assertEquals(reclaimer.given, [7]);
});

test("pins: the reclaimer looks at epochs first, so that no pin escapes it", async () => {
  const { all: [a, b] } = await threads(2);
  const reclaimer = new Reclaimer(a);
  b.epochs.enter(); // reads version 4, and has not pinned it yet
  reclaimer.retire(7, 3, 5);
  let pin: ReturnType<Pins["take"]> | undefined;
  reclaimer.between = () => {
    pin = b.pins.take(1, 4);
    b.epochs.leave();
  };
  reclaimer.reclaim();
  assert(pin !== undefined);
  assertEquals(reclaimer.given, []);
  b.pins.release(pin);
  reclaimer.reclaim();
  assertEquals(reclaimer.given, [7]);
});

test("pins: a page that a late reader brings back is unlinked again before its number is free", async () => {
  const { all: [a, b] } = await threads(2);
  const reclaimer = new Reclaimer(a);
  show(a, 7);
  reclaimer.retire(7, 3, 5);
  b.epochs.enter(); // holds a snapshot's reference to page 7, say
  reclaimer.reclaim(1);
  assertEquals(a.frames.find(7), -1);
  show(b, 7);
  reclaimer.reclaim();
  assertEquals(reclaimer.given, [], "the reader is still there");
  b.epochs.leave();
  reclaimer.reclaim();
  assertEquals(reclaimer.given, [7]);
  assertEquals(a.frames.find(7), -1);
});

test("pages: discarding a group leaves the image that a checkpoint took meanwhile alone", async () => {
  const family = await LocalFamily.create();
  const key = new Uint8Array([1]);
  family.write("t", (operations, table) => operations.set(table, key, new Uint8Array(10)));
  const overwrite = new Operations();
  const table = overwrite.open("t");
  // The first value's pages are free again within the group.
  overwrite.set(table, key, new Uint8Array(3000)).set(table, key, new Uint8Array(3001));
  const entry = family.checkpoint(() => family.apply(overwrite));
  family.engine.discard();
  const taken = new Set<number>();
  const words = new Uint32Array(4);
  for (let i = 0; i < 8; i++) {
    family.engine.pager.takeRun(1, 100, words);
    taken.add(words[0]);
  }
  assert(!taken.has(entry.image[0]), "the durable checkpoint needs that page");
});

/** A keeper whose durable directory stands in page 2. */
function keeperOf(memory: ThreadMemory, commit: GroupCommit): Keeper {
  return new Keeper(memory, commit, {
    uuid: new Uint8Array(16),
    pageSize: PAGE_SIZE,
    clean: false,
    generation: 1,
    salt: new Uint8Array(8),
    logPosition: 0,
    directoryPage: 2,
    directoryBytes: 0,
    directoryChecksum: new Uint8Array(8),
  });
}

test("checkpoint: the file is as long as its directory says, whoever takes an extent meanwhile", async () => {
  const { file, all: [a, b] } = await threads(2);
  a.slots.publish(0, { ...newFamilyState(), version: 1 });
  a.slots.writeDurable(0, { ...newFamilyEntry(), version: 1 });
  for (let id = 0; id < 3; id++) a.slots.nextId();
  // There is room for the directory.
  a.extents.load([
    { start: 2, pages: 4, free: true, owner: 0 },
    { start: 6, pages: 1, free: false, owner: 1 },
  ], 7);
  const commit = new GroupCommit(a.control, a.thread);
  commit.begin(1 << 20, 1 << 20);
  const keeper = keeperOf(a, commit);
  const checkpoint = keeper.begin();
  assert(keeper.isHandedOver(checkpoint));
  keeper.writePages(checkpoint);
  b.extents.take(500, 1); // and nothing is written there yet when the process is killed
  keeper.end(checkpoint, false);
  const directory = readDirectory(file, keeper.meta, a.checksum);
  assertEquals(directory.filePages, 507);
});

test("checkpoint: a deleted family's space is free behind the checkpoint, its pins, and every epoch", async () => {
  const { all: [a, b] } = await threads(2);
  a.slots.publish(0, { ...newFamilyState(), version: 1 });
  a.slots.writeDurable(0, { ...newFamilyEntry(), version: 1 });
  a.slots.publish(1, { ...newFamilyState(), version: 5 });
  a.slots.writeDurable(1, { ...newFamilyEntry(), version: 5 });
  a.extents.load([
    { start: 2, pages: 1, free: false, owner: DIRECTORY_OWNER },
    { start: 3, pages: 8, free: false, owner: 2 },
  ], 11);
  const isThere = (): boolean => a.extents.list().some(({ owner, free }) => !free && owner === 2);
  const commit = new GroupCommit(a.control, a.thread);
  commit.begin(1 << 20, 1 << 20);
  const keeper = keeperOf(a, commit);
  b.epochs.enter();
  const pin = b.pins.take(2, 5);
  b.epochs.leave();
  a.slots.setState(1, FAMILY_GHOST);
  const checkpoint = (meanwhile = () => {}): void => {
    const begun = keeper.begin();
    assert(keeper.isHandedOver(begun));
    keeper.buryGhosts();
    assert(isThere(), "the durable checkpoint has the family yet");
    meanwhile();
    keeper.end(begun, false);
    keeper.buryGhosts();
  };
  checkpoint();
  assert(isThere(), "a snapshot reads it");
  b.pins.release(pin);
  checkpoint(() => b.epochs.enter());
  assert(isThere(), "somebody may be in the middle of a read");
  b.epochs.leave();
  keeper.buryGhosts();
  assert(!isThere(), "nobody needs it");
  assertEquals(a.slots.state(1), FAMILY_FREE);
});

test("workers: nobody can want one any more when the last checkpoint begins", async () => {
  const { all: [a, b] } = await threads(2);
  setWorkerState(a.control, 0, WORKER_RUNNING);
  retireIdleWorkers(a.control);
  wantWorker(b.control, 1);
  assertEquals(workerState(a.control, 0), WORKER_RUNNING);
  assertEquals(workerState(a.control, 1), WORKER_DRAINED);
});

/** A header of a request of a thread. */
function header(memory: ThreadMemory, request: number): EntryHeader {
  const { thread, session } = memory;
  return {
    thread,
    session,
    request,
    kind: 1,
    flags: 0,
    slot: 0,
    family: 1,
    payloadBytes: 0,
    argument: 0,
  };
}

/** Takes an entry out of a ring: its request, or -1. */
function takeOut(ring: WriteRing): number {
  const at = ring.peek(ring.head);
  if (at < 0) return -1;
  const request = ring.words[(at >> 2) + ENTRY_REQUEST];
  ring.release(ring.next);
  return request;
}

/** Pushes an entry and dies in the middle of it. */
function reserveAndDie(memory: ThreadMemory, ring: WriteRing, request: number): void {
  Object.defineProperty(ring.u8, "set", {
    configurable: true,
    value: () => {
      throw new Error("dead");
    },
  });
  assertThrows(() => ring.push(header(memory, request), new Uint8Array(100)), Error, "dead");
  delete (ring.u8 as { set?: unknown }).set;
}

test("write ring: entries come out in order, over wraps and void fillers, and a full one refuses", async () => {
  const { all: [a, b] } = await threads(2);
  const random = new Random(20);
  const rings = [a.rings[0], b.rings[0]];
  const expected: { request: number; length: number }[] = [];
  let request = 0;
  let refused = 0;
  for (let step = 0; step < 20_000; step++) {
    if (random.chance(0.55)) {
      const length = random.int(rings[0].payloadBytesMax + 1);
      const payload = new Uint8Array(length).fill(request);
      const memory = random.chance(0.5) ? a : b;
      if (memory.rings[0].push(header(memory, request), payload)) {
        expected.push({ request: request++, length });
      } else {
        refused++;
        assert(rings[0].waitingBytes > rings[0].capacity / 4);
      }
      continue;
    }
    const ring = a.rings[0];
    const at = ring.peek(ring.head);
    const first = expected.shift();
    if (first === undefined) {
      assertEquals(at, -1);
      continue;
    }
    assertEquals(ring.words[(at >> 2) + ENTRY_REQUEST], first.request);
    const payload = ring.u8.subarray(at + 32, at + 32 + first.length);
    assert(payload.every((byte) => byte === (first.request & 255)));
    ring.release(ring.next);
  }
  assert(refused > 100 && request > 1000);
});

test("write ring: the consumer stops at a reserved entry, and a dead thread's becomes void", async () => {
  const { all: [a, b, c] } = await threads(3);
  assert(c.rings[0].push(header(c, 1), new Uint8Array(10)));
  reserveAndDie(b, b.rings[0], 2);
  assert(c.rings[0].push(header(c, 3), new Uint8Array(10)));
  assertEquals(takeOut(a.rings[0]), 1);
  assertEquals(takeOut(a.rings[0]), -1);
  assert(a.rings[0].releaseOf(b.thread, a.thread));
  assertEquals(takeOut(a.rings[0]), 3);
  assertEquals(takeOut(a.rings[0]), -1);
});

test("write ring: nobody waits forever for a thread that died while it held the lock", async () => {
  const { all: [a, b] } = await threads(2);
  new SpinLock(b.rings[0].words, RING_LOCK).acquire(b.thread);
  assertEquals(a.rings[0].push(header(a, 1), new Uint8Array(10)), false);
  assert(a.rings[0].releaseOf(b.thread, a.thread));
  assert(a.rings[0].push(header(a, 1), new Uint8Array(10)));
});

/** The host's side of the watch over threads, whose reports the test makes. */
function hostOf(
  memory: ThreadMemory,
  spawn: ConstructorParameters<typeof Host>[3] = () => {
    throw new Error("no worker is to be started");
  },
): { host: Host; gone: (liveness: number) => unknown } {
  let gone: ((slot: number) => unknown) | undefined;
  const watch: HostThreads = {
    token: { databaseId: "", words: new SharedArrayBuffer(4), slots: 1, reserved: 0 },
    onGone: (callback) => gone = callback,
    close: () => {},
  };
  const nothing = {} as ConstructorParameters<typeof Host>[2];
  const host = new Host(memory, watch, nothing, spawn);
  return { host, gone: (liveness) => gone!(liveness) };
}

test("locks: a thread that has got one asynchronously gives it back before anything else of it runs", async () => {
  const words = new Int32Array(new SharedArrayBuffer(4));
  const lock = new SpinLock(words, 0);
  const seen: number[] = [];
  const held = [7, 8, 9].map((thread) => {
    const done = lock.holding(thread, () => seen.push(words[0] - 1));
    // The next in this thread would spin for it, and what gives it back could not run.
    assertEquals(words[0], 0);
    return done;
  });
  assertEquals(seen, [7, 8, 9]);
  assertEquals(await Promise.all(held), [1, 2, 3]);

  const refusal = new Error("refused");
  const refused = lock.holding(1, () => {
    throw refusal;
  });
  assertEquals(words[0], 0);
  assertEquals(await refused.catch((error) => error), refusal);
});

test("threads: a worker is started that a dead one had asked for without a word to the host", async () => {
  const { all: [a] } = await threads(2);
  const started: string[] = [];
  const { host, gone } = hostOf(a, (_entry, data) => {
    const { role, worker } = data as WorkerData;
    started.push(`${role} ${worker}`);
    return { onError() {}, onExit() {}, unref() {}, terminate: () => Promise.resolve() };
  });
  await new Promise((resolve) => setTimeout(resolve, 5)); // now the host sleeps
  setWorkerState(a.control, 1, WORKER_WANTED);
  gone(1);
  for (let i = 0; i < 1000 && started.length < 2; i++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals(started, ["keeper -1", "writer 1"]);
  await host.stop(0);
});

test("threads: all that a dead one held is released, by name, and nothing of the living", async () => {
  const { all: [a, dead, living] } = await threads(3);
  const { host, gone } = hostOf(a);
  const { control } = a;
  for (const memory of [dead, living]) {
    memory.epochs.enter();
    memory.pins.take(1, memory === dead ? 4 : 5);
    assert(memory.frames.take(0, FRAMES) >= 0);
  }
  reserveAndDie(dead, dead.rings[0], 1);
  assert(living.rings[0].push(header(living, 2), new Uint8Array(10)));
  new SpinLock(dead.rings[1].words, RING_LOCK).acquire(dead.thread);
  new SpinLock(control.words, LOG_LOCK).acquire(dead.thread);
  new SpinLock(control.words, PUBLISH_LOCK).acquire(living.thread);
  const tag = a.epochs.tag();

  assertEquals(gone(1), true);

  assertEquals(Atomics.load(control.words, THREADS + dead.thread * THREAD_WORDS), 0);
  assert(!Epochs.passed(tag, a.epochs.horizon()), "the living one is still in its epoch");
  living.epochs.leave();
  assert(Epochs.passed(tag, a.epochs.horizon()));
  assertEquals(a.pins.versionsOf(1), [5]);
  assertEquals(a.frames.census().owned, 1);
  assertEquals(takeOut(a.rings[0]), 2);
  assert(a.rings[1].push(header(a, 3), new Uint8Array(10)));
  assertEquals(Atomics.load(control.words, LOG_LOCK), 0);
  assertEquals(Atomics.load(control.words, PUBLISH_LOCK), living.thread + 1);
  assert(!isAlive(control, dead.thread, dead.session));
  assert(isAlive(control, living.thread, living.session));

  const next = new ThreadMemory(a.shared, a.file, a.checksum, 9);
  assertEquals(next.thread, dead.thread, "its slot is free");
  assertNotEquals(next.session, dead.session);
  assert(!isAlive(control, dead.thread, dead.session));
  await host.stop(0);
});

test("threads: of two that died at once, holding each other up, both are released", async () => {
  const { all: [a, first, second] } = await threads(3);
  const { host, gone } = hostOf(a);
  for (const memory of [first, second]) {
    memory.epochs.enter();
    memory.pins.take(1, 4);
    memory.epochs.leave();
  }
  new SpinLock(second.rings[0].words, RING_LOCK).acquire(second.thread);
  assertEquals(gone(1), false, "to be reported again");
  assertEquals(gone(2), true);
  assertEquals(gone(1), true);
  assertEquals(Pins.count(a.control), 0);
  assertEquals(a.frames.census().owned, 0);
  await host.stop(0);
});

test("threads: a family that a dead one was about to make is made after all", async () => {
  const { all: [a] } = await threads(2);
  const { host, gone } = hostOf(a);
  const slot = a.slots.take(7, "half", 1, FAMILY_CREATING);
  // The worker runs already, so that none is started.
  setWorkerState(a.control, 1, WORKER_RUNNING);
  assertEquals(gone(1), true);
  const ring = a.rings[1];
  const at = ring.peek(ring.head);
  assert(at >= 0, "the worker is asked");
  assertEquals(new TextDecoder().decode(ring.u8.slice(at + 32, at + 36)), "half");
  assertEquals(a.slots.state(slot), FAMILY_CREATING);
  assertEquals(workerState(a.control, 0), WORKER_IDLE);
  await host.stop(0);
});

test("completions: those for an earlier owner of a thread's slot are dropped", async () => {
  const { all: [a, b] } = await threads(2);
  setWorkerState(a.control, 0, WORKER_RUNNING);
  const request = {
    slot: 0,
    family: 1,
    kind: 3,
    flags: 0,
    argument: 0,
    payload: new Uint8Array(0),
    describe: () => "a test",
  };
  const ring = a.rings[0];
  new Client(b, "p").submit(request).catch(() => {});
  const stale = takeOut(ring) >>> 0;
  b.leave();
  const next = new ThreadMemory(a.shared, a.file, a.checksum, 2);
  assertEquals(next.thread, b.thread);
  const answer = new Client(next, "p").submit(request);
  const current = takeOut(ring) >>> 0;
  assertNotEquals(current, stale);
  a.completions.begin(next.thread, a.thread);
  a.completions.put(next.thread, stale, 0, 0, 11);
  a.completions.put(next.thread, current, 0, 0, 22);
  a.completions.end(next.thread);
  assertEquals(await answer, 22);
});

test("published state: a reader never mixes two, however many are published while it reads", async () => {
  const { all: [a, b] } = await threads(2);
  for (let during = 0; during <= 40; during++) {
    const state = newFamilyState();
    const publish = (version: number) => {
      a.slots.publish(0, {
        version,
        root: new Uint32Array(4).fill(version),
        height: version,
        tables: version,
        nextTableId: version,
      });
    };
    publish(100);
    let version = 0;
    let first = true;
    const read: FamilyState = Object.defineProperty({ ...state }, "version", {
      get: () => version,
      set(value: number) {
        version = value;
        if (!first) return;
        first = false;
        for (let i = 1; i <= during; i++) publish(100 + i);
      },
    });
    b.slots.read(0, read);
    const { root, height, tables, nextTableId } = read;
    assertEquals([...root, height, tables, nextTableId], new Array(7).fill(version));
    assert(version === 100 || version === 100 + during);
  }
});

/** The log as two workers see it. */
async function logs(
  capacity = 1 << 20,
): Promise<{ a: GroupCommit; b: GroupCommit; file: LogFile }> {
  const { all: [first, second] } = await threads(2);
  const a = new GroupCommit(first.control, first.thread);
  const b = new GroupCommit(second.control, second.thread);
  for (const worker of [0, 1]) setWorkerState(first.control, worker, WORKER_RUNNING);
  a.begin(capacity, capacity);
  return { a, b, file: new LogFile(first) };
}

/** A log whose syncs are counted, and may fail. */
class LogFile extends MemoryFile {
  syncs = 0;
  during: () => void = () => {};
  constructor(readonly memory: ThreadMemory) {
    super();
  }
  override sync(): void {
    this.syncs++;
    this.during();
  }
}

test("group commit: the durable position never moves over a place that is not written", async () => {
  const { a, b, file } = await logs();
  assertEquals(a.reserve(0, 100), 0);
  assertEquals(b.reserve(1, 100), 128);
  b.written(1);
  assertEquals(b.isWritten(256), false, "an eventual commit would be lost behind the gap");
  assertEquals(b.tryLead(256), "wait");
  // Also when the worker has ended in the middle of writing.
  setWorkerState(file.memory.control, 0, WORKER_ENDED);
  assertEquals(b.tryLead(256), "wait");
  setWorkerState(file.memory.control, 0, WORKER_RUNNING);
  const seen = b.durableWord;
  a.written(0);
  assertNotEquals(b.durableWord, seen, "those who wait for the gap are woken");
  assert(b.isWritten(256));
  assertEquals(b.tryLead(256), "lead");
  b.lead(file);
  assertEquals([a.durable, file.syncs], [256, 1]);
  assertEquals(a.tryLead(128), "durable");
});

test("group commit: positions go on beyond 2^32", async () => {
  const { a, b, file } = await logs();
  const from = 2 ** 32 - 128;
  const tail = LOG_POSITIONS / 2;
  // Tail, durable position and head.
  file.memory.control.f64.fill(from, tail, tail + 3);
  assertEquals([a.tail, a.durable, a.usedBytes], [from, from, 0]);
  assertEquals([a.reserve(0, 128), b.reserve(1, 100), a.tail], [from, from + 128, from + 256]);
  assertEquals(a.recoverFrom(), from);
  b.written(1);
  assertEquals([b.isWritten(from + 256), b.tryLead(from + 256)], [false, "wait"]);
  a.written(0);
  assertEquals(a.tryLead(from + 256), "lead");
  a.lead(file);
  assertEquals([b.durable, b.tryLead(from + 256)], [from + 256, "durable"]);
  a.published(0);
  assertEquals(a.recoverFrom(), from + 128);
  b.published(1);
  assertEquals(b.cancel(1, from + 128, 100), true);
  assertEquals(b.reserve(1, 2 ** 20 - 128), from + 128, "to the last byte of the ring");
  assertEquals(a.reserve(0, 64), LOG_IS_FULL);
  a.freeUpTo(from + 128);
  assertEquals([a.usedBytes, a.reserve(0, 64)], [2 ** 20 - 128, from + 2 ** 20]);
});

test("checkpoints: who reads the generation sees the old or the new one, at every step", async () => {
  const { all: [{ control }] } = await threads(1);
  const { store } = Atomics;
  for (const generation of [2 ** 32 - 1, 2 ** 32, 2 ** 33 - 1, 2 ** 33, 2 ** 52]) {
    const before = durableGeneration(control);
    const seen = new Set([before]);
    Atomics.store = ((...args: Parameters<typeof store>) => {
      const stored = store(...args);
      seen.add(durableGeneration(control));
      return stored;
    }) as typeof store;
    try {
      setDurableGeneration(control, generation);
    } finally {
      Atomics.store = store;
    }
    assertEquals([...seen], [before, generation]);
  }
});

test("group commit: a leader that steps down with some left wakes them, and one of them leads", async () => {
  const { a, b, file } = await logs();
  a.reserve(0, 100);
  a.written(0);
  let seen = -1;
  file.during = () => {
    // While the sync runs: too late for it.
    b.reserve(1, 100);
    b.written(1);
    seen = b.durableWord;
    assertEquals(b.tryLead(256), "wait");
  };
  assertEquals(a.tryLead(128), "lead");
  a.lead(file);
  assertEquals(a.durable, 128);
  assertNotEquals(b.durableWord, seen);
  file.during = () => {};
  assertEquals(b.tryLead(256), "lead");
  b.lead(file);
  assertEquals([b.durable, file.syncs], [256, 2]);
});

test("group commit: after a failed sync nobody syncs again", async () => {
  const { a, b, file } = await logs();
  for (const [commit, worker] of [[a, 0], [b, 1]] as const) {
    commit.reserve(worker, 100);
    commit.written(worker);
  }
  file.during = () => {
    throw new Error("the disk is gone");
  };
  assertEquals(a.tryLead(128), "lead");
  assertThrows(() => a.lead(file), Error, "could not be synced");
  file.during = () => {};
  assertEquals(b.tryLead(256), "wait");
  assertEquals([b.durable, file.syncs], [0, 1]);
});

/**
 * A checkpoint waits until the log is durable up to its end of that moment. When the last record could
 * not be written, and its place was taken back, nothing stood there any more, and a checkpoint on request, or that of
 * the close, waited for ever.
 */
test("group commit: nobody waits for a place that was taken back", async () => {
  const { a, b, file } = await logs();
  a.reserve(0, 100);
  a.written(0);
  assertEquals(b.reserve(1, 100), 128);
  const end = a.tail;
  assert(b.cancel(1, 128, 100));
  assertEquals(a.tryLead(end), "lead");
  a.lead(file);
  assertEquals(a.tryLead(end), "durable");
});

test("group commit: no place is given that recovery may need", async () => {
  const capacity = 8192;
  const { a, b } = await logs(capacity);
  const random = new Random(21);
  let head = 0;
  let full = 0;
  for (let step = 0; step < 2000; step++) {
    const worker = random.int(2);
    const commit = worker === 0 ? a : b;
    const bytes = 64 + random.int(2000);
    const position = commit.reserve(worker, bytes);
    if (position === LOG_IS_FULL) {
      full++;
      head += random.int(a.tail - head + 1);
      a.freeUpTo(head);
      continue;
    }
    assert(position >= head && position + bytes <= head + capacity, `${position} with ${head}`);
    commit.written(worker);
    commit.published(worker);
  }
  assert(full > 100);
});

test("group commit: what is not published keeps its place in the log", async () => {
  const { a, b, file } = await logs();
  a.reserve(0, 100);
  a.written(0);
  b.reserve(1, 100);
  b.written(1);
  a.tryLead(256);
  a.lead(file);
  a.published(0);
  assertEquals(a.recoverFrom(), 128);
  b.published(1);
  assertEquals(a.recoverFrom(), 256);
  assertEquals(Atomics.load(file.memory.control.words, LOG_DURABLE) > 0, true);
});
