/**
 * Vectors with metadata, made from a number.
 *
 * @module
 */

export interface Metadata {
  readonly title: string;
  readonly author: string;
  readonly tags: readonly string[];
  readonly published: string;
  readonly summary: string;
}

/**
 * Components from -1 to 1 in steps of 1/1024: as floats and in decimals they are the same numbers, and so
 * are their sums, in whatever order.
 */
export function vectorOf(number: number, dim: number): Float32Array<ArrayBuffer> {
  const vector = new Float32Array(dim);
  let state = number + 1;
  for (let i = 0; i < dim; i++) {
    state = Math.imul(state, 1664525) + 1013904223;
    vector[i] = ((state >>> 20) & 2047) / 1024 - 1;
  }
  return vector;
}

export function metadataOf(number: number): Metadata {
  return {
    title: `Document number ${number}`,
    author: `Author ${number % 1013}`,
    tags: ["history", "science", `shelf-${number % 61}`],
    published: `${1900 + number % 120}-06-15`,
    summary: "What it is about, in a sentence or two. ".repeat(4),
  };
}

/** The vector with which a value begins, where it lies. Values stand at multiples of four bytes. */
export function readVector(value: Uint8Array, dim: number): Float32Array {
  return new Float32Array(value.buffer, value.byteOffset, dim);
}
