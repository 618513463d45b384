/**
 * The long soak: `deno task soak --minutes 10 --runtime bun`. What it asserts is said in
 * `tests/soak_test.ts`. `--runtime` is deno or bun; deno if it is not given.
 */

import { parseArgs } from "node:util";
import { soak } from "./run.ts";

const EVERY_SECONDS = 30;
/** A short one has so many looks. */
const LOOKS_MIN = 10;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    runtime: { type: "string", default: "deno" },
  },
});
const seconds = Number(values.minutes) * 60;
if (!(seconds > 0)) throw new Error(`--minutes ${values.minutes}: give a number`);
const { runtime } = values;
if (runtime !== "deno" && runtime !== "bun") {
  throw new Error(`--runtime ${runtime}: give deno or bun`);
}
console.log(`soak on ${runtime} for ${values.minutes} minutes`);
await soak(runtime, seconds, Math.min(EVERY_SECONDS, seconds / LOOKS_MIN), console.log);
