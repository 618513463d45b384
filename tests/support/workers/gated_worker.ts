/**
 * A worker of a database in whose thread, once it is told to, writes to the data file or large ones to the log wait at a gate,
 * or the log or a meta page cannot be written or synced (`failed_bypass_test.ts`, `failed_record_test.ts`, `failed_meta_test.ts`).
 */

import { workerData } from "node:worker_threads";
import { ManifoldError } from "../../../lib/errors.ts";
import { runtime } from "../../../lib/runtime/runtime.ts";
import type { File } from "../../../lib/storage/file.ts";
import { runWorker } from "../../../workers/run_worker.ts";
import type { WorkerData } from "../../../workers/worker_data.ts";
import { GATE_IS_SHUT, LOG_FAILS, METAS_UNTIL_FAILURE, RECORD_FAILS, WAITS } from "./gate_words.ts";

/** What is a large record. */
const LARGE_BYTES = 2 ** 16;

export interface GateData {
  readonly gate: Int32Array;
}

/** Where the two meta pages end. */
const META_PAGES_BYTES = 8192;
/** How long a keeper that has failed takes for its end, ms. */
const SLOW_END_MS = 50;

const { gate, ...data } = workerData as WorkerData & GateData;
/** Whether the meta page that was written last cannot be synced. */
let metaFails = false;
const { openFile } = runtime;
Object.assign(runtime, {
  openFile: (...given: Parameters<typeof openFile>): File => {
    const file = openFile(...given);
    const isLog = file.path.endsWith("-log");
    return {
      path: file.path,
      read: file.read.bind(file),
      size: file.size.bind(file),
      truncate: file.truncate.bind(file),
      lock: file.lock.bind(file),
      unlock: file.unlock.bind(file),
      close: () => {
        if (metaFails && isLog) Atomics.wait(gate, GATE_IS_SHUT, 0, SLOW_END_MS);
        file.close();
      },
      write: (...args: Parameters<File["write"]>) => {
        const isLargeRecord = data.role !== "keeper" && isLog && args[1].length >= LARGE_BYTES;
        const isGated = isLargeRecord || data.role === "keeper" && !isLog;
        if (isGated && Atomics.load(gate, GATE_IS_SHUT) === 1) {
          Atomics.store(gate, WAITS, 1);
          Atomics.wait(gate, GATE_IS_SHUT, 1, 20_000);
        }
        if (isLargeRecord && Atomics.load(gate, RECORD_FAILS) === 1) {
          throw new ManifoldError(
            "disk-full",
            `cannot write "${file.path}": no space left on device`,
          );
        }
        file.write(...args);
        const isMeta = data.role === "keeper" && !isLog && args[0] < META_PAGES_BYTES;
        if (isMeta && Atomics.load(gate, METAS_UNTIL_FAILURE) > 0) {
          metaFails = Atomics.sub(gate, METAS_UNTIL_FAILURE, 1) === 1;
        }
      },
      sync: () => {
        const logFails = data.role !== "keeper" && isLog && Atomics.load(gate, LOG_FAILS) === 1;
        if (logFails || metaFails && !isLog) {
          throw new ManifoldError("io", `cannot sync "${file.path}": input/output error`);
        }
        file.sync();
      },
    };
  },
});
await runWorker(data);
