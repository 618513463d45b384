/**
 * The module that every worker of a database runs. It is started by `open`, never by hand, except
 * through the option `spawnWorker`.
 *
 * @module
 */

import { workerData } from "../lib/runtime/workers.ts";
import { runWorker } from "./run_worker.ts";
import type { WorkerData } from "./worker_data.ts";

await runWorker(workerData() as WorkerData);
