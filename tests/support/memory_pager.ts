/**
 * A pager for tests of the tree: pages live in an arena and nowhere else, are copied on write per
 * version, and everything created is accounted for: freeing what is not live throws, and
 * {@linkcode MemoryPager.livePages} tells what was not freed.
 *
 * A *hostile* one also does everything that the contract of `lib/tree/pager.ts` allows to hurt
 * those who rely on more: frames from `load` are private copies, overwritten at the sixteenth later
 * load; frames from `edit` and `create` move at every `reserve`, and what they held is poisoned; more
 * frames in use than were reserved throw.
 *
 * @module
 */

import { Arena } from "../../lib/memory/arena.ts";
import {
  kindAtLevel,
  PAGE_LEAF,
  WORD_BIRTH_HIGH,
  WORD_BIRTH_LOW,
  WORD_INCARNATION,
  WORD_KIND,
  WORD_NUMBER,
} from "../../lib/tree/page.ts";
import { type PageWriter, REF_WORDS } from "../../lib/tree/pager.ts";

const RING_FRAMES = 16;
const POISON = 0xa5;

/** What a page number or an extent number stands for. */
const FREE = 0;
const LIVE = 1;
/** Freed in a later version than it was born in: old roots still reach it. */
const RETIRED = 2;

export interface MemoryPagerOptions {
  pageSize: number;
  /** Pages that fit, old versions included. */
  frames: number;
  /** Cut the arena into chunks of this many bytes (a power of two). */
  chunkBytes?: number;
  hostile?: boolean;
}

export class MemoryPager implements PageWriter {
  readonly arena: Arena;
  version = 1;
  livePages = 0;
  /** Loads, edits, creates since the pager was made. */
  loads = 0;
  edits = 0;
  created = 0;

  readonly #hostile: boolean;
  readonly #frames: number[] = [];
  readonly #numbers: number[] = [];
  readonly #frameOf: Int32Array;
  readonly #birthOf: Float64Array;
  readonly #incarnationOf: Uint32Array;
  readonly #stateOf: Uint8Array;
  readonly #retired: number[] = [];
  readonly #extents = new Map<number, { length: number; state: number }>();
  readonly #handed = new Set<number>();
  #handedMax = 0;
  #incarnation = 1;
  #nextNumber = 1;
  #nextExtent = 1;
  #ring = 0;

  constructor(options: MemoryPagerOptions) {
    const { pageSize, frames, chunkBytes } = options;
    const all = frames + RING_FRAMES;
    const chunkFrames = chunkBytes === undefined ? all : chunkBytes / pageSize;
    const memories: WebAssembly.Memory[] = [];
    for (let left = all; left > 0; left -= chunkFrames) {
      memories.push(...Arena.allocate(pageSize, chunkFrames));
    }
    this.arena = new Arena(pageSize, memories);
    this.#hostile = options.hostile ?? false;
    this.#frameOf = new Int32Array(all + 1);
    this.#birthOf = new Float64Array(all + 1);
    this.#incarnationOf = new Uint32Array(all + 1);
    this.#stateOf = new Uint8Array(all + 1);
    for (let frame = all - 1; frame >= RING_FRAMES; frame--) this.#frames.push(frame);
  }

  load(words: Uint32Array, index: number, level: number, _cold?: boolean): number {
    this.loads++;
    const frame = this.#frameOf[this.#verify(words, index, FREE)];
    this.#verifyLevel(frame, level);
    if (!this.#hostile) return frame;
    const copy = this.#ring++ % RING_FRAMES;
    this.#copy(frame, copy);
    return copy;
  }

  pagesMax(): number {
    return this.#frameOf.length;
  }

  #verifyLevel(frame: number, level: number): void {
    const word = this.arena.chunk(frame).u32[(this.arena.base(frame) >> 2) + WORD_KIND] & 0xffff;
    if (word !== kindAtLevel(level)) throw new Error(`kind ${word} where level ${level} is due`);
  }

