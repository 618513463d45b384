/**
 * How a transaction is run: on the version that is published, without keeping anybody from anything; again, when
 * others have changed meanwhile what it had read; at last under the exclusive turn of its families.
 *
 * An attempt reads a pinned version and keeps its writes to itself. Its commit carries what it has read, and the family's
 * worker refuses it unless all that is still the same: then it is as if the whole transaction had happened at that moment.
 * One that has written nothing has no commit: it happened when its version was published.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { after } from "../runtime/pause.ts";
import {
  commit,
  isOutdated,
  isPromise,
  type Job,
  releaseParts,
  runFunction,
  takeParts,
} from "./attempt.ts";
import { describe } from "./codecs/describe.ts";
import { type FamilyAccess, runningTransaction } from "./family_access.ts";
import { Limits } from "./limits.ts";
import { RequestError } from "./request_error.ts";
import { placeOf, type Transaction, type TransactionOptions } from "./transaction.ts";
import { Turn } from "./turn.ts";
import { lineOf, QUICK_MS } from "./turn_line.ts";

/** How often a function is run at the most, unless the caller says otherwise. */
const ATTEMPTS_MAX = 10;
/** How long a transaction without a time-out may keep others waiting, ms. */
const LEASE_MS = 60_000;
/** The longest wait between two attempts, ms; before the second one it is up to 2. */
const WAIT_MS_MAX = 32;

/** Runs a transaction over column families of one database. */
export async function runTransaction<T>(
  accesses: readonly FamilyAccess[],
  fn: (tx: Transaction) => T | Promise<T>,
  options: TransactionOptions | undefined,
): Promise<T> {
  const what = (): string => `transaction of ${placeOf(accesses)}`;
  if (typeof fn !== "function") {
    throw new ManifoldError(
      "invalid-argument",
      `${what()}: it is given ${describe(fn)}; give a function`,
    );
  }
  const flags = accesses[0].open.durabilityFlag(options);
  const attemptsMax = checkAttempts(options?.maxAttempts ?? ATTEMPTS_MAX, what);
  for (const access of accesses) access.writingClient(what);
  const { statistics } = accesses[0].open.client();
  const limits = Limits.of(options, what);
  const job: Job<T> = { accesses, fn, flags, limits, parent: runningTransaction.get(), what };
  try {
    for (let left = attemptsMax; left > 1; left--) {
      limits?.check();
      if (left < attemptsMax) statistics.retry();
      const attempt = await runFreely(job);
      if (attempt.isDone) return attempt.value as T;
      statistics.conflict();
      const lost = attemptsMax - left + 1;
      const line = lineOf(accesses[0]);
      const mayJoin = accesses.length === 1 && attempt.isQuick;
      if (left > 2 && mayJoin && (lost > 1 || line.isHot)) {
        const outcome = await line.join(job as Job<unknown>);
        if (outcome.kind === "value") return outcome.value as T;
        if (outcome.kind === "error") throw outcome.error;
        left--;
      } else {
        // At once they would meet again.
        const wait = after(Math.random() * Math.min(WAIT_MS_MAX, 2 ** lost));
        await (limits === undefined ? wait : limits.race(wait));
      }
    }
    limits?.check();
    if (attemptsMax > 1) statistics.retry();
    return await runUnderTurns(job);
  } catch (error) {
    // What else it may be is that the commit was refused, or the database failed.
    if (!(error instanceof RequestError)) statistics.abort();
    throw error;
  } finally {
    limits?.dispose();
  }
}

function checkAttempts(attemptsMax: number, what: () => string): number {
  if (Number.isSafeInteger(attemptsMax) && attemptsMax > 0) return attemptsMax;
  throw new ManifoldError(
    "invalid-argument",
    `${what()}: maxAttempts is ${describe(attemptsMax)}; give a positive integer`,
  );
}

/** What has come of an attempt that nobody waited for. */
interface Attempt<T> {
  /** Otherwise it has to be run again. */
  readonly isDone: boolean;
  readonly value: T;
  /** Whether the function took so little time that others may wait for it. */
  readonly isQuick: boolean;
}

async function runFreely<T>(job: Job<T>): Promise<Attempt<T>> {
  const parts = takeParts(job.accesses, true);
  let isQuick = true;
  try {
    const result = runFunction(job, parts, job.limits);
    // Without a wait, if it can be: the commit takes its place before what is asked for later.
    let value: T;
    if (isPromise(result)) {
      const begun = performance.now();
      value = await result;
      isQuick = performance.now() - begun < QUICK_MS;
    } else value = result;
    try {
      await commit(job, parts, []);
    } catch (error) {
      if (isOutdated(error)) return { isDone: false, value, isQuick };
      throw error;
    }
    return { isDone: true, value, isQuick };
  } finally {
    releaseParts(parts);
  }
}

function leaseMs(limits: Limits | undefined): number {
  const left = limits?.leftMs ?? Infinity;
  return left === Infinity ? LEASE_MS : left;
}

/** Nobody else changes the families meanwhile. */
async function runUnderTurns<T>(job: Job<T>): Promise<T> {
  const { accesses, limits, what } = job;
  const turns: Turn[] = [];
  const release = (): void => {
    for (const turn of turns) turn.release();
  };
  // With a turn in hand it must not wait for what may wait for that.
  const passed = accesses[0].open.lines.passed(accesses.map(({ id }) => id));
  await (limits === undefined ? passed : limits.race(passed));
  try {
    for (const access of accesses) {
      const hasOther = turns.length > 0;
      turns.push(await Turn.take(access, leaseMs(limits), what, limits, hasOther));
    }
    const parts = takeParts(accesses, false);
    let committed: Promise<number> | undefined;
    let value: T;
    try {
      value = await runFunction(job, parts, limits, release);
      committed = commit(job, parts, turns);
    } finally {
      releaseParts(parts);
    }
    await committed;
    return value;
  } finally {
    release();
  }
}
