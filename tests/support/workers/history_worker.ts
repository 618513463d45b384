/** One of the threads of `history_test.ts`: many callers at once, each with one thing after the other. */

import { setImmediate } from "node:timers";
import { parentPort, workerData } from "node:worker_threads";
import { attach, ManifoldError } from "../../../mod.ts";
import { SharedBoard } from "../history/board.ts";
import { act, type World } from "../history/clients.ts";
import {
  ATTEMPTS,
  COMMITTED,
  CONFLICTED,
  type HistoryThreadData,
  type HistoryThreadResult,
  STOP,
} from "../history/messages.ts";
import { placeIn } from "../history/objects.ts";
import { Random } from "../random.ts";

const data = workerData as HistoryThreadData;
const control = new Int32Array(data.control);
const random = new Random(data.seed);
const board = new SharedBoard(data.families.length, random, data.board);

async function run(): Promise<void> {
  const db = await attach(data.handle);
  const families = await Promise.all(data.families.map((name) => db.columnFamily(name)));
  const world: World = {
    db,
    places: families.map(placeIn),
    board,
    slots: data.slots,
    pause: () => new Promise((resolve) => void setImmediate(resolve)),
    judge(error) {
      if (error instanceof ManifoldError && error.code === "conflict") return "aborted";
      throw error;
    },
    ran(attempts, isCommitted) {
      Atomics.add(control, ATTEMPTS, attempts);
      if (!isCommitted) return;
      Atomics.add(control, COMMITTED, 1);
      if (attempts > 1) Atomics.add(control, CONFLICTED, 1);
    },
  };
  const call = async (process: string): Promise<void> => {
    while (Atomics.load(control, STOP) === 0) {
      await act(world, process);
      // What reads only never waits, so that others would not have a turn.
      await world.pause();
    }
  };
  const callers = Array.from({ length: data.callers }, (_, i) => call(`${data.thread}.${i}`));
  await Promise.all(callers);
  await db.close();
}

function post(error?: string): void {
  const result: HistoryThreadResult = { error, history: board.history };
  parentPort!.postMessage(result);
}

try {
  await run();
  post();
} catch (error) {
  post(error instanceof Error ? error.stack ?? error.message : String(error));
}
