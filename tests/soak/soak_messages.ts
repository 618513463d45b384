/**
 * What the threads of the soak tell each other by shared memory.
 *
 * @module
 */

import type { DatabaseHandle } from "../../mod.ts";
import { COUNTED, type Counted } from "./workload.ts";

const MODE = 0;
const RESTING = 1;
const VISITED = 2;
const COUNTS = 8;

const WORK = 0;
const REST = 1;
const STOP = 2;

/** What a thread of the soak is started with. */
export interface SoakThreadData {
  readonly handle: DatabaseHandle;
  readonly name: string;
  readonly seed: number;
  readonly words: SharedArrayBuffer;
  readonly collect: SharedArrayBuffer;
  /** A thread that comes and goes makes so many steps; one that stays has none. */
  readonly steps: number | undefined;
}

/** The words by which the main thread leads the others. */
export class SoakControl {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer = new SharedArrayBuffer(4 * (COUNTS + COUNTED.length))) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  count(what: Counted): void {
    Atomics.add(this.#words, COUNTS + COUNTED.indexOf(what), 1);
  }

  counts(): [Counted, number][] {
    return COUNTED.map((what, i) => [what, Atomics.load(this.#words, COUNTS + i)]);
  }

  /** Steps that the present visitor has made. */
  get visited(): number {
    return Atomics.load(this.#words, VISITED);
  }

  beginVisit(): void {
    Atomics.store(this.#words, VISITED, 0);
  }

  visit(): void {
    Atomics.add(this.#words, VISITED, 1);
  }

  /** How many threads rest. */
  get resting(): number {
    return Atomics.load(this.#words, RESTING);
  }

  work(): void {
    this.#setMode(WORK);
  }

  rest(): void {
    this.#setMode(REST);
  }

  stop(): void {
    this.#setMode(STOP);
  }

  get stopped(): boolean {
    return Atomics.load(this.#words, MODE) === STOP;
  }

  /** In a thread that stays: rests if it shall, after giving back what it holds. */
  async restIfTold(giveBack: () => void, resting: () => void): Promise<void> {
    if (Atomics.load(this.#words, MODE) !== REST) return;
    giveBack();
    Atomics.add(this.#words, RESTING, 1);
    // A wait alone keeps no thread from ending.
    const timer = setInterval(() => {}, 1000);
    while (Atomics.load(this.#words, MODE) === REST) {
      const wait = Atomics.waitAsync(this.#words, MODE, REST, 20);
      if (wait.async) await wait.value;
      resting();
    }
    clearInterval(timer);
    Atomics.sub(this.#words, RESTING, 1);
  }

  #setMode(mode: number): void {
    Atomics.store(this.#words, MODE, mode);
    Atomics.notify(this.#words, MODE);
  }
}
