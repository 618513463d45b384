/**
 * What a worker of a database does with the data that it was started with.
 *
 * Invariant: a worker that ends by an error turns the database to failed.
 *
 * @module
 */

import { Control } from "../lib/memory/control.ts";
import { CLOSED, databaseState, fail } from "../lib/memory/database_state.ts";
import { runKeeper } from "./keeper_worker.ts";
import type { WorkerData } from "./worker_data.ts";
import { runWriter } from "./writer_worker.ts";

export async function runWorker(data: WorkerData): Promise<void> {
  try {
    await (data.role === "keeper" ? runKeeper(data) : runWriter(data));
  } catch (error) {
    const control = new Control(data.shared.control);
    if (databaseState(control) !== CLOSED) fail(control, error);
  }
}
