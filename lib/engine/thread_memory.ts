/**
 * The shared memory of an open database, and one thread's view of it: what every thread that reads,
 * asks, writes or keeps works with.
 *
 * @module
 */

import { Arena } from "../memory/arena.ts";
import { Completions } from "../memory/completions.ts";
import {
  allocateControl,
  Control,
  FRAMES_LIMIT,
  GLOBAL_EPOCH,
  THREADS_MAX,
} from "../memory/control.ts";
import { Epochs } from "../memory/epochs.ts";
import { FamilySlots } from "../memory/family_slots.ts";
import { type FrameBuffers, Frames, PRIVATE_FRAMES } from "../memory/frames.ts";
import { JointWords } from "../memory/joint_words.ts";
import { Pins } from "../memory/pins.ts";
import { joinThread, leaveThread, sessionOf } from "../memory/threads.ts";
import { WriteRing } from "../memory/write_ring.ts";
import type { Checksum } from "../storage/checksum.ts";
import { Extents } from "../storage/extents.ts";
import type { File } from "../storage/file.ts";
import { PageStore } from "../storage/page_store.ts";

/** All shared memory of a database: structured-clonable, the heart of a handle. */
export interface SharedMemory {
  readonly pageSize: number;
  readonly control: SharedArrayBuffer;
  readonly families: SharedArrayBuffer;
  readonly extents: SharedArrayBuffer;
  readonly completions: SharedArrayBuffer;
  readonly rings: readonly SharedArrayBuffer[];
  readonly exchanges: SharedArrayBuffer;
  readonly frames: FrameBuffers;
  readonly arena: readonly WebAssembly.Memory[];
}

export interface SharedMemorySizes {
  readonly pageSize: number;
  readonly cacheBytes: number;
  /** What the cache may grow to while it is open. Default: `cacheBytes`. */
  readonly cacheBytesMax?: number;
  /** Pages that the file can grow to. */
  readonly pagesMax: number;
  /** Writing workers, and bytes of the write queue of each. */
  readonly workers: number;
  readonly ringBytes: number;
}

/** Reserves all shared memory. The system commits what is touched. */
export function allocateSharedMemory(sizes: SharedMemorySizes): SharedMemory {
  const { pageSize } = sizes;
  const frames = Math.floor((sizes.cacheBytesMax ?? sizes.cacheBytes) / pageSize);
  const memory: SharedMemory = {
    pageSize,
    control: allocateControl(),
    families: FamilySlots.allocate(),
    extents: Extents.allocate(),
    completions: Completions.allocate(),
    rings: Array.from({ length: sizes.workers }, () => WriteRing.allocate(sizes.ringBytes)),
    exchanges: JointWords.allocate(sizes.workers),
    frames: Frames.allocate(frames, sizes.pagesMax),
    arena: Arena.allocate(pageSize, frames + THREADS_MAX * PRIVATE_FRAMES),
  };
  const words = new Int32Array(memory.control);
  Atomics.store(words, GLOBAL_EPOCH, 1);
  Atomics.store(words, FRAMES_LIMIT, Math.floor(sizes.cacheBytes / pageSize));
  return memory;
}

export class ThreadMemory {
  readonly shared: SharedMemory;
  readonly control: Control;
  readonly slots: FamilySlots;
  readonly epochs: Epochs;
  readonly pins: Pins;
  readonly frames: Frames;
  readonly arena: Arena;
  readonly store: PageStore;
  readonly extents: Extents;
  readonly completions: Completions;
  readonly rings: readonly WriteRing[];
  readonly joint: JointWords;
  readonly checksum: Checksum;
  readonly file: File;
  /** The calling thread's slot and session (lib/memory/threads.ts). */
  readonly thread: number;
  readonly session: number;

  /** Joins the calling thread. `file` is the thread's own handle of the data file;
   * `liveness` what the runtime's watch over threads calls the thread, -1 for none. */
  constructor(shared: SharedMemory, file: File, checksum: Checksum, liveness = -1) {
    this.shared = shared;
    this.control = new Control(shared.control);
    this.thread = joinThread(this.control, liveness);
    this.session = sessionOf(this.control, this.thread);
    this.slots = new FamilySlots(this.control, shared.families);
    this.epochs = new Epochs(this.control, this.thread);
    this.pins = new Pins(this.control, this.thread);
    this.frames = new Frames(this.control, shared.frames, this.slots, this.epochs, this.thread);
    this.arena = new Arena(shared.pageSize, shared.arena);
    this.file = file;
    this.checksum = checksum;
    this.store = new PageStore({
      arena: this.arena,
      frames: this.frames,
      file,
      checksum,
      thread: this.thread,
    });
    this.extents = new Extents(
      this.control,
      shared.extents,
      this.thread,
      this.frames.table.length,
    );
    this.completions = new Completions(shared.completions);
    this.rings = shared.rings.map((ring) => new WriteRing(ring));
    this.joint = new JointWords(this.control, shared.exchanges);
  }

  /** The thread is done; it must hold no pin and be in no epoch. */
  leave(): void {
    leaveThread(this.control, this.thread);
  }
}
