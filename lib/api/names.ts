/**
 * Names of column families and tables.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { NAME_BYTES_MAX } from "../memory/family_slots.ts";
import { describe } from "./codecs/describe.ts";

/**
 * Throws `invalid-argument` unless `name` is 1 to 255 bytes of UTF-8 without NUL.
 *
 * @param kind What is named, for the message.
 */
export function checkName(kind: "column family" | "table", name: unknown): asserts name is string {
  const why = typeof name !== "string"
    ? `is ${describe(name)}`
    : name.length === 0
    ? "is empty"
    : name.includes("\0")
    ? "has a NUL"
    : !name.isWellFormed()
    ? "has a lone surrogate"
    : name.length > NAME_BYTES_MAX || new TextEncoder().encode(name).length > NAME_BYTES_MAX
    ? "is too long"
    : undefined;
  if (why === undefined) return;
  throw new ManifoldError(
    "invalid-argument",
    `the name of a ${kind} ${why}; give a string of 1 to ${NAME_BYTES_MAX} bytes of UTF-8 without NUL`,
  );
}
