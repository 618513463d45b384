/** An attached thread of the children of the crash runs. */

import { workerData } from "node:worker_threads";
import { attach } from "../../../mod.ts";
import { CrashBank } from "../crash_bank.ts";
import { CrashFamily } from "../crash_family.ts";
import { type CrashWorkerData, familyOf, say } from "../crash_messages.ts";

const { handle, thread, firstWrite, over } = workerData as CrashWorkerData;
const isOver = (): boolean => Atomics.load(over, 0) !== 0;
const db = await attach(handle);
const family = new CrashFamily(await db.columnFamily(familyOf(thread)));
const bank = new CrashBank(await db.columnFamily("bank"));
await Promise.all([
  family.writeOn(firstWrite, (n) => say(`write ${thread} ${n}`), isOver),
  bank.moveOn(thread, (step) => say(`step ${thread} ${step}`), isOver),
]);
await db.close();
