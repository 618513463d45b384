/**
 * Having garbage collected in threads that do not return to their event loop.
 *
 * JavaScriptCore lets garbage grow as large as everything that a thread refers to before it collects,
 * and counts memory that is shared, or only reserved, as the thread's own: hundreds of MiB in each thread of
 * a database. Bun therefore looks at heaps itself, but from the event loop, to which our workers return
 * when the database is closed, and a loop of reads at its end. V8 counts what is the thread's own, and needs
 * nothing of this.
 *
 * Each thread has a count of its own, because it has this module of its own.
 *
 * @module
 */

import process from "node:process";

/** What is used of `Bun`. */
const bun = (globalThis as { Bun?: { gc(wait: boolean): void } }).Bun;

/** Garbage that a thread may make between two collections, about; bytes. */
const GARBAGE_BYTES_MAX = 32 * 2 ** 20;
/**
 * The same as a part of the thread's heap, where that is more: a collection costs as much as there are
 * objects, and who has many of their own shall not pay for it with each 32 MiB.
 */
const GARBAGE_PART_MAX = 1 / 4;

/** Bytes that an object costs that shows a part of other memory, about. */
export const VIEW_GARBAGE_BYTES = 64;

let made = 0;
let most = GARBAGE_BYTES_MAX;

/** Notes about how many bytes were made in this thread; has them collected when there are many. */
export function noteGarbage(bytes: number): void {
  if (bun === undefined) return;
  made += bytes;
  if (made > most) collectGarbage();
}

/** Has this thread's garbage collected, beside it where the runtime can. */
export function collectGarbage(): void {
  if (bun === undefined) return;
  made = 0;
  // The objects alone: shared memory, and what else lies outside of the heap, is not in this figure.
  most = Math.max(GARBAGE_BYTES_MAX, process.memoryUsage().heapTotal * GARBAGE_PART_MAX);
  bun.gc(false);
}
