/**
 * The globals of threads that are explored: operations on shared memory that tell the ledger.
 *
 * @module
 */

import { Kernel, type Running } from "./kernel.ts";
import type { Ledger } from "./ledger.ts";

type Words = Int32Array;

/** Sleeps that are not longer than this wait for no one: they are a slow way of spinning. */
const NAP_MS = 1;

/** A kernel whose waits and wakes are operations, too. */
export class WatchedKernel extends Kernel {
  readonly ledger: Ledger;
  /** Whether the thread that ran last spins. */
  spins = false;

  constructor(ledger: Ledger) {
    super();
    this.ledger = ledger;
  }

  override *wait(words: Words, index: number, value: number, timeoutMs = Infinity): Running {
    const found = Atomics.load(words, index);
    this.ledger.read("wait", words, index, found);
    if (found !== value) {
      if (this.left-- <= 0) yield;
      return "not-equal";
    }
    if (timeoutMs <= NAP_MS) {
      yield* this.pause();
      return "timed-out";
    }
    return yield* super.wait(words, index, value);
  }

  override notify(words: Words, index: number, count = Infinity): number {
    const woken = super.notify(words, index, count);
    this.ledger.wrote("notify", words, index, words[index], woken);
    return woken;
  }

  override *pause(): Running {
    this.spins = true;
    yield* super.pause();
    return undefined;
  }
}

/** What explored code finds as globals. */
export function watchedGlobals(kernel: WatchedKernel): Record<string, unknown> {
  const { ledger } = kernel;
  const changing = (
    name: "store" | "add" | "sub" | "and" | "or" | "exchange" | "compareExchange",
  ) =>
  (array: Words, index: number, ...given: [number, number]): number => {
    const old = Atomics.load(array, index);
    const result = (Atomics[name] as (...given: unknown[]) => number)(array, index, ...given);
    if (name === "compareExchange" && old !== given[0]) ledger.read(name, array, index, old);
    else ledger.wrote(name, array, index, old, result);
    return result;
  };
  return {
    Atomics: {
      load(array: Words, index: number): number {
        const value = Atomics.load(array, index);
        ledger.read("load", array, index, value);
        return value;
      },
      store: changing("store"),
      add: changing("add"),
      sub: changing("sub"),
      and: changing("and"),
      or: changing("or"),
      exchange: changing("exchange"),
      compareExchange: changing("compareExchange"),
      wait: kernel.wait.bind(kernel),
      waitAsync: kernel.waitAsync.bind(kernel),
      notify: kernel.notify.bind(kernel),
      pause: kernel.pause.bind(kernel),
    },
    Float64Array: function (...given: ConstructorParameters<typeof Float64Array>) {
      return watched(new Float64Array(...given), ledger);
    },
  };
}

/** Floating-point numbers in shared memory are read and written without `Atomics`, under a lock. */
function watched(array: Float64Array, ledger: Ledger): Float64Array {
  if (!(array.buffer instanceof SharedArrayBuffer)) return array;
  return new Proxy(array, {
    get(_, property) {
      const index = typeof property === "string" ? Number(property) : NaN;
      if (Number.isInteger(index)) {
        ledger.plain(array, index, undefined);
        return array[index];
      }
      const value = Reflect.get(array, property, array);
      return typeof value === "function" ? value.bind(array) : value;
    },
    set(_, property, value) {
      const index = Number(property);
      const old = array[index];
      array[index] = value;
      ledger.plain(array, index, old);
      return true;
    },
  });
}
