/**
 * A thread that attaches to a database and writes one of its families: says "ready", "done" and "closed",
 * and waits in between to be told to go on.
 *
 * @module
 */

import { once } from "node:events";
import { parentPort, workerData } from "node:worker_threads";
import { attach } from "../../mod.ts";
import { type FamilyThreadData, FamilyWriter } from "../support/family_batches.ts";

/** Says how far it is, and waits for the word. */
async function say(how: string): Promise<void> {
  const told = once(parentPort!, "message");
  parentPort!.postMessage(how);
  await told;
}

const data = workerData as FamilyThreadData;
const db = await attach(data.handle);
const writer = await FamilyWriter.ready(db, data);
await say("ready");
await writer.run();
await say("done");
await db.close();
parentPort!.postMessage("closed");
