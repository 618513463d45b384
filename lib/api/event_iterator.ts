/**
 * Iterations over events that are still to come: they give what is there, then sleep until there is more.
 *
 * Invariants: an iteration ends once, by whoever is first of its consumer, its signal, the database's closing, an error and
 * the garbage collector, and gives back then what it has; it keeps the process alive only while somebody
 * awaits its next event; no wait is without a time-out.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { CLOSED, databaseState, FAILED, failure } from "../memory/database_state.ts";
import { keepAlive } from "../runtime/keep_alive.ts";
import { describe } from "./codecs/describe.ts";
import type { OpenSession } from "./family_access.ts";

/** How often a waiting iteration looks whether the database has failed, or its family is gone. */
const WAIT_MS = 200;

/** Where the events of an iteration come from. */
export interface EventSource<T> {
  /** The word that changes when there may be more. */
  readonly words: Int32Array;
  readonly index: number;
  /**
   * The next event that is there already; undefined if there is none, null if none will ever come. What it throws
   * ends the iteration.
   */
  take(): T | undefined | null;
  /** Gives back what the source has. */
  release(): void;
}

/** What ends an iteration, apart from it, so that one that nobody holds can be collected. */
export class Subscription {
  ended = false;
  readonly #open: OpenSession;
  readonly #release: () => void;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.end();
  #wake: (() => void) | undefined;

  constructor(open: OpenSession, signal: AbortSignal | undefined, release: () => void) {
    this.#open = open;
    this.#signal = signal;
    this.#release = release;
    open.subscriptions.add(this);
    signal?.addEventListener("abort", this.#onAbort);
    if (signal?.aborted === true) this.end();
  }

  /** Ends the iteration; again does nothing. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.#open.subscriptions.delete(this);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#release();
    this.#wake?.();
  }

  /** Sleeps while a word has the value that was seen, until the end at the longest. */
  sleep(words: Int32Array, index: number, seen: number): Promise<void> {
    const wait = Atomics.waitAsync(words, index, seen, WAIT_MS);
    if (!wait.async) return Promise.resolve();
    return new Promise<void>((resolve) => {
      this.#wake = resolve;
      wait.value.then(() => resolve());
    });
  }
}

/** Iterations that nobody holds any more end. */
const abandoned = new FinalizationRegistry<Subscription>((subscription) => subscription.end());

/** An iteration over the events of a source. */
export class EventIterator<T> implements AsyncIterableIterator<T> {
  readonly #open: OpenSession;
  readonly #source: EventSource<T>;
  readonly #subscription: Subscription;
  /** The call of `next` before: they are served one after another. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(open: OpenSession, source: EventSource<T>, signal: AbortSignal | undefined) {
    this.#open = open;
    this.#source = source;
    this.#subscription = new Subscription(open, signal, () => source.release());
    if (!this.#subscription.ended) {
      abandoned.register(this, this.#subscription, this.#subscription);
    }
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const step = (): Promise<IteratorResult<T, undefined>> => this.#step();
    const result = this.#last.then(step, step);
    this.#last = result;
    return result;
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#end();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #step(): Promise<IteratorResult<T, undefined>> {
    const source = this.#source;
    const subscription = this.#subscription;
    const { path, memory: { control } } = this.#open.session;
    let release: (() => void) | undefined;
    try {
      while (!subscription.ended) {
        const seen = Atomics.load(source.words, source.index);
        // Before looking for events: what came before the end is to be told.
        const state = databaseState(control);
        const value = source.take();
        if (value === null) break;
        if (value !== undefined) return { value, done: false };
        if (state === FAILED) throw failure(control, path);
        if (state === CLOSED) break;
        release ??= keepAlive();
        await subscription.sleep(source.words, source.index, seen);
      }
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      release?.();
    }
    this.#end();
    return { value: undefined, done: true };
  }

  #end(): void {
    abandoned.unregister(this.#subscription);
    this.#subscription.end();
  }
}

/** Checks the signal of an iteration's options. */
export function checkSignal(
  what: string,
  signal: unknown,
): asserts signal is AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return;
  throw new ManifoldError(
    "invalid-argument",
    `${what}: signal is ${describe(signal)}; give an AbortSignal`,
  );
}
