/**
 * One run of a suite on an engine in a process of its own: `suite_runner.ts SUITE ENGINE DIR SCALE`. Prints
 * one line of JSON, a {@linkcode SuiteResult}, per row.
 *
 * @module
 */

import process from "node:process";
import { suites } from "./suites/mod.ts";
import type { Suite, SuiteResult } from "./suites/suite.ts";
import { killAll } from "./support/processes.ts";

/** Gives what the suite finds, and sees to it that it is what it promises. */
async function* checked(
  suite: Suite,
  engine: string,
  dir: string,
  scale: number,
): AsyncGenerator<SuiteResult> {
  const left = new Set(suite.rows.map(({ name }) => name));
  const share = (count: number) => Math.max(1, Math.round(count * scale));
  for await (const result of suite.run({ engine, dir, scale, share })) {
    const { row, value } = result;
    if (!left.delete(row)) throw new Error(`${suite.name} has no row ${row}, or gave it before`);
    if (!Number.isFinite(value)) throw new Error(`${suite.name}: ${row} is ${value}`);
    yield result;
  }
  if (engine === "manifold" && left.size > 0) {
    throw new Error(`${suite.name} did not give ${[...left].join(", ")}`);
  }
}

if (import.meta.main) {
  const [name, engine, dir, scale] = process.argv.slice(2);
  const suite = suites.find((suite) => suite.name === name);
  if (!suite?.engines.includes(engine)) throw new Error(`no suite ${name} runs on ${engine}`);
  // A suite may have processes of its own.
  process.once("SIGTERM", () => {
    killAll();
    process.exit(143);
  });
  try {
    for await (const result of checked(suite, engine, dir, Number(scale))) {
      console.log(JSON.stringify(result));
    }
  } finally {
    killAll();
  }
  // Some engines keep the process alive for a while.
  process.exit(0);
}
