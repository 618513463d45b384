/**
 * `deno task explore`: the cases of simulator/cases/mod.ts up to their larger bounds. With `--case NAME`, only
 * those that are called so; with `--preemptions N`, up to N, or `all`. Prints the schedule of a failure.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { build } from "./build.ts";
import { CASE_MODULES, CASES, EXPLORED } from "./cases/mod.ts";
import { Explorer } from "./explore.ts";

const { values } = parseArgs({
  options: { case: { type: "string" }, preemptions: { type: "string" } },
});
const explorer = new Explorer(build(CASE_MODULES, EXPLORED));
for (const { path, name, title, preemptionsMax, preemptionsMaxLong } of CASES) {
  if (values.case !== undefined && values.case !== name) continue;
  const given = values.preemptions === "all" ? Infinity : Number(values.preemptions);
  const bound = (values.preemptions === undefined ? preemptionsMaxLong ?? preemptionsMax : given) ??
    Infinity;
  const started = performance.now();
  const found = explorer.run(path, name, { preemptionsMax: bound });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    `${title} (${bound === Infinity ? "all" : `up to ${bound} preemptions`}): ${found.states} ` +
      `states, ${found.executions} executions, ${found.depth} choices at the most, ${seconds} s`,
  );
  if (found.failure === undefined) continue;
  console.log(found.failure.schedule.join("\n"));
  console.log(found.failure.error);
  process.exit(1);
}
