/** The second thread of the children of `crash_test.ts`. */

import { parentPort, workerData } from "node:worker_threads";
import { attach, type DatabaseHandle } from "../../../mod.ts";
import { CrashFamily } from "../crash_family.ts";

const { handle, first } = workerData as { handle: DatabaseHandle; first: number };
const db = await attach(handle);
const family = new CrashFamily(await db.columnFamily("b"));
await family.writeOn(first, (n) => parentPort!.postMessage(n));
