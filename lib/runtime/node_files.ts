/**
 * Files on Bun and Node, by `node:fs`.
 *
 * @module
 */

import * as fs from "node:fs";
import process from "node:process";
import type { File } from "../storage/file.ts";
import { tryLock, unlock } from "./flock.ts";
import { isClosed, isSymlink, notAFile, osError, wroteNothing } from "./os_error.ts";
import type { OpenOptions, PathKind, Runtime } from "./types.ts";

class NodeFile implements File {
  readonly path: string;
  #fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  get descriptor(): number {
    return this.#open();
  }

  /** The descriptor; its number may belong to another file once this one is closed. */
  #open(): number {
    if (this.#fd < 0) throw isClosed(this.path);
    return this.#fd;
  }

  read(offset: number, memory: Uint8Array, from = 0, length = memory.length - from): number {
    const fd = this.#open();
    let done = 0;
    try {
      while (done < length) {
        const count = fs.readSync(fd, memory, from + done, length - done, offset + done);
        if (count === 0) break;
        done += count;
      }
    } catch (error) {
      throw osError(error, `cannot read ${length} bytes at ${offset} of`, this.path);
    }
    return done;
  }

  write(offset: number, memory: Uint8Array, from = 0, length = memory.length - from): void {
    const fd = this.#open();
    let done = 0;
    try {
      while (done < length) {
        const count = fs.writeSync(fd, memory, from + done, length - done, offset + done);
        if (count === 0) throw wroteNothing(this.path, offset + done);
        done += count;
      }
    } catch (error) {
      throw osError(error, `cannot write ${length} bytes at ${offset} of`, this.path);
    }
  }

  sync(): void {
    const fd = this.#open();
    try {
      fs.fdatasyncSync(fd);
    } catch (error) {
      throw osError(error, "cannot sync", this.path);
    }
  }

  size(): number {
    const fd = this.#open();
    try {
      return fs.fstatSync(fd).size;
    } catch (error) {
      throw osError(error, "cannot find the length of", this.path);
    }
  }

  truncate(length: number): void {
    const fd = this.#open();
    try {
      fs.ftruncateSync(fd, length);
    } catch (error) {
      throw osError(error, `cannot set to ${length} bytes the length of`, this.path);
    }
  }

  lock(exclusive: boolean): boolean {
    return tryLock(this.#open(), exclusive, this.path);
  }

  unlock(): void {
    unlock(this.#open(), this.path);
  }

  close(): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    try {
      fs.closeSync(fd);
    } catch (error) {
      throw osError(error, "cannot close", this.path);
    }
  }
}

/** The kind, or undefined when nothing is there. */
function kindOf(path: string, follow: boolean): PathKind | undefined {
  try {
    const info = follow ? fs.statSync(path) : fs.lstatSync(path);
    if (info.isFile()) return "file";
    if (info.isDirectory()) return "directory";
    return info.isSymbolicLink() ? "symlink" : "other";
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return undefined;
    throw osError(error, "cannot look at", path);
  }
}

function openFile(path: string, options: OpenOptions): File {
  // Looked at first, because opening a pipe would wait for its other end.
  if (options.noFollow && kindOf(path, false) === "symlink") throw isSymlink(path);
  const kind = kindOf(path, true);
  if (kind === "directory") throw notAFile(path, "a directory");
  if (kind === "other") throw notAFile(path, "a device, a pipe or a socket");
  const { constants } = fs;
  let flags = options.write ? constants.O_RDWR : constants.O_RDONLY;
  if (options.create) flags |= constants.O_CREAT;
  if (options.create && options.exclusive) flags |= constants.O_EXCL;
  if (options.noFollow) flags |= constants.O_NOFOLLOW ?? 0;
  try {
    return new NodeFile(path, fs.openSync(path, flags, 0o600));
  } catch (error) {
    if (options.noFollow && (error as { code?: unknown }).code === "ELOOP") {
      throw isSymlink(path, error);
    }
    throw osError(error, options.create ? "cannot create or open" : "cannot open", path);
  }
}

/** Bun and Node. */
export const nodeRuntime: Runtime = {
  name: process.versions.bun === undefined ? "node" : "bun",
  get hardwareConcurrency(): number {
    return Math.max(1, navigator.hardwareConcurrency);
  },
  openFile,
  remove(path) {
    try {
      fs.unlinkSync(path);
    } catch (error) {
      throw osError(error, "cannot remove", path);
    }
  },
  rename(from, to) {
    try {
      fs.renameSync(from, to);
    } catch (error) {
      throw osError(error, `cannot rename to "${to}" the file`, from);
    }
  },
  closeDescriptor(descriptor) {
    try {
      fs.closeSync(descriptor);
    } catch (error) {
      throw osError(error, `cannot close descriptor ${descriptor} of`, "a thread that ended");
    }
  },
  kind: (path) => kindOf(path, false),
  identity(path) {
    try {
      const { dev, ino } = fs.statSync(path, { bigint: true });
      return `${dev} ${ino}`;
    } catch (error) {
      if ((error as { code?: unknown }).code === "ENOENT") return undefined;
      throw osError(error, "cannot look at", path);
    }
  },
  syncDirectory(path) {
    try {
      const fd = fs.openSync(path, fs.constants.O_RDONLY);
      try {
        fs.fsyncSync(fd);
      } finally {
        fs.closeSync(fd);
      }
    } catch (error) {
      throw osError(error, "cannot sync the directory", path);
    }
  },
};
