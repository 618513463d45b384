/**
 * Calls of codecs that encode: the one place where somebody else's code writes into a buffer of ours.
 *
 * Invariant: a codec takes nothing away that was in the writer before, and what it writes after its return
 * is noticed at once: an encoding that is a promise is refused. A writer whose codec has failed is not used again,
 * because that codec may still have it.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import type { Codec } from "./codec.ts";
import { type ByteWriter, guard, unguard } from "./codec_writer.ts";

/**
 * Appends the encoding of a value.
 * @throws {ManifoldError} `invalid-argument` for a codec that returns a promise; and what the codec throws.
 */
export function encodeWith<T>(codec: Codec<T>, value: T, target: ByteWriter): void {
  const before = guard(target);
  try {
    const result: unknown = codec.encode(value, target);
    if (result !== undefined) refusePromise(codec, result);
  } finally {
    unguard(target, before);
  }
}

/** The same for the bytes that encodings with a prefix begin with. The codec must have prefixes. */
export function encodePrefixWith<T>(codec: Codec<T>, prefix: unknown, target: ByteWriter): void {
  const before = guard(target);
  try {
    const result: unknown = codec.encodePrefix!(prefix, target);
    if (result !== undefined) refusePromise(codec, result);
  } finally {
    unguard(target, before);
  }
}

function refusePromise(codec: { readonly name: string }, result: unknown): void {
  if (typeof result !== "object" || result === null) return;
  if (typeof (result as { then?: unknown }).then !== "function") return;
  // What becomes of it matters to nobody; unhandled, its rejection would end the process.
  Promise.resolve(result).catch(() => {});
  throw new ManifoldError(
    "invalid-argument",
    `codec ${codec.name} returned a promise; encode synchronously, before the write is called`,
  );
}
