/**
 * The module that every worker of a database runs. It is started by `open`, never by hand, except
 * through the option `spawnWorker`.
 *
 * @module
 */

import { Control } from "../lib/memory/control.ts";
import { CLOSED, databaseState, fail } from "../lib/memory/database_state.ts";
import { workerData } from "../lib/runtime/workers.ts";
import { runKeeper } from "./keeper_worker.ts";
import type { WorkerData } from "./worker_data.ts";
import { runWriter } from "./writer_worker.ts";

const data = workerData() as WorkerData;
try {
  await (data.role === "keeper" ? runKeeper(data) : runWriter(data));
} catch (error) {
  const control = new Control(data.shared.control);
  if (databaseState(control) !== CLOSED) fail(control, error);
}
