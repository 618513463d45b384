/** A thread of the soak: one that stays, or one that comes and goes. */

import { parentPort, workerData } from "node:worker_threads";
import { attach } from "../../mod.ts";
import { Random } from "../support/random.ts";
import { Collection } from "./collecting.ts";
import { SoakControl, type SoakThreadData } from "./soak_messages.ts";
import { SoakWork } from "./workload.ts";

const { handle, name, seed, words, collect, steps } = workerData as SoakThreadData;
const collection = new Collection(collect);
const control = new SoakControl(words);

async function run(): Promise<void> {
  const db = await attach(handle);
  const work = await SoakWork.begin(db, name, new Random(seed), (what) => control.count(what));
  if (steps === undefined) {
    while (!control.stopped) {
      await work.step();
      await control.restIfTold(() => work.rest(), () => collection.answer());
    }
  } else {
    for (let step = 0; step < steps; step++) {
      await work.step();
      control.visit();
    }
  }
  work.rest();
  await db.close();
}

try {
  await run();
  parentPort!.postMessage({});
} catch (error) {
  parentPort!.postMessage({ error: error instanceof Error ? error.stack : String(error) });
}
