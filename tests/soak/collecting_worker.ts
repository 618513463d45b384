/** A worker of the database that collects its garbage when it is asked to, before it next sleeps. */

import { workerData } from "node:worker_threads";
import { Collection } from "./collecting.ts";

const collection = new Collection((workerData as { collect: SharedArrayBuffer }).collect);
const wait = Atomics.wait;
Atomics.wait = ((...args: Parameters<typeof wait>) => {
  collection.answer();
  return wait(...args);
}) as typeof wait;

await import("../../workers/entry.ts");
