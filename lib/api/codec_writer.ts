/**
 * Where codecs write: a buffer that grows and is used again for the next value.
 *
 * The bytes of a finished value are `bytes` from 0 to `length`; whoever keeps them copies them
 * before the next `reset`.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { allocateBytes } from "../storage/bytes.ts";
import { describe } from "./codecs/describe.ts";

/** The most that a writer holds, bytes: a value of 1 GiB and a key of 64 KiB. */
export const WRITER_BYTES_MAX = 2 ** 30 + 2 ** 16;

/** A buffer that grew beyond this is given back at the next reset, bytes. */
const KEPT_BYTES_MAX = 2 ** 22;

/** Up to this many UTF-16 units a loop over ASCII beats `encodeInto` (measured on both runtimes). */
const ASCII_LOOP_UNITS_MAX = 40;

/** Up to this many UTF-16 units room is made for the longest encoding instead of the exact one. */
const ROOMY_UNITS_MAX = 4096;

const encoder = new TextEncoder();

/** From here on a codec may only append to, or take back from, what it writes itself; see lib/api/encode.ts. */
export let guard: (target: ByteWriter) => number;

/** Appends bytes that {@linkcode isBytes} or that are ours. */
export let append: (target: ByteWriter, bytes: Uint8Array) => void;

/** Ends that; with what {@linkcode guard} gave. */
export let unguard: (target: ByteWriter, before: number) => void;

const typedArrayKeys = Object.getPrototypeOf(Uint8Array.prototype).keys as () => unknown;

/** Whether it is a `Uint8Array` with memory: none that is detached, or has lost its place in a shrunk buffer. */
export function isBytes(value: unknown): value is Uint8Array {
  if (!(value instanceof Uint8Array)) return false;
  if (value.length > 0) return true;
  try {
    typedArrayKeys.call(value); // throws when it has none, which nothing else tells from an empty one
    return true;
  } catch {
    return false;
  }
}

