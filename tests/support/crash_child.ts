/**
 * The child of the crash runs: opens a database, verifies what is there, and writes on from several
 * threads until it is killed. Argument: the path. Says, line by line:
 *
 * - `opening`, `opened WORKERS_THAT_REPLAYED`
 * - `verified` and, as JSON, {@linkcode Found}
 * - `write THREAD N`: all writes of the thread to its family up to N are acknowledged
 * - `step THREAD N`: the thread's transaction N is acknowledged
 * - `churn N`: step N of the families that come and go is acknowledged
 * - `checkpoint begins`, `checkpoint ends`
 * - `over`: it has come to the end of all writes, and does not close
 *
 * The line `exit` on its standard input makes it exit at once, `end` come to its end.
 */

import process from "node:process";
import { Worker } from "node:worker_threads";
import { type Database, open } from "../../mod.ts";
import { CrashBank } from "./crash_bank.ts";
import { CrashChurn } from "./crash_churn.ts";
import { CrashFamily, LOG_BYTES } from "./crash_family.ts";
import {
  CHURN_FIRST,
  CRASH_THREADS,
  type CrashWorkerData,
  familyOf,
  say,
} from "./crash_messages.ts";
import { checkFile } from "./file_check.ts";

/** The last of everything that is there. */
export interface Found {
  readonly writes: number[];
  readonly steps: number[];
  readonly churn: number;
}

/** The exit code of `exit`. */
export const EXIT_CODE = 3;

const over = new Int32Array(new SharedArrayBuffer(4));
const isOver = (): boolean => Atomics.load(over, 0) !== 0;

async function verify(db: Database): Promise<Found> {
  const writes: number[] = [];
  for (let thread = 0; thread < CRASH_THREADS; thread++) {
    writes.push(new CrashFamily(await db.columnFamily(familyOf(thread))).verify());
  }
  const steps = new CrashBank(await db.columnFamily("bank")).verify(CRASH_THREADS);
  return { writes, steps, churn: await new CrashChurn(db).verify() };
}

function startThread(data: CrashWorkerData): Promise<void> {
  const worker = new Worker(new URL("./workers/crash_worker.ts", import.meta.url), {
    workerData: data,
  });
  return new Promise((resolve) => {
    worker.on("error", (error) => {
      console.error(error);
      process.exit(1);
    });
    worker.on("exit", () => resolve());
  });
}

async function checkpoints(db: Database): Promise<void> {
  while (!isOver()) {
    say("checkpoint begins");
    await db.checkpoint();
    say("checkpoint ends");
    // A while without one: until the log has grown, or the next one by size has freed it.
    const used = db.stats().logBytesUsed;
    const grown = used + 2 ** 17;
    let now = used;
    while (now >= used && now < grown && !isOver()) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      now = db.stats().logBytesUsed;
    }
  }
}

async function main(path: string): Promise<void> {
  let replayed = 0;
  say("opening");
  const db = await open(path, {
    pageSize: 4096,
    cacheBytes: 2 ** 20,
    logBytes: LOG_BYTES,
    checkpoint: { bytes: LOG_BYTES / 2, intervalMs: 500 },
    maxWorkers: 3,
    onProgress: ({ total }) => replayed = Math.max(replayed, total),
  });
  say(`opened ${replayed}`);
  // Nothing has been written yet: the file is as the recovery's checkpoint has left it.
  await checkFile(path);
  const found = await verify(db);
  say(`verified ${JSON.stringify(found)}`);

  process.stdin.on("data", (data) => {
    if (String(data) === "exit\n") process.exit(EXIT_CODE);
    Atomics.store(over, 0, 1);
    process.stdin.destroy();
  });
  const bank = new CrashBank(await db.columnFamily("bank"));
  await bank.fill();
  const others: Promise<void>[] = [];
  for (let thread = 1; thread < CRASH_THREADS; thread++) {
    others.push(
      startThread({ handle: db.share(), thread, firstWrite: found.writes[thread] + 1, over }),
    );
  }
  const mine = new CrashFamily(await db.columnFamily(familyOf(0)));
  const churnFrom = Math.max(found.churn + 1, CHURN_FIRST);
  await Promise.all([
    ...others,
    mine.writeOn(found.writes[0] + 1, (n) => say(`write 0 ${n}`), isOver),
    bank.moveOn(0, (step) => say(`step 0 ${step}`), isOver),
    new CrashChurn(db).stepOn(churnFrom, (step) => say(`churn ${step}`), isOver),
    checkpoints(db),
  ]);
  say("over");
}

if (import.meta.main) await main(process.argv[2]);
