/** A worker of a database in whose thread one call to the system fails (`faults_test.ts`). */

import { workerData } from "node:worker_threads";
import { runWorker } from "../../../workers/run_worker.ts";
import type { WorkerData } from "../../../workers/worker_data.ts";
import { type FaultKind, FaultyRuntime } from "../faulty_runtime.ts";

/** What it is started with besides. */
export interface FaultData {
  readonly fault: { readonly role: string; readonly at: number; readonly kind: FaultKind };
  /** Word 0 becomes 1 when the fault was met. */
  readonly met: Int32Array;
}

const { fault, met, ...data } = workerData as WorkerData & FaultData;
const faults = fault.role === data.role ? new FaultyRuntime(fault.at, fault.kind) : undefined;
try {
  await runWorker(data);
} finally {
  if (faults?.hit !== undefined) Atomics.store(met, 0, 1);
}
