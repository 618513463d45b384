/** What is read of the disk. @module */

import { statSync } from "node:fs";

/** Bytes that a file takes of the disk. */
export function bytesOnDisk(path: string): number {
  const BLOCK = 512;
  return statSync(path).blocks * BLOCK;
}
