/** The codec of booleans. @module */

import type { Codec } from "../codec.ts";
import { checkSize, damaged, refused } from "./describe.ts";

/**
 * Booleans, as one byte: 0 for false, 1 for true. Order: false, true.
 *
 * Anything else is `invalid-argument`; a stored byte other than 0 and 1 is `corrupt`.
 *
 * @example
 * ```ts
 * import { bool, openInMemory, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const flags = (await db.columnFamily("shop")).table("flags", { key: text, value: bool });
 * await flags.set("open", true);
 * ```
 */
export const bool: Codec<boolean> = {
  name: "bool",
  fixedSize: 1,
  ordered: true,
  encode(value, target) {
    if (typeof value !== "boolean") throw refused("bool", "a boolean", value);
    target.u8(value ? 1 : 0);
  },
  decode(bytes) {
    checkSize("bool", bytes, 1);
    if (bytes[0] > 1) throw damaged("bool", `the byte ${bytes[0]}`);
    return bytes[0] === 1;
  },
};
