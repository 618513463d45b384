/**
 * What the disk itself takes meanwhile: a thread that writes 4 KiB to a file of its own now and then, and
 * waits for `fdatasync`. What is measured beside it is to be seen against that.
 *
 * @module
 */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Latencies } from "./latencies.ts";

/** Words that are shared with the thread: the window whose samples are taken, and how many there were. */
export const WINDOW = 0;
export const SAMPLES = 1;
export const WORDS = 2;
/** In place of a window. */
export const PAUSED = 0;
export const ENDED = -1;

export interface RawSyncsData {
  readonly path: string;
  readonly words: Int32Array;
}

/** How long each sample of a window took, ms, by the number of the window. */
export type RawSamples = Map<number, number[]>;

export class RawSyncs {
  readonly #words = new Int32Array(new SharedArrayBuffer(4 * WORDS));
  readonly #thread: Worker;

  /** `path`: of a file that is made there. */
  constructor(path: string) {
    const workerData: RawSyncsData = { path, words: this.#words };
    this.#thread = new Worker(new URL("./raw_sync_thread.ts", import.meta.url), { workerData });
  }

  /** When the file is there. */
  async ready(): Promise<void> {
    await once(this.#thread, "message");
  }

  /** From now on samples belong to that window, from 1 on. */
  begin(window: number): void {
    Atomics.store(this.#words, SAMPLES, 0);
    this.#set(window);
  }

  /** Takes no more of them, but one at least. */
  async pause(): Promise<void> {
    while (Atomics.load(this.#words, SAMPLES) === 0) {
      await Atomics.waitAsync(this.#words, SAMPLES, 0, 10).value;
    }
    this.#set(PAUSED);
  }

  /** Ends the thread; what it has found. */
  async end(): Promise<Map<number, Latencies>> {
    const message = once(this.#thread, "message");
    this.#set(ENDED);
    const [samples] = await message as [RawSamples];
    await this.#thread.terminate();
    return new Map([...samples].map(([window, times]) => {
      const latencies = new Latencies();
      for (const ms of times) latencies.add(ms);
      return [window, latencies];
    }));
  }

  #set(window: number): void {
    Atomics.store(this.#words, WINDOW, window);
    Atomics.notify(this.#words, WINDOW);
  }
}
