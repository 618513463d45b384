/**
 * The codecs of integers: two's complement, most significant byte first, with the sign bit flipped
 * for signed ones, which makes byte order numeric order.
 *
 * @module
 */

import type { Codec } from "../codec.ts";
import { checkSize, refused } from "./describe.ts";

const U64_MAX = 2n ** 64n - 1n;
const I64_MIN = -(2n ** 63n);
const I64_MAX = 2n ** 63n - 1n;
const I64_SIGN = 2n ** 63n;

const scratch = new DataView(new ArrayBuffer(8));

/**
 * Integers from 0 to 4,294,967,295 (`number`), as 4 bytes. Order: numeric. -0 is stored as 0.
 * Anything else is `invalid-argument`; stored bytes of another length are `corrupt`.
 *
 * @example
 * ```ts
 * import { openInMemory, text, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const rooms = (await db.columnFamily("hotel")).table("rooms", { key: u32, value: text });
 * await rooms.set(101, "single");
 * ```
 */
export const u32: Codec<number> = {
  name: "u32",
  fixedSize: 4,
  ordered: true,
  encode(value, target) {
    if (typeof value !== "number" || value >>> 0 !== value) {
      throw refused("u32", "an integer from 0 to 4294967295", value);
    }
    target.u32be(value);
  },
  decode(bytes) {
    checkSize("u32", bytes, 4);
    return (bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3]) >>> 0;
  },
};

/**
 * Integers from -2,147,483,648 to 2,147,483,647 (`number`), as 4 bytes. Order: numeric. -0 is
 * stored as 0. Anything else is `invalid-argument`; stored bytes of another length are `corrupt`.
 *
 * @example
 * ```ts
 * import { i32, openInMemory, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const floors = (await db.columnFamily("hotel")).table("floors", { key: i32, value: text });
 * await floors.set(-1, "garage");
 * ```
 */
export const i32: Codec<number> = {
  name: "i32",
  fixedSize: 4,
  ordered: true,
  encode(value, target) {
    if (typeof value !== "number" || (value | 0) !== value) {
      throw refused("i32", "an integer from -2147483648 to 2147483647", value);
    }
    target.u32be(value ^ 0x8000_0000);
  },
  decode(bytes) {
    checkSize("i32", bytes, 4);
    return (bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3]) ^ 0x8000_0000;
  },
};

/**
 * Integers from 0 to 2^64 - 1 (`bigint`), as 8 bytes. Order: numeric. Anything else, a `number`
 * included, is `invalid-argument`; stored bytes of another length are `corrupt`.
 *
 * @example
 * ```ts
 * import { openInMemory, text, u64 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const events = (await db.columnFamily("log")).table("events", { key: u64, value: text });
 * await events.set(1n, "started");
 * ```
 */
export const u64: Codec<bigint> = {
  name: "u64",
  fixedSize: 8,
  ordered: true,
  encode(value, target) {
    if (typeof value !== "bigint" || value < 0n || value > U64_MAX) {
      throw refused("u64", "a bigint from 0 to 2^64 - 1", value);
    }
    target.u64be(value);
  },
  decode(bytes) {
    checkSize("u64", bytes, 8);
    for (let i = 0; i < 8; i++) scratch.setUint8(i, bytes[i]);
    return scratch.getBigUint64(0);
  },
};

/**
 * Integers from -2^63 to 2^63 - 1 (`bigint`), as 8 bytes. Order: numeric. Anything else, a `number`
 * included, is `invalid-argument`; stored bytes of another length are `corrupt`.
 *
 * @example
 * ```ts
 * import { i64, openInMemory, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const years = (await db.columnFamily("history")).table("years", { key: i64, value: text });
 * await years.set(-13_800_000_000n, "it begins");
 * ```
 */
export const i64: Codec<bigint> = {
  name: "i64",
  fixedSize: 8,
  ordered: true,
  encode(value, target) {
    if (typeof value !== "bigint" || value < I64_MIN || value > I64_MAX) {
      throw refused("i64", "a bigint from -2^63 to 2^63 - 1", value);
    }
    target.u64be(value + I64_SIGN);
  },
  decode(bytes) {
    checkSize("i64", bytes, 8);
    scratch.setUint8(0, bytes[0] ^ 0x80);
    for (let i = 1; i < 8; i++) scratch.setUint8(i, bytes[i]);
    return scratch.getBigInt64(0);
  },
};
