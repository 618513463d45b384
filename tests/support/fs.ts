/**
 * The few helpers that tests take from `@std/fs`, under the same names, on `node:fs/promises`.
 *
 * @module
 */

import * as fs from "node:fs/promises";
import { join } from "node:path";

/** Makes a directory and its parents; it may exist already. */
export async function ensureDir(dir: string | URL): Promise<void> {
  await fs.mkdir(dir, { recursive: true });
}

/** Makes a directory if missing and removes all it contains. */
export async function emptyDir(dir: string): Promise<void> {
  await ensureDir(dir);
  for (const name of await fs.readdir(dir)) {
    await fs.rm(join(dir, name), { recursive: true, force: true });
  }
}

/** Whether something is there. */
export async function exists(path: string | URL): Promise<boolean> {
  try {
    await fs.stat(path);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return false;
    throw error;
  }
}

/** Copies a file or a directory with all it contains; fails when `dest` exists, unless told. */
export async function copy(
  src: string | URL,
  dest: string | URL,
  options: { overwrite?: boolean } = {},
): Promise<void> {
  const force = options.overwrite ?? false;
  await fs.cp(src, dest, { recursive: true, force, errorOnExist: !force });
}
