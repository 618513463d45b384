/** The codec of floating-point numbers. @module */

import type { Codec } from "../codec.ts";
import { checkSize, damaged, refused } from "./describe.ts";

const scratch = new DataView(new ArrayBuffer(8));

/**
 * Numbers, as 8 bytes: IEEE 754 binary64, most significant byte first, with the sign bit flipped
 * for positive numbers and all bits for negative ones, which makes byte order numeric order.
 *
 * Order: numeric, from -Infinity to Infinity. -0 equals 0 and is stored as 0. NaN, which has no
 * place in that order, and anything but a number is `invalid-argument`; stored bytes of NaN or -0
 * are `corrupt`.
 *
 * @example
 * ```ts
 * import { f64, openInMemory, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const scores = (await db.columnFamily("game")).table("scores", { key: f64, value: text });
 * await scores.set(-1.5, "ada");
 * ```
 */
export const f64: Codec<number> = {
  name: "f64",
  fixedSize: 8,
  ordered: true,
  encode(value, target) {
    if (typeof value !== "number" || value !== value) {
      throw refused("f64", "a number that is not NaN", value);
    }
    scratch.setFloat64(0, value + 0); // -0 + 0 is 0
    const high = scratch.getInt32(0);
    const flip = high >> 31;
    target.u32be(high ^ (flip | 0x8000_0000));
    target.u32be(scratch.getInt32(4) ^ flip);
  },
  decode(bytes) {
    checkSize("f64", bytes, 8);
    const high = bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
    const low = bytes[4] << 24 | bytes[5] << 16 | bytes[6] << 8 | bytes[7];
    const flip = ~(high >> 31);
    scratch.setInt32(0, high ^ (flip | 0x8000_0000));
    scratch.setInt32(4, low ^ flip);
    const value = scratch.getFloat64(0);
    if (value !== value) throw damaged("f64", "they are NaN");
    if (value === 0 && flip !== 0) throw damaged("f64", "they are -0");
    return value;
  },
};
