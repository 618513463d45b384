/**
 * Having garbage collected in threads that sleep in `Atomics.wait`.
 *
 * JavaScriptCore lets garbage grow as large as everything that a thread refers to before it collects,
 * and counts memory that is shared, or only reserved, as the thread's own: hundreds of MiB in each thread of
 * a database. Bun therefore looks at heaps itself, but from the event loop, to which our workers return
 * when the database is closed. V8 counts what is the thread's own, and needs nothing of this.
 *
 * @module
 */

/** What is used of `Bun`. */
const bun = (globalThis as { Bun?: { gc(wait: boolean): void } }).Bun;

/** Garbage that a thread may make between two collections, about; bytes. */
const GARBAGE_BYTES_MAX = 16 * 2 ** 20;

/** What one thread estimates of the garbage it has made. */
export class Garbage {
  #bytes = 0;

  /** Notes about how many bytes were made; has them collected when there are many. */
  note(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > GARBAGE_BYTES_MAX) this.collect();
  }

  /** Has garbage collected, on a thread beside this one where the runtime can. */
  collect(): void {
    this.#bytes = 0;
    bun?.gc(false);
  }
}
