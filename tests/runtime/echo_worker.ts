/** A worker that does what its data says, for `runtime_worker_test.ts`. */

import { workerData } from "../../lib/runtime/workers.ts";

const data = workerData() as {
  words: Int32Array;
  value: number;
  waits?: boolean;
  throws?: string;
};

if (data.throws !== undefined) throw new Error(data.throws);
Atomics.store(data.words, 0, data.value);
Atomics.store(data.words, 1, 1);
Atomics.notify(data.words, 1);
if (data.waits) Atomics.wait(data.words, 1, 1);