  reserve(frames: number): void {
    this.#handedMax = frames;
    if (!this.#hostile) return;
    for (const number of this.#handed) {
      if (this.#stateOf[number] !== LIVE) continue;
      const old = this.#frameOf[number];
      const frame = this.#takeFrame();
      this.#copy(old, frame);
      this.#frameOf[number] = frame;
      this.#dropFrame(old);
    }
    this.#handed.clear();
    for (let frame = 0; frame < RING_FRAMES; frame++) this.#poison(frame);
  }

  edit(words: Uint32Array, index: number, level: number): number {
    this.edits++;
    const number = this.#verify(words, index, RETIRED);
    this.#verifyLevel(this.#frameOf[number], level);
    if (this.#birthOf[number] === this.version) return this.#hand(number);
    const fresh = this.#newPage();
    const frame = this.#frameOf[fresh];
    this.#copy(this.#frameOf[number], frame);
    this.#writeHeader(fresh, words, index);
    this.#retire(number);
    return this.#hand(fresh);
  }

  create(kind: number, level: number, words: Uint32Array, index: number): number {
    this.created++;
    const number = this.#newPage();
    const frame = this.#frameOf[number];
    const u32 = this.arena.chunk(frame).u32;
    const page = this.arena.base(frame) >> 2;
    if (this.#hostile) this.#poison(frame);
    u32.fill(0, page, page + 12);
    u32[page + WORD_KIND] = kind | (level << 8);
    this.#writeHeader(number, words, index);
    return this.#hand(number);
  }

  free(words: Uint32Array, index: number): void {
    const number = this.#verify(words, index, RETIRED);
    if (this.#birthOf[number] === this.version) {
      this.livePages--;
      this.#recycle(number);
    } else {
      this.#retire(number);
    }
  }

  freeOverflow(words: Uint32Array, index: number): void {
    const extent = this.#extents.get(words[index]);
    if (extent?.state !== LIVE) throw new Error(`extent ${words[index]} is not live`);
    if (words[index + REF_WORDS] !== extent.length) {
      throw new Error(`extent ${words[index]} has ${extent.length} bytes`);
    }
    extent.state = RETIRED;
  }

  /** Makes an extent; returns the payload that refers to it. */
  createOverflow(length: number): Uint8Array {
    const payload = new Uint32Array([this.#nextExtent++, this.version, 0, 7, length]);
    this.#extents.set(payload[0], { length, state: LIVE });
    return new Uint8Array(payload.buffer);
  }

  get liveExtents(): number {
    let count = 0;
    for (const extent of this.#extents.values()) if (extent.state === LIVE) count++;
    return count;
  }

  /** Publishes: from now on every page is copied before it changes. */
  commit(): void {
    this.reserve(0);
    this.version++;
  }

  /** Forgets what only old roots reach. */
  prune(): void {
    for (const number of this.#retired) this.#recycle(number);
    this.#retired.length = 0;
    for (const [number, extent] of this.#extents) {
      if (extent.state !== LIVE) this.#extents.delete(number);
    }
  }

  #verify(words: Uint32Array, index: number, refused: number): number {
    const number = words[index];
    const state = this.#stateOf[number];
    if (state === undefined || state === FREE || state === refused) {
      throw new Error(`page ${number} is ${state === RETIRED ? "retired" : "free"}`);
    }
    if (
      words[index + 3] !== this.#incarnationOf[number] ||
      words[index + 2] * 2 ** 32 + words[index + 1] !== this.#birthOf[number]
    ) {
      throw new Error(`page ${number} is not the one referred to`);
    }
    return number;
  }

  #hand(number: number): number {
    if (this.#hostile) {
      this.#handed.add(number);
      if (this.#handed.size > this.#handedMax) {
        throw new Error(`more than the ${this.#handedMax} reserved frames are in use`);
      }
    }
    return this.#frameOf[number];
  }

  #newPage(): number {
    const number = this.#numbers.pop() ?? this.#nextNumber++;
    this.#frameOf[number] = this.#takeFrame();
    this.#birthOf[number] = this.version;
    this.#incarnationOf[number] = this.#incarnation++;
    this.#stateOf[number] = LIVE;
    this.livePages++;
    return number;
  }

  #writeHeader(number: number, words: Uint32Array, index: number): void {
    const frame = this.#frameOf[number];
    const u32 = this.arena.chunk(frame).u32;
    const page = this.arena.base(frame) >> 2;
    u32[page + WORD_NUMBER] = words[index] = number;
    u32[page + WORD_BIRTH_LOW] = words[index + 1] = this.version % 2 ** 32;
    u32[page + WORD_BIRTH_HIGH] = words[index + 2] = Math.floor(this.version / 2 ** 32);
    u32[page + WORD_INCARNATION] = words[index + 3] = this.#incarnationOf[number];
  }

  #retire(number: number): void {
    this.#stateOf[number] = RETIRED;
    this.#retired.push(number);
    this.livePages--;
  }

  #recycle(number: number): void {
    this.#stateOf[number] = FREE;
    this.#dropFrame(this.#frameOf[number]);
    this.#numbers.push(number);
  }

  #takeFrame(): number {
    const frame = this.#frames.pop();
    if (frame === undefined) throw new Error("the memory pager is full");
    return frame;
  }

  #dropFrame(frame: number): void {
    if (this.#hostile) this.#poison(frame);
    this.#frames.push(frame);
  }

  #copy(from: number, to: number): void {
    const { arena } = this;
    const base = arena.base(from);
    arena.chunk(to).u8.set(
      arena.chunk(from).u8.subarray(base, base + arena.pageSize),
      arena.base(to),
    );
  }

  #poison(frame: number): void {
    const base = this.arena.base(frame);
    this.arena.chunk(frame).u8.fill(POISON, base, base + this.arena.pageSize);
  }
}

/** A private page outside any pager, for tests of page functions; in place of what `arena` had if that is given. */
export function blankPage(pageSize: number, kind = PAGE_LEAF, level = 0, arena?: Arena): Arena {
  arena ??= new Arena(pageSize, Arena.allocate(pageSize, 2));
  for (let frame = 0; frame < 2; frame++) {
    const { u8, u32 } = arena.chunk(frame);
    const base = arena.base(frame);
    u8.fill(0, base, base + pageSize);
    u32[(base >> 2) + WORD_KIND] = kind | (level << 8);
  }
  return arena;
}
