/**
 * The child of bank_test.ts: opens the bank, says what it finds, and moves money from four threads, while
 * one of them looks at all of it again and again, until it is killed. Arguments: path, workers, seed. Lines:
 *
 * - `found` and the last step of each thread, as JSON
 * - `step THREAD N`: step N of the thread, and its transfer, are acknowledged
 * - `looked N`: so many snapshots were right
 */

import process from "node:process";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { attach, type DatabaseHandle, open } from "../../mod.ts";
import { say } from "./crash_messages.ts";
import { BANK_THREADS, FamilyBank } from "./family_bank.ts";
import { Random } from "./random.ts";

interface BankWorkerData {
  readonly handle: DatabaseHandle;
  readonly thread: number;
  readonly first: number;
  readonly seed: number;
}

async function moveOn(
  bank: FamilyBank,
  thread: number,
  first: number,
  seed: number,
): Promise<never> {
  const random = new Random(seed + thread);
  for (let step = first;; step++) {
    await bank.move(thread, step, random);
    say(`step ${thread} ${step}`);
  }
}

async function main([path, workers, seed]: string[]): Promise<void> {
  const db = await open(path, {
    pageSize: 4096,
    cacheBytes: 2 ** 20,
    logBytes: 2 ** 18,
    maxWorkers: Number(workers),
    checkpoint: { intervalMs: 300 },
  });
  const bank = await FamilyBank.in(db);
  const found = bank.look();
  say(`found ${JSON.stringify(found)}`);
  await bank.fill();
  for (let thread = 1; thread < BANK_THREADS; thread++) {
    const data: BankWorkerData = {
      handle: db.share(),
      thread,
      first: found[thread] + 1,
      seed: Number(seed),
    };
    new Worker(new URL(import.meta.url), { workerData: data }).on("error", (error) => {
      console.error(error);
      process.exit(1);
    });
  }
  moveOn(bank, 0, found[0] + 1, Number(seed));
  for (let looks = 1;; looks++) {
    bank.look();
    if (looks % 50 === 0) say(`looked ${looks}`);
    await new Promise((resolve) => setTimeout(resolve));
  }
}

if (isMainThread) {
  await main(process.argv.slice(2));
} else {
  const { handle, thread, first, seed } = workerData as BankWorkerData;
  const bank = await FamilyBank.in(await attach(handle));
  await moveOn(bank, thread, first, seed);
}
