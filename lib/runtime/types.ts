/**
 * What the package needs of the runtime that it runs on. Everything else in `lib/` sees only this.
 *
 * @module
 */

import type { File } from "../storage/file.ts";

/** How a file is opened. */
export interface OpenOptions {
  /** For reading and writing, otherwise for reading only. */
  write: boolean;
  /** Make the file, readable by its owner alone, when it is missing; needs `write`. */
  create: boolean;
  /** With `create`: fail with `already-exists` when something is there. */
  exclusive?: boolean;
  /** Refuse a symbolic link in the place of the file. */
  noFollow?: boolean;
}

/** What is found at a path, without following a symbolic link. */
export type PathKind = "file" | "directory" | "symlink" | "other";

/** Files and facts of the runtime; all of it synchronous, all errors `ManifoldError`s. */
export interface Runtime {
  readonly name: "deno" | "bun" | "node";
  /** Threads that the machine can run at once; at least 1. */
  readonly hardwareConcurrency: number;
  /** Opens a regular file; anything else is refused as `not-a-database`. */
  openFile(path: string, options: OpenOptions): File;
  /** Removes a file; `not-found` when it is missing. */
  remove(path: string): void;
  /** Closes what a dead thread has left open: a {@linkcode File.descriptor}. */
  closeDescriptor(descriptor: number): void;
  /** Gives a file another name in the same file system, replacing what had that name. */
  rename(from: string, to: string): void;
  /** What is at `path` itself; undefined when nothing is. */
  kind(path: string): PathKind | undefined;
  /**
   * What names the file at `path` to the system, following links: the same for as long as the very file is
   * there. Undefined when nothing is.
   */
  identity(path: string): string | undefined;
  /** Makes the names in a directory durable: call it after making, renaming or removing a file. */
  syncDirectory(path: string): void;
}
