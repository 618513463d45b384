/**
 * Collecting the garbage of all threads, so that the memory of the process is what the database keeps
 * and not what a runtime is yet to collect: engines let garbage lie for as long as they please.
 *
 * @module
 */

/** What the runtimes have for it; Deno with `--v8-flags=--expose-gc`. */
interface Collector {
  Bun?: { gc(force: boolean): unknown };
  gc?(): unknown;
}

/** Collects the garbage of the calling thread. */
export function collectHere(): void {
  const { Bun, gc } = globalThis as Collector;
  if (Bun !== undefined) Bun.gc(true);
  else gc?.();
}

const ASKED = 0;
const ANSWERS = 1;

/** Asks all threads that take part, by shared memory. */
export class Collection {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  #seen = 0;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  ask(): void {
    Atomics.store(this.#words, ANSWERS, 0);
    Atomics.add(this.#words, ASKED, 1);
  }

  /** Threads that have collected since they were asked. */
  get answers(): number {
    return Atomics.load(this.#words, ANSWERS);
  }

  /** In a thread that takes part: collects if it was asked to. */
  answer(): void {
    const asked = Atomics.load(this.#words, ASKED);
    if (asked === this.#seen) return;
    this.#seen = asked;
    collectHere();
    Atomics.add(this.#words, ANSWERS, 1);
  }
}
