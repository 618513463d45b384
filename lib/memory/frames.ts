/**
 * What every frame of the arena holds, and which frame holds a page: the page table.
 *
 * A frame's state is one word: kind in the low 3 bits; for *limbo* the epoch of its unlinking above,
 * for *owned* the thread.
 *
 * | kind | meaning | leaves to |
 * |---|---|---|
 * | free | never used | owned, by compare-and-swap |
 * | owned | one thread fills or empties it | clean or dirty (filled), limbo (emptied), free (never shown) |
 * | clean | holds a page as it is in the file | owned (evicted), limbo (page reclaimed), dirty (changed by its worker) |
 * | dirty | holds a page that the file lacks | clean (written), limbo (page reclaimed or discarded) |
 * | limbo | unlinked; someone may still read it | owned, once its epoch has passed |
 *
 * Invariants: a frame that was visible is filled anew only after limbo; a page is in the table
 * before its frame becomes clean or dirty; the table's entry is cleared before the frame goes to
 * limbo. Taking a frame and evicting one are lock-free: a clock hand passes over the frames, gives
 * those used since its last visit another round and those of families below their sure share peace.
 *
 * @module
 */

import { CLOCK_HAND, type Control, EVICTIONS, FRAMES_LIMIT, FRAMES_TOUCHED } from "./control.ts";
import type { Epochs } from "./epochs.ts";
import type { FamilySlots } from "./family_slots.ts";

export const FRAME_FREE = 0;
export const FRAME_OWNED = 1;
export const FRAME_CLEAN = 2;
export const FRAME_DIRTY = 3;
export const FRAME_LIMBO = 4;

const KIND_MASK = 7;
const KIND_BITS = 3;

/** Frames that a thread has for pages it reads while no shared frame can be had. */
export const PRIVATE_FRAMES = 16;

/** Frames in limbo that a thread remembers as its own. */
const OWN_LIMBO_MAX = 32768;

/** Frames that a family keeps whatever others need, as long as there are enough for all. */
const SHARE_MIN = 8;
/** Frames that were never used and have memory all the same, at the most. */
const TOUCHED_AHEAD = 512;
/** A cache has at least so many, however small it is to be: a change to a high tree needs 30 at once. */
export const FRAMES_MIN = 64;

export interface FrameBuffers {
  readonly states: SharedArrayBuffer;
  readonly pages: SharedArrayBuffer;
  readonly families: SharedArrayBuffer;
  readonly hot: SharedArrayBuffer;
  readonly table: SharedArrayBuffer;
}

export class Frames {
  /** Memory for `frames` shared frames and a table of `pages` pages. */
  static allocate(frames: number, pages: number): FrameBuffers {
    return {
      states: new SharedArrayBuffer(frames * 4),
      pages: new SharedArrayBuffer(frames * 4),
      families: new SharedArrayBuffer(frames * 4),
      hot: new SharedArrayBuffer(frames),
      table: new SharedArrayBuffer(pages * 4),
    };
  }

  /** Frames that there is memory for. */
  readonly count: number;
  /** Frame of a page plus one, 0 for none; by page number. Read with `Atomics.load`. */
  readonly table: Int32Array;
  /** 1 when the frame was used since the clock hand's last visit; a plain hint. */
  readonly hot: Uint8Array;
  readonly #states: Int32Array;
  readonly #pages: Int32Array;
  readonly #families: Int32Array;
  readonly #control: Control;
  readonly #slots: FamilySlots;
  readonly #epochs: Epochs;
  readonly #thread: number;
  /**
   * Frames that this thread sent to limbo, oldest first: the first to be had again. Not more than
   * {@linkcode OWN_LIMBO_MAX}, because a thread that takes none would keep them for ever; the clock hand
   * finds the others.
   */
  #limbo: number[] = [];
  #limboHead = 0;

  constructor(
    control: Control,
    buffers: FrameBuffers,
    slots: FamilySlots,
    epochs: Epochs,
    thread: number,
  ) {
    this.#control = control;
    this.#states = new Int32Array(buffers.states);
    this.#pages = new Int32Array(buffers.pages);
    this.#families = new Int32Array(buffers.families);
    this.hot = new Uint8Array(buffers.hot);
    this.table = new Int32Array(buffers.table);
    this.count = this.#states.length;
    this.#slots = slots;
    this.#epochs = epochs;
    this.#thread = thread;
  }

