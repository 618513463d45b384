/**
 * Promises whose reactions run where and when the simulation says.
 *
 * @module
 */

import type { Kernel, Thread } from "./kernel.ts";
import { call } from "./kernel.ts";

type Reaction = (failed: boolean, value: unknown) => void;

/** What `Promise` is for turned code. */
export class SimulatedPromise<T> {
  static kernel: Kernel;
  #state: "pending" | "fulfilled" | "rejected" = "pending";
  #value: unknown;
  #reactions: Reaction[] = [];
  #locked = false;
  #lookedAt = false;
  #isRejecting: () => boolean = () => false;

  readonly resolve = (value: unknown): void => {
    if (this.#locked) return;
    this.#locked = true;
    if (value instanceof SimulatedPromise) value.react((failed, to) => this.#settle(failed, to));
    else this.#settle(false, value);
  };

  readonly reject = (error: unknown): void => {
    if (this.#locked) return;
    this.#locked = true;
    this.#settle(true, error);
  };

  #settle(failed: boolean, value: unknown): void {
    this.#state = failed ? "rejected" : "fulfilled";
    this.#value = value;
    if (failed && this.#reactions.length === 0) {
      const { kernel } = SimulatedPromise;
      kernel.unhandled.add(this);
      const thread = kernel.running;
      const task = thread?.current;
      this.#isRejecting = () => task !== undefined && thread.current === task;
    }
    for (const react of this.#reactions.splice(0)) react(failed, value);
  }

  /** Whether the code that has rejected it is running yet, and may look at it before anything else runs in its thread. */
  get isRejecting(): boolean {
    return this.#isRejecting();
  }

  /** Whether somebody waits for it, or has. */
  get isLookedAt(): boolean {
    return this.#lookedAt;
  }

  get isSettled(): boolean {
    return this.#state !== "pending";
  }

  /** What it was rejected with. */
  get error(): unknown {
    return this.#state === "rejected" ? this.#value : undefined;
  }

  /** Calls `reaction` once it is settled, at once if it is. */
  react(reaction: Reaction): void {
    SimulatedPromise.kernel.unhandled.delete(this);
    this.#lookedAt = true;
    if (this.#state === "pending") this.#reactions.push(reaction);
    else reaction(this.#state === "rejected", this.#value);
  }

  then(
    onFulfilled?: (value: T) => unknown,
    onRejected?: (error: unknown) => unknown,
  ): SimulatedPromise<unknown> {
    const next = new SimulatedPromise<unknown>();
    const thread: Thread = SimulatedPromise.kernel.running;
    this.react((failed, value) => {
      const handler = (failed ? onRejected : onFulfilled) as
        | ((value: unknown) => unknown)
        | undefined;
      if (handler === undefined) {
        if (failed) next.reject(value);
        else next.resolve(value);
        return;
      }
      thread.start(() => call(() => handler(value))).react((wrong, result) => {
        if (wrong) next.reject(result);
        else next.resolve(result);
      });
    });
    return next;
  }

  catch(onRejected: (error: unknown) => unknown): SimulatedPromise<unknown> {
    return this.then(undefined, onRejected);
  }

  finally(work: () => unknown): SimulatedPromise<unknown> {
    return this.then(
      (value) => SimulatedPromise.of(call(work)).then(() => value),
      (error) =>
        SimulatedPromise.of(call(work)).then(() => {
          throw error;
        }),
    );
  }

  static of(value: unknown): SimulatedPromise<unknown> {
    if (value instanceof SimulatedPromise) return value;
    const promise = new SimulatedPromise<unknown>();
    promise.resolve(value);
    return promise;
  }

  static resolve(value?: unknown): SimulatedPromise<unknown> {
    return SimulatedPromise.of(value);
  }

  static reject(error: unknown): SimulatedPromise<unknown> {
    const promise = new SimulatedPromise<unknown>();
    promise.reject(error);
    return promise;
  }

  static all(values: Iterable<unknown>): SimulatedPromise<unknown[]> {
    const all = new SimulatedPromise<unknown[]>();
    const promises = [...values].map((value) => SimulatedPromise.of(value));
    const results: unknown[] = new Array(promises.length);
    let left = promises.length;
    if (left === 0) all.resolve(results);
    promises.forEach((promise, i) =>
      promise.react((failed, value) => {
        if (failed) return all.reject(value);
        results[i] = value;
        if (--left === 0) all.resolve(results);
      })
    );
    return all;
  }

  static race(values: Iterable<unknown>): SimulatedPromise<unknown> {
    const first = new SimulatedPromise<unknown>();
    for (const value of values) {
      SimulatedPromise.of(value).react((failed, settled) => {
        if (failed) first.reject(settled);
        else first.resolve(settled);
      });
    }
    return first;
  }
}
