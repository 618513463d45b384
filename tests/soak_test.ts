/**
 * Protects what must not grow while a database is used for long: the memory that the process keeps,
 * the file, pins, queues, retired pages, frames in somebody's hands, open files, threads. Four threads
 * read, write, hold snapshots, delete ranges, make and delete tables and families, write large values
 * and transactions past the log; others come, work, and close or are terminated. Now and then all rest:
 * then nothing may be held, and every page of the file must belong to exactly one tree.
 *
 * `deno task soak --minutes 10 --runtime bun` does it for longer.
 */

import process from "node:process";
import { thisRuntime } from "./support/child.ts";
import { test } from "./support/test.ts";
import { soak } from "./soak/run.ts";

const SECONDS = Number(process.env.MANIFOLD_SOAK_SECONDS || 20);
const LOOKS = 10;

test(
  `soak: ${SECONDS} s of mixed work by threads that come and go leave nothing behind`,
  { timeoutMs: SECONDS * 4000 + 60_000 },
  () => soak(thisRuntime, SECONDS, SECONDS / LOOKS, console.log),
);
