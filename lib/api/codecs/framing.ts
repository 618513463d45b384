/**
 * Encodings that end by themselves, so that something can follow them: the elements of tuples, the keys of
 * multimaps.
 *
 * | of | bytes |
 * |---|---|
 * | a codec with `fixedSize` | its encoding |
 * | a tuple | its encoding, which ends by itself |
 * | any other | its encoding with 0x00 as 0x01 0x01 and 0x01 as 0x01 0x02, then 0x00 |
 *
 * No byte of an escaped encoding is 0x00, so the one that ends it sorts before every continuation:
 * "" before "\0" before "a" before "a\0". 0x01 0x01 < 0x01 0x02 < 0x02 keeps the order of bytes. No
 * framed encoding begins another, so what follows one never decides before it does.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";
import type { Codec } from "../codec.ts";
import type { ByteWriter } from "../codec_writer.ts";
import { encodePrefixWith, encodeWith } from "../encode.ts";
import { damaged } from "./describe.ts";

const END = 0x00;
const ESCAPE = 0x01;
const ESCAPED_END = 0x01;
const ESCAPED_ESCAPE = 0x02;

/** Where the last {@linkcode Framing.decode} ended; read by its caller at once. */
export const decoded: { end: number } = { end: 0 };

/** A codec whose encodings end by themselves although they are of several lengths. */
export abstract class SelfEnding<T> implements Codec<T> {
  abstract readonly name: string;
  abstract readonly ordered: boolean;
  abstract encode(value: T, target: ByteWriter): void;
  abstract decode(bytes: Uint8Array): T;
  /** Decodes what begins at `start`, and leaves its end in {@linkcode decoded}. */
  abstract decodeAt(bytes: Uint8Array, start: number): T;
  /** The end of what begins at `start`. */
  abstract endOf(bytes: Uint8Array, start: number): number;
}

/** One part of a larger encoding: makes the encodings of a codec end by themselves. */
export class Framing<T> {
  readonly codec: Codec<T>;
  readonly #fixedSize: number | undefined;
  readonly #selfEnding: SelfEnding<T> | undefined;
  /** The larger codec's name and the number of the part in it, for messages. */
  readonly #whole: string;
  readonly #element: number;

  constructor(codec: Codec<T>, whole: string, element: number) {
    this.codec = codec;
    this.#fixedSize = codec.fixedSize;
    this.#selfEnding = this.#fixedSize === undefined && codec instanceof SelfEnding
      ? codec
      : undefined;
    this.#whole = whole;
    this.#element = element;
  }

  get #isEscaped(): boolean {
    return this.#fixedSize === undefined && this.#selfEnding === undefined;
  }

  /**
   * Appends the framed encoding of a value.
   * @throws {ManifoldError} `invalid-argument` for a codec that breaks its word; and what the codec throws.
   */
  encode(value: T, target: ByteWriter): void {
    const { codec } = this;
    const start = target.length;
    encodeWith(codec, value, target);
    if (this.#isEscaped) {
      escape(target, start);
      target.u8(END);
    } else if (this.#fixedSize !== undefined && target.length - start !== this.#fixedSize) {
      throw new ManifoldError(
        "invalid-argument",
        `codec ${codec.name} wrote ${target.length - start} bytes but declares fixedSize ` +
          `${this.#fixedSize}`,
      );
    }
  }

  /** Appends what the framed encodings of all values with a prefix begin with. The codec must have prefixes. */
  encodePrefix(prefix: unknown, target: ByteWriter): void {
    const start = target.length;
    encodePrefixWith(this.codec, prefix, target);
    if (this.#isEscaped) escape(target, start);
  }

  /**
   * The value whose framed encoding begins at `start`; {@linkcode decoded} has its end.
   * @throws {ManifoldError} `corrupt` when the bytes end before; and what the codec throws.
   */
  decode(bytes: Uint8Array, start: number): T {
    if (this.#selfEnding !== undefined) return this.#selfEnding.decodeAt(bytes, start);
    const { codec } = this;
    const end = this.endOf(bytes, start);
    let value: T;
    if (this.#fixedSize !== undefined) value = codec.decode(bytes.subarray(start, end));
    else {
      const escapes = countEscapes(bytes, start, end);
      value = codec.decode(
        escapes === 0
          ? bytes.subarray(start, end - 1)
          : this.#unescape(bytes, start, end - 1, escapes),
      );
    }
    decoded.end = end;
    return value;
  }

  /**
   * Where the framed encoding that begins at `start` ends.
   * @throws {ManifoldError} `corrupt` when the bytes end before it does.
   */
  endOf(bytes: Uint8Array, start: number): number {
    if (this.#selfEnding !== undefined) return this.#selfEnding.endOf(bytes, start);
    let end = start;
    if (this.#fixedSize !== undefined) {
      end += this.#fixedSize;
      if (end <= bytes.length) return end;
    } else {
      while (end < bytes.length && bytes[end] !== END) end += bytes[end] === ESCAPE ? 2 : 1;
      if (end < bytes.length) return end + 1;
    }
    throw damaged(
      this.#whole,
      `they end inside element ${this.#element} (codec ${this.codec.name})`,
    );
  }

  #unescape(bytes: Uint8Array, start: number, end: number, escapes: number): Uint8Array {
    const plain = new Uint8Array(end - start - escapes);
    let to = 0;
    for (let from = start; from < end; from++) {
      let byte = bytes[from];
      if (byte === ESCAPE) {
        const escaped = bytes[++from];
        if (escaped !== ESCAPED_END && escaped !== ESCAPED_ESCAPE) {
          throw damaged(this.#whole, `the byte ${escaped} after an escape at offset ${from}`);
        }
        byte = escaped === ESCAPED_END ? END : ESCAPE;
      }
      plain[to++] = byte;
    }
    return plain;
  }
}

function countEscapes(bytes: Uint8Array, start: number, end: number): number {
  let escapes = 0;
  for (let i = start; i < end; i++) {
    if (bytes[i] !== ESCAPE) continue;
    escapes++;
    i++;
  }
  return escapes;
}

/** Escapes what is written from `start` on, in place. */
function escape(target: ByteWriter, start: number): void {
  const end = target.length;
  let escapes = 0;
  const written = target.bytes;
  for (let i = start; i < end; i++) if (written[i] <= ESCAPE) escapes++;
  if (escapes === 0) return;
  let to = target.reserve(escapes) + escapes;
  const bytes = target.bytes;
  // Every escape still to be written holds `to` one further from `from`.
  for (let from = end - 1; to > from + 1; from--) {
    const byte = bytes[from];
    if (byte > ESCAPE) bytes[--to] = byte;
    else {
      bytes[--to] = byte === END ? ESCAPED_END : ESCAPED_ESCAPE;
      bytes[--to] = ESCAPE;
    }
  }
}
