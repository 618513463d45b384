/**
 * A value that follows a call through its awaits.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";

/** A value per chain of calls. */
export interface AsyncContext<T> {
  /** Calls `fn`; within it, also after an `await`, {@linkcode AsyncContext.get} gives `value`. */
  run<R>(value: T, fn: () => R): R;
  /** The value of the innermost `run` around here, if there is one. */
  get(): T | undefined;
}

/** Everything that follows the present chain of calls, the caller's own values too: calls what it is given within it. */
export function captureContext(): <R>(fn: () => R) => R {
  return AsyncLocalStorage.snapshot();
}

/** Makes a context of its own. */
export function asyncContext<T>(): AsyncContext<T> {
  const storage = new AsyncLocalStorage<T>();
  return {
    run: (value, fn) => storage.run(value, fn),
    get: () => storage.getStore(),
  };
}
