/**
 * Protects the first promise: nothing acknowledged is ever lost. A process that writes from four
 * threads to several families is killed by SIGKILL at random moments, some of them in the middle of a
 * checkpoint or of the recovery from the kill before. The next process must find every acknowledged
 * write, no batch and no transaction by half, no write without those of its family before it, and a
 * file whose pages all belong to exactly one tree. One file goes through all of it.
 *
 * `deno task crash --kills 500 --runtime bun` does it for longer; MANIFOLD_CRASH_KILLS as well.
 * MANIFOLD_SEED repeats the choices, though not their timing.
 */

import process from "node:process";
import { type RuntimeName, thisRuntime } from "./support/child.ts";
import { CrashRun, describeCounts, killOften } from "./support/crash_run.ts";
import { Random } from "./support/random.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const KILLS = Number(process.env.MANIFOLD_CRASH_KILLS || 40);
const MIXED_KILLS = Math.ceil(KILLS / 5);

async function crash(
  name: string,
  kills: number,
  runtimeOf: (kill: number) => RuntimeName,
): Promise<void> {
  await withTempDir(async (dir) => {
    const random = Random.fromEnvironment(name);
    const started = performance.now();
    const run = new CrashRun(`${dir}/c.manifold`, random);
    await killOften(run, kills, random, runtimeOf);
    console.log(
      `${name}: ${describeCounts(run.counts)}, ${Math.round(performance.now() - started)} ms`,
    );
  });
}

test(
  `crash: nothing acknowledged is lost by ${KILLS} kills`,
  { timeoutMs: 60_000 + KILLS * 10_000 },
  () => crash("crash", KILLS, () => thisRuntime),
);

test(
  `crash: nothing acknowledged is lost by ${MIXED_KILLS} kills of one runtime after the other`,
  { timeoutMs: 60_000 + MIXED_KILLS * 10_000 },
  () => crash("mixed crash", MIXED_KILLS, (kill) => kill % 2 === 0 ? "deno" : "bun"),
);

test(
  "crash: SIGTERM, exit and an end without close in the middle of all this lose nothing",
  { timeoutMs: 120_000 },
  () =>
    withTempDir(async (dir) => {
      const random = Random.fromEnvironment("other ends");
      const run = new CrashRun(`${dir}/c.manifold`, random);
      for (const end of ["SIGTERM", "exit", "end", "exit", "SIGTERM", "end"] as const) {
        await run.once(thisRuntime, end);
      }
      await run.verify(thisRuntime);
      console.log(`other ends: ${describeCounts(run.counts)}`);
    }),
);
