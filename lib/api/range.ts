/**
 * Which entries of a table a read or a deletion is about: what the caller says, and what the tree
 * understands.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { compareBytes, prefixSuccessor } from "./bytes_order.ts";
import type { Codec } from "./codec.ts";
import { ByteWriter } from "./codec_writer.ts";
import { encodePrefixWith, encodeWith } from "./encode.ts";
import { describe } from "./codecs/describe.ts";
import { carveInternal } from "./codecs/tuning.ts";

/**
 * What `prefix` is for keys of type `K`: for a string the beginning of one, for bytes likewise, for
 * a tuple an array of its leading elements; numbers, bigints and booleans have none.
 *
 * @typeParam K The type of the keys.
 *
 * @example
 * ```ts
 * import type { KeyPrefix } from "@manifold/db";
 *
 * const ofText: KeyPrefix<string> = "a";
 * const ofTuple: KeyPrefix<[string, number]> = ["paris"];
 * console.log(ofText, ofTuple);
 * ```
 */
export type KeyPrefix<K> = K extends string ? string
  : K extends Uint8Array ? Uint8Array
  : K extends readonly unknown[] ? Readonly<Partial<K>>
  : K extends number | bigint | boolean ? never
  : unknown;

/**
 * Entries of a table by their keys. All conditions hold together; without any it is every entry. A
 * range that no key can satisfy is empty, not an error.
 *
 * `invalid-argument`: `gt` with `gte`, `lt` with `lte`, a bound that the table's key codec does not
 * take, a `prefix` for keys that have none, a field of another name, a range that is not an object.
 *
 * @typeParam K The type of the keys.
 *
 * @example The second ten of the keys from "m" on, and the last key of all
 * ```ts
 * import { openInMemory, type Range, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const names = (await db.columnFamily("shop")).table("names", { key: text, value: text });
 * const page: Range<string> = { gte: "m", offset: 10, limit: 10 };
 * for (const [key, value] of names.entries(page)) console.log(key, value);
 * for (const key of names.keys({ reverse: true, limit: 1 })) console.log(key);
 * ```
 */
export interface Range<K> {
  /** Only keys that are this or after it. Not together with `gt`. */
  readonly gte?: K;
  /** Only keys after this. Not together with `gte`. */
  readonly gt?: K;
  /** Only keys that are this or before it. Not together with `lt`. */
  readonly lte?: K;
  /** Only keys before this. Not together with `lte`. */
  readonly lt?: K;
  /** Only keys that begin with this; see {@linkcode KeyPrefix}. */
  readonly prefix?: KeyPrefix<K>;
  /** From the last key to the first; false when not given. */
  readonly reverse?: boolean;
  /** At most so many entries, a non-negative integer or Infinity, which it is when not given. */
  readonly limit?: number;
  /** How many entries to pass over first, a non-negative integer; 0 when not given. */
  readonly offset?: number;
}

/** One end of a range of encoded keys. */
export interface KeyBound {
  readonly key: Uint8Array;
  /** Whether `key` itself belongs to the range. */
  readonly inclusive: boolean;
}

/** A checked range over encoded keys. */
export interface EncodedRange {
  /** null: from the first key on. The bytes are owned and stay as they are. */
  readonly lower: KeyBound | null;
  /** null: to the last key. */
  readonly upper: KeyBound | null;
  readonly reverse: boolean;
  /** Entries; Infinity: no limit. */
  readonly limit: number;
  /** Entries. */
  readonly offset: number;
  /** Nothing can be in it; then the bounds may be inverted. */
  readonly empty: boolean;
}

/** Every entry, forwards. */
export const EVERYTHING: EncodedRange = {
  lower: null,
  upper: null,
  reverse: false,
  limit: Infinity,
  offset: 0,
  empty: false,
};

const FIELDS = "gte, gt, lte, lt, prefix, reverse, limit and offset";

/** Taken while in use: a user's codec may come back here. */
let idle: ByteWriter | undefined;

