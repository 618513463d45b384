/**
 * Small shared memory for the cases, and what each of their threads makes of it. Turned, as the cases are.
 *
 * @module
 */

import { FamilyPager } from "../../../lib/engine/family_pager.ts";
import {
  allocateSharedMemory,
  type SharedMemory,
  type ThreadMemory,
} from "../../../lib/engine/thread_memory.ts";
import { Arena } from "../../../lib/memory/arena.ts";
import { Completions } from "../../../lib/memory/completions.ts";
import { Control } from "../../../lib/memory/control.ts";
import { Epochs } from "../../../lib/memory/epochs.ts";
import { FAMILY_LIVE, FamilySlots } from "../../../lib/memory/family_slots.ts";
import { Frames } from "../../../lib/memory/frames.ts";
import { Pins } from "../../../lib/memory/pins.ts";
import { JointWords } from "../../../lib/memory/joint_words.ts";
import { joinThread, sessionOf } from "../../../lib/memory/threads.ts";
import { WriteRing } from "../../../lib/memory/write_ring.ts";
import type { Checksum } from "../../../lib/storage/checksum.ts";
import { Extents } from "../../../lib/storage/extents.ts";
import { MemoryFile } from "../../../lib/storage/memory_file.ts";
import { PageAllocator } from "../../../lib/storage/page_allocator.ts";
import { PageStore } from "../../../lib/storage/page_store.ts";

export const PAGE_SIZE = 4096;
/** Pages of the file. */
export const PAGES = 64;
/** Where a family's only segment begins. */
const FIRST_PAGE = 2;
/** Where a page says whose it is: the hint of its first slot. */
export const MARK = 12;
export const FAMILY = 7;
export const SLOT = 0;

export interface World {
  readonly memory: SharedMemory;
  readonly file: SharedArrayBuffer;
}

/** Memory that `threads` threads have joined, with families named a, b, … in slots from 0 on, dealt out to the workers. */
export function makeWorld(
  threads: number,
  sizes: { frames: number; ringBytes?: number; families?: number; workers?: number },
): World {
  const memory = allocateSharedMemory({
    pageSize: PAGE_SIZE,
    cacheBytes: sizes.frames * PAGE_SIZE,
    pagesMax: PAGES,
    workers: sizes.workers ?? 1,
    ringBytes: sizes.ringBytes ?? 256,
  });
  const control = new Control(memory.control);
  for (let i = 0; i < threads; i++) joinThread(control, i);
  const slots = new FamilySlots(control, memory.families);
  for (let i = 0; i < (sizes.families ?? 1); i++) {
    const worker = i % (sizes.workers ?? 1);
    slots.take(FAMILY + i, String.fromCharCode(97 + i), worker, FAMILY_LIVE);
  }
  return { memory, file: new SharedArrayBuffer(PAGES * PAGE_SIZE) };
}

/** A thread's view of the frames never changes: made once, for all runs. */
const arenas = new WeakMap<World, Arena>();

function arenaOf(world: World): Arena {
  let arena = arenas.get(world);
  if (arena === undefined) {
    arena = new Arena(PAGE_SIZE, world.memory.arena);
    arenas.set(world, arena);
  }
  return arena;
}

/** What a thread that has joined works with: as {@linkcode ThreadMemory}, without joining again. */
export function member(world: World, thread: number, checksum: Checksum): ThreadMemory {
  const { memory: shared } = world;
  const control = new Control(shared.control);
  const slots = new FamilySlots(control, shared.families);
  const epochs = new Epochs(control, thread);
  const frames = new Frames(control, shared.frames, slots, epochs, thread);
  const arena = arenaOf(world);
  const file = new MemoryFile([world.file]);
  return {
    shared,
    control,
    slots,
    epochs,
    frames,
    arena,
    file,
    checksum,
    thread,
    session: sessionOf(control, thread),
    pins: new Pins(control, thread),
    store: new PageStore({ arena, frames, file, checksum, thread }),
    extents: new Extents(control, shared.extents, thread, PAGES),
    completions: new Completions(shared.completions),
    rings: shared.rings.map((ring) => new WriteRing(ring)),
    joint: new JointWords(control, shared.exchanges),
    leave: () => {},
  };
}

/** The pager of the first family, for its worker, of whose pages the first `used` are in use. */
export function pagerOf(memory: ThreadMemory, used: number): FamilyPager {
  let taken = false;
  const allocator = new PageAllocator(PAGE_SIZE, () => {
    if (taken) throw new Error("the case needs more pages than its segment has");
    taken = true;
    return FIRST_PAGE;
  });
  for (let i = 0; i < used; i++) allocator.takeOne();
  const { control, slots, epochs, pins, store } = memory;
  return new FamilyPager({
    control,
    slots,
    epochs,
    pins,
    store,
    allocator,
    slot: SLOT,
    family: FAMILY,
    name: "a",
  });
}

export function markOf(memory: ThreadMemory, frame: number): number {
  return memory.arena.chunk(frame).u32[(memory.arena.base(frame) >> 2) + MARK];
}

export function setMark(memory: ThreadMemory, frame: number, mark: number): void {
  memory.arena.chunk(frame).u32[(memory.arena.base(frame) >> 2) + MARK] = mark;
}

/** The first words of the frames, and which are hot. */
export function plainFrames({ memory }: World): Int32Array[] {
  const frames = memory.frames.states.byteLength / 4;
  const [{ buffer }] = memory.arena;
  const plain: Int32Array[] = [new Int32Array(memory.frames.hot)];
  for (let i = 0; i < frames; i++) plain.push(new Int32Array(buffer, i * PAGE_SIZE, MARK + 1));
  return plain;
}
