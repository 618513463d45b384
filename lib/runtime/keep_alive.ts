/**
 * Keeps the process running while somebody waits. A promise that `Atomics.waitAsync` will settle
 * does not do that; a timer does.
 *
 * @module
 */

import { setInterval } from "node:timers";

/** The longest interval that timers take. */
const INTERVAL_MS = 2 ** 31 - 1;

let holders = 0;
let timer: ReturnType<typeof setInterval> | undefined;

/**
 * Keeps the event loop of this thread alive until the function that it returns is called, and
 * nobody else holds it; calling that again does nothing.
 */
export function keepAlive(): () => void {
  if (holders === 0) {
    if (timer === undefined) timer = setInterval(() => {}, INTERVAL_MS);
    else timer.ref();
  }
  holders += 1;
  let held = true;
  return () => {
    if (!held) return;
    held = false;
    holders -= 1;
    if (holders === 0) timer!.unref();
  };
}
