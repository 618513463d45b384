/**
 * When a transaction has to give up: its time, and the caller's signal.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { isObject } from "./arguments.ts";
import { describe } from "./codecs/describe.ts";

/** The longest time-out, ms: timers know no longer ones. */
export const TIMEOUT_MS_MAX = 2 ** 31 - 1;

function isTimeout(value: unknown): boolean {
  return typeof value === "number" && value >= 1 && value <= TIMEOUT_MS_MAX;
}

export class Limits {
  readonly #what: () => string;
  readonly #timeoutMs: number;
  readonly #endsAt: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#end(this.#aborted());
  readonly #whenEnded = new Set<(error: ManifoldError) => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #error: ManifoldError | undefined;

  /** `timeoutMs` may be Infinity. */
  constructor(timeoutMs: number, signal: AbortSignal | undefined, what: () => string) {
    this.#what = what;
    this.#timeoutMs = timeoutMs;
    this.#endsAt = performance.now() + timeoutMs;
    this.#signal = signal;
    if (timeoutMs !== Infinity) {
      this.#timer = setTimeout(() => this.#end(this.#timeout()), timeoutMs);
    }
    signal?.addEventListener("abort", this.#onAbort);
  }

  /** Those of the options; undefined without any. Throws `invalid-argument`. */
  static of(
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } | undefined,
    what: () => string,
  ): Limits | undefined {
    const { timeoutMs, signal } = options ?? {};
    if (timeoutMs === undefined && signal === undefined) return undefined;
    if (timeoutMs !== undefined && !isTimeout(timeoutMs)) {
      throw new ManifoldError(
        "invalid-argument",
        `${what()}: timeoutMs is ${
          describe(timeoutMs)
        }; give milliseconds from 1 to ${TIMEOUT_MS_MAX}`,
      );
    }
    if (signal !== undefined && !(isObject(signal) && "aborted" in signal)) {
      throw new ManifoldError(
        "invalid-argument",
        `${what()}: signal is ${describe(signal)}; give an AbortSignal`,
      );
    }
    return new Limits(timeoutMs ?? Infinity, signal, what);
  }

  /** Why it has to end; undefined while it may go on. Looks at the clock: a timer may be late. */
  get error(): ManifoldError | undefined {
    if (this.#error !== undefined) return this.#error;
    if (this.#signal?.aborted) this.#end(this.#aborted());
    else if (performance.now() >= this.#endsAt) this.#end(this.#timeout());
    return this.#error;
  }

  /** @throws {ManifoldError} `timeout`, `aborted`. */
  check(): void {
    const { error } = this;
    if (error !== undefined) throw error;
  }

  /** How much time is left, ms; at least 1, Infinity without a time-out. */
  get leftMs(): number {
    return Math.max(1, Math.ceil(this.#endsAt - performance.now()));
  }

  /** What the promise gives, unless it has to end before. */
  race<T>(promise: PromiseLike<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const forget = this.onEnd(reject);
      promise.then((value) => {
        forget();
        resolve(value);
      }, (error) => {
        forget();
        reject(error);
      });
    });
  }

  /** Calls back when it has to end; returns what forgets that. */
  onEnd(callback: (error: ManifoldError) => void): () => void {
    this.#whenEnded.add(callback);
    return () => void this.#whenEnded.delete(callback);
  }

  #end(error: ManifoldError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    for (const callback of [...this.#whenEnded]) callback(error);
    this.dispose();
  }

  #timeout(): ManifoldError {
    return new ManifoldError(
      "timeout",
      `${this.#what()}: it took longer than its timeoutMs, ${this.#timeoutMs}; nothing of it was ` +
        "applied; make it shorter or give it more time",
    );
  }

  #aborted(): ManifoldError {
    const reason: unknown = this.#signal?.reason;
    const why = reason instanceof Error ? `: ${reason.message}` : "";
    return new ManifoldError(
      "aborted",
      `${this.#what()}: its signal was aborted${why}; nothing of it was applied`,
      { cause: reason },
    );
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }
}
