/**
 * What a worker of a database does with the data that it was started with.
 *
 * Invariant: a worker that ends by an error turns the database to failed, before it gives up what it holds.
 *
 * @module
 */

import { Control } from "../lib/memory/control.ts";
import { CLOSED, databaseState, fail } from "../lib/memory/database_state.ts";
import { KeeperLoop } from "./keeper_worker.ts";
import { joinMemory, type WorkerData } from "./worker_data.ts";
import { WriterLoop } from "./writer_worker.ts";

export async function runWorker(data: WorkerData): Promise<void> {
  const control = new Control(data.shared.control);
  const hasFailed = (error: unknown): void => {
    if (databaseState(control) !== CLOSED) fail(control, error);
  };
  try {
    const memory = await joinMemory(data);
    const loop = data.role === "keeper"
      ? new KeeperLoop(data, memory)
      : new WriterLoop(data, memory);
    try {
      await loop.run();
    } catch (error) {
      hasFailed(error);
    } finally {
      loop.close();
    }
  } catch (error) {
    hasFailed(error);
  }
}