/**
 * The growable buffer that {@linkcode Codec.encode} appends to.
 *
 * Holds at most 1 GiB + 64 KiB; growing beyond that throws `too-large`.
 *
 * @example Write a length and a name
 * ```ts
 * import { ByteWriter } from "@manifold/db";
 *
 * const target = new ByteWriter();
 * target.u8(3);
 * target.utf8("Ada");
 * console.log(target.view()); // Uint8Array(4) [ 3, 65, 100, 97 ]
 * ```
 */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;
  #view: DataView<ArrayBuffer> | undefined;
  /** What stands before is not the present codec's to take away. */
  #floor = 0;

  static {
    guard = (target) => {
      const before = target.#floor;
      target.#floor = target.#length;
      return before;
    };
    unguard = (target, before) => {
      target.#floor = before;
    };
    append = (target, bytes) => {
      const at = target.reserve(bytes.length);
      target.#bytes.set(bytes, at);
    };
  }

  /**
   * Makes an empty writer.
   *
   * @param capacity Bytes to make room for at first, from 1 to 1 GiB + 64 KiB; it grows as needed.
   */
  constructor(capacity: number = 256) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > WRITER_BYTES_MAX) {
      throw new ManifoldError(
        "invalid-argument",
        `ByteWriter: capacity ${capacity} is not an integer from 1 to ${WRITER_BYTES_MAX}`,
      );
    }
    this.#bytes = new Uint8Array(capacity);
  }

  /**
   * The buffer itself, of which the first `length` bytes are written. Growing replaces it: read
   * this property again after every call that may append.
   */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }

  /** How many bytes are written. */
  get length(): number {
    return this.#length;
  }

  /** Forgets what is written; in a codec, what that codec has written. */
  reset(): void {
    this.#length = this.#floor;
    if (this.#length === 0 && this.#bytes.length > KEPT_BYTES_MAX) this.#replace(256);
  }

  /**
   * Forgets what is written after the first `length` bytes.
   *
   * @param length Bytes to keep, from 0 to the present length, in a codec from what the length was when it was
   * called; otherwise `invalid-argument`.
   */
  truncate(length: number): void {
    if (!(length >= this.#floor && length <= this.#length && Number.isInteger(length))) {
      throw new ManifoldError(
        "invalid-argument",
        `ByteWriter: cannot truncate ${this.#length} bytes to ${length}; give an integer ` +
          `from ${this.#floor} on`,
      );
    }
    this.#length = length;
  }

  /**
   * Appends `count` bytes of unspecified content for the caller to fill.
   *
   * @param count Bytes, a non-negative integer; otherwise `invalid-argument`. `too-large` when the
   * writer would exceed 1 GiB + 64 KiB.
   * @returns Where in `bytes` they begin.
   */
  reserve(count: number): number {
    const at = this.#length;
    const end = at + count;
    if (!(count >= 0) || end > this.#bytes.length || end !== Math.floor(end)) this.#grow(count);
    this.#length = end;
    return at;
  }

  /** Appends the low 8 bits of an integer. */
  u8(value: number): void {
    const at = this.reserve(1);
    this.#bytes[at] = value;
  }

  /** Appends the low 32 bits of an integer, most significant byte first. */
  u32be(value: number): void {
    const at = this.reserve(4);
    const bytes = this.#bytes;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
  }

  /** Appends the low 64 bits of a bigint, most significant byte first. */
  u64be(value: bigint): void {
    const at = this.reserve(8);
    this.#view ??= new DataView(this.#bytes.buffer);
    this.#view.setBigUint64(at, value);
  }

  /**
   * Appends bytes. What is no `Uint8Array`, or one whose memory was detached or shrunk away, is
   * `invalid-argument`.
   */
  raw(bytes: Uint8Array): void {
    if (!isBytes(bytes)) {
      throw new ManifoldError(
        "invalid-argument",
        `ByteWriter: raw() takes a Uint8Array, not ${describe(bytes)}`,
      );
    }
    append(this, bytes);
  }

  /**
   * Appends a string as UTF-8. A lone surrogate, which UTF-8 cannot hold, is `invalid-argument`.
   */
  utf8(text: string): void {
    const units = text.length;
    if (units <= ASCII_LOOP_UNITS_MAX) {
      const start = this.reserve(units);
      const bytes = this.#bytes;
      let i = 0;
      for (; i < units; i++) {
        const unit = text.charCodeAt(i);
        if (unit > 0x7f) break;
        bytes[start + i] = unit;
      }
      if (i === units) return;
      this.#length = start;
    }
    if (!text.isWellFormed()) {
      throw new ManifoldError(
        "invalid-argument",
        `a string of ${units} UTF-16 units has a lone surrogate, which UTF-8 cannot hold; ` +
          "repair it with toWellFormed() or store it as bytes",
      );
    }
    const start = this.#length;
    this.reserve(units <= ROOMY_UNITS_MAX ? units * 3 : units);
    const first = encoder.encodeInto(text, this.#bytes.subarray(start));
    this.#length = start + first.written;
    if (first.read === units) return;

    const rest = text.substring(first.read);
    let at: number;
    try {
      at = this.reserve(utf8Length(rest));
    } catch (error) {
      this.#length = start;
      throw error;
    }
    encoder.encodeInto(rest, this.#bytes.subarray(at, this.#length));
  }

  /**
   * What is written, without a copy: valid until the writer is next appended to or reset.
   *
   * @param from Where to begin, bytes; 0 when not given.
   */
  view(from: number = 0): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(from, this.#length);
  }

  #grow(count: number): void {
    if (!Number.isInteger(count) || count < 0) {
      throw new ManifoldError(
        "invalid-argument",
        `ByteWriter: cannot reserve ${count} bytes; give a non-negative integer`,
      );
    }
    const needed = this.#length + count;
    if (needed > WRITER_BYTES_MAX) {
      throw new ManifoldError(
        "too-large",
        `an encoding of ${needed} bytes is beyond ${WRITER_BYTES_MAX}; split the value`,
      );
    }
    const doubled = this.#bytes.length * 2;
    const old = this.#bytes;
    this.#replace(Math.min(WRITER_BYTES_MAX, needed > doubled ? needed : doubled));
    this.#bytes.set(old.subarray(0, this.#length));
  }

  #replace(capacity: number): void {
    this.#bytes = allocateBytes(capacity, "an encoding");
    this.#view = undefined;
  }
}

/** Bytes of a well-formed string in UTF-8. */
function utf8Length(text: string): number {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // Either half of a pair counts two of its four bytes.
    if (unit < 0x80) length++;
    else if (unit < 0x800 || (unit & 0xf800) === 0xd800) length += 2;
    else length += 3;
  }
  return length;
}
