/**
 * Paths, without asking the runtime for permissions.
 *
 * @module
 */

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { ManifoldError } from "../errors.ts";

/** The directory that a path's last name stands in. */
export function directoryOf(path: string): string {
  return dirname(path);
}

/**
 * The path that a string or `file:` URL says; relative ones stay as they are.
 *
 * @throws {ManifoldError} `invalid-argument`
 */
export function pathOf(path: unknown): string {
  if (typeof path === "string" && path !== "" && !path.includes("\0")) return path;
  if (path instanceof URL && path.protocol === "file:") return fileURLToPath(path);
  throw new ManifoldError(
    "invalid-argument",
    "path: expected the path of a file, not empty and without NUL, or a file: URL",
  );
}
