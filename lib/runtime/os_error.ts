/**
 * Turns the errors of operating system and runtime into `ManifoldError`s that say what to do.
 *
 * @module
 */

import { type ErrorCode, ManifoldError } from "../errors.ts";

/** Codes of this package for the names that POSIX gives; any other name becomes `io`. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: "not-found",
  EEXIST: "already-exists",
  EACCES: "permission-denied",
  EPERM: "permission-denied",
  EROFS: "permission-denied",
  ENOSPC: "disk-full",
  EDQUOT: "disk-full",
  EFBIG: "disk-full",
  EISDIR: "not-a-database",
  ENOTDIR: "invalid-argument",
  ELOOP: "invalid-argument",
  ENAMETOOLONG: "invalid-argument",
  ERR_INVALID_ARG_VALUE: "invalid-argument",
};

/** The name for errors of Deno that carry none. */
const DENO_NAMES: Readonly<Record<string, string>> = {
  NotFound: "ENOENT",
  AlreadyExists: "EEXIST",
  PermissionDenied: "EACCES",
  NotCapable: "DENO_PERMISSION",
  IsADirectory: "EISDIR",
  NotADirectory: "ENOTDIR",
  FilesystemLoop: "ELOOP",
};

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: "Check the path, and that the directory exists.",
  EEXIST: "Choose another path or remove what is there.",
  EACCES: "Give this user access to the file and its directory.",
  EPERM: "Give this user access to the file and its directory.",
  EROFS: "The file system is mounted read-only: open with readOnly, or use another place.",
  DENO_PERMISSION:
    "Start Deno with --allow-read and, unless readOnly, --allow-write for the directory of the database.",
  ENOSPC: "Free some space on this file system, then open again.",
  EDQUOT: "The disk quota is used up: raise it or free some space, then open again.",
  EFBIG: "The file has reached the largest size allowed here: raise the limit (ulimit -f).",
  EISDIR: "This is a directory: give the path of a file.",
  ENOTDIR: "A part of the path is not a directory: check the path.",
  ELOOP: "The path leads through too many symbolic links: give the real path.",
  ENAMETOOLONG: "Give a shorter path.",
  ERR_INVALID_ARG_VALUE: "Give a path without NUL characters.",
  EMFILE: "Too many files are open in this process: close some or raise the limit (ulimit -n).",
  ENFILE: "Too many files are open on this machine: close some.",
  EIO: "The device reported a failure: check it, and restore from a backup if data is damaged.",
};

const IO_REMEDY = "See the cause; check the disk and the file system.";

/** The POSIX name of an error, or what comes closest. */
function systemName(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const code = (error as { code?: unknown }).code;
  const isTypeError = error instanceof TypeError;
  // Deno reports a NUL in a path as a TypeError with EINVAL, and EINVAL of the system likewise.
  if (isTypeError && error.message.includes("NUL")) return "ERR_INVALID_ARG_VALUE";
  if (typeof code === "string") return code;
  return DENO_NAMES[error.name] ?? "";
}

/**
 * The `ManifoldError` for a failed system call.
 *
 * @param error What was thrown.
 * @param action What was tried, to stand before the path: "cannot open".
 * @param path The file concerned.
 */
export function osError(error: unknown, action: string, path: string): ManifoldError {
  if (error instanceof ManifoldError) return error;
  const name = systemName(error);
  const code = name === "DENO_PERMISSION" ? "permission-denied" : CODES[name] ?? "io";
  const detail = error instanceof Error ? error.message : String(error);
  const remedy = REMEDIES[name] ?? IO_REMEDY;
  return new ManifoldError(code, `${action} "${path}": ${detail}. ${remedy}`, { cause: error });
}

/** For a path where something other than a regular file is. */
export function notAFile(path: string, what: string): ManifoldError {
  return new ManifoldError(
    "not-a-database",
    `cannot open "${path}": it is ${what}, not a regular file. Give the path of a file.`,
  );
}

/** For a symbolic link where one is not followed. */
export function isSymlink(path: string, cause?: unknown): ManifoldError {
  return new ManifoldError(
    "permission-denied",
    `cannot open "${path}": it is a symbolic link, which is not followed here because it could ` +
      "name any file. Remove the link, or open the database by its real path.",
    { cause },
  );
}

/** For the use of a closed file. */
export function isClosed(path: string): ManifoldError {
  return new ManifoldError("closed", `the file "${path}" has been closed.`);
}

/** For a write that makes no progress. */
export function wroteNothing(path: string, offset: number): ManifoldError {
  return new ManifoldError(
    "io",
    `cannot write "${path}" at byte ${offset}: the system accepted no bytes. ${IO_REMEDY}`,
  );
}
