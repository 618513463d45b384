/**
 * The one error type of the package. Every failure that a caller can see is a
 * {@linkcode ManifoldError}; its `code` is meant for programs, its message for people: what failed,
 * where (file, family, table, page, position) and what to do.
 *
 * @module
 */

/** What went wrong, for programs. */
export type ErrorCode =
  | "closed"
  | "not-found"
  | "already-exists"
  | "type-mismatch"
  | "invalid-argument"
  | "not-supported"
  | "too-large"
  | "conflict"
  | "timeout"
  | "aborted"
  | "locked"
  | "read-only"
  | "permission-denied"
  | "not-a-database"
  | "unsupported-version"
  | "needs-recovery"
  | "corrupt"
  | "disk-full"
  | "io"
  | "failed";

/**
 * Thrown or rejected with by everything in this package.
 *
 * @example Tell a missing family from other failures
 * ```ts
 * import { ManifoldError, openInMemory } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * try {
 *   await db.deleteColumnFamily("no such family");
 * } catch (error) {
 *   if (!(error instanceof ManifoldError) || error.code !== "not-found") throw error;
 * }
 * ```
 */
export class ManifoldError extends Error {
  /** The kind of failure. */
  readonly code: ErrorCode;

  /**
   * Makes an error.
   *
   * @param code The kind of failure.
   * @param message What failed, where, and what to do.
   * @param options `cause`: the error underneath, if there is one.
   */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "ManifoldError";
    this.code = code;
  }
}

/** The codes in the order of their numbers in shared memory (a completion carries the number). */
export const ERROR_CODES: readonly ErrorCode[] = [
  "closed",
  "not-found",
  "already-exists",
  "type-mismatch",
  "invalid-argument",
  "not-supported",
  "too-large",
  "conflict",
  "timeout",
  "aborted",
  "locked",
  "read-only",
  "permission-denied",
  "not-a-database",
  "unsupported-version",
  "needs-recovery",
  "corrupt",
  "disk-full",
  "io",
  "failed",
];

/** States an invariant of this package's own code; a user's input must never be able to break it. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`broken invariant in @manifold/db: ${message}`);
}
