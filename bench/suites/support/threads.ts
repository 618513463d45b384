/**
 * Threads that join an open database and all begin at once.
 *
 * @module
 */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
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
  readonly job: Job;
  /** How many keys are loaded, the first of the key source. */
  readonly loaded: number;
  /** Tells threads with the same job apart. */
  readonly thread: number;
  /** One word: WAITING, GOING or STOPPED. */
  readonly state: Int32Array<SharedArrayBuffer>;
}

/** What a thread has done: operations, of entries where several are written at once. */
export interface ThreadResult {
  readonly operations: number;
  readonly seconds: number;
}

export const WAITING = 0;
export const GOING = 1;
export const STOPPED = 2;

/** Where the threads work. */
export interface Place {
  readonly engine: string;
  readonly dir: string;
  readonly store: Store;
  readonly loaded: number;
}

/** How long threads go on, ms. */
export function threadsMs(scale: number): number {
  return 1500 * Math.min(1, Math.max(0.02, scale));
}

async function messageOf(worker: Worker): Promise<unknown> {
  const [message] = await once(worker, "message");
  return message;
}

/** Has threads do their jobs while `meanwhile` goes on; operations per second of each. */
export async function runThreads(
  { engine, dir, store, loaded }: Place,
  jobs: readonly Job[],
  meanwhile: () => Promise<void>,
): Promise<number[]> {
  const state = new Int32Array(new SharedArrayBuffer(4));
  const workers = jobs.map((job, thread) => {
    const data: ThreadData = { engine, dir, shared: store.share(), job, loaded, thread, state };
    return new Worker(new URL("./thread.ts", import.meta.url), { workerData: data });
  });
  try {
    // Ready when the database is open there and its keys are made.
    await Promise.all(workers.map(messageOf));
    const results = Promise.all(workers.map(messageOf)) as Promise<ThreadResult[]>;
    Atomics.store(state, 0, GOING);
    Atomics.notify(state, 0);
    await meanwhile();
    Atomics.store(state, 0, STOPPED);
    return (await results).map(({ operations, seconds }) => operations / seconds);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
