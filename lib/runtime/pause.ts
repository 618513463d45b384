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

/** Runs the steps to their end, a few milliseconds at a stretch; `between` is called before each stretch. */
export async function inStretches(steps: Iterator<void>, between: () => void): Promise<void> {
  for (;;) {
    between();
    for (const end = performance.now() + STRETCH_MS; performance.now() < end;) {
      if (steps.next().done) return;
    }
    await goRound();
  }
}
