/**
 * What the processes and threads of the crash runs tell each other.
 *
 * @module
 */

import { writeSync } from "node:fs";
import type { DatabaseHandle } from "../../mod.ts";

/** Threads that write: the one that opened the database, and the others, which attach to it. */
export const CRASH_THREADS = 4;
/** The first family of the churn is number 1, so that 0 says that there was none. */
export const CHURN_FIRST = 3;

export interface CrashWorkerData {
  readonly handle: DatabaseHandle;
  readonly thread: number;
  readonly firstWrite: number;
  /** Word 0 is set when the threads shall come to an end. */
  readonly over: Int32Array;
}

/** The family that one thread writes alone. */
export function familyOf(thread: number): string {
  return `f${thread}`;
}

/**
 * Says a line to the parent in one system call: what was said before a thread, or the process, is
 * killed is said.
 */
export function say(line: string): void {
  const bytes = new TextEncoder().encode(line + "\n");
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(1, bytes, done);
    } catch (error) {
      // The parent has not read for a while.
      if ((error as { code?: unknown }).code !== "EAGAIN") throw error;
    }
  }
}
