/**
 * The words for a refused value in messages: what it is, never what it holds beyond a number.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";

/** Bigints beyond this are not spelled out. */
const SPELLED_MAX = 2n ** 80n;

/** Names the shape of a value: "a string of 3 UTF-16 units", "the number 1.5", "undefined". */
export function describe(value: unknown): string {
  switch (typeof value) {
    case "string":
      return `a string of ${value.length} UTF-16 units`;
    case "number":
      return `the number ${Object.is(value, -0) ? "-0" : value}`;
    case "bigint":
      return value < SPELLED_MAX && value > -SPELLED_MAX
        ? `the bigint ${value}n`
        : "a bigint of more than 80 bits";
    case "undefined":
    case "boolean":
      return String(value);
    case "function":
      return "a function";
    case "symbol":
      return "a symbol";
  }
  if (value === null) return "null";
  try {
    return describeObject(value as object);
  } catch {
    return "an object"; // of which not even that can be asked: a revoked proxy
  }
}

function describeObject(value: object): string {
  if (Array.isArray(value)) return `an array of ${value.length} elements`;
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  if (ArrayBuffer.isView(value)) {
    const detached = (value.buffer as ArrayBuffer).detached === true ? "detached " : "";
    return `a ${detached}${tag} of ${value.byteLength} bytes`;
  }
  return tag === "Object" ? "an object" : `an object (${tag})`;
}

/** The error for a value that a codec does not take. */
export function refused(codec: string, takes: string, value: unknown): ManifoldError {
  return new ManifoldError(
    "invalid-argument",
    `codec ${codec} takes ${takes}, not ${describe(value)}`,
  );
}

/** The error for bytes that a codec cannot have written. */
export function damaged(codec: string, what: string, cause?: unknown): ManifoldError {
  return new ManifoldError(
    "corrupt",
    `codec ${codec} cannot have written these bytes: ${what}; run verify() and restore a backup`,
    cause === undefined ? undefined : { cause },
  );
}

/** Throws `corrupt` unless there are `size` bytes. */
export function checkSize(codec: string, bytes: Uint8Array, size: number): void {
  if (bytes.length !== size) throw damaged(codec, `${bytes.length} bytes, expected ${size}`);
}
