/**
 * How a multimap lies in a table: each of its entries (lib/api/codecs/multimap_entry.ts) is a key of the table, whose
 * value is empty.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { prefixSuccessor } from "./bytes_order.ts";
import { checkCodec, type Codec } from "./codec.ts";
import { append, type ByteWriter } from "./codec_writer.ts";
import { type MultimapEntry, MultimapEntryCodec } from "./codecs/multimap_entry.ts";
import { encodePrefixWith, encodeWith } from "./encode.ts";
import { encodeKey, encodeRange, type KeyBound, type Range } from "./range.ts";

export const NO_BYTES: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/** The codecs of one multimap and what they make of its keys, values and ranges. */
export class MultimapLayout<K, V> {
  /** The multimap's name. */
  readonly name: string;
  /** Of entries that are encoded already: the table's keys. */
  readonly raw: Codec<Uint8Array>;
  /** Of the framed key alone, with which its entries begin; decodes whole entries, too. */
  readonly key: Codec<K>;
  readonly #entry: MultimapEntryCodec<K, V>;
  readonly #bytesMax: number;

  /**
   * @param bytesMax The longest key of a table.
   * @throws {ManifoldError} `invalid-argument` for what are no ordered codecs.
   */
  constructor(name: string, key: Codec<K>, value: Codec<V>, bytesMax: number) {
    const entry = new MultimapEntryCodec(key, value);
    const framing = entry.key;
    this.name = name;
    this.raw = { name: entry.name, ordered: true, encode: encodeRaw, decode: (bytes) => bytes };
    checkCodec(this.raw, "key"); // the two names may make one that is too long
    this.key = {
      name: key.name,
      ordered: true,
      encode: (key, target) => framing.encode(key, target),
      decode: (bytes) => framing.decode(bytes, 0),
    };
    if (key.encodePrefix !== undefined) {
      this.key.encodePrefix = (prefix, target) => framing.encodePrefix(prefix, target);
    }
    this.#entry = entry;
    this.#bytesMax = bytesMax;
  }

  /** The entry of a key and a value, owned. */
  entry(key: K, value: V): Uint8Array {
    return encodeKey(this.#entry, [key, value]);
  }

  /**
   * The same, for a write.
   * @throws {ManifoldError} `too-large`
   */
  entryToWrite(key: K, value: V): Uint8Array {
    const entry = this.entry(key, value);
    if (entry.length <= this.#bytesMax) return entry;
    throw new ManifoldError(
      "too-large",
      `multimap "${this.name}": a key and a value that take ${entry.length} bytes together are longer ` +
        `than ${this.#bytesMax}, a quarter of the page size; shorten them, or keep the value in a ` +
        "table and its key here",
    );
  }

  decode(entry: Uint8Array): MultimapEntry<K, V> {
    return this.#entry.decode(entry);
  }

  decodeValue(entry: Uint8Array): V {
    return this.#entry.value.decode(entry.subarray(this.keyEnd(entry)));
  }

  /** Where the framed key of an entry ends. */
  keyEnd(entry: Uint8Array): number {
    return this.#entry.key.endOf(entry, 0);
  }

  /** Of the values of one key as the table has them: with the framed key before each. */
  valuesOf(key: K): { readonly start: Uint8Array; readonly codec: Codec<V> } {
    const start = encodeKey(this.key, key);
    const { value } = this.#entry;
    const codec: Codec<V> = {
      name: value.name,
      ordered: true,
      encode(one, target) {
        append(target, start);
        encodeWith(value, one, target);
      },
      decode: (entry) => value.decode(entry.subarray(start.length)),
    };
    if (value.encodePrefix !== undefined) {
      codec.encodePrefix = (prefix, target) => {
        append(target, start);
        encodePrefixWith(value, prefix, target);
      };
    }
    return { start, codec };
  }

  /** The entries of one key. */
  entriesOf(key: K): Range<Uint8Array> {
    const start = encodeKey(this.key, key);
    return between(atLeast(start), before(prefixSuccessor(start)));
  }

  /** The entries of one key, given by {@linkcode valuesOf}, whose values are in a range. */
  valueRange(
    { start, codec }: { readonly start: Uint8Array; readonly codec: Codec<V> },
    range: Range<V> | undefined,
  ): Range<Uint8Array> {
    const { lower, upper, empty, reverse, limit, offset } = encodeRange(codec, range);
    const bounds = empty
      ? NOTHING
      : between(lower ?? atLeast(start), upper ?? before(prefixSuccessor(start)));
    return { ...bounds, reverse, limit, offset };
  }

  /** The entries whose keys are in a range; its offset and limit are of entries. */
  keyRange(range: Range<K> | undefined): Range<Uint8Array> {
    const { lower, upper, empty, reverse, limit, offset } = encodeRange(this.key, range);
    return { ...(empty ? NOTHING : wholeKeys(lower, upper)), reverse, limit, offset };
  }

  /** What comes after all entries that begin with a framed key, and before all others behind them. */
  behind(start: Uint8Array): Uint8Array {
    const behind = new Uint8Array(this.#bytesMax + 1).fill(0xff);
    behind.set(start.subarray(0, this.#bytesMax));
    return behind;
  }
}

/** Holds nothing: a bound that both begins and ends it. */
const NOTHING: Range<Uint8Array> = { gte: NO_BYTES, lt: NO_BYTES };

function encodeRaw(entry: Uint8Array, target: ByteWriter): void {
  append(target, entry);
}

/** Bounds that are framed keys, to go around their entries: a key's entries are all inside or all outside. */
function wholeKeys(lower: KeyBound | null, upper: KeyBound | null): Range<Uint8Array> {
  const from = lower === null || lower.inclusive ? lower : atLeast(prefixSuccessor(lower.key));
  // Nothing comes after the entries of a key of 0xFF alone.
  if (from === null && lower !== null) return NOTHING;
  return between(from, upper?.inclusive ? before(prefixSuccessor(upper.key)) : upper);
}

function atLeast(key: Uint8Array | null): KeyBound | null {
  return key === null || key.length === 0 ? null : { key, inclusive: true };
}

function before(key: Uint8Array | null): KeyBound | null {
  return key === null ? null : { key, inclusive: false };
}

function between(lower: KeyBound | null, upper: KeyBound | null): Range<Uint8Array> {
  return {
    ...(lower === null ? {} : lower.inclusive ? { gte: lower.key } : { gt: lower.key }),
    ...(upper === null ? {} : upper.inclusive ? { lte: upper.key } : { lt: upper.key }),
  };
}
