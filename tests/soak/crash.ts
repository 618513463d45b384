/**
 * The long crash run: `deno task crash --kills 500 --runtime bun`. What it proves is said in
 * `tests/crash_test.ts`. `--runtime` is deno, bun, or mixed for one after the other; deno if it is not
 * given.
 */

import { parseArgs } from "node:util";
import type { RuntimeName } from "../support/child.ts";
import { CrashRun, describeCounts, killOften } from "../support/crash_run.ts";
import { Random } from "../support/random.ts";
import { withTempDir } from "../support/temp.ts";

const SAY_EVERY = 25;

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "500" },
    runtime: { type: "string", default: "deno" },
  },
});
const kills = Number(values.kills);
if (!Number.isInteger(kills) || kills < 1) {
  throw new Error(`--kills ${values.kills}: give a number`);
}
if (!["deno", "bun", "mixed"].includes(values.runtime)) {
  throw new Error(`--runtime ${values.runtime}: give deno, bun or mixed`);
}

function runtimeOf(kill: number): RuntimeName {
  if (values.runtime === "mixed") return kill % 2 === 0 ? "deno" : "bun";
  return values.runtime as RuntimeName;
}

await withTempDir(async (dir) => {
  const random = Random.fromEnvironment(`crash on ${values.runtime}`);
  const started = performance.now();
  const run = new CrashRun(`${dir}/c.manifold`, random);
  const seconds = () => Math.round((performance.now() - started) / 1000);
  await killOften(run, kills, random, runtimeOf, (counts) => {
    if (counts.kills % SAY_EVERY === 0) console.log(`${seconds()} s: ${describeCounts(counts)}`);
  });
  console.log(`crash on ${values.runtime}: ${describeCounts(run.counts)}, ${seconds()} s`);
});
