/**
 * Entries copied out of leaves into private memory, to be handed out without an epoch.
 *
 * Four numbers an entry: where the key begins, its bytes, where the payload begins, its bytes; the
 * last is `~bytes` for a payload that refers to an overflow value. Keys and payloads begin at multiples of 4,
 * as they do in leaves: copied word by word they cost a third of what `set` takes on shared memory.
 *
 * @module
 */

import type { Chunk } from "../memory/arena.ts";
import { carve, carveBlock, isCarved } from "./codecs/tuning.ts";
import { copyWords } from "../tree/bytes.ts";
import { cellAt, isOverflow, keyLengthAt, LEAF_HEAD_BYTES, payloadBytes } from "../tree/cell.ts";

const NUMBERS = 4;
const START_BYTES = 8192;
const START_ENTRIES = 64;
/** A batch that grew beyond this is not kept. */
const KEPT_BYTES_MAX = 256 * 1024;
/** Entries are made the caller's own in pieces: this many bytes first, each later piece twice as many. */
const PIECE_BYTES_MIN = 4096;
const PIECE_BYTES_MAX = 32 * 1024;
const NOTHING = new Uint8Array(0);

export class EntryBatch {
  count = 0;
  /** Bytes in use. */
  used = 0;
  /** Whether an entry refers to an overflow value. */
  hasOverflow = false;
  u8: Uint8Array<ArrayBuffer> = new Uint8Array(START_BYTES);
  u32: Uint32Array<ArrayBuffer> = new Uint32Array(this.u8.buffer);
  #places = new Int32Array(START_ENTRIES * NUMBERS);
  /** A copy, which is the caller's own, of the bytes from `#pieceAt` on: entries `#pieceFrom` to `#pieceTo`. */
  #piece: Uint8Array<ArrayBuffer> = NOTHING;
  #pieceAt = 0;
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
    this.#piece = NOTHING;
    this.#pieceTo = 0;
  }

  /** Appends the entry at a slot of a leaf; without its value if `values` is false. */
  add(chunk: Chunk, base: number, slot: number, values: boolean): void {
    const { u32 } = chunk;
    const cell = cellAt(u32, base, slot);
    const keyLength = keyLengthAt(u32, base, slot);
    const valueLength = values ? payloadBytes(u32, cell) : 0;
    const keyWords = (keyLength + 3) >> 2;
    const words = keyWords + ((valueLength + 3) >> 2);
    const at = this.used;
    if (at + words * 4 > this.u8.length) this.#growBytes(at + words * 4);
    const place = this.count * NUMBERS;
    if (place === this.#places.length) this.#growPlaces();
    // The payload follows the key, in the leaf and here.
    copyWords(u32, (cell + LEAF_HEAD_BYTES) >> 2, this.u32, at >> 2, words);
    this.used = at + words * 4;
    this.count++;
    const places = this.#places;
    places[place] = at;
    places[place + 1] = keyLength;
    places[place + 2] = at + keyWords * 4;
    places[place + 3] = valueLength;
    if (values && isOverflow(u32, cell)) {
      places[place + 3] = ~valueLength;
      this.hasOverflow = true;
    }
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
    const { buffer, byteOffset } = this.#piece;
    return new Uint8Array(buffer, byteOffset + at - this.#pieceAt, length); // half the time of `subarray`
  }

  /** Copies the entry and some after it. */
  #cutPiece(index: number): void {
    const places = this.#places;
    const from = places[index * NUMBERS];
    const most = from + this.#pieceBytes;
    let end = index + 1;
    while (end < this.count && places[end * NUMBERS] < most) end++;
    const to = end === this.count ? this.used : places[end * NUMBERS];
    this.#pieceBytes = Math.min(this.#pieceBytes * 2, PIECE_BYTES_MAX);
    this.#piece = carveBlock(this.u8.subarray(from, to));
    this.#pieceAt = from;
    this.#pieceFrom = index;
    this.#pieceTo = end;
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

  #growPlaces(): void {
    const larger = new Int32Array(this.#places.length * 2);
    larger.set(this.#places);
    this.#places = larger;
  }
}
