/**
 * Manifold and its peers on the same workloads, in one go: `deno task bench`, `bun run bench/main.ts`.
 *
 * Every engine works in a process and a directory of its own; engines take turns, run by run, so that
 * a disturbance of the machine hits all of them; what is told is the median. See `--help`.
 *
 * @module
 */

import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, realpath } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { type Child, spawnScript, thisRuntime } from "../tests/support/child.ts";
import { engineKinds } from "./engines/mod.ts";
import type { Measured } from "./runner.ts";
import type { EngineKind } from "./support/engine.ts";
import { EVENNESS, floorsOf } from "./support/floors.ts";
import { floorsTable, formatRate, resultsTable } from "./support/report.ts";
import { RECOVERY, RECOVERY_ENTRIES, workloadNames, workloads } from "./support/workloads.ts";

const TMPFS_MAGIC = 0x01021994;

const HELP = `Usage: main.ts [options]

  --runs N          runs of every engine; medians are told (default 3)
  --only A,B        only these workloads; "callers" stands for all that begin with it
  --engines A,B     only these engines
  --scale F         a part of the work, 0.01 to 1 (default 1)
  --dir DIR         where the databases are made (default: the system's temporary directory)
  --json FILE       write all results there
  --enforce         exit with 1 if a floor is missed
  --help

Workloads:
${
  [...workloads, {
    name: RECOVERY,
    about: `a log of ${
      RECOVERY_ENTRIES.toLocaleString("en")
    } small entries replayed after SIGKILL (Manifold only)`,
  }].map(({ name, about }) => `  ${name.padEnd(16)}  ${about}`).join("\n")
}
Engines:
${
  engineKinds.map(({ name, title, settings }) => `  ${name.padEnd(16)}  ${title}: ${settings}`)
    .join("\n")
}
`;

interface Settings {
  runs: number;
  scale: number;
  names: string[];
  engines: EngineKind[];
  parent: string;
  json: string | undefined;
  enforce: boolean;
}

/** What was asked for wrongly: told without a stack. */
class UsageError extends Error {}

function choose(what: string, given: string | undefined, all: readonly string[]): string[] {
  if (given === undefined) return [...all];
  const chosen = new Set<string>();
  for (const part of given.split(",")) {
    const matching = all.filter((name) => name === part || name.startsWith(`${part}_`));
    if (matching.length === 0) {
      throw new UsageError(`no ${what} is named "${part}"; there are ${all.join(", ")}`);
    }
    for (const name of all.includes(part) ? [part] : matching) chosen.add(name);
  }
  return all.filter((name) => chosen.has(name));
}

function readSettings(): Settings | undefined {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "3" },
      only: { type: "string" },
      engines: { type: "string" },
      scale: { type: "string", default: "1" },
      dir: { type: "string" },
      json: { type: "string" },
      enforce: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) {
    throw new UsageError(`--runs ${values.runs}: give 1 or more`);
  }
  const scale = Number(values.scale);
  if (!(scale >= 0.01 && scale <= 1)) {
    throw new UsageError(`--scale ${values.scale}: give 0.01 to 1`);
  }
  const here = engineKinds.filter(({ runtimes }) => runtimes.includes(thisRuntime));
  const engineNames = choose("engine", values.engines, here.map(({ name }) => name));
  return {
    runs,
    scale,
    names: choose("workload", values.only, workloadNames),
    engines: here.filter(({ name }) => engineNames.includes(name)),
    parent: values.dir ?? tmpdir(),
    json: values.json,
    enforce: values.enforce,
  };
}

/** Progress goes to stderr, and only to a person. */
const watched = process.stderr.isTTY === true;
function say(line: string): void {
  if (watched) process.stderr.write(`\r\x1b[2K${line}`);
}

const running = new Set<Child>();

/** Starts a script of this directory; it is killed when the benchmarks end early. */
function start(script: string, args: string[]): Child {
  const child = spawnScript("self", new URL(script, import.meta.url), args, {
    permissions: ["-A", "--unstable-kv"],
  });
  running.add(child);
  child.exited.finally(() => running.delete(child)).catch(() => {});
  return child;
}

