/** The codec of strings. @module */

import { ManifoldError } from "../../errors.ts";
import type { Codec } from "../codec.ts";
import type { ByteWriter } from "../codec_writer.ts";
import { damaged, refused } from "./describe.ts";
import { decodeUtf8 } from "./tuning.ts";

/** From here on a failed decode may be the runtime's limit on strings rather than damage, bytes. */
const DOUBTFUL_BYTES = 2 ** 29 - 64;

/**
 * Strings, as UTF-8.
 *
 * Order: by code point. JavaScript's `<` compares UTF-16 units and puts an astral character (above
 * U+FFFF) before U+E000 to U+FFFF; here it comes after them. No locale, no normalization: "é" in
 * one code point and in two are different keys. The `prefix` of a range is a string too and works
 * like `startsWith`.
 *
 * Anything but a string, and a string with a lone surrogate (it could not be read back), is
 * `invalid-argument`; more than 1 GiB of UTF-8 is `too-large`; stored bytes that are not UTF-8 are
 * `corrupt`; stored text beyond what the runtime puts into one string is `too-large`.
 *
 * @example
 * ```ts
 * import { json, openInMemory, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const users = (await db.columnFamily("shop")).table("users", { key: text, value: json() });
 * await users.set("ada", { visits: 1 });
 * for (const id of users.keys({ prefix: "a" })) console.log(id);
 * ```
 */
export const text: Codec<string> = {
  name: "text",
  ordered: true,
  encode: encodeText,
  encodePrefix(prefix, target) {
    encodeText(prefix, target);
  },
  decode(bytes) {
    return decodeText("text", bytes);
  },
};

function encodeText(value: unknown, target: ByteWriter): void {
  if (typeof value !== "string") throw refused("text", "a string", value);
  try {
    target.utf8(value);
  } catch (cause) {
    if (!(cause instanceof ManifoldError)) throw cause;
    throw new ManifoldError(cause.code, `codec text: ${cause.message}`, { cause });
  }
}

/** The string in `bytes`; `codec` is who reads it. */
export function decodeText(codec: string, bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes);
  } catch (cause) {
    if (bytes.length < DOUBTFUL_BYTES) throw damaged(codec, "they are not UTF-8", cause);
    throw new ManifoldError(
      "too-large",
      `codec ${codec}: this runtime does not decode ${bytes.length} bytes into one string; ` +
        "read them with the codec bytes or with view()",
      { cause },
    );
  }
}
