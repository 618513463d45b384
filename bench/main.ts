/**
 * Manifold and its peers on the same workloads, in one go: `deno task bench`, `bun run bench/main.ts`.
 *
 * Every engine works in a process and a directory of its own; engines take turns, run by run, so that
 * a disturbance of the machine hits all of them. Medians are told; ratios are of two runs of the same
 * round, their median and between what they were. See `--help`.
 *
 * @module
 */

import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { mkdtemp, realpath } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { exitWith } from "./support/command.ts";
import { floorsOf } from "./support/floors.ts";
import { jsonReport, type Machine } from "./support/json_report.ts";
import { countAllSyncs, measure } from "./support/measure.ts";
import { enginesOf, measureSuites } from "./support/measure_suites.ts";
import { killAll } from "./support/processes.ts";
import {
  floorsTable,
  ratiosTable,
  resultsTable,
  suiteTable,
  syncsTable,
} from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { requireStrace } from "./support/syncs.ts";
import { rows } from "./support/workloads.ts";

const TMPFS_MAGIC = 0x01021994;

function thisMachine(): Machine {
  const { deno, bun } = process.versions;
  return {
    runtime: bun === undefined ? `Deno ${deno}` : `Bun ${bun}`,
    cpu: `${availableParallelism()} × ${cpus()[0]?.model ?? "unknown"}`,
  };
}

async function main(): Promise<number> {
  const settings = readSettings();
  if (typeof settings === "string") {
    console.log(settings);
    return 0;
  }
  const { runs, scale, names, suites, engines } = settings;
  const machine = thisMachine();
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
    console.log(
      `${machine.runtime} on ${machine.cpu}, ${runs} ${runs === 1 ? "run" : "runs, medians"}` +
        (scale === 1 ? "" : `, ${scale} of the work`),
    );
    if (statfsSync(dir).type === TMPFS_MAGIC) {
      console.log(`${settings.parent} is in memory: durable writes cost nothing there. See --dir.`);
    }
    const results = await measure(settings, dir);
    const suiteResults = await measureSuites(settings, dir);
    const syncs = settings.syncs ? await countAllSyncs(settings, dir) : undefined;
    const floors = floorsOf(results, suiteResults);
    const chosen = rows.filter(({ name }) => names.includes(name));
    if (chosen.length > 0) {
      console.log(`\n${resultsTable(chosen, engines, results)}`);
      if (engines.length > 1) console.log(`\n${ratiosTable(chosen, engines, results)}`);
    }
    for (const suite of suites) {
      console.log(`\n${suiteTable(suite, enginesOf(suite, engines), suiteResults)}`);
    }
    if (syncs !== undefined) console.log(`\n${syncsTable(chosen, engines, syncs)}`);
    console.log(`\n${floorsTable(floors)}`);
    if (settings.json !== undefined) {
      const findings = { results, suiteResults, floors, syncs };
      writeFileSync(settings.json, jsonReport(machine, settings, findings));
    }
    return settings.enforce && floors.some(({ met }) => met === false) ? 1 : 0;
  } finally {
    cleanUp();
  }
}

await exitWith(main);
