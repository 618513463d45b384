/**
 * One engine in a process of its own: `runner.ts ENGINE DIR SCALE workload,…`. Prints one line of
 * JSON, a {@linkcode Measured}, per workload.
 *
 * @module
 */

import process from "node:process";
import { moduleKinds } from "./engines/mod.ts";
import { Context, type Result } from "./support/context.ts";
import { BULK_LOAD, workloads } from "./support/workloads.ts";

/** What a runner says on a line. */
export type Measured = Result & { readonly workload: string };

if (import.meta.main) {
  const [name, dir, scale, only] = process.argv.slice(2);
  const kind = moduleKinds.find((kind) => kind.name === name);
  if (kind === undefined) throw new Error(`no engine is named ${name}`);
  const engine = await kind.open(dir);
  const context = new Context(engine, Number(scale) / kind.shrink);
  const chosen = new Set(only.split(","));
  for (const workload of workloads) {
    const isChosen = chosen.has(workload.name);
    if (!isChosen && workload !== BULK_LOAD) continue;
    if (workload.supports?.(engine) === false) continue;
    const found = await workload.run(context);
    if (!isChosen) continue;
    const result = typeof found === "number" ? { opsPerSecond: found } : found;
    const measured: Measured = { workload: workload.name, ...result };
    console.log(JSON.stringify(measured));
  }
  await engine.close();
  // Some engines keep the process alive for a while.
  process.exit(0);
}
