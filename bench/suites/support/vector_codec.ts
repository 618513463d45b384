import { type Codec, f32Array, json } from "../../../mod.ts";
import type { Metadata } from "./vector_data.ts";

/** A vector and what is known about it, in one value: the floats and then the rest as JSON. */
export function vectorWithMetadata(
  dim: number,
): Codec<{ readonly vector: Float32Array; readonly metadata: Metadata }> {
  const floats = f32Array(dim);
  const rest = json<Metadata>();
  const length = dim * Float32Array.BYTES_PER_ELEMENT;
  return {
    name: `vectorWithMetadata(${dim})`,
    ordered: false,
    encode({ vector, metadata }, target) {
      floats.encode(vector, target);
      rest.encode(metadata, target);
    },
    decode: (bytes) => ({
      vector: floats.decode(bytes.subarray(0, length)),
      metadata: rest.decode(bytes.subarray(length)),
    }),
  };
}
