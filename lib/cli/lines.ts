/**
 * Lines of a file or of the standard input, as they come, in bounded memory.
 *
 * @module
 */

import { createReadStream } from "node:fs";
import process from "node:process";
import { ManifoldError } from "../errors.ts";
import { osError } from "../runtime/os_error.ts";
import { LINE_BYTES_MAX } from "./dump_format.ts";

/** The bytes of a file, or of the standard input when there is no path. */
export async function* bytesOf(path: string | undefined): AsyncGenerator<Uint8Array> {
  try {
    yield* path === undefined ? process.stdin : createReadStream(path);
  } catch (error) {
    throw osError(error, "cannot read", path ?? "the standard input");
  }
}

/**
 * Cuts bytes into lines, without their ends.
 *
 * @param name Where they come from, for messages.
 * @throws {ManifoldError} `invalid-argument` for a line that is not UTF-8 or longer than 16 MiB.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let number = 1;
  let pieces: Uint8Array[] = [];
  let bytes = 0;
  const bad = (why: string): ManifoldError =>
    new ManifoldError("invalid-argument", `${name}, line ${number}: ${why}`);
  const finish = (): string => {
    const whole = new Uint8Array(bytes);
    let at = 0;
    for (const piece of pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    pieces = [];
    bytes = 0;
    try {
      return decoder.decode(whole);
    } catch {
      throw bad("it is not UTF-8; give what dump wrote");
    }
  };
  const add = (piece: Uint8Array): void => {
    bytes += piece.length;
    if (bytes > LINE_BYTES_MAX) throw bad(`it is longer than ${LINE_BYTES_MAX} bytes`);
    pieces.push(piece);
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(10, from);
      if (end < 0) break;
      add(chunk.subarray(from, end));
      yield finish();
      number++;
      from = end + 1;
    }
    if (from < chunk.length) add(chunk.subarray(from));
  }
  if (bytes > 0) yield finish();
}
