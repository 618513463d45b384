/**
 * What turns keys and values into bytes and back.
 *
 * A codec's `name` is written to the file with the table; opening the table with a codec of another
 * name is `type-mismatch`. The name is therefore part of the format and never changes.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import type { ByteWriter } from "./codec_writer.ts";
import { describe } from "./codecs/describe.ts";

/** The longest name of a codec, in bytes of UTF-8. */
const NAME_BYTES_MAX = 255;

/**
 * Turns values of type `T` into bytes and back.
 *
 * The package's codecs are `bytes`, `text`, `bool`, `u32`, `i32`, `u64`, `i64`, `f64` and
 * `tuple(...)` for keys and values, `json()` and `f32Array(dim)` for values only. Anything of this
 * shape works beside them.
 *
 * The package's codecs throw `invalid-argument` for a value that they do not take, `too-large` for
 * one beyond 1 GiB, and `corrupt` for bytes that they cannot have written.
 *
 * @typeParam T What it encodes.
 *
 * @example A codec of one's own, on top of another
 * ```ts
 * import { type Codec, f64, openInMemory, text } from "@manifold/db";
 *
 * const date: Codec<Date> = {
 *   name: "date",
 *   fixedSize: 8,
 *   ordered: true,
 *   encode: (value, target) => f64.encode(value.getTime(), target),
 *   decode: (bytes) => new Date(f64.decode(bytes)),
 * };
 *
 * await using db = await openInMemory();
 * const family = await db.columnFamily("calendar");
 * const events = family.table("events", { key: date, value: text });
 * await events.set(new Date("1843-09-01"), "Notes by the translator");
 * ```
 */
export interface Codec<T> {
  /**
   * Stable and unique, because files record it: 1 to 255 bytes of UTF-8, no NUL, commas only
   * inside balanced parentheses.
   */
  readonly name: string;

  /** The length of every encoding, in bytes, when they are all of one length. */
  readonly fixedSize?: number;

  /**
   * Whether comparing encodings byte by byte (unsigned, a prefix first) gives the order of the
   * values. Keys need it, values do not.
   */
  readonly ordered: boolean;

  /**
   * Appends the encoding of `value`. What it throws reaches the caller of the table; what it had
   * appended before is dropped.
   *
   * It may read and write other tables, and this one. `invalid-argument` for a codec that returns a promise,
   * that takes away what was in `target` before it, or that uses the batch which it is encoding for.
   */
  encode(value: T, target: ByteWriter): void;

  /**
   * Reads an encoding back.
   *
   * @param bytes Exactly one encoding. It may lie on memory that other threads share and is valid
   * only during the call: the result must be the caller's own. A codec that uses the iterator which it is
   * decoding for is refused with `invalid-argument`.
   */
  decode(bytes: Uint8Array): T;

  /**
   * Appends the bytes with which the encoding of every value that has this prefix begins, and of no
   * other. A codec without it gives its tables no `prefix` in ranges.
   */
  encodePrefix?(prefix: unknown, target: ByteWriter): void;
}

/**
 * The type that a codec encodes.
 *
 * @typeParam C A codec.
 *
 * @example The type of a key
 * ```ts
 * import { type CodecValue, text, tuple, u32 } from "@manifold/db";
 *
 * const placeKey = tuple(text, u32);
 * type PlaceKey = CodecValue<typeof placeKey>; // [string, number]
 * const key: PlaceKey = ["paris", 1];
 * console.log(key);
 * ```
 */
export type CodecValue<C> = C extends Codec<infer T> ? T : never;

/**
 * Throws `invalid-argument` unless `codec` has the shape of one, and for keys and the members of multimaps unless
 * it is ordered.
 * Gives its name, to be used from now on, whatever a getter says later.
 */
export function checkCodec(codec: unknown, use: "key" | "value" | "member"): string {
  const what = use === "key" ? "key" : "value";
  if (typeof codec !== "object" || codec === null) {
    throw new ManifoldError(
      "invalid-argument",
      `the ${what} codec is ${describe(codec)}; give one such as text${
        use === "value" ? " or json()" : ""
      }`,
    );
  }
  const { name, encode, decode, ordered, fixedSize, encodePrefix } = codec as Partial<
    Codec<unknown>
  >;
  if (typeof name !== "string" || !isCodecName(name)) {
    throw new ManifoldError(
      "invalid-argument",
      `the ${what} codec has the name ${JSON.stringify(name)}; it must be 1 to ${NAME_BYTES_MAX} ` +
        "bytes of UTF-8 without NUL, with commas only inside balanced parentheses",
    );
  }
  const wrong = typeof encode !== "function"
    ? "no method encode"
    : typeof decode !== "function"
    ? "no method decode"
    : typeof ordered !== "boolean"
    ? "no boolean ordered"
    : fixedSize !== undefined && !(Number.isSafeInteger(fixedSize) && fixedSize >= 0)
    ? "a fixedSize that is not a non-negative integer"
    : encodePrefix !== undefined && typeof encodePrefix !== "function"
    ? "an encodePrefix that is not a method"
    : undefined;
  if (wrong !== undefined) {
    throw new ManifoldError("invalid-argument", `the ${what} codec ${name} has ${wrong}`);
  }
  if (use !== "value" && !ordered) {
    throw new ManifoldError(
      "invalid-argument",
      use === "key"
        ? `codec ${name} does not keep order and cannot encode keys; use it for values`
        : `codec ${name} does not keep order, and a multimap's values are sorted; use one that does, such as text`,
    );
  }
  return name;
}

/** Commas at the top level are refused so that the name of a tuple reads in one way only. */
function isCodecName(name: string): boolean {
  if (!name.isWellFormed() || name.includes("\0")) return false;
  const length = new TextEncoder().encode(name).length;
  if (length < 1 || length > NAME_BYTES_MAX) return false;
  let depth = 0;
  for (const character of name) {
    if (character === "(") depth++;
    else if (character === ")" && --depth < 0) return false;
    else if (character === "," && depth === 0) return false;
  }
  return depth === 0;
}
