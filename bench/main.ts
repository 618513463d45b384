/**
 * Manifold and its peers on the same workloads, in one go: `deno task bench`, `bun run bench/main.ts`.
 *
 * Every engine works in a process and a directory of its own; engines take turns, run by run, so that
 * a disturbance of the machine hits all of them; what is told is the median, and of ratios, each of one run
 * to the peer's of the same round, the least and the most as well. See `--help`.
 *
 * @module
 */

import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { mkdtemp, realpath } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { UnavailableError, UsageError } from "./support/errors.ts";
import { floorsOf } from "./support/floors.ts";
import { countAllSyncs, measure } from "./support/measure.ts";
import { killAll } from "./support/processes.ts";
import { floorsTable, ratiosTable, resultsTable, syncsTable } from "./support/report.ts";
import { median } from "./support/results.ts";
import { readSettings } from "./support/settings.ts";
import { requireStrace } from "./support/syncs.ts";
import { rows } from "./support/workloads.ts";

const TMPFS_MAGIC = 0x01021994;

function runtimeVersion(): string {
  const { deno, bun } = process.versions;
  return bun === undefined ? `Deno ${deno}` : `Bun ${bun}`;
}

async function main(): Promise<number> {
  const settings = readSettings();
  if (typeof settings === "string") {
    console.log(settings);
    return 0;
  }
  const { runs, scale, names, engines } = settings;
  // Before anything is measured: it may fail, and it takes a while.
  if (settings.syncs) requireStrace();
  for (const engine of engines) if ("program" in engine) engine.program();
  const dir = await mkdtemp(join(await realpath(settings.parent), "manifold-bench-"));
  const cleanUp = () => {
    killAll();
    rmSync(dir, { recursive: true, force: true });
  };
  const interrupted = () => {
    cleanUp();
    process.exit(130);
  };
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  try {
    const cpu = `${availableParallelism()} × ${cpus()[0]?.model ?? "unknown"}`;
    console.log(
      `${runtimeVersion()} on ${cpu}, ${runs} ${runs === 1 ? "run" : "runs, medians"}` +
        (scale === 1 ? "" : `, ${scale} of the work`),
    );
    if (statfsSync(dir).type === TMPFS_MAGIC) {
      console.log(`${settings.parent} is in memory: durable writes cost nothing there. See --dir.`);
    }
    const results = await measure(settings, dir);
    const syncs = settings.syncs ? await countAllSyncs(settings, dir) : undefined;
    const floors = floorsOf(results);
    const chosen = rows.filter(({ name }) => names.includes(name));
    console.log(`\n${resultsTable(chosen, engines, results)}`);
    if (engines.length > 1) console.log(`\n${ratiosTable(chosen, engines, results)}`);
    if (syncs !== undefined) console.log(`\n${syncsTable(chosen, engines, syncs)}`);
    console.log(`\n${floorsTable(floors)}`);
    if (settings.json !== undefined) {
      const all = results.all().map(({ engine, workload, figure, runs }) => {
        return { engine, workload, [figure]: median(runs), runs };
      });
      const report = {
        date: new Date().toISOString(),
        runtime: runtimeVersion(),
        cpu,
        runs,
        scale,
        engines: engines.map(({ name, title, settings }) => ({ name, title, settings })),
        results: all,
        syncs,
        floors,
      };
      writeFileSync(settings.json, JSON.stringify(report, null, 2) + "\n");
    }
    return settings.enforce && floors.some(({ met }) => met === false) ? 1 : 0;
  } finally {
    cleanUp();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  const asked = error instanceof UsageError ||
    (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  const missing = error instanceof UnavailableError;
  const { message } = error as Error;
  console.error(asked ? `${message}\nSee --help.` : missing ? message : error);
  process.exitCode = missing ? 1 : 2;
}
