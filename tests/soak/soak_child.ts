/**
 * The soak, in a process of its own, so that its memory is that of the database: threads that stay
 * work, others come and go, and now and then all rest and everything is looked at. Arguments: the path,
 * how many seconds, and how many seconds between two looks. Ends with code 1 when something is wrong.
 */

import process from "node:process";
import { Worker } from "node:worker_threads";
import { type Database, open } from "../../mod.ts";
import { checkFile } from "../support/file_check.ts";
import { Random } from "../support/random.ts";
import {
  fileFigures,
  head,
  judge,
  look,
  residentGrowth,
  residentMiB,
  row,
  type Sample,
} from "./samples.ts";
import { collectHere, Collection } from "./collecting.ts";
import { SoakControl, type SoakThreadData } from "./soak_messages.ts";
import { Bank, LOG_BYTES } from "./workload.ts";

const STAY = 4;
const VISITOR = "visitor";
const VISIT_STEPS = 40;
const WORKERS = 3;
const PAGE_BYTES = 4096;
/** A shorter soak is hardly warm before it ends. */
const LONG_SECONDS = 300;
const REST_TIMEOUT_MS = 15_000;

const onBun = process.versions.bun !== undefined;

const collectingWorker = new URL("./collecting_worker.ts", import.meta.url);
const script = new URL("./soak_worker.ts", import.meta.url);
const [path, seconds, every] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const random = Random.fromEnvironment("soak");
const control = new SoakControl();
const collection = new Collection();
let problem: unknown;

/** Starts a thread; settles when it has ended. */
function start(
  data: Omit<SoakThreadData, "seed" | "words" | "collect">,
): { worker: Worker; ended: Promise<void> } {
  const worker = new Worker(script, {
    workerData: {
      ...data,
      seed: random.next32(),
      words: control.buffer,
      collect: collection.buffer,
    },
  });
  const ended = new Promise<void>((resolve) => {
    worker.once("exit", () => resolve());
    worker.once("error", (error) => problem ??= error);
    worker.once("message", ({ error }) => problem ??= error);
  });
  return { worker, ended };
}

/** Looks again and again until something is so; the words are only there to be waited on. */
async function until(what: string, isSo: () => boolean): Promise<void> {
  const word = new Int32Array(new SharedArrayBuffer(4));
  for (const end = performance.now() + REST_TIMEOUT_MS; !isSo();) {
    if (problem !== undefined) throw problem;
    if (performance.now() > end) throw new Error(`it took too long until ${what}`);
    await Atomics.waitAsync(word, 0, 0, 2).value;
  }
}

/** A thread comes, works, and closes, or is terminated somewhere in the middle. */
async function visit(db: Database): Promise<"closed" | "terminated"> {
  const terminated = random.chance(0.5);
  const steps = terminated ? Infinity : VISIT_STEPS;
  control.beginVisit();
  const { worker, ended } = start({ handle: db.share(), name: VISITOR, steps });
  if (!terminated) {
    await ended;
    if (problem !== undefined) throw problem;
    return "closed";
  }
  const after = random.int(VISIT_STEPS);
  await until("the visitor works", () => control.visited > after);
  await worker.terminate();
  return "terminated";
}

/** Lets everyone rest, and looks. */
async function sample(db: Database, elapsed: number): Promise<Sample> {
  const loadedMiB = residentMiB();
  control.rest();
  await until("all threads rest", () => control.resting === STAY);
  await until("the visitor has left", () => db.stats().threads === THREADS_AT_REST);
  await db.checkpoint();
  await db.checkpoint();
  // The workers give pages back while they are idle.
  const handle = db.share();
  await until("what is retired was given back", () => look(db, handle).retired === 0);
  collection.ask();
  collectHere();
  await until("all have collected", () => collection.answers === STAY + WORKERS + 1);
  const resident = residentMiB();
  const figures = fileFigures(await checkFile(db.path), PAGE_BYTES);
  const now = {
    seconds: elapsed,
    terminated: visits.terminated,
    loadedMiB,
    residentMiB: resident,
    ...look(db, handle),
    ...figures,
  };
  control.work();
  return now;
}

/** This thread, the keeper, the writers, and those that stay. */
const THREADS_AT_REST = 2 + WORKERS + STAY;

const db = await open(path, {
  pageSize: PAGE_BYTES,
  cacheBytes: 4 * 2 ** 20,
  logBytes: LOG_BYTES,
  checkpoint: { intervalMs: 2000 },
  maxWorkers: WORKERS,
  spawnWorker: (_url, data) => {
    const workerData = { ...data as object, collect: collection.buffer };
    const worker = new Worker(collectingWorker, { workerData });
    return {
      onError: (callback) => void worker.on("error", callback),
      onExit: (callback) => void worker.on("exit", callback),
      unref: () => worker.unref(),
      terminate: async () => void await worker.terminate(),
    };
  },
});
const bank = await Bank.of(db);
await bank.fill();
const threads = Array.from(
  { length: STAY },
  (_, i) => start({ handle: db.share(), name: String(i), steps: undefined }),
);

const visits = { closed: 0, terminated: 0 };
const samples: Sample[] = [];
const started = performance.now();
const elapsed = (): number => (performance.now() - started) / 1000;
console.log(head());
for (let next = every; samples.length === 0 || elapsed() < seconds;) {
  visits[await visit(db)]++;
  if (problem !== undefined) throw problem;
  if (elapsed() < next) continue;
  const one = await sample(db, elapsed());
  samples.push(one);
  console.log(row(one));
  next += every;
}
control.stop();
await Promise.all(threads.map(({ ended }) => ended));
if (problem !== undefined) throw problem;
bank.check();
const { checkpoints } = db.stats();
await db.close();
await checkFile(path);

const { growthMiB, terminated, slopeMiBPerMinute } = residentGrowth(samples);
console.log(
  [
    ...control.counts().map(([what, count]) => `${count} ${what}`),
    `${visits.closed} threads came and closed`,
    `${visits.terminated} were terminated`,
    `${checkpoints.done} checkpoints`,
  ].join(", "),
);
console.log(
  `memory that is kept, since it was warm: ${growthMiB.toFixed(1)} MiB with ` +
    `${Math.round(terminated)} threads terminated, ${slopeMiBPerMinute.toFixed(2)} MiB a minute`,
);
const wrong = judge(samples, {
  threads: THREADS_AT_REST,
  // The bank, one of each thread that stays, that of visitors and those that they left.
  families: 1 + STAY + 1 + 1,
  owned: WORKERS * 33,
  // Each thread has the file open; the keeper and the writers have the log.
  ownDescriptors: THREADS_AT_REST + 1 + WORKERS,
  fileMiB: 64,
  residentGrowthMiB: seconds < LONG_SECONDS ? 128 : 64,
  // Deno keeps two descriptors and some memory of each worker that is terminated while its event loop
  // is busy, whatever it does: 2 MiB of one that has only imported this package.
  lostMiBPerThread: onBun ? 0 : 6,
});
if (checkpoints.failed > 0) wrong.push(`${checkpoints.failed} checkpoints failed`);
for (const one of wrong) console.log(`WRONG: ${one}`);
process.exit(wrong.length > 0 ? 1 : 0);
