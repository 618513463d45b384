/**
 * The codecs of the tables below multimaps: keys that are entries of the multimap, and values that are nothing.
 *
 * An entry is the encoding of the multimap's key, made to end by itself (lib/api/codecs/framing.ts), and the encoding
 * of one of its values as it is. So the order of the bytes is that of the keys and, of one key, that of the values;
 * and what begins with a key's framed encoding are its entries and nothing else.
 *
 * @module
 */

import { checkCodec, type Codec } from "../codec.ts";
import type { ByteWriter } from "../codec_writer.ts";
import { encodeWith } from "../encode.ts";
import { checkSize, refused } from "./describe.ts";
import { decoded, Framing } from "./framing.ts";

/** An entry of a multimap: a key and one of its values. */
export type MultimapEntry<K, V> = [key: K, value: V];

/** Its name says that the table is a multimap, and of what. */
export class MultimapEntryCodec<K, V> implements Codec<MultimapEntry<K, V>> {
  readonly name: string;
  readonly ordered = true;
  readonly key: Framing<K>;
  readonly value: Codec<V>;

  /** @throws {ManifoldError} `invalid-argument` for what are no ordered codecs. */
  constructor(key: Codec<K>, value: Codec<V>) {
    this.name = `multimap(${checkCodec(key, "key")},${checkCodec(value, "member")})`;
    this.key = new Framing(key, this.name, 0);
    this.value = value;
  }

  encode(entry: MultimapEntry<K, V>, target: ByteWriter): void {
    if (!Array.isArray(entry) || entry.length !== 2) {
      throw refused(this.name, "an array of a key and a value", entry);
    }
    this.key.encode(entry[0], target);
    encodeWith(this.value, entry[1], target);
  }

  decode(bytes: Uint8Array): MultimapEntry<K, V> {
    const key = this.key.decode(bytes, 0);
    return [key, this.value.decode(bytes.subarray(decoded.end))];
  }
}

/** Of the values of the table, which are all of no bytes. */
export const none: Codec<undefined> = {
  name: "none",
  fixedSize: 0,
  ordered: true,
  encode() {},
  decode(bytes) {
    checkSize("none", bytes, 0);
    return undefined;
  },
};
