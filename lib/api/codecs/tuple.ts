/**
 * The codec of tuples: the encodings of the elements, one after the other, so that byte order is
 * the order of the tuples, element by element.
 *
 * | element | bytes |
 * |---|---|
 * | of a codec with `fixedSize` | its encoding |
 * | a tuple | its encoding, which ends by itself |
 * | any other | its encoding with 0x00 as 0x01 0x01 and 0x01 as 0x01 0x02, then 0x00 |
 *
 * No byte of an escaped encoding is 0x00, so the one that ends it sorts before every continuation:
 * "" before "\0" before "a" before "a\0". 0x01 0x01 < 0x01 0x02 < 0x02 keeps the order of bytes. No
 * element's encoding begins another's, so what follows an element never decides before it does.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";
import { checkCodec, type Codec } from "../codec.ts";
import type { ByteWriter } from "../codec_writer.ts";
import { encodeWith } from "../encode.ts";
import { damaged, refused } from "./describe.ts";

const END = 0x00;
const ESCAPE = 0x01;
const ESCAPED_END = 0x01;
const ESCAPED_ESCAPE = 0x02;

/** How an element is told from what follows it. */
type Framing = "fixed" | "nested" | "escaped";

/** Where the last call of `decodeElements` stopped; read by its caller at once. */
let position = 0;

/**
 * Tuples of the given codecs, for keys of several parts. Tuples of tuples are allowed.
 *
 * Order: by the first element, then the second, and so on, each in the order of its codec; an empty
 * string comes first, and "a" before "ab" whatever follows. The `prefix` of a range is an array of
 * leading elements, none to all of them. An element of variable length costs one byte more than by
 * itself, and one for each of its bytes 0x00 and 0x01.
 *
 * A value that is not an array of exactly these elements is `invalid-argument`, naming the element;
 * stored bytes that do not split into them are `corrupt`.
 *
 * @param codecs The codec of each element, at least one, all of them ordered; otherwise
 * `invalid-argument`.
 *
 * @example All versions of one document, newest first
 * ```ts
 * import { openInMemory, text, tuple, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family = await db.columnFamily("wiki");
 * const versions = family.table("versions", { key: tuple(text, u32), value: text });
 * await versions.set(["home", 1], "Hello");
 * await versions.set(["home", 2], "Hello, world");
 * for (const [[id, version], body] of versions.entries({ prefix: ["home"], reverse: true })) {
 *   console.log(id, version, body);
 * }
 * ```
 */
export function tuple<T extends readonly unknown[]>(
  ...codecs: { [I in keyof T]: Codec<T[I]> }
): Codec<T> {
  return new TupleCodec(codecs as readonly Codec<unknown>[]) as Codec<unknown> as Codec<T>;
}

class TupleCodec implements Codec<readonly unknown[]> {
  readonly name: string;
  readonly fixedSize?: number;
  readonly ordered = true;
  readonly #codecs: readonly Codec<unknown>[];
  readonly #framings: readonly Framing[];

