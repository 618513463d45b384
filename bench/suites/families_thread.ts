/**
 * A thread that attaches to a database and writes one of its families: says "ready", waits to be told to
 * begin, and says "done".
 *
 * @module
 */

import { once } from "node:events";
import { parentPort, workerData } from "node:worker_threads";
import { attach } from "../../mod.ts";
import { type FamilyThreadData, FamilyWriter } from "../support/family_batches.ts";

const data = workerData as FamilyThreadData;
const db = await attach(data.handle);
const writer = await FamilyWriter.ready(db, data);
const begin = once(parentPort!, "message");
parentPort!.postMessage("ready");
await begin;
await writer.run();
parentPort!.postMessage("done");
await db.close();
parentPort!.close();
