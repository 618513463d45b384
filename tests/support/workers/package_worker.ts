/** The attached thread of `package_child.ts`. */

import { parentPort, workerData } from "node:worker_threads";
import type { DatabaseHandle } from "../../../mod.ts";

const { mod, handle } = workerData as { mod: string; handle: DatabaseHandle };
const { attach, text, u32 } = await import(mod) as typeof import("../../../mod.ts");

const db = await attach(handle);
const table = (await db.columnFamily("f")).table("t", { key: text, value: u32 });
await table.set("from a thread", 2);
const seen = table.get("first");
await db.close();
parentPort!.postMessage(seen);