async function finish(child: Child, what: string): Promise<void> {
  const { code, signal } = await child.exited;
  if (code !== 0) {
    throw new Error(`${what} ended with ${signal ?? `code ${code}`}:\n${child.stderr()}`);
  }
}

/** One run of an engine on the workloads of the table. */
async function* runEngine(
  engine: EngineKind,
  dir: string,
  { scale, names }: Settings,
): AsyncGenerator<Measured> {
  const own = names.filter((name) => name !== RECOVERY);
  if (own.length > 0) {
    const child = start("runner.ts", [engine.name, dir, String(scale), own.join(",")]);
    for await (const line of child.lines) yield JSON.parse(line);
    await finish(child, engine.title);
  }
  if (engine.name !== "manifold" || !names.includes(RECOVERY)) return;
  const args = [dir, String(Math.round(RECOVERY_ENTRIES * scale))];
  const writer = start("recovery.ts", ["write", ...args]);
  await writer.nextLine();
  writer.kill("SIGKILL");
  await writer.exited;
  const opener = start("recovery.ts", ["open", ...args]);
  yield JSON.parse(await opener.nextLine());
  await finish(opener, "recovery");
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

async function measure(settings: Settings, dir: string): Promise<Map<string, number[]>> {
  const results = new Map<string, number[]>();
  for (let run = 1; run <= settings.runs; run++) {
    for (const engine of settings.engines) {
      const heading = `run ${run} of ${settings.runs}  ${engine.title}`;
      say(heading);
      const own = join(dir, `${engine.name}-${run}`);
      await mkdir(own);
      const keep = (workload: string, value: number) => {
        const key = `${engine.name} ${workload}`;
        results.set(key, [...results.get(key) ?? [], value]);
      };
      for await (const measured of runEngine(engine, own, settings)) {
        const { workload, opsPerSecond, evenness } = measured;
        keep(workload, opsPerSecond);
        if (evenness !== undefined) keep(workload + EVENNESS, evenness);
        say(`${heading}  ${workload} ${formatRate(opsPerSecond)}/s`);
      }
      rmSync(own, { recursive: true, force: true });
    }
  }
  say("");
  return results;
}

function runtimeVersion(): string {
  const { deno, bun } = process.versions;
  return bun === undefined ? `Deno ${deno}` : `Bun ${bun}`;
}

async function main(): Promise<number> {
  const settings = readSettings();
  if (settings === undefined) {
    console.log(HELP);
    return 0;
  }
  const { runs, scale, names, engines } = settings;
  const dir = await mkdtemp(join(await realpath(settings.parent), "manifold-bench-"));
  const cleanUp = () => {
    for (const child of running) child.kill("SIGKILL");
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
    const lookup = (engine: string, workload: string) => {
      const values = results.get(`${engine} ${workload}`);
      return values === undefined ? undefined : median(values);
    };
    const rows = names.map((name) => ({
      name,
      unit: workloads.find((workload) => workload.name === name)?.unit ?? "entries",
    }));
    const floors = floorsOf(lookup);
    console.log(`\n${resultsTable(rows, engines, lookup)}\n\n${floorsTable(floors)}`);
    if (settings.json !== undefined) {
      const all = [...results].map(([key, values]) => {
        const [engine, workload] = key.split(" ");
        const figure = workload.endsWith(EVENNESS) ? "evenness" : "opsPerSecond";
        return { engine, workload, [figure]: median(values), runs: values };
      });
      const report = {
        date: new Date().toISOString(),
        runtime: runtimeVersion(),
        cpu,
        runs,
        scale,
        engines: engines.map(({ name, title, settings }) => ({ name, title, settings })),
        results: all,
        floors: floors.map((floor) => ({
          ...floor,
          met: floor.value === undefined ? undefined : floor.value >= floor.least,
        })),
      };
      writeFileSync(settings.json, JSON.stringify(report, null, 2) + "\n");
    }
    const missed = floors.some(({ value, least }) => value !== undefined && value < least);
    return settings.enforce && missed ? 1 : 0;
  } finally {
    cleanUp();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  const told = error instanceof UsageError ||
    (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  console.error(told ? `${(error as Error).message}\nSee --help.` : error);
  process.exitCode = 2;
}
