/**
 * `flock` of the C library by Bun's FFI; `node:fs` has no file locks.
 *
 * @module
 */

import process from "node:process";
import { ManifoldError } from "../errors.ts";

/** What is used of `bun:ffi`. */
interface BunFfi {
  dlopen(
    library: string,
    symbols: Record<string, { args: string[]; returns: string }>,
  ): { symbols: Record<string, (...args: number[]) => number> };
  read: { i32(pointer: number, offset: number): number };
}

interface Libc {
  flock(fd: number, operation: number): number;
  errno(): number;
}

const LOCK_SHARED = 1;
const LOCK_EXCLUSIVE = 2;
const LOCK_NO_WAIT = 4;
const LOCK_UNLOCK = 8;

const EINTR = 4;
/** EWOULDBLOCK: Linux, macOS. */
const HELD_BY_ANOTHER = [11, 35];
const ATTEMPTS_MAX = 100;

const LINUX_LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

let libc: Libc | undefined;

function load(): Libc {
  const ffi = process.versions.bun === undefined
    ? undefined
    : process.getBuiltinModule("bun:ffi") as unknown as BunFfi | undefined;
  if (ffi === undefined || process.platform === "win32") {
    throw new ManifoldError(
      "not-supported",
      "this runtime has no file locks, without which two processes could write to one database. " +
        "Use Deno, or Bun on Linux or macOS.",
    );
  }
  const mac = process.platform === "darwin";
  const errnoName = mac ? "__error" : "__errno_location";
  const causes: unknown[] = [];
  for (const library of mac ? ["libSystem.B.dylib"] : LINUX_LIBRARIES) {
    try {
      const { symbols } = ffi.dlopen(library, {
        flock: { args: ["i32", "i32"], returns: "i32" },
        [errnoName]: { args: [], returns: "ptr" },
      });
      const errnoLocation = symbols[errnoName];
      return {
        flock: symbols.flock as Libc["flock"],
        errno: () => ffi.read.i32(errnoLocation(), 0),
      };
    } catch (error) {
      causes.push(error);
    }
  }
  throw new ManifoldError(
    "not-supported",
    "the C library could not be loaded, which file locks need. Use Deno on this system.",
    { cause: causes },
  );
}

/** One call, repeated when a signal interrupts it; true when it succeeded. */
function call(fd: number, operation: number, path: string): boolean {
  libc ??= load();
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    if (libc.flock(fd, operation) === 0) return true;
    const errno = libc.errno();
    if (HELD_BY_ANOTHER.includes(errno)) return false;
    if (errno !== EINTR) {
      throw new ManifoldError(
        "io",
        `cannot lock "${path}": flock failed with error number ${errno}. ` +
          "Check that the file system supports locks.",
      );
    }
  }
  return false;
}

/** Takes or converts the lock without waiting; true when it is held now. */
export function tryLock(fd: number, exclusive: boolean, path: string): boolean {
  return call(fd, (exclusive ? LOCK_EXCLUSIVE : LOCK_SHARED) | LOCK_NO_WAIT, path);
}

/** Gives the lock up. */
export function unlock(fd: number, path: string): void {
  call(fd, LOCK_UNLOCK, path);
}
