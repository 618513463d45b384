/**
 * Names as stored: every string has its own bytes, and these give the same string again.
 *
 * @module
 */

// Without this option a byte order mark would be dropped, and two names would become one.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Decodes UTF-8 that was encoded from a string; `bytes` must not be shared memory. */
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
