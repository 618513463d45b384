/**
 * In which order the writes of a transaction are applied: by table and key, so that those to one page
 * come one after the other, while it is in the processor's caches, and a load of many entries fills page after page.
 *
 * Sorted is by four bytes behind what all keys share, which costs a sort of numbers. That is only as
 * good as those bytes tell the keys apart, but never wrong: writes to one key have the same bytes, and keep their order.
 *
 * @module
 */

import {
  OP_HEADER_BYTES,
  OP_SET,
  type OperationMemory,
  OperationReader,
} from "../log/operations.ts";
import { allocateBytes } from "../storage/bytes.ts";
import { commonBytes, hintOf } from "../tree/bytes.ts";
import type { EntryRun } from "../tree/insert_run.ts";
import { staysInLeaf } from "../tree/page.ts";

/** Writes that are sorted at once. */
export const SORTED_MAX = 2 ** 20;
const START_WRITES = 64;
/** What is noted of a write: twice a number to sort by and where it begins. */
const WRITE_BYTES = 4 * 4;
/** Memory for more writes than this is not kept. */
const KEPT_WRITES_MAX = 2 ** 16;

/** Sorted writes stand anywhere: so many are fetched at once, for the waits of one after the other add up. */
const FETCHED_WRITES = 64;
/** A small operation lies in no more than two lines of the processor's cache. */
const LINE_BYTES = 48;

/** Bits of the numbers that a round of the sort looks at, and its rounds: an even number. */
const DIGIT_BITS = 8;
const DIGITS = 2 ** DIGIT_BITS;
const ROUNDS = 32 / DIGIT_BITS;
/** Where the writes of each digit go. */
const places = new Uint32Array(DIGITS);

/** Writes to one table, as bytes where their operations begin. */
export class WriteOrder {
  count = 0;
  /** Of no use to anybody. */
  fetched = 0;
  #hints!: Uint32Array;
  #starts!: Uint32Array;
  /** Where the rounds of the sort put them, in turns. */
  #otherHints!: Uint32Array;
  #otherStarts!: Uint32Array;
  /** Bytes that the keys so far share. */
  #shared = 0;
  /** So many hints are of keys that seemed to share more. */
  #stale = 0;

  constructor() {
    this.#allocate(START_WRITES);
  }

  /** Notes the write that the reader stands on. */
  add(reader: OperationReader): void {
    const { count } = this;
    if (count === this.#starts.length) this.#grow();
    const { keyOffset, keyLength, memory: { u8 } } = reader;
    this.#starts[count] = reader.start;
    const first = this.#starts[0] + OP_HEADER_BYTES;
    const known = count === 0 ? keyLength : Math.min(this.#shared, keyLength);
    const shared = commonBytes(u8, first, u8, keyOffset, known);
    if (shared !== this.#shared) {
      this.#shared = shared;
      this.#stale = count;
    }
    this.#hints[count] = hintOf(u8, keyOffset + shared, keyLength - shared);
    this.count++;
  }

  /** Sorts the writes, all of which are in `u8`. */
  sort(u8: Uint8Array): void {
    const shared = this.#shared;
    for (let i = 0; i < this.#stale; i++) {
      const at = this.#starts[i];
      const length = u8[at + 2] | (u8[at + 3] << 8);
      this.#hints[i] = hintOf(u8, at + OP_HEADER_BYTES + shared, length - shared);
    }
    for (let round = 0; round < ROUNDS; round++) this.#sortByDigit(round * DIGIT_BITS);
  }

  /** One round of the sort, which keeps what the rounds before it have made of writes with the same digit. */
  #sortByDigit(shift: number): void {
    const { count } = this;
    const hints = this.#hints;
    const starts = this.#starts;
    const toHints = this.#otherHints;
    const toStarts = this.#otherStarts;
    countDigits(hints, count, shift);
    for (let i = 0; i < count; i++) {
      const place = places[(hints[i] >>> shift) & (DIGITS - 1)]++;
      toHints[place] = hints[i];
      toStarts[place] = starts[i];
    }
    this.#hints = toHints;
    this.#starts = toStarts;
    this.#otherHints = hints;
    this.#otherStarts = starts;
  }

  /** Where the operation begins that is the `i`th, now that they are sorted. */
  start(i: number): number {
    return this.#starts[i];
  }

  /** Has the processor fetch the operations from `from` up to `to`, all at once. */
  fetch(from: number, to: number, u8: Uint8Array): void {
    const starts = this.#starts;
    const end = Math.min(to, this.count);
    let sum = 0;
    const last = u8.length - LINE_BYTES - 1;
    for (let i = from; i < end; i++) {
      const at = Math.min(starts[i], last);
      sum += u8[at] + u8[at + LINE_BYTES];
    }
    // What is never used is never read.
    this.fetched = sum;
  }

  clear(): void {
    this.count = this.#shared = this.#stale = 0;
    if (this.#starts.length > KEPT_WRITES_MAX) this.#allocate(START_WRITES);
  }

  #grow(): void {
    const hints = this.#hints;
    const starts = this.#starts;
    this.#allocate(starts.length * 2);
    this.#hints.set(hints);
    this.#starts.set(starts);
  }

  /** @throws {ManifoldError} `too-large` */
  #allocate(writes: number): void {
    const { buffer } = allocateBytes(writes * WRITE_BYTES, "the order of a transaction's writes");
    this.#hints = new Uint32Array(buffer, 0, writes);
    this.#starts = new Uint32Array(buffer, writes * 4, writes);
    this.#otherHints = new Uint32Array(buffer, writes * 8, writes);
    this.#otherStarts = new Uint32Array(buffer, writes * 12, writes);
  }
}

/** Sets {@linkcode places}: how many have lesser digits. */
function countDigits(hints: Uint32Array, count: number, shift: number): void {
  places.fill(0);
  for (let i = 0; i < count; i++) places[(hints[i] >>> shift) & (DIGITS - 1)]++;
  let before = 0;
  for (let digit = 0; digit < DIGITS; digit++) {
    const many = places[digit];
    places[digit] = before;
    before += many;
  }
}

/** Goes through the writes of an order, sorted, all in one memory. */
export class SortedWrites extends OperationReader implements EntryRun {
  readonly #inlineBytesMax: number;
  #order: WriteOrder | undefined;
  #next = 0;

  /** `inlineBytesMax`: of the pages that they go to. */
  constructor(inlineBytesMax: number) {
    super();
    this.#inlineBytesMax = inlineBytesMax;
  }

  /** Sorts, and stands before the first. */
  sort(order: WriteOrder, memory: OperationMemory): void {
    order.sort(memory.u8);
    this.#order = order;
    this.#next = 0;
    this.memory = memory;
  }

  /** Moves to the next; false if there is none. */
  nextWrite(): boolean {
    const order = this.#order!;
    const i = this.#next++;
    if (i >= order.count) return false;
    const { memory } = this;
    if (i % FETCHED_WRITES === 0) order.fetch(i, i + FETCHED_WRITES, memory.u8);
    this.begin(memory, order.start(i), memory.u8.length);
    return this.next();
  }

  /** Whether it stands on a write, and none is left otherwise. */
  get isThere(): boolean {
    return this.#next <= this.#order!.count;
  }

  /** Whether the write that it stands on sets an entry that stays in a leaf. */
  get isEntry(): boolean {
    return this.kind === OP_SET &&
      staysInLeaf(this.keyLength, this.valueLength, this.#inlineBytesMax);
  }

  nextEntry(): boolean {
    return this.nextWrite() && this.isEntry;
  }
}
