/**
 * Names as stored: every string has its own bytes, and these give the same string again.
 *
 * @module
 */

// Without this option a byte order mark would be dropped, and two names would become one.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const exactDecoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Decodes UTF-8; undefined if it is none, so that encoding the result always gives `bytes` again. */
export function decodeExactly(bytes: Uint8Array): string | undefined {
  try {
    return exactDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Decodes UTF-8 that was encoded from a string; `bytes` must not be shared memory. */
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
