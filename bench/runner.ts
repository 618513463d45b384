/**
 * One engine in a process of its own: `runner.ts ENGINE DIR SCALE workload,… [commits]`. Prints one line
 * of JSON, a {@linkcode Measured}, per workload. With `commits` they are counted, and a first line says
 * that the engine is open.
 *
 * @module
 */

import process from "node:process";
import { moduleKinds } from "./engines/mod.ts";
import { CommitCounter } from "./support/commits.ts";
import { Context, type Result } from "./support/context.ts";
import { BULK_LOAD, workloads } from "./support/workloads.ts";

/** What a runner says on a line. */
export type Measured = Result & {
  readonly workload: string;
  /** How many commits there were since the line before. */
  readonly commits?: number;
};

function tell(measured: Measured): void {
  console.log(JSON.stringify(measured));
}

if (import.meta.main) {
  const [name, dir, scale, only, counting] = process.argv.slice(2);
  const kind = moduleKinds.find((kind) => kind.name === name);
  if (kind === undefined) throw new Error(`no engine is named ${name}`);
  const opened = await kind.open(dir);
  const counter = counting === "commits" ? new CommitCounter(opened) : undefined;
  const engine = counter?.engine ?? opened;
  if (counter !== undefined) tell({ workload: "open", commits: counter.take() });
  const context = new Context(engine, Number(scale) / kind.shrink);
  const chosen = new Set(only.split(","));
  for (const workload of workloads) {
    const isChosen = chosen.has(workload.name);
    if (!isChosen && workload !== BULK_LOAD) continue;
    if (workload.supports?.(engine) === false) continue;
    const found = await workload.run(context);
    const result = typeof found === "number" ? { opsPerSecond: found } : found;
    // All of them are told where commits are: a line ends what is counted.
    if (isChosen || counter !== undefined) {
      tell({ workload: workload.name, ...result, commits: counter?.take() });
    }
  }
  await engine.close();
  // Some engines keep the process alive for a while.
  process.exit(0);
}
