/**
 * Entries copied out of leaves into private memory, to be handed out without an epoch.
 *
 * Four numbers an entry: where the key begins, its bytes, where the payload begins, its bytes; the
 * last is `~bytes` for a payload that refers to an overflow value. Keys and payloads begin at multiples of 4,
 * as they do in leaves.
 *
 * Entries of one leaf come in runs. Where the cells of a run lie close together, as those of a leaf that was
 * filled in the order of its keys do, they are copied at once, with what is between them: per entry that
 * takes a quarter of the time. Others are copied one by one, word by word, a third of what `set` takes for so
 * little. Inside of a run entries lie in any order.
 *
 * @module
 */

import type { Chunk } from "../memory/arena.ts";
import { carve, carveBlock, isCarved } from "./codecs/tuning.ts";
import { copyWords } from "../tree/bytes.ts";
import { LEAF_HEAD_BYTES } from "../tree/cell.ts";
import { WORD_SLOTS } from "../tree/page.ts";

const NUMBERS = 4;
/** A run ends with the entry that passes this. */
const RUN_BYTES = 4096;
const START_BYTES = 8192;
const START_ENTRIES = 64;
/** A batch that grew beyond this is not kept. */
const KEPT_BYTES_MAX = 256 * 1024;
/** Entries are made the caller's own in pieces of whole runs: of this many bytes first, each later piece of twice as many. */
const PIECE_BYTES_MIN = 4096;
const PIECE_BYTES_MAX = 32 * 1024;
const NOTHING = new Uint8Array(0);
const NO_BUFFER = NOTHING.buffer;

export class EntryBatch {
  count = 0;
  /** Bytes in use. */
  used = 0;
  /** Whether an entry refers to an overflow value. */
  hasOverflow = false;
  u8: Uint8Array<ArrayBuffer> = new Uint8Array(START_BYTES);
  u32: Uint32Array<ArrayBuffer> = new Uint32Array(this.u8.buffer);
  #places = new Int32Array(START_ENTRIES * NUMBERS);
  /** Runs, of which there are not more than entries: the first entry and the first byte of each. */
  #runs = new Int32Array(START_ENTRIES * 2);
  #runCount = 0;
  /** A copy, which is the caller's own, of entries `#pieceFrom` to `#pieceTo`. */
  #piece: Uint8Array<ArrayBuffer> = NOTHING;
  /** Its buffer: to ask for it takes half as long as making a view. */
  #pieceBuffer: ArrayBuffer = NO_BUFFER;
  /** From a place here to the same in that buffer. */
  #pieceShift = 0;
  #pieceFrom = 0;
  #pieceTo = 0;
  #pieceBytes = PIECE_BYTES_MIN;

  get isSmall(): boolean {
    return this.u8.length <= KEPT_BYTES_MAX;
  }

  clear(): void {
    this.count = 0;
    this.used = 0;
    this.hasOverflow = false;
    this.#runCount = 0;
    this.#piece = NOTHING;
    this.#pieceBuffer = NO_BUFFER;
    this.#pieceTo = 0;
  }

  /**
   * Appends a run of entries of a leaf, at least one, at most `count`, from a slot on; without their values if
   * `values` is false. Returns how many they are.
   */
  add(
    chunk: Chunk,
    base: number,
    slot: number,
    step: number,
    count: number,
    values: boolean,
  ): number {
    const { u32 } = chunk;
    const slots = (base >> 2) + WORD_SLOTS;
    const first = this.count * NUMBERS;
    if (first + count * NUMBERS > this.#places.length) this.#growPlaces(first + count * NUMBERS);
    const places = this.#places;
    let place = first;
    let low = base + 0x10000;
    let high = 0;
    let bytes = 0;
    for (let left = count; left > 0 && bytes < RUN_BYTES; left--, slot += step) {
      const word = u32[slots + (slot << 1) + 1];
      const cell = base + (word & 0xffff);
      const head = values ? u32[cell >> 2] : 0;
      const keyLength = word >>> 16;
      const length = head & 0x7fffffff;
      const keyAt = cell + LEAF_HEAD_BYTES;
      const payloadAt = keyAt + ((keyLength + 3) & ~3);
      const end = payloadAt + ((length + 3) & ~3);
      places[place] = keyAt;
      places[place + 1] = keyLength;
      places[place + 2] = payloadAt;
      places[place + 3] = length === head ? length : ~length;
      if (length !== head) this.hasOverflow = true;
      place += NUMBERS;
      bytes += end - keyAt;
      if (keyAt < low) low = keyAt;
      if (end > high) high = end;
    }
    const added = (place - first) >> 2;
    const run = this.#runCount++ * 2;
    this.#runs[run] = this.count;
    this.#runs[run + 1] = this.used;
    this.count += added;
    if (high - low <= bytes + (bytes >> 2)) this.#copyTogether(u32, low, high, first, place);
    else this.#copyApart(u32, bytes, first, place);
    return added;
  }

  /** Copies the entries whose places, still those in the leaf, are at `first` to `end`, and all between them. */
  #copyTogether(u32: Uint32Array, low: number, high: number, first: number, end: number): void {
    // With the same alignment V8 copies off shared memory eight bytes at a time.
    const at = this.used + ((low - this.used) & 7);
    const to = at + high - low;
    if (to > this.u8.length) this.#growBytes(to);
    copyWords(u32, low >> 2, this.u32, at >> 2, (high - low) >> 2);
    this.used = to;
    const places = this.#places;
    const shift = at - low;
    for (let place = first; place < end; place += NUMBERS) {
      places[place] += shift;
      places[place + 2] += shift;
    }
  }

