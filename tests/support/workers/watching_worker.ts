/** A thread of `watch_test.ts`: watches, and is terminated while it does. */

import { parentPort, workerData } from "node:worker_threads";
import { attach, text, u32 } from "../../../mod.ts";

// It must not end by itself when it has nothing left to wait for.
setInterval(() => {}, 1000);
const db = await attach(workerData.handle);
const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
const idle = [stock.watch(), stock.watch({ prefix: "x" })];
const events = stock.watch();
parentPort!.postMessage(0);
let heard = 0;
for await (const _ of events) parentPort!.postMessage(++heard);
parentPort!.postMessage(idle.length);
