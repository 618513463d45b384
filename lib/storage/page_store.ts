/**
 * How a thread reads pages: from the arena if they are there, else from the file, verified, and into
 * the arena for all.
 *
 * Invariants: every load happens inside an epoch; a page from the file is verified (checksum, number,
 * birth, incarnation, structure, level) before any thread sees it; a reader never waits for a frame.
 *
 * @module
 */

import type { Arena } from "../memory/arena.ts";
import type { Epochs } from "../memory/epochs.ts";
import { PRIVATE_FRAMES } from "../memory/frames.ts";
import type { Frames } from "../memory/frames.ts";
import { checkPage } from "../tree/page_check.ts";
import {
  CHECKSUM_BYTES,
  kindAtLevel,
  WORD_BIRTH_HIGH,
  WORD_BIRTH_LOW,
  WORD_INCARNATION,
  WORD_KIND,
  WORD_NUMBER,
} from "../tree/page.ts";
import type { PageReader } from "../tree/pager.ts";
import type { Checksum } from "./checksum.ts";
import type { File } from "./file.ts";
import { PageError } from "./page_error.ts";

/** Frames that a reader looks at for a free one before it reads privately. */
const READER_VISITS = 64;

/** The system gives memory in pages of so many bytes, or of more. */
const SYSTEM_PAGE_BYTES = 4096;

/**
 * Frames that a worker keeps between groups, at the most and as a part of the cache: all workers
 * together, of which there are up to 256, keep no more than a quarter of it.
 */
const STOCK_MAX = 32;
const STOCK_PART = 1024;

export interface PageStoreParts {
  readonly arena: Arena;
  readonly frames: Frames;
  readonly file: File;
  readonly checksum: Checksum;
  readonly thread: number;
}

export class PageStore implements PageReader {
  readonly arena: Arena;
  readonly frames: Frames;
  readonly file: File;
  readonly checksum: Checksum;
  /** The family (slot) for which pages are being read: whom a frame is counted for. */
  family = 0;
  /** Its name, for errors. */
  familyName = "";
  /** Pages that this thread read from the file. */
  misses = 0;
  /** Empty frames that this thread has taken ahead, for whichever family it changes next. */
  readonly stock: number[] = [];
  readonly #privateFrames: number;
  #nextPrivate = 0;

  constructor(parts: PageStoreParts) {
    this.arena = parts.arena;
    this.frames = parts.frames;
    this.file = parts.file;
    this.checksum = parts.checksum;
    this.#privateFrames = parts.frames.count + parts.thread * PRIVATE_FRAMES;
  }

  load(words: Uint32Array, index: number, level: number, cold = false): number {
    const page = words[index];
    const frames = this.frames;
    if (page < frames.table.length) {
      const frame = Atomics.load(frames.table, page) - 1;
      if (frame >= 0) {
        if (!cold && frames.hot[frame] === 0) frames.hot[frame] = 1;
        const arena = this.arena;
        const u32 = arena.chunks[frame >> arena.frameShift].u32;
        const at = ((frame & arena.frameMask) << arena.pageShift) >> 2;
        if (
          u32[at + WORD_NUMBER] === page &&
          u32[at + WORD_BIRTH_LOW] === words[index + 1] &&
          u32[at + WORD_INCARNATION] === words[index + 3] &&
          (u32[at + WORD_KIND] & 0xffff) === kindAtLevel(level)
        ) return frame;
      }
    }
    return this.#miss(words, index, level, cold);
  }

  /** Frames that the thread keeps between groups. */
  get stockMax(): number {
    return Math.min(STOCK_MAX, Math.floor(this.frames.limit / STOCK_PART));
  }

  /**
   * Takes frames ahead for the next group while there is time for it: those of this thread that have become free, and
   * are in the processor's caches yet.
   */
  restock(epochs: Epochs): void {
    const { stockMax } = this;
    if (this.stock.length >= stockMax) return;
    const horizon = epochs.horizon();
    while (this.stock.length < stockMax) {
      const frame = this.frames.takeUnlinked(horizon);
      if (frame < 0) return;
      this.stock.push(frame);
    }
  }

