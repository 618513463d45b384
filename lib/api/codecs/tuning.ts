/**
 * How decoded values come to be the caller's own, and what a runtime can do better.
 *
 * Allocating a buffer per value costs 0.45–0.7 µs on V8 (30 ns on JavaScriptCore below 512 bytes,
 * 270 ns at 1 KiB), and `TextDecoder` costs 0.5 µs per call on V8 on shared memory. Small results
 * are therefore carved from a slab that they share: disjoint, and never used again. The price is
 * that one kept result keeps its slab, and that transferring the `buffer` of one takes the others
 * of that slab along.
 *
 * @module
 */

import type { Chunk } from "../../memory/arena.ts";
import { allocateBytes } from "../../storage/bytes.ts";
import { copyWords } from "../../tree/bytes.ts";

/** Bytes of a slab: 64 KiB is 5 % faster for 150-byte values, 16 KiB as much slower. */
const SLAB_BYTES = 32 * 1024;

/** What a runtime can tell the codecs. */
export interface CodecTuning {
  /** Results shorter than this get a buffer of their own, bytes. 0 at first: all are carved. */
  carveBytesMin?: number;
  /** Results longer than this get a buffer of their own, bytes, at most 4096, which is the start. */
  carveBytesMax?: number;
  /**
   * Decodes UTF-8 that may lie on shared memory, with U+FFFD in place of what is malformed and a
   * byte order mark kept. null, as at first: a loop and `TextDecoder`.
   */
  decodeUtf8?: ((bytes: Uint8Array) => string) | null;
}

let carveMin = 0;
let carveMax = 4096;
let decodeLossy: ((bytes: Uint8Array) => string) | null = null;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Up to this many bytes a loop over ASCII beats `TextDecoder` or loses little. */
const ASCII_LOOP_BYTES_MAX = 16;

/** One array per length, because `apply` needs one of exactly that length. */
const asciiUnits: readonly number[][] = Array.from(
  { length: ASCII_LOOP_BYTES_MAX + 1 },
  (_, length) => new Array<number>(length).fill(0),
);

/** Up to this many bytes are copied off shared memory first: V8 decodes private memory faster. */
const SCRATCH_BYTES = 1024;
const scratch = new Uint8Array(SCRATCH_BYTES);

/** Changes what is given; the codecs of this thread work so from the next call on. */
export function tuneCodecs(tuning: CodecTuning): void {
  carveMin = tuning.carveBytesMin ?? carveMin;
  carveMax = Math.min(4096, tuning.carveBytesMax ?? carveMax);
  if (tuning.decodeUtf8 !== undefined) decodeLossy = tuning.decodeUtf8;
}

/** Memory for one copy alone; `too-large` if there is none, which only a large one can meet. */
function ownMemory(length: number): Uint8Array<ArrayBuffer> {
  return length > carveMax ? allocateBytes(length, "a value") : new Uint8Array(length);
}

/** Memory that copies are cut from, one after the other; nothing is ever given back to it. */
class Slab {
  #bytes = new Uint8Array(SLAB_BYTES);
  #words = new Uint32Array(this.#bytes.buffer);
  #buffer = this.#bytes.buffer;
  #used = 0;

  copy(bytes: Uint8Array, aligned: boolean): Uint8Array<ArrayBuffer> {
    const length = bytes.length;
    if (length < carveMin || length > carveMax) {
      const own = ownMemory(length);
      own.set(bytes);
      return own;
    }
    // V8 copies off shared memory in words if both ends have the same alignment, else byte by byte.
    const from = aligned ? 0 : bytes.byteOffset;
    const at = this.#used + ((from - this.#used) & 7);
    const end = at + length;
    // A caller may have transferred the slab away: its length is then 0.
    if (end >= this.#bytes.length) {
      this.#renew();
      return this.copy(bytes, aligned);
    }
    this.#used = end;
    const own = new Uint8Array(this.#buffer, at, length);
    own.set(bytes);
    return own;
  }

  /** A copy of what begins at a multiple of 4 of a chunk: in words, and without a view on the chunk. */
  copyPart(chunk: Chunk, offset: number, length: number): Uint8Array<ArrayBuffer> {
    if (length < carveMin || length > carveMax) {
      const own = ownMemory(length);
      own.set(new Uint8Array(chunk.u8.buffer, offset, length));
      return own;
    }
    const words = (length + 3) >> 2;
    let at = (this.#used + 3) >> 2;
    if (at + words >= this.#words.length) { // as above
      this.#renew();
      at = 0;
    }
    copyWords(chunk.u32, offset >> 2, this.#words, at, words);
    this.#used = (at + words) << 2;
    return new Uint8Array(this.#buffer, at << 2, length);
  }

  #renew(): void {
    this.#bytes = new Uint8Array(SLAB_BYTES);
    this.#buffer = this.#bytes.buffer;
    this.#words = new Uint32Array(this.#buffer);
    this.#used = 0;
  }
}

const results = new Slab();
const internals = new Slab();

/** Whether results of this length are carved: others get a buffer of their own. */
export function isCarved(length: number): boolean {
  return length >= carveMin && length <= carveMax;
}

/** The same as {@linkcode carve} for what is several results, one after the other. */
export function carveBlock(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.length > carveMax
    ? bytes.slice() as Uint8Array<ArrayBuffer>
    : results.copy(bytes, false);
}

/** A copy for a caller of the package, who may do anything to it and its buffer. */
export function carve(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return results.copy(bytes, false);
}

/** The same of a part of shared memory that begins at a multiple of 4. */
export function carvePart(chunk: Chunk, offset: number, length: number): Uint8Array<ArrayBuffer> {
  return results.copyPart(chunk, offset, length);
}

/** The same, beginning at a multiple of 8 in its buffer. */
export function carveAligned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return results.copy(bytes, true);
}

/** A copy that no caller of the package ever sees, and therefore shares no buffer with theirs. */
export function carveInternal(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return internals.copy(bytes, false);
}

/**
 * The string that `bytes` hold as UTF-8. Throws what the decoder throws: a `TypeError` for
 * malformed bytes, that or another error for more than the runtime puts into one string.
 */
export function decodeUtf8(bytes: Uint8Array): string {
  if (decodeLossy !== null) {
    const text = decodeLossy(bytes);
    return text.includes("\ufffd") ? decoder.decode(bytes) : text;
  }
  const length = bytes.length;
  if (length <= ASCII_LOOP_BYTES_MAX) {
    const units = asciiUnits[length];
    let i = 0;
    for (; i < length; i++) {
      const byte = bytes[i];
      if (byte > 0x7f) break;
      units[i] = byte;
    }
    if (i === length) return String.fromCharCode.apply(null, units);
  }
  if (length > SCRATCH_BYTES) return decoder.decode(bytes);
  scratch.set(bytes);
  return decoder.decode(scratch.subarray(0, length));
}