  constructor(codecs: readonly Codec<unknown>[]) {
    if (codecs.length === 0) {
      throw new ManifoldError("invalid-argument", "tuple() needs the codec of one element or more");
    }
    this.name = `tuple(${codecs.map((codec) => checkCodec(codec, "key")).join(",")})`;
    if (codecs.every((codec) => codec.fixedSize !== undefined)) {
      this.fixedSize = codecs.reduce((sum, codec) => sum + codec.fixedSize!, 0);
    }
    this.#codecs = codecs;
    this.#framings = codecs.map((codec) =>
      codec.fixedSize !== undefined ? "fixed" : codec instanceof TupleCodec ? "nested" : "escaped"
    );
  }

  encode(value: unknown, target: ByteWriter): void {
    if (!Array.isArray(value) || value.length !== this.#codecs.length) {
      throw refused(this.name, `an array of ${this.#codecs.length} elements`, value);
    }
    this.#encodeElements(value, target);
  }

  encodePrefix(prefix: unknown, target: ByteWriter): void {
    if (!Array.isArray(prefix) || prefix.length > this.#codecs.length) {
      throw refused(
        this.name,
        `a prefix that is an array of up to ${this.#codecs.length} leading elements`,
        prefix,
      );
    }
    this.#encodeElements(prefix, target);
  }

  decode(bytes: Uint8Array): unknown[] {
    const value = this.#decodeElements(bytes, 0);
    if (position !== bytes.length) {
      throw damaged(this.name, `${bytes.length - position} bytes after the last element`);
    }
    return value;
  }

  #encodeElements(elements: readonly unknown[], target: ByteWriter): void {
    for (let i = 0; i < elements.length; i++) {
      const codec = this.#codecs[i];
      const start = target.length;
      try {
        encodeWith(codec, elements[i], target);
      } catch (cause) {
        if (!(cause instanceof ManifoldError)) throw cause;
        throw new ManifoldError(cause.code, `element ${i} of ${this.name}: ${cause.message}`, {
          cause,
        });
      }
      const framing = this.#framings[i];
      if (framing === "escaped") escape(target, start);
      else if (framing === "fixed" && target.length - start !== codec.fixedSize) {
        throw new ManifoldError(
          "invalid-argument",
          `element ${i} of ${this.name}: codec ${codec.name} wrote ${target.length - start} ` +
            `bytes but declares fixedSize ${codec.fixedSize}`,
        );
      }
    }
  }

  #decodeElements(bytes: Uint8Array, start: number): unknown[] {
    const codecs = this.#codecs;
    const value = new Array<unknown>(codecs.length);
    let at = start;
    for (let i = 0; i < codecs.length; i++) {
      const codec = codecs[i];
      const framing = this.#framings[i];
      if (framing === "fixed") {
        const end = at + codec.fixedSize!;
        if (end > bytes.length) {
          throw damaged(this.name, `they end inside element ${i} (codec ${codec.name})`);
        }
        value[i] = codec.decode(bytes.subarray(at, end));
        at = end;
      } else if (framing === "nested") {
        value[i] = (codec as TupleCodec).#decodeElements(bytes, at);
        at = position;
      } else {
        let end = at;
        let escapes = 0;
        while (end < bytes.length && bytes[end] !== END) {
          if (bytes[end] === ESCAPE) {
            escapes++;
            end++;
          }
          end++;
        }
        if (end >= bytes.length) {
          throw damaged(this.name, `they end inside element ${i} (codec ${codec.name})`);
        }
        value[i] = codec.decode(
          escapes === 0 ? bytes.subarray(at, end) : this.#unescape(bytes, at, end, escapes),
        );
        at = end + 1;
      }
    }
    position = at;
    return value;
  }

  #unescape(bytes: Uint8Array, start: number, end: number, escapes: number): Uint8Array {
    const plain = new Uint8Array(end - start - escapes);
    let to = 0;
    for (let from = start; from < end; from++) {
      let byte = bytes[from];
      if (byte === ESCAPE) {
        const escaped = bytes[++from];
        if (escaped !== ESCAPED_END && escaped !== ESCAPED_ESCAPE) {
          throw damaged(this.name, `the byte ${escaped} after an escape at offset ${from}`);
        }
        byte = escaped === ESCAPED_END ? END : ESCAPE;
      }
      plain[to++] = byte;
    }
    return plain;
  }
}

/** Escapes what is written from `start` on, in place, and ends it. */
function escape(target: ByteWriter, start: number): void {
  const end = target.length;
  let escapes = 0;
  const written = target.bytes;
  for (let i = start; i < end; i++) if (written[i] <= ESCAPE) escapes++;
  let to = target.reserve(escapes + 1) + escapes;
  const bytes = target.bytes;
  bytes[to] = END;
  if (escapes === 0) return;
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
