/**
 * The codec of tuples: the encodings of the elements, each of which ends by itself (lib/api/codecs/framing.ts), one
 * after the other, so that byte order is the order of the tuples, element by element.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";
import { checkCodec, type Codec } from "../codec.ts";
import type { ByteWriter } from "../codec_writer.ts";
import { damaged, refused } from "./describe.ts";
import { decoded, Framing, SelfEnding } from "./framing.ts";

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

class TupleCodec extends SelfEnding<readonly unknown[]> {
  readonly name: string;
  readonly fixedSize?: number;
  readonly ordered = true;
  readonly #elements: readonly Framing<unknown>[];

  constructor(codecs: readonly Codec<unknown>[]) {
    super();
    if (codecs.length === 0) {
      throw new ManifoldError("invalid-argument", "tuple() needs the codec of one element or more");
    }
    const name = `tuple(${codecs.map((codec) => checkCodec(codec, "key")).join(",")})`;
    this.name = name;
    if (codecs.every((codec) => codec.fixedSize !== undefined)) {
      this.fixedSize = codecs.reduce((sum, codec) => sum + codec.fixedSize!, 0);
    }
    this.#elements = codecs.map((codec, i) => new Framing(codec, name, i));
  }

  encode(value: unknown, target: ByteWriter): void {
    if (!Array.isArray(value) || value.length !== this.#elements.length) {
      throw refused(this.name, `an array of ${this.#elements.length} elements`, value);
    }
    this.#encodeElements(value, target);
  }

  encodePrefix(prefix: unknown, target: ByteWriter): void {
    if (!Array.isArray(prefix) || prefix.length > this.#elements.length) {
      throw refused(
        this.name,
        `a prefix that is an array of up to ${this.#elements.length} leading elements`,
        prefix,
      );
    }
    this.#encodeElements(prefix, target);
  }

  decode(bytes: Uint8Array): unknown[] {
    const value = this.decodeAt(bytes, 0);
    if (decoded.end !== bytes.length) {
      throw damaged(this.name, `${bytes.length - decoded.end} bytes after the last element`);
    }
    return value;
  }

  decodeAt(bytes: Uint8Array, start: number): unknown[] {
    const elements = this.#elements;
    const value = new Array<unknown>(elements.length);
    let at = start;
    for (let i = 0; i < elements.length; i++) {
      value[i] = elements[i].decode(bytes, at);
      at = decoded.end;
    }
    decoded.end = at;
    return value;
  }

  endOf(bytes: Uint8Array, start: number): number {
    let end = start;
    for (const element of this.#elements) end = element.endOf(bytes, end);
    return end;
  }

  #encodeElements(values: readonly unknown[], target: ByteWriter): void {
    for (let i = 0; i < values.length; i++) {
      try {
        this.#elements[i].encode(values[i], target);
      } catch (cause) {
        if (!(cause instanceof ManifoldError)) throw cause;
        throw new ManifoldError(cause.code, `element ${i} of ${this.name}: ${cause.message}`, {
          cause,
        });
      }
    }
  }
}
