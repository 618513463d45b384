/** The codec of vectors. @module */

import { ManifoldError } from "../../errors.ts";
import type { Codec } from "../codec.ts";
import { checkSize, describe, refused } from "./describe.ts";
import { carveAligned } from "./tuning.ts";

/** The most elements: 1 GiB of them. */
const DIM_MAX = 2 ** 28;

/**
 * Vectors of `dim` 32-bit floats, as 4 × `dim` bytes: IEEE 754 binary32, least significant byte
 * first, bit by bit as given (NaN and -0 included). For values only: it keeps no order.
 *
 * Takes a `Float32Array` of exactly `dim` elements; anything else is `invalid-argument`; stored
 * bytes of another length are `corrupt`. What it returns is the caller's own, but small results
 * share one `ArrayBuffer`: copy with `slice()` before transferring.
 *
 * @param dim Elements, an integer from 1 to 2^28; otherwise `invalid-argument`.
 *
 * @example
 * ```ts
 * import { f32Array, openInMemory, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family = await db.columnFamily("search");
 * const vectors = family.table("vectors", { key: text, value: f32Array(3) });
 * await vectors.set("cat", new Float32Array([0.1, 0.2, 0.3]));
 * ```
 */
export function f32Array(dim: number): Codec<Float32Array> {
  if (!Number.isInteger(dim) || dim < 1 || dim > DIM_MAX) {
    throw new ManifoldError(
      "invalid-argument",
      `f32Array(dim): dim must be an integer from 1 to ${DIM_MAX}, not ${describe(dim)}`,
    );
  }
  const name = `f32Array(${dim})`;
  return {
    name,
    fixedSize: dim * 4,
    ordered: false,
    encode(value, target) {
      if (!(value instanceof Float32Array) || value.length !== dim) {
        throw refused(name, `a Float32Array of ${dim} elements`, value);
      }
      const at = target.reserve(dim * 4);
      target.bytes.set(new Uint8Array(value.buffer, value.byteOffset, dim * 4), at);
    },
    decode(bytes) {
      checkSize(name, bytes, dim * 4);
      const own = carveAligned(bytes);
      return new Float32Array(own.buffer, own.byteOffset, dim);
    },
  };
}
