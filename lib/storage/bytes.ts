/**
 * Reading and writing of the small structures of the file: little-endian fields one after another.
 * Integers up to 2^53 are two 32-bit words.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";

/** Puts an integer from 0 to 2^53 in two words, the low one first. */
export function putU53(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

/** What {@linkcode putU53} has put; of other words a number that may be above 2^53. */
export function getU53(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/**
 * Zeroed memory; `what` it is for is told if there is none.
 * @throws {ManifoldError} `too-large`
 */
export function allocateBytes(bytes: number, what: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new ManifoldError("too-large", `no memory for ${what} of ${bytes} bytes`, { cause });
  }
}

/** How many of the first `count` bits are set; bit 0 is the lowest of the first word. */
export function countSetBits(words: Uint32Array, count: number): number {
  let set = 0;
  for (let i = 0; i < count; i++) set += (words[i >>> 5] >>> (i & 31)) & 1;
  return set;
}

/** Whether both hold the same bytes. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Writes fields into memory that grows. */
export class FieldWriter {
  #bytes: Uint8Array = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  #room(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.length, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  u8(value: number): void {
    const at = this.#room(1); // may replace the memory
    this.#view.setUint8(at, value);
  }

  u32(value: number): void {
    const at = this.#room(4);
    this.#view.setUint32(at, value, true);
  }

  u53(value: number): void {
    const at = this.#room(8);
    putU53(this.#view, at, value);
  }

  words(values: Uint32Array): void {
    for (const value of values) this.u32(value);
  }

  raw(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Fills with zeros up to a multiple of `bytes`. */
  align(bytes: number): void {
    while (this.length % bytes !== 0) this.u8(0);
  }

  take(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }
}

/**
 * Versions, generations and log positions count from 0 and never come near 2^53; a file that says more than
 * this could not be counted on in.
 */
export const COUNT_MAX = 2 ** 52;

/** Reads fields; going past the end, or a number above 2^53, is `corrupt`. */
export class FieldReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  at: number;

  /** `what` names the structure in errors. */
  constructor(bytes: Uint8Array, what: string, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
    this.at = at;
  }

  get left(): number {
    return this.#bytes.length - this.at;
  }

  #next(count: number): number {
    const at = this.at;
    if (!(count >= 0) || count > this.left) {
      throw new ManifoldError(
        "corrupt",
        `${this.#what} ends at byte ${this.#bytes.length} where ${count} more bytes should follow byte ${at}`,
      );
    }
    this.at += count;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#next(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#next(4), true);
  }

  u53(): number {
    const at = this.#next(8);
    const value = getU53(this.#view, at);
    if (value >= 2 ** 53) {
      throw new ManifoldError("corrupt", `${this.#what} has a number above 2^53 at byte ${at}`);
    }
    return value;
  }

  words(target: Uint32Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.u32();
  }

  raw(count: number): Uint8Array {
    const at = this.#next(count);
    return this.#bytes.subarray(at, at + count);
  }

  align(bytes: number): void {
    while (this.at % bytes !== 0) this.u8();
  }
}
