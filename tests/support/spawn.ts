/**
 * Starts a database's workers in place of the package, as somebody would who bundles it.
 *
 * @module
 */

import { Worker } from "node:worker_threads";
import type { SpawnWorker } from "../../mod.ts";

/** A thread that runs the module at `url`, as `spawnWorker` has to give it. */
export function startThread(url: URL, workerData: unknown): ReturnType<SpawnWorker> {
  const worker = new Worker(url, { workerData });
  return {
    onError: (callback) => void worker.on("error", callback),
    onExit: (callback) => void worker.on("exit", callback),
    unref: () => void worker.unref(),
    terminate: async () => void await worker.terminate(),
  };
}

/** Workers that wait and fail as the words of `gate` say (`workers/gate_words.ts`). */
export function gatedWorkers(gate: Int32Array): SpawnWorker {
  const url = new URL("./workers/gated_worker.ts", import.meta.url);
  return (_url, data) => startThread(url, { ...data as object, gate });
}
