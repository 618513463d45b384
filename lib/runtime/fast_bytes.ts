/**
 * Which ways of copying and decoding bytes are fast here (measured; see docs/design.md).
 *
 * @module
 */

import { Buffer } from "node:buffer";

const utf8Slice = (Buffer.prototype as unknown as {
  utf8Slice: (this: Uint8Array, from: number, to: number) => string;
}).utf8Slice;

/** Decodes UTF-8, with U+FFFD for what is malformed: four times as fast as `TextDecoder` on Deno. */
export function decodeUtf8(bytes: Uint8Array): string {
  return utf8Slice.call(bytes, 0, bytes.length);
}

/** Results of at least so many bytes are carved from a common slab; smaller ones get memory of their own. */
export const carveBytesMin: number = "Bun" in globalThis ? 512 : 0;

/**
 * A view on a part of shared memory, of `bytes`, all of it, and of its buffer: by the constructor, which takes half the time of
 * `subarray` on V8 when the buffer need not be asked for; on JavaScriptCore `subarray` is a little faster.
 */
export const viewOf: (
  bytes: Uint8Array,
  buffer: ArrayBufferLike,
  at: number,
  length: number,
) => Uint8Array = "Bun" in globalThis
  ? (bytes, _buffer, at, length) => bytes.subarray(at, at + length)
  : (_bytes, buffer, at, length) => new Uint8Array(buffer, at, length);
