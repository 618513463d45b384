/**
 * Checks of arguments that many functions take.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { describe } from "./codecs/describe.ts";

/** Whether `in` can be asked of it. */
export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** @throws {ManifoldError} `invalid-argument`; `where` says what was called. */
export function checkIterable(value: unknown, where: () => string): void {
  if (value !== undefined && value !== null && Symbol.iterator in Object(value)) return;
  throw new ManifoldError(
    "invalid-argument",
    `${where()}: it is given ${describe(value)}; give an iterable, such as an array`,
  );
}

/** @throws {ManifoldError} `invalid-argument`; `where` says what was called. */
export function checkCallback(value: unknown, where: () => string): void {
  if (typeof value === "function") return;
  throw new ManifoldError(
    "invalid-argument",
    `${where()}: it is given ${describe(value)}; give a function`,
  );
}

/** The error for what is given in place of a table or a multimap; `from` says where one comes from. */
export function notATable(value: unknown, from: string, kind = "table"): ManifoldError {
  return new ManifoldError(
    "invalid-argument",
    `${describe(value)} is not a ${kind}; give one of ${from}`,
  );
}
