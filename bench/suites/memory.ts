/**
 * What a process takes that works on more data than its cache holds.
 *
 * @module
 */

import { join } from "node:path";
import { benchScript, finish, start } from "../support/processes.ts";
import type { Grown } from "./memory_child.ts";
import type { Suite, SuiteRow } from "./suite.ts";

const MIB = 2 ** 20;
const CACHE_BYTES = 64 * MIB;
/** Of 1,000 bytes. */
const ENTRIES = 300_000;
/** One writes, one makes checkpoints. */
const WORKERS = 2;

/** What is asked for: the cache, and little beside it. */
export const MEMORY_MOST = CACHE_BYTES + 64 * MIB + 10 * MIB * WORKERS;

const bytes = (name: Exclude<keyof Grown, "workers">, about: string) => ({
  name,
  unit: "bytes",
  better: "less",
  about,
} as const);

const rows = [
  bytes("loading", "the most while 300 MB are written through a cache of 64 MiB"),
  bytes("loaded", "after that"),
  bytes("reading", "the most while all of it is read by key, and then in order"),
  bytes("read", "after that"),
] satisfies SuiteRow[];

export const memory: Suite = {
  name: "memory",
  about: "Resident memory above that of the process before the database was loaded.",
  engines: ["manifold"],
  rows,
  async *run({ dir, share }) {
    const args = [join(dir, "bench.manifold"), String(CACHE_BYTES), String(share(ENTRIES))];
    const child = start(benchScript("suites/memory_child.ts", args));
    const grown: Grown = JSON.parse(await child.nextLine());
    await finish(child, "memory");
    if (grown.workers !== WORKERS) throw new Error(`memory: ${grown.workers} workers`);
    for (const { name } of rows) yield { row: name, value: grown[name] };
  },
};
