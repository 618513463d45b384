/**
 * Letting others run: for work that is long and must not hold the event loop.
 *
 * @module
 */

import { setImmediate, setTimeout } from "node:timers";

/** Work that may be done at a stretch, ms. */
const STRETCH_MS = 4;

/** Resolves once the event loop has gone round. */
export function goRound(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** Resolves after `ms` milliseconds. */
export function after(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

/** Work that stops now and then to let others run. */
export class Stretches {
  readonly #between: () => void;
  #end = performance.now() + STRETCH_MS;

  /** `between` is called before each stretch but the first. */
  constructor(between: () => void) {
    this.#between = between;
  }

  /** Undefined while the stretch lasts; else to be awaited. */
  pause(): Promise<void> | undefined {
    return performance.now() < this.#end ? undefined : this.#rest();
  }

  async #rest(): Promise<void> {
    await goRound();
    this.#between();
    this.#end = performance.now() + STRETCH_MS;
  }
}

/** Runs the steps to their end, a few milliseconds at a stretch; `between` is called before each stretch. */
export async function inStretches(steps: Iterator<void>, between: () => void): Promise<void> {
  between();
  const stretches = new Stretches(between);
  while (!steps.next().done) {
    const pause = stretches.pause();
    if (pause !== undefined) await pause;
  }
}
