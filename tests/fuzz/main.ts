/**
 * `deno task fuzz --seed S --count N --only TARGET`: mutations of everything that is decoded from a file.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { fuzz } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 32)) },
    count: { type: "string", default: "100000" },
    only: { type: "string" },
  },
});
const [seed, count] = [Number(values.seed), Number(values.count)];
if (!Number.isSafeInteger(seed) || seed < 0 || !Number.isSafeInteger(count) || count < 1) {
  console.error("give --seed as an integer from 0 to 2^53, --count as one from 1");
  process.exit(2);
}
console.log(`fuzz: seed ${seed}, ${count} mutations`);
const began = performance.now();
const report = await fuzz(seed, count, values.only);
const seconds = ((performance.now() - began) / 1000).toFixed(1);
console.log(
  `${report.cases} mutations in ${seconds} s, the slowest ${report.slowestMs.toFixed(0)} ms`,
);
for (const [name, cases] of Object.entries(report.targets)) console.log(`  ${name}: ${cases}`);