  /**
   * Has the system give memory to a frame that is used soon, which it would otherwise do in the middle of a commit; false if enough
   * have theirs. To be called when there is nothing else to do.
   */
  touchAhead(): boolean {
    const frame = this.frames.nextUntouched();
    if (frame < 0) return false;
    const { u32 } = this.arena.chunk(frame);
    const base = this.arena.base(frame);
    // Adds nothing, because the frame may be in use by now.
    for (let at = base; at < base + this.arena.pageSize; at += SYSTEM_PAGE_BYTES) {
      Atomics.add(u32, at >> 2, 0);
    }
    return true;
  }

  /** Pages that the file has, and as many as can be waiting to be written to it. */
  pagesMax(): number {
    return Math.ceil(this.file.size() / this.arena.pageSize) + this.frames.count;
  }

  #miss(words: Uint32Array, index: number, level: number, cold: boolean): number {
    const page = words[index];
    if (page >= this.frames.table.length) {
      throw this.corrupt(page, "a reference leads beyond the end of the file");
    }
    this.misses++;
    let frame = this.frames.take(this.family, READER_VISITS);
    const shared = frame >= 0;
    if (!shared) {
      frame = this.#privateFrames + this.#nextPrivate;
      this.#nextPrivate = (this.#nextPrivate + 1) % PRIVATE_FRAMES;
    }
    try {
      this.readInto(frame, words, index, level);
    } catch (error) {
      if (shared) this.frames.giveBack(frame);
      throw error;
    }
    return shared ? this.frames.publishClean(frame, page, this.family, !cold) : frame;
  }

  /** Reads the page referred to from the file into a frame that the caller owns, and verifies it. */
  readInto(frame: number, words: Uint32Array, index: number, level: number): void {
    const page = words[index];
    const { pageSize } = this.arena;
    const chunk = this.arena.chunk(frame);
    const base = this.arena.base(frame);
    const count = this.file.read(page * pageSize, chunk.u8, base, pageSize);
    if (count < pageSize) throw this.corrupt(page, `only ${count} of its bytes are in the file`);
    const at = base >> 2;
    const { u32 } = chunk;
    const kernel = this.arena.kernel(frame);
    const sum = kernel.sum(base + CHECKSUM_BYTES, pageSize - CHECKSUM_BYTES);
    if (u32[at] !== sum >>> 0 || u32[at + 1] !== kernel.second() >>> 0) {
      throw this.corrupt(page, "its checksum is wrong");
    }
    if (u32[at + WORD_NUMBER] !== page) {
      throw this.corrupt(page, `it says that it is page ${u32[at + WORD_NUMBER]}`);
    }
    if (
      u32[at + WORD_BIRTH_LOW] !== words[index + 1] ||
      u32[at + WORD_BIRTH_HIGH] !== words[index + 2] ||
      u32[at + WORD_INCARNATION] !== words[index + 3]
    ) {
      throw this.corrupt(
        page,
        `it is an older page (born ${
          birth(u32[at + WORD_BIRTH_LOW], u32[at + WORD_BIRTH_HIGH])
        }) ` +
          `than the one referred to (born ${
            birth(words[index + 1], words[index + 2])
          }): a write was lost`,
      );
    }
    const problem = checkPage(chunk, base, pageSize);
    if (problem !== null) throw this.corrupt(page, problem);
    const kind = u32[at + WORD_KIND] & 0xffff;
    if (kind !== kindAtLevel(level)) {
      throw this.corrupt(
        page,
        `it is of kind ${kind & 0xff} and level ${kind >>> 8} where level ${level} is due`,
      );
    }
  }

  /** The error for a page of the family for which pages are being read. */
  corrupt(page: number, how: string): PageError {
    const { pageSize } = this.arena;
    return new PageError(
      page,
      `${this.file.path}: page ${page} (at byte ${page * pageSize}) of the column family ` +
        `"${this.familyName}" cannot be used: ${how}; restore a backup`,
    );
  }
}

function birth(low: number, high: number): number {
  return low + high * 2 ** 32;
}
