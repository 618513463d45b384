/**
 * Worker threads of this package, by `node:worker_threads` on every runtime: unlike web workers they
 * can be kept from holding the process open.
 *
 * @module
 */

import * as workerThreads from "node:worker_threads";
import { osError } from "./os_error.ts";

/** A worker, seen from the thread that started it. */
export interface WorkerHandle {
  /**
   * Called with what was thrown when the module cannot be loaded or an exception ends the thread;
   * the end of the thread is reported too.
   */
  onError(callback: (error: unknown) => void): void;
  /** Called once when the thread has ended. The runtimes disagree on the code after a failure. */
  onExit(callback: (code: number) => void): void;
  /** Lets the process end while the worker runs. */
  unref(): void;
  /** Ends the thread wherever it is, also in `Atomics.wait`; nothing of it runs afterwards. */
  terminate(): Promise<void>;
}

/** The module to start: the runtimes load workers from files only, other URLs by an import. */
function entry(url: URL): URL {
  if (url.protocol === "file:" || url.protocol === "data:") return url;
  const source = `await import(${JSON.stringify(url.href)});`;
  return new URL("data:text/javascript," + encodeURIComponent(source));
}

/**
 * Starts the module at `url` in a thread of its own, where {@linkcode workerData} gives `data` (a
 * structured clone; shared memory stays shared). Throws `permission-denied` when this process may not
 * read the module.
 */
export function spawnWorker(url: URL, data: unknown): WorkerHandle {
  let worker: workerThreads.Worker;
  try {
    worker = new workerThreads.Worker(entry(url), { workerData: data });
  } catch (error) {
    throw osError(error, "cannot start the worker", url.href);
  }
  return {
    onError: (callback) => void worker.on("error", callback),
    onExit: (callback) => void worker.on("exit", callback),
    unref: () => void worker.unref(),
    async terminate() {
      await worker.terminate();
    },
  };
}

/** Inside a worker: the data that it was started with. */
export function workerData(): unknown {
  return workerThreads.workerData;
}
