/**
 * The child of `crash_test.ts`: opens a database, verifies what is there, and writes on from two
 * threads until it is killed. Argument: the path. Says, line by line:
 *
 * - `verified WORKERS_THAT_REPLAYED LAST_OF_A LAST_OF_B`
 * - `a N`, `b N`: all writes of the family up to N are acknowledged
 * - `checkpoint begins`, `checkpoint ends`
 */

import process from "node:process";
import { Worker } from "node:worker_threads";
import { open } from "../../mod.ts";
import { CrashFamily } from "./crash_family.ts";

let replayed = 0;
const db = await open(process.argv[2], {
  pageSize: 4096,
  cacheBytes: 2 * 2 ** 20,
  logBytes: 2 ** 21,
  checkpoint: { bytes: 2 ** 20 },
  onProgress: ({ total }) => replayed = Math.max(replayed, total),
});
const a = new CrashFamily(await db.columnFamily("a"));
const b = new CrashFamily(await db.columnFamily("b"));
const lastOfA = a.verify();
const lastOfB = b.verify();
console.log(`verified ${replayed} ${lastOfA} ${lastOfB}`);

function reporter(name: string): (n: number) => void {
  return (n) => {
    if (n % 10 === 0) console.log(`${name} ${n}`);
  };
}

const second = new Worker(new URL("./workers/crash_worker.ts", import.meta.url), {
  workerData: { handle: db.share(), first: lastOfB + 1 },
});
second.on("message", reporter("b"));
second.on("error", (error) => {
  console.error(error);
  process.exit(1);
});

async function checkpoints(): Promise<never> {
  for (;;) {
    console.log("checkpoint begins");
    await db.checkpoint();
    console.log("checkpoint ends");
    // A while without one: until the log has grown.
    const grown = db.stats().logBytesUsed + 2 ** 17;
    while (db.stats().logBytesUsed < grown) await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

await Promise.all([a.writeOn(lastOfA + 1, reporter("a")), checkpoints()]);