/**
 * Checks a range and encodes its bounds with the codec of the keys. `invalid-argument` as
 * {@linkcode Range} says.
 */
export function encodeRange<K>(codec: Codec<K>, range?: Range<K>): EncodedRange {
  if (range === undefined) return EVERYTHING;
  checkFields(range);
  const { gte, gt, lte, lt, prefix, reverse = false, limit = Infinity, offset = 0 } = range;
  if (typeof reverse !== "boolean") {
    throw refusedRange(`reverse is ${describe(reverse)}; give a boolean`);
  }
  if (limit !== Infinity && !isCount(limit)) {
    throw refusedRange(`limit is ${describe(limit)}; give a non-negative integer or Infinity`);
  }
  if (!isCount(offset)) {
    throw refusedRange(`offset is ${describe(offset)}; give a non-negative integer`);
  }

  let lower: KeyBound | null = null;
  let upper: KeyBound | null = null;
  if (gte !== undefined) {
    if (gt !== undefined) throw refusedRange("it has both gt and gte; give one of them");
    lower = { key: encodeKey(codec, gte), inclusive: true };
  } else if (gt !== undefined) lower = { key: encodeKey(codec, gt), inclusive: false };
  if (lte !== undefined) {
    if (lt !== undefined) throw refusedRange("it has both lt and lte; give one of them");
    upper = { key: encodeKey(codec, lte), inclusive: true };
  } else if (lt !== undefined) upper = { key: encodeKey(codec, lt), inclusive: false };

  if (prefix !== undefined) {
    const key = encodePrefix(codec, prefix);
    if (lower === null || compareBytes(key, lower.key) > 0) {
      lower = key.length === 0 ? null : { key, inclusive: true };
    }
    const end = prefixSuccessor(key);
    if (end !== null && (upper === null || compareBytes(end, upper.key) <= 0)) {
      upper = { key: end, inclusive: false };
    }
  }
  const empty = limit === 0 || (lower !== null && upper !== null && isEmpty(lower, upper));
  return { lower, upper, reverse, limit, offset, empty };
}

function checkFields(range: unknown): void {
  // A Map, a typed array or a string has no field that we know, and must not mean every entry.
  if (
    typeof range !== "object" || range === null ||
    Object.prototype.toString.call(range) !== "[object Object]"
  ) {
    throw refusedRange(`it is ${describe(range)}; give an object with any of ${FIELDS}`);
  }
  for (const field in range) {
    switch (field) {
      case "gte":
      case "gt":
      case "lte":
      case "lt":
      case "prefix":
      case "reverse":
      case "limit":
      case "offset":
        break;
      default:
        throw refusedRange(`it has the field ${JSON.stringify(field)}; it takes ${FIELDS}`);
    }
  }
}

/** The encoding of a key, owned, to be kept inside the package only. */
export function encodeKey<K>(codec: Codec<K>, key: K): Uint8Array<ArrayBuffer> {
  const writer = takeWriter();
  encodeWith(codec, key, writer);
  return finish(writer);
}

function encodePrefix<K>(codec: Codec<K>, prefix: unknown): Uint8Array<ArrayBuffer> {
  if (codec.encodePrefix === undefined) {
    throw refusedRange(`keys of codec ${codec.name} have no prefix; use gte and lt`);
  }
  const writer = takeWriter();
  encodePrefixWith(codec, prefix, writer);
  return finish(writer);
}

function takeWriter(): ByteWriter {
  const writer = idle ?? new ByteWriter();
  idle = undefined;
  writer.reset();
  return writer;
}

function finish(writer: ByteWriter): Uint8Array<ArrayBuffer> {
  const encoded = carveInternal(writer.view());
  idle = writer;
  return encoded;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isEmpty(lower: KeyBound, upper: KeyBound): boolean {
  const order = compareBytes(lower.key, upper.key);
  return order > 0 || (order === 0 && !(lower.inclusive && upper.inclusive));
}

function refusedRange(why: string): ManifoldError {
  return new ManifoldError("invalid-argument", `range: ${why}`);
}