  /** The same without what is between them. */
  #copyApart(u32: Uint32Array, bytes: number, first: number, end: number): void {
    if (this.used + bytes > this.u8.length) this.#growBytes(this.used + bytes);
    const places = this.#places;
    let at = this.used;
    for (let place = first; place < end; place += NUMBERS) {
      const keyAt = places[place];
      const payloadAt = places[place + 2];
      const length = places[place + 3];
      // The payload follows the key, in the leaf and here.
      const payloadBytes = ((length < 0 ? ~length : length) + 3) & ~3;
      const words = (payloadAt - keyAt + payloadBytes) >> 2;
      copyWords(u32, keyAt >> 2, this.u32, at >> 2, words);
      places[place] = at;
      places[place + 2] = at + payloadAt - keyAt;
      at += words << 2;
    }
    this.used = at;
  }

  /** The key of an entry, without a copy. */
  key(index: number): Uint8Array<ArrayBuffer> {
    const at = this.#places[index * NUMBERS];
    return this.u8.subarray(at, at + this.#places[index * NUMBERS + 1]);
  }

  /** The key of an entry for a caller to keep. */
  ownKey(index: number): Uint8Array<ArrayBuffer> {
    const at = this.#places[index * NUMBERS];
    return this.#own(index, at, this.#places[index * NUMBERS + 1]);
  }

  /** The inline value of an entry for a caller to keep. */
  ownValue(index: number): Uint8Array<ArrayBuffer> {
    const at = this.#places[index * NUMBERS + 2];
    return this.#own(index, at, this.#places[index * NUMBERS + 3]);
  }

  /** One copy for many entries: with one for each, copying takes three times as long as the rest. */
  #own(index: number, at: number, length: number): Uint8Array<ArrayBuffer> {
    if (!isCarved(length)) return carve(this.u8.subarray(at, at + length));
    const isCut = index >= this.#pieceFrom && index < this.#pieceTo;
    // A caller may have transferred the piece away: its length is then 0.
    if (!isCut || this.#piece.length === 0) this.#cutPiece(index);
    return new Uint8Array(this.#pieceBuffer, at + this.#pieceShift, length); // half the time of `subarray`
  }

  /** Copies the run of the entry and some after it. */
  #cutPiece(index: number): void {
    let run = 0;
    while (this.#runEntry(run + 1) <= index) run++;
    const from = this.#runs[run * 2 + 1];
    let next = run + 1;
    while (next < this.#runCount && this.#runByte(next + 1) - from <= this.#pieceBytes) next++;
    this.#pieceBytes = Math.min(this.#pieceBytes * 2, PIECE_BYTES_MAX);
    this.#piece = carveBlock(this.u8.subarray(from, this.#runByte(next)));
    this.#pieceBuffer = this.#piece.buffer;
    this.#pieceShift = this.#piece.byteOffset - from;
    this.#pieceFrom = this.#runEntry(run);
    this.#pieceTo = this.#runEntry(next);
  }

  /** The first entry of a run; of the one after the last where entries end. */
  #runEntry(run: number): number {
    return run < this.#runCount ? this.#runs[run * 2] : this.count;
  }

  /** The same in bytes. */
  #runByte(run: number): number {
    return run < this.#runCount ? this.#runs[run * 2 + 1] : this.used;
  }

  isOverflow(index: number): boolean {
    return this.#places[index * NUMBERS + 3] < 0;
  }

  /** Byte where the payload of an entry begins, a multiple of 4. */
  payloadAt(index: number): number {
    return this.#places[index * NUMBERS + 2];
  }

  /** The inline value of an entry, without a copy. */
  value(index: number): Uint8Array<ArrayBuffer> {
    const at = this.#places[index * NUMBERS + 2];
    return this.u8.subarray(at, at + this.#places[index * NUMBERS + 3]);
  }

  #growBytes(needed: number): void {
    const larger = new Uint8Array((Math.max(needed, this.u8.length * 2) + 3) & ~3);
    larger.set(this.u8.subarray(0, this.used));
    this.u8 = larger;
    this.u32 = new Uint32Array(larger.buffer);
  }

  #growPlaces(needed: number): void {
    const larger = new Int32Array(Math.max(needed, this.#places.length * 2));
    larger.set(this.#places);
    this.#places = larger;
    const runs = new Int32Array(larger.length / NUMBERS * 2);
    runs.set(this.#runs);
    this.#runs = runs;
  }
}