  /** Frames that may be used: the first so many. */
  get limit(): number {
    return Atomics.load(this.#control.words, FRAMES_LIMIT);
  }

  /** Uses more frames from now on, or fewer: then the others are emptied, dirty ones once they are written. */
  resize(frames: number): void {
    Atomics.store(this.#control.words, FRAMES_LIMIT, frames);
    this.#epochs.enter();
    try {
      for (let frame = frames; frame < this.count; frame++) this.#evictIfClean(frame);
    } finally {
      this.#epochs.leave();
    }
  }

  #evictIfClean(frame: number): void {
    if (this.kind(frame) === FRAME_CLEAN && this.#own(frame, FRAME_CLEAN)) this.#toLimbo(frame);
  }

  kind(frame: number): number {
    return Atomics.load(this.#states, frame) & KIND_MASK;
  }

  /** The page that a clean or dirty frame holds. */
  pageOf(frame: number): number {
    return Atomics.load(this.#pages, frame) >>> 0;
  }

  /** The family (slot) that a clean or dirty frame belongs to. */
  familyOf(frame: number): number {
    return Atomics.load(this.#families, frame);
  }

  /** The frame that holds a page, or -1. */
  find(page: number): number {
    return page < this.table.length ? Atomics.load(this.table, page) - 1 : -1;
  }

  /**
   * Takes a frame, evicting a clean one if it comes to that; -1 if none was found among the next
   * `visitsMax` frames under the clock hand. The frame is owned by the calling thread. `horizon` is that
   * of the epochs, now or some time ago. In an emergency no family is sure of its share.
   */
  take(
    family: number,
    visitsMax: number,
    horizon: number = this.#epochs.horizon(),
    emergency: boolean = false,
  ): number {
    const states = this.#states;
    const own = this.takeUnlinked(horizon);
    if (own >= 0) return own;
    const share = emergency ? 0 : this.#sureShare();
    for (let visit = 0; visit < visitsMax; visit++) {
      const frame = (Atomics.add(this.#control.words, CLOCK_HAND, 1) >>> 0) % this.limit;
      const state = Atomics.load(states, frame);
      switch (state & KIND_MASK) {
        case FRAME_FREE:
          if (this.#own(frame, state)) return frame;
          break;
        case FRAME_LIMBO:
          if (limboPassed(state, horizon) && this.#own(frame, state)) return frame;
          break;
        case FRAME_CLEAN: {
          if (this.hot[frame] !== 0) {
            this.hot[frame] = 0;
            break;
          }
          const owner = Atomics.load(this.#families, frame);
          if (owner !== family && this.#slots.frames(owner) <= share) break;
          if (this.#own(frame, state)) {
            this.#toLimbo(frame);
            Atomics.add(this.#control.i64, EVICTIONS, 1n);
          }
        }
      }
    }
    return -1;
  }

  /**
   * A frame that was never used, among the next few under the clock hand, which nobody was told of before; -1 if there is none.
   */
  nextUntouched(): number {
    const { words } = this.#control;
    const hand = Atomics.load(words, CLOCK_HAND) >>> 0;
    const touched = Atomics.load(words, FRAMES_TOUCHED);
    const next = Math.max(touched, hand);
    if (next >= Math.min(this.limit, hand + TOUCHED_AHEAD)) return -1;
    return Atomics.compareExchange(words, FRAMES_TOUCHED, touched, next + 1) === touched
      ? next
      : -1;
  }

  /** Returns an owned frame that nobody else has seen. */
  giveBack(frame: number): void {
    Atomics.store(this.#states, frame, FRAME_FREE);
  }

  /**
   * Shows an owned frame that was read from the file. Returns the frame that holds the page now: this one,
   * or another thread's that came first (then this one is given back).
   */
  publishClean(frame: number, page: number, family: number, hot: boolean): number {
    Atomics.store(this.#pages, frame, page | 0);
    Atomics.store(this.#families, frame, family);
    const first = Atomics.compareExchange(this.table, page, 0, frame + 1);
    if (first !== 0) {
      this.giveBack(frame);
      return first - 1;
    }
    this.hot[frame] = hot ? 1 : 0;
    this.#slots.addFrames(family, 1);
    Atomics.store(this.#states, frame, FRAME_CLEAN);
    // Unlinked in between, when it was not to be had yet: then it is of no use to anyone.
    if (Atomics.load(this.table, page) !== frame + 1 && this.#own(frame, FRAME_CLEAN)) {
      this.#toLimbo(frame);
    }
    return frame;
  }

  /** Shows an owned frame with a fresh page; only the page's worker. */
  publishDirty(frame: number, page: number, family: number): void {
    Atomics.store(this.#pages, frame, page | 0);
    Atomics.store(this.#families, frame, family);
    this.hot[frame] = 1;
    this.#slots.addFrames(family, 1);
    Atomics.store(this.table, page, frame + 1);
    Atomics.store(this.#states, frame, FRAME_DIRTY);
  }

  /** A dirty frame's page is in the file now. */
  markClean(frame: number): void {
    Atomics.compareExchange(this.#states, frame, FRAME_DIRTY, FRAME_CLEAN);
    if (frame >= this.limit) this.#evictIfClean(frame);
  }

  /** Makes a clean frame dirty before its worker changes the page again; false if it was evicted. */
  markDirty(frame: number): boolean {
    const states = this.#states;
    return Atomics.load(states, frame) === FRAME_DIRTY ||
      Atomics.compareExchange(states, frame, FRAME_CLEAN, FRAME_DIRTY) === FRAME_CLEAN;
  }

  /**
   * Unlinks a page that nobody will look up any more; its frame goes to limbo. Returns the frame, or
   * -1 if the page had none. Only the page's worker.
   */
  unlink(page: number): number {
    if (Atomics.load(this.table, page) === 0) return -1;
    const frame = Atomics.exchange(this.table, page, 0) - 1;
    if (frame < 0) return -1;
    for (;;) {
      const state = Atomics.load(this.#states, frame);
      const kind = state & KIND_MASK;
      // Being filled or evicted by another thread: it finds the table changed and does the rest.
      if (kind !== FRAME_CLEAN && kind !== FRAME_DIRTY) return -1;
      if (Atomics.load(this.#pages, frame) !== (page | 0)) return -1;
      if (this.#own(frame, state)) break;
    }
    this.#toLimbo(frame);
    return frame;
  }

  /** Empties the frame of a page that is in the file; the next to look it up reads it again. */
  evict(page: number): void {
    const frame = this.find(page);
    if (frame >= 0 && this.pageOf(frame) === page) this.#evictIfClean(frame);
  }

  /**
   * Sends a frame to limbo if it holds a page of `family`, and no other frame, even if that page has
   * gone elsewhere. Inside an epoch, which keeps the frame from being filled with something else.
   */
  unlinkFrame(frame: number, family: number): void {
    for (;;) {
      const state = Atomics.load(this.#states, frame);
      const kind = state & KIND_MASK;
      if (kind !== FRAME_CLEAN && kind !== FRAME_DIRTY) return;
      if (Atomics.load(this.#families, frame) !== family) return;
      if (this.#own(frame, state)) break;
    }
    this.#toLimbo(frame);
  }

  /** Releases what a thread, known to be dead, owned. */
  releaseOf(thread: number): void {
    const owned = FRAME_OWNED | (thread << KIND_BITS);
    for (let frame = 0; frame < this.count; frame++) {
      if (Atomics.load(this.#states, frame) !== owned) continue;
      const page = this.pageOf(frame);
      if (page < this.table.length) Atomics.compareExchange(this.table, page, frame + 1, 0);
      Atomics.store(this.#states, frame, FRAME_LIMBO | (this.#epochs.tag() << KIND_BITS));
    }
  }

  /** Frames that were evicted since the database was opened, by all threads. */
  get evictions(): number {
    return Number(Atomics.load(this.#control.i64, EVICTIONS));
  }

  /** How many frames are of each kind, but for empty ones beyond the limit (for statistics and tests). */
  census(): { free: number; owned: number; clean: number; dirty: number; limbo: number } {
    const counts = [0, 0, 0, 0, 0];
    const { limit } = this;
    const states = this.#states;
    for (let frame = 0; frame < states.length; frame++) {
      // A plain read, ten times as fast: what is counted changes meanwhile anyway.
      const kind = states[frame] & KIND_MASK;
      const filled = kind === FRAME_CLEAN || kind === FRAME_DIRTY;
      if (frame < limit || filled) counts[kind]++;
    }
    const [free, owned, clean, dirty, limbo] = counts;
    return { free, owned, clean, dirty, limbo };
  }

  #own(frame: number, state: number): boolean {
    const owned = FRAME_OWNED | (this.#thread << KIND_BITS);
    return Atomics.compareExchange(this.#states, frame, state, owned) === state;
  }

  #toLimbo(frame: number): void {
    const page = Atomics.load(this.#pages, frame) >>> 0;
    if (page < this.table.length) Atomics.compareExchange(this.table, page, frame + 1, 0);
    this.#slots.addFrames(Atomics.load(this.#families, frame), -1);
    Atomics.store(this.#states, frame, FRAME_LIMBO | (this.#epochs.tag() << KIND_BITS));
    if (this.#limbo.length - this.#limboHead < OWN_LIMBO_MAX) this.#limbo.push(frame);
  }

  /** Takes a frame that this thread has sent to limbo, if the epoch of one has passed; or -1. */
  takeUnlinked(horizon: number): number {
    // Not held in a variable: dropping the head replaces the list now and then.
    while (this.#limboHead < this.#limbo.length) {
      const frame = this.#limbo[this.#limboHead];
      const state = Atomics.load(this.#states, frame);
      if ((state & KIND_MASK) === FRAME_LIMBO) {
        if (!limboPassed(state, horizon)) return -1;
        if (frame < this.limit && this.#own(frame, state)) {
          this.#dropLimboHead();
          return frame;
        }
      }
      this.#dropLimboHead(); // another thread took it, or it is not to be used any more
    }
    return -1;
  }

  #dropLimboHead(): void {
    if (++this.#limboHead >= 1024 && this.#limboHead * 2 >= this.#limbo.length) {
      this.#limbo = this.#limbo.slice(this.#limboHead);
      this.#limboHead = 0;
    }
  }

  /**
   * A quarter of the frames is dealt out evenly among the families, or more so that each has a few; but
   * never more than half of them, or nobody could evict anything once there are many families.
   */
  #sureShare(): number {
    const live = Math.max(1, this.#slots.live);
    const share = Math.max(SHARE_MIN, Math.floor(this.limit / 4 / live));
    return Math.min(share, Math.floor(this.limit / 2 / live));
  }
}

/** Compares the epoch of a limbo state, of which 29 bits are kept, with a horizon. */
function limboPassed(state: number, horizon: number): boolean {
  return (((horizon << KIND_BITS) - (state & ~KIND_MASK)) | 0) > 0;
}
