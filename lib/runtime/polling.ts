/**
 * Looking at a word of shared memory in every turn of the event loop, for a short time.
 *
 * @module
 */

import { setImmediate } from "node:timers";

const pause: () => void = (Atomics as { pause?: () => void }).pause ?? (() => {});

/** Looks in one turn, about 2 µs. A turn by itself costs 1 to 2; Deno asks for what came from outside in every 61st only. */
const LOOKS = 20;

/**
 * Resolves with true when `words[index]` is no longer `value`, or with false after `ms` milliseconds. The event loop goes
 * on meanwhile, with all that others have for it.
 */
export function pollWhile(
  words: Int32Array,
  index: number,
  value: number,
  ms: number,
): Promise<boolean> {
  const end = performance.now() + ms;
  return new Promise((resolve) => {
    const look = (): void => {
      for (let i = 0; i < LOOKS; i++) {
        if (Atomics.load(words, index) !== value) return resolve(true);
        pause();
      }
      if (performance.now() < end) setImmediate(look);
      else resolve(false);
    };
    setImmediate(look);
  });
}
