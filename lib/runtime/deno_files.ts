/**
 * Files on Deno. A file needs `--allow-read` and `--allow-write` for its directory, nothing else.
 *
 * @module
 */

import type { File } from "../storage/file.ts";
import { isClosed, isSymlink, notAFile, osError, wroteNothing } from "./os_error.ts";
import type { OpenOptions, PathKind, Runtime } from "./types.ts";

/** The bytes from `from` to `to`; the memory itself if that is all of it. */
function part(memory: Uint8Array, from: number, to: number): Uint8Array {
  return from === 0 && to === memory.length ? memory : memory.subarray(from, to);
}

class DenoFile implements File {
  readonly path: string;
  #file: Deno.FsFile | undefined;

  constructor(path: string, file: Deno.FsFile) {
    this.path = path;
    this.#file = file;
  }

  #open(): Deno.FsFile {
    if (this.#file === undefined) throw isClosed(this.path);
    return this.#file;
  }

  read(offset: number, memory: Uint8Array, from = 0, length = memory.length - from): number {
    const file = this.#open();
    let done = 0;
    try {
      if (length > 0) file.seekSync(offset, Deno.SeekMode.Start);
      while (done < length) {
        const count = file.readSync(part(memory, from + done, from + length));
        if (count === null || count === 0) break;
        done += count;
      }
    } catch (error) {
      throw osError(error, `cannot read ${length} bytes at ${offset} of`, this.path);
    }
    return done;
  }

  write(offset: number, memory: Uint8Array, from = 0, length = memory.length - from): void {
    const file = this.#open();
    let done = 0;
    try {
      if (length > 0) file.seekSync(offset, Deno.SeekMode.Start);
      while (done < length) {
        const count = file.writeSync(part(memory, from + done, from + length));
        if (count === 0) throw wroteNothing(this.path, offset + done);
        done += count;
      }
    } catch (error) {
      throw osError(error, `cannot write ${length} bytes at ${offset} of`, this.path);
    }
  }

  sync(): void {
    const file = this.#open();
    try {
      file.syncDataSync();
    } catch (error) {
      throw osError(error, "cannot sync", this.path);
    }
  }

  size(): number {
    const file = this.#open();
    try {
      return file.seekSync(0, Deno.SeekMode.End);
    } catch (error) {
      throw osError(error, "cannot find the length of", this.path);
    }
  }

  truncate(length: number): void {
    const file = this.#open();
    try {
      file.truncateSync(length);
    } catch (error) {
      throw osError(error, `cannot set to ${length} bytes the length of`, this.path);
    }
  }

  lock(exclusive: boolean): boolean {
    const file = this.#open();
    try {
      return file.tryLockSync(exclusive);
    } catch (error) {
      throw osError(error, "cannot lock", this.path);
    }
  }

  unlock(): void {
    const file = this.#open();
    try {
      file.unlockSync();
    } catch (error) {
      throw osError(error, "cannot unlock", this.path);
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

/** The kind, or undefined when nothing is there. */
function kindOf(path: string, follow: boolean): PathKind | undefined {
  try {
    const info = follow ? Deno.statSync(path) : Deno.lstatSync(path);
    if (info.isFile) return "file";
    if (info.isDirectory) return "directory";
    return info.isSymlink ? "symlink" : "other";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw osError(error, "cannot look at", path);
  }
}

function openFile(path: string, options: OpenOptions): File {
  // Looked at first, because opening a pipe would wait for its other end.
  if (options.noFollow && kindOf(path, false) === "symlink") throw isSymlink(path);
  const kind = kindOf(path, true);
  if (kind === "directory") throw notAFile(path, "a directory");
  if (kind === "other") throw notAFile(path, "a device, a pipe or a socket");
  try {
    const file = Deno.openSync(path, {
      read: true,
      write: options.write,
      create: options.create && !options.exclusive,
      createNew: options.create && options.exclusive === true,
      ...(options.create ? { mode: 0o600 } : {}),
    });
    return new DenoFile(path, file);
  } catch (error) {
    throw osError(error, options.create ? "cannot create or open" : "cannot open", path);
  }
}

/** Deno. */
export const denoRuntime: Runtime = {
  name: "deno",
  get hardwareConcurrency(): number {
    return Math.max(1, navigator.hardwareConcurrency);
  },
  openFile,
  remove(path) {
    try {
      Deno.removeSync(path);
    } catch (error) {
      throw osError(error, "cannot remove", path);
    }
  },
  rename(from, to) {
    try {
      Deno.renameSync(from, to);
    } catch (error) {
      throw osError(error, `cannot rename to "${to}" the file`, from);
    }
  },
  // A thread's files are closed with it.
  closeDescriptor() {},
  kind: (path) => kindOf(path, false),
  identity(path) {
    try {
      const { dev, ino } = Deno.statSync(path);
      return `${dev} ${ino}`;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw osError(error, "cannot look at", path);
    }
  },
  syncDirectory(path) {
    try {
      using directory = Deno.openSync(path, { read: true });
      directory.syncSync();
    } catch (error) {
      throw osError(error, "cannot sync the directory", path);
    }
  },
};
