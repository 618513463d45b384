/**
 * Who owns which part of the file: a table of extents (runs of pages) in shared memory, ascending by
 * page and without gaps from the first data page to the end of the file.
 *
 * Four words an extent: first page, pages, 1 if it is free, owner (family id; 0 the directory).
 *
 * Invariants: all changes are made under the extents' lock, by workers and the keeper alone; an extent
 * that a durable directory says is used stays used until a newer directory that does not is durable
 * (lib/storage/checkpoint.ts sees to that).
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { type Control, EXTENT_LOCK, EXTENTS_USED, FILE_PAGES } from "../memory/control.ts";
import { SpinLock } from "../memory/spin_lock.ts";
import type { File } from "./file.ts";

/** Extents that a file can be cut into. */
export const EXTENTS_MAX = 65536;

const WORDS = 4;
const START = 0;
const PAGES = 1;
const FREE = 2;
const OWNER = 3;

/** The owner of directories. */
export const DIRECTORY_OWNER = 0;

export interface Extent {
  start: number;
  pages: number;
  free: boolean;
  owner: number;
}

export class Extents {
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(EXTENTS_MAX * WORDS * 4);
  }

  readonly #control: Control;
  readonly #words: Int32Array;
  readonly #lock: SpinLock;
  readonly #thread: number;
  readonly #pagesMax: number;

  /** `pagesMax`: pages that the file can grow to in this opening. */
  constructor(control: Control, buffer: SharedArrayBuffer, thread: number, pagesMax: number) {
    this.#control = control;
    this.#words = new Int32Array(buffer);
    this.#lock = new SpinLock(control.words, EXTENT_LOCK);
    this.#thread = thread;
    this.#pagesMax = pagesMax;
  }

  /** Pages of the file, meta pages included. */
  get filePages(): number {
    return Atomics.load(this.#control.words, FILE_PAGES) >>> 0;
  }

  /** Fills the table when the database is opened. */
  load(extents: readonly Extent[], filePages: number): void {
    extents.forEach((extent, i) => this.#write(i, extent));
    Atomics.store(this.#control.words, EXTENTS_USED, extents.length);
    Atomics.store(this.#control.words, FILE_PAGES, filePages | 0);
  }

  /** A copy of the table, for a thread with an event loop: who has the lock may be dead, which is heard of there. */
  listed(): Promise<Extent[]> {
    return this.#lock.holding(this.#thread, () => this.#all());
  }

  /** A copy of the table. */
  list(): Extent[] {
    this.#lock.acquire(this.#thread);
    try {
      return this.#all();
    } finally {
      this.#lock.release();
    }
  }

  /**
   * Takes an extent: the free one that fits best, else from the end of the file.
   *
   * @throws {ManifoldError} `too-large` when the file would outgrow this opening's page table or the
   * table of extents is full.
   */
  take(pages: number, owner: number): number {
    this.#lock.acquire(this.#thread);
    try {
      const extents = this.#all();
      let best = -1;
      extents.forEach((extent, i) => {
        if (!extent.free || extent.pages < pages) return;
        if (best < 0 || extent.pages < extents[best].pages) best = i;
      });
      const used = { pages, free: false, owner };
      if (best >= 0) {
        const { start, pages: whole } = extents[best];
        const parts: Extent[] = [{ start, ...used }];
        if (whole > pages) {
          parts.push({ ...extents[best], start: start + pages, pages: whole - pages });
        }
        this.#replace(extents, best, 1, parts);
        return start;
      }
      const last = extents.at(-1);
      const grows = last?.free === true;
      const start = grows ? last!.start : this.filePages;
      if (start + pages > this.#pagesMax) {
        throw new ManifoldError(
          "too-large",
          `the file cannot grow beyond ${this.#pagesMax} pages before it is opened anew; close and reopen it`,
        );
      }
      this.#replace(extents, grows ? extents.length - 1 : extents.length, grows ? 1 : 0, [
        { start, ...used },
      ]);
      Atomics.store(this.#control.words, FILE_PAGES, (start + pages) | 0);
      return start;
    } finally {
      this.#lock.release();
    }
  }

  /** Frees the extents that `matches` says, and joins free neighbours. */
  free(matches: (extent: Extent) => boolean): void {
    this.#lock.acquire(this.#thread);
    try {
      const extents = this.#all();
      for (const extent of extents) if (!extent.free && matches(extent)) extent.free = true;
      const joined: Extent[] = [];
      for (const extent of extents) {
        const last = joined.at(-1);
        if (last?.free && extent.free) {
          last.pages += extent.pages;
        } else {
          joined.push(extent);
        }
      }
      this.#replace(extents, 0, extents.length, joined);
    } finally {
      this.#lock.release();
    }
  }

  /**
   * Makes the file as long as its extents reach. Under the lock, although it is a system call: whoever
   * takes an extent behind the end, and writes there, while the length is being set would lose it.
   */
  extendFile(file: File, pageSize: number): void {
    this.#lock.acquire(this.#thread);
    try {
      const bytes = this.filePages * pageSize;
      if (file.size() < bytes) file.truncate(bytes);
    } finally {
      this.#lock.release();
    }
  }

  #all(): Extent[] {
    const count = Atomics.load(this.#control.words, EXTENTS_USED);
    const words = this.#words;
    const extents: Extent[] = new Array(count);
    for (let i = 0, at = 0; i < count; i++, at += WORDS) {
      extents[i] = {
        start: words[at + START] >>> 0,
        pages: words[at + PAGES] >>> 0,
        free: words[at + FREE] === 1,
        owner: words[at + OWNER],
      };
    }
    return extents;
  }

  #replace(extents: readonly Extent[], from: number, count: number, by: Extent[]): void {
    const next = [...extents.slice(0, from), ...by, ...extents.slice(from + count)];
    if (next.length > EXTENTS_MAX) {
      throw new ManifoldError(
        "too-large",
        `the file is cut into more than ${EXTENTS_MAX} extents; compact it`,
      );
    }
    for (let i = from; i < next.length; i++) this.#write(i, next[i]);
    Atomics.store(this.#control.words, EXTENTS_USED, next.length);
  }

  #write(i: number, extent: Extent): void {
    const at = i * WORDS;
    const words = this.#words;
    words[at + START] = extent.start | 0;
    words[at + PAGES] = extent.pages | 0;
    words[at + FREE] = extent.free ? 1 : 0;
    words[at + OWNER] = extent.owner;
  }
}
