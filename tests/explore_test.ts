/**
 * Protects the protocols between threads (docs/design.md, section 4) in all interleavings of small cases,
 * not in some by chance: pins and epochs, publishing, the write queue, frames, group commit, locks,
 * turns and the table of threads. What is explored, and up to how many preemptions, is listed in
 * simulator/cases/mod.ts; how, in simulator/explore.ts.
 *
 * For each protocol, deliberate breakages show that a mistake in it would be found.
 */

import { build } from "./simulator/build.ts";
import { type Breakage, BREAKAGES } from "./simulator/cases/breakages.ts";
import { CASE_MODULES, CASES, EXPLORED, modulePath } from "./simulator/cases/mod.ts";
import { Explorer } from "./simulator/explore.ts";
import { assert } from "./support/assert.ts";
import { thisRuntime } from "./support/child.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

/** On a busy machine; a quiet one takes less than a tenth. */
const timeoutMs = 600_000;
/** The interleavings are the same on both runtimes: Bun goes through those of few preemptions only. */
const PREEMPTIONS_MAX = thisRuntime === "bun" ? 1 : Infinity;
/** Bun looks for one breakage in so many, others each time. */
const BREAKAGES_SHARE = thisRuntime === "bun" ? 3 : 1;

/** With all breakages, none of which is switched on: to build it takes seconds. */
const explorer = new Explorer(
  build(CASE_MODULES, [...EXPLORED, ...BREAKAGES.flatMap(({ patches }) => patches)]),
);

test("every interleaving of the cases keeps what it has to", { timeoutMs }, () => {
  explorer.broken = undefined;
  for (const { path, name, title, preemptionsMax = Infinity } of CASES) {
    const most = Math.min(preemptionsMax, PREEMPTIONS_MAX);
    const found = explorer.run(path, name, { preemptionsMax: most });
    const { states, executions, failure } = found;
    const bound = most === Infinity ? "all" : `up to ${most} preemptions`;
    console.log(`${title}: ${states} states, ${executions} executions (${bound})`);
    if (failure === undefined) continue;
    throw new Error(`${title}:\n${failure.schedule.join("\n")}`, { cause: failure.error });
  }
});

test("breakages of the protocols are found", { timeoutMs }, () => {
  for (const { name, found: [file, example] } of breakagesOfThisRun()) {
    explorer.broken = name;
    const path = modulePath(file);
    const { failure, states } = explorer.run(path, example, { preemptionsMax: 3 });
    assert(failure !== undefined, `not found: ${name}`);
    console.log(
      `${name}: ${failure.error}, with ${failure.preemptions} preemptions, ${states} states`,
    );
  }
});

function breakagesOfThisRun(): readonly Breakage[] {
  if (BREAKAGES_SHARE === 1) return BREAKAGES;
  const first = Random.fromEnvironment("explored breakages").int(BREAKAGES_SHARE);
  return BREAKAGES.filter((_, i) => i % BREAKAGES_SHARE === first);
}
