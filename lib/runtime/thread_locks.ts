/**
 * Life and death of threads on Deno: a living thread holds a Web Lock, whose name all threads of the
 * process see, and which is released when the thread ends, however it ends.
 *
 * A pending request would be told of the release at once, but keeps its thread's event loop alive;
 * hence `query`, from a timer that does not.
 *
 * @module
 */

import { isMainThread } from "node:worker_threads";
import { assert } from "../errors.ts";
import type { Life, LifeName, LivenessProbe } from "./liveness.ts";

/** What is used of Web Locks, for which the type library has nothing. */
interface LockManager {
  request(
    name: string,
    options: { ifAvailable: true },
    callback: (lock: object | null) => Promise<void> | undefined,
  ): Promise<void>;
  query(): Promise<{ held?: { name: string }[] }>;
}

function lockManager(): LockManager {
  return (navigator as unknown as { locks: LockManager }).locks;
}

/** The first word of the name of a host that lives as long as the process. */
const PROCESS = -1;

function lockName(databaseId: string, serial: number): string {
  return `@manifold/db ${databaseId} ${serial}`;
}

/** A web worker of Deno calls itself a main thread to `node:worker_threads`. */
function livesAsLongAsProcess(): boolean {
  return isMainThread && !("WorkerGlobalScope" in globalThis);
}

/** Takes a lock that nobody else asks for, and keeps it until the claim is ended. */
function claim(databaseId: string, serial: number): Promise<Life> {
  return new Promise((resolve, reject) => {
    lockManager().request(lockName(databaseId, serial), { ifAvailable: true }, (lock) => {
      assert(lock !== null, `the claim ${serial} of ${databaseId} is made twice`);
      return new Promise<void>((end) => resolve({ name: [serial, 0], end }));
    }).catch(reject);
  });
}

/** Deno. */
export const lockProbe: LivenessProbe = {
  claim,

  claimHost(databaseId: string, serial: number): Promise<Life> {
    if (!livesAsLongAsProcess()) return claim(databaseId, serial);
    return Promise.resolve({ name: [PROCESS, 0], end: () => {} });
  },

  async alive(databaseId: string, names: readonly LifeName[]): Promise<boolean[]> {
    if (names.every(([serial]) => serial === PROCESS)) return names.map(() => true);
    const { held } = await lockManager().query();
    const living = new Set(held?.map((lock) => lock.name));
    return names.map(([serial]) => serial === PROCESS || living.has(lockName(databaseId, serial)));
  },
};
