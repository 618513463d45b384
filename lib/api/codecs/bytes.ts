/** The codec of byte strings. @module */

import type { Codec } from "../codec.ts";
import { append, type ByteWriter, isBytes } from "../codec_writer.ts";
import { refused } from "./describe.ts";
import { carve } from "./tuning.ts";

/**
 * Bytes, as they are. Order: byte by byte, unsigned, a prefix before what it begins. The `prefix`
 * of a range is a `Uint8Array` too.
 *
 * Takes a `Uint8Array` (also a subclass, also on shared memory) and copies it; anything else, and
 * one whose buffer was detached or has shrunk away from under it, is `invalid-argument`; more than 1 GiB is `too-large`. What it
 * returns is the caller's own, but small results share one `ArrayBuffer`: use the array, not its
 * `buffer`, and copy it with `slice()` before transferring it.
 *
 * @example
 * ```ts
 * import { bytes, openInMemory, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const blobs = (await db.columnFamily("shop")).table("blobs", { key: text, value: bytes });
 * await blobs.set("logo", new Uint8Array([0x89, 0x50, 0x4e, 0x47]));
 * ```
 */
export const bytes: Codec<Uint8Array> = {
  name: "bytes",
  ordered: true,
  encode: encodeBytes,
  encodePrefix(prefix, target) {
    encodeBytes(prefix, target);
  },
  decode(encoded) {
    return carve(encoded);
  },
};

function encodeBytes(value: unknown, target: ByteWriter): void {
  if (!isBytes(value)) throw refused("bytes", "a Uint8Array", value);
  append(target, value);
}
