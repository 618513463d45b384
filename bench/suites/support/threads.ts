/**
 * Threads that join an open database and all begin at once.
 *
 * @module
 */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { SuiteContext } from "../suite.ts";
import type { Store } from "./stores/store.ts";

/** What a thread does until it is told to stop. */
export type Job =
  /** Point reads of the loaded keys, scattered. */
  | { readonly kind: "read" }
  /** Durable batches over loaded keys, one after the other. */
  | { readonly kind: "write"; readonly batch: number }
  /** Point reads and durable puts of loaded keys, by several callers. */
  | {
    readonly kind: "mixed";
    readonly callers: number;
    /** The part that are reads, 0 to 1. */
    readonly reads: number;
    /** How often which key is chosen: all alike, or Zipf's law with this exponent. */
    readonly exponent: number | "uniform";
    /** The second byte of what is written. */
    readonly mark: number;
    /** 1 for each key that was written, by its number. */
    readonly written: Uint8Array<SharedArrayBuffer>;
  };

/** What a thread is started with. */
export interface ThreadData {
  readonly engine: string;
  readonly dir: string;
  /** What {@linkcode Store.share} gave. */
  readonly shared: unknown;
  /** How many keys are loaded, the first of the key source. */
  readonly loaded: number;
  /** Tells threads with the same job apart. */
  readonly thread: number;
  /** One word: WAITING, GOING or STOPPED. */
  readonly state: Int32Array<SharedArrayBuffer>;
}

/** What a thread is told: a job, or that there are no more. */
export type Order = Job | "close";

/** What a thread has done: operations, of entries where several are written at once. */
export interface ThreadResult {
  readonly operations: number;
  readonly seconds: number;
}

export const WAITING = 0;
export const GOING = 1;
export const STOPPED = 2;

/** How long threads go on, ms. */
export function threadsMs(scale: number): number {
  return 1500 * Math.min(1, Math.max(0.02, scale));
}

async function messageOf(worker: Worker): Promise<unknown> {
  const [message] = await once(worker, "message");
  return message;
}

/** Threads that have joined a database. They stay: their code is compiled once, for all jobs. */
export class Threads {
  readonly #workers: readonly Worker[];
  readonly #state: Int32Array;

  private constructor(workers: readonly Worker[], state: Int32Array) {
    this.#workers = workers;
    this.#state = state;
  }

  /** Starts so many in a database with `loaded` keys. */
  static async start(
    { engine, dir }: SuiteContext,
    store: Store,
    loaded: number,
    count: number,
  ): Promise<Threads> {
    const state = new Int32Array(new SharedArrayBuffer(4));
    const workers = Array.from({ length: count }, (_, thread) => {
      const data: ThreadData = { engine, dir, shared: store.share(), loaded, thread, state };
      return new Worker(new URL("./thread.ts", import.meta.url), { workerData: data });
    });
    await Promise.all(workers.map(messageOf));
    return new Threads(workers, state);
  }

  /** Has the first of them do a job each while `meanwhile` goes on; operations per second of each. */
  async run(jobs: readonly Job[], meanwhile: () => Promise<void>): Promise<number[]> {
    const workers = this.#workers.slice(0, jobs.length);
    Atomics.store(this.#state, 0, WAITING);
    await this.#order(workers, (i) => jobs[i]);
    const results = Promise.all(workers.map(messageOf)) as Promise<ThreadResult[]>;
    Atomics.store(this.#state, 0, GOING);
    Atomics.notify(this.#state, 0);
    await meanwhile();
    Atomics.store(this.#state, 0, STOPPED);
    return (await results).map(({ operations, seconds }) => operations / seconds);
  }

  async close(): Promise<void> {
    await this.#order(this.#workers, () => "close");
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  /** Waits until they have understood it. */
  async #order(workers: readonly Worker[], orderOf: (thread: number) => Order): Promise<void> {
    const understood = workers.map(messageOf);
    for (const [i, worker] of workers.entries()) worker.postMessage(orderOf(i));
    await Promise.all(understood);
  }
}
