/**
 * Tells a person how far the benchmarks are.
 *
 * @module
 */

import process from "node:process";

/** Progress goes to stderr, and only to a person. */
const watched = process.stderr.isTTY === true;

/** In place of what was said before. */
export function say(line: string): void {
  if (watched) process.stderr.write(`\r\x1b[2K${line}`);
}
