/** A worker of a database that locks no file, so that another's lock stands alone (`process_test.ts`). */

import { workerData } from "node:worker_threads";
import { runtime } from "../../../lib/runtime/runtime.ts";
import type { OpenOptions } from "../../../lib/runtime/types.ts";
import { runWorker } from "../../../workers/run_worker.ts";
import type { WorkerData } from "../../../workers/worker_data.ts";

const { openFile } = runtime;
runtime.openFile = (path: string, options: OpenOptions) =>
  Object.assign(openFile(path, options), { lock: () => true });
await runWorker(workerData as WorkerData);
