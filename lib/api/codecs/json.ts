/** The codec of JSON. @module */

import { ManifoldError } from "../../errors.ts";
import type { Codec } from "../codec.ts";
import { damaged, describe, refused } from "./describe.ts";
import { decodeText } from "./text.ts";

/**
 * Whatever `JSON.stringify` takes, as JSON text in UTF-8. For values only: it keeps no order.
 *
 * What comes back is what `JSON.parse` makes of it: `undefined` members are gone, a `Date` is a
 * string, NaN and Infinity are null. The type parameter is a promise of the caller's, not checked.
 *
 * What JSON has no text for (undefined, a function, a symbol, a cycle, a bigint without `toJSON`)
 * is `invalid-argument`, with the `cause` that `JSON.stringify` threw; more than 1 GiB of text is
 * `too-large`; stored bytes that are not JSON are `corrupt`.
 *
 * @typeParam T What the values are.
 *
 * @example
 * ```ts
 * import { json, openInMemory, text } from "@manifold/db";
 *
 * interface Profile {
 *   name: string;
 *   visits: number;
 * }
 *
 * await using db = await openInMemory();
 * const family = await db.columnFamily("shop");
 * const profiles = family.table("profiles", { key: text, value: json<Profile>() });
 * await profiles.set("ada", { name: "Ada", visits: 1 });
 * ```
 */
export function json<T = unknown>(): Codec<T> {
  return jsonCodec as Codec<T>;
}

const jsonCodec: Codec<unknown> = {
  name: "json",
  ordered: false,
  encode(value, target) {
    let text: string | undefined;
    try {
      text = JSON.stringify(value);
    } catch (cause) {
      throw new ManifoldError(
        "invalid-argument",
        `codec json: JSON.stringify failed on ${describe(value)}: ${messageOf(cause)}`,
        { cause },
      );
    }
    if (text === undefined) throw refused("json", "what JSON has a text for", value);
    target.utf8(text);
  },
  decode(bytes) {
    const text = decodeText("json", bytes);
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw damaged("json", `${bytes.length} bytes that are not JSON`, cause);
    }
  },
};

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : describe(cause);
}
