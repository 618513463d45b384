/**
 * Sleeping and spinning on words of shared memory.
 *
 * Invariant: no wait is without a time-out, because a thread can end without telling anyone.
 *
 * @module
 */

const pause: () => void = (Atomics as { pause?: () => void }).pause ?? (() => {});

/** Whether this thread may sleep; a browser's main thread may not. */
let mayWait = true;

/** Sleeps while `words[index]` is `value`, at most `timeoutMs`. Wakes early for no reason at times. */
export function sleepWhile(
  words: Int32Array,
  index: number,
  value: number,
  timeoutMs: number,
): void {
  if (mayWait) {
    try {
      Atomics.wait(words, index, value, timeoutMs);
      return;
    } catch {
      mayWait = false; // this thread is not allowed to sleep: spin instead
    }
  }
  for (let i = 0; i < 1000 && Atomics.load(words, index) === value; i++) pause();
}

/** Spins while `words[index]` is `value`, for about `ms`; whether it still is. */
export function spinWhile(
  words: Int32Array,
  index: number,
  value: number,
  ms: number,
  now: () => number,
): boolean {
  const end = now() + ms;
  do {
    for (let i = 0; i < 20; i++) {
      if (Atomics.load(words, index) !== value) return false;
      pause();
    }
  } while (now() < end);
  return true;
}

/** Passes a few dozen nanoseconds. */
export function pauseBriefly(): void {
  pause();
}

/** Changes a word that others sleep on, and wakes them all. */
export function bumpAndWake(words: Int32Array, index: number): void {
  Atomics.add(words, index, 1);
  Atomics.notify(words, index);
}
