/**
 * What the benchmarks were asked for on the command line.
 *
 * @module
 */

import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { thisRuntime } from "../../tests/support/child.ts";
import { engineKinds } from "../engines/mod.ts";
import { suites } from "../suites/mod.ts";
import type { Suite } from "../suites/suite.ts";
import type { EngineKind } from "./engine.ts";
import { UsageError } from "./errors.ts";
import { rows } from "./workloads.ts";

const HELP = `Usage: main.ts [options]

  --runs N          runs of every engine, by turns (default 3; 7 for what is to be compared)
  --only A,B        only these workloads; "callers" stands for all that begin with "callers_"
  --suites A,B      these suites, or "all" of them; then no workloads unless --only names some
  --engines A,B     only these engines
  --native          RocksDB and LMDB in C++ and C, too; builds the program that runs them
  --syncs           count, in a run more of every engine under strace, the syncs per commit
  --scale F         a part of the work, 0.01 to 1 (default 1)
  --dir DIR         where the databases are made (default: the system's temporary directory)
  --json FILE       write all results there
  --enforce         exit with 1 if a floor is missed
  --help

Workloads:
${rows.map(({ name, about }) => `  ${name.padEnd(16)}  ${about}`).join("\n")}
Suites, each of several rows, and the engines that can run it:
${
  suites.map(({ name, about, engines }) =>
    `  ${name.padEnd(16)}  ${about}\n${" ".repeat(20)}${engines.join(", ")}`
  ).join("\n")
}
Engines:
${
  engineKinds.map(({ name, title, settings }) => `  ${name.padEnd(16)}  ${title}: ${settings}`)
    .join("\n")
}
`;

export interface Settings {
  readonly runs: number;
  readonly scale: number;
  /** The chosen workloads. */
  readonly names: readonly string[];
  /** The chosen suites. */
  readonly suites: readonly Suite[];
  readonly engines: readonly EngineKind[];
  readonly syncs: boolean;
  /** Where the databases are made. */
  readonly parent: string;
  readonly json: string | undefined;
  readonly enforce: boolean;
}

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

/** The settings, or the text that was asked for instead. */
export function readSettings(): Settings | string {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "3" },
      only: { type: "string" },
      suites: { type: "string" },
      engines: { type: "string" },
      native: { type: "boolean", default: false },
      syncs: { type: "boolean", default: false },
      scale: { type: "string", default: "1" },
      dir: { type: "string" },
      json: { type: "string" },
      enforce: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return HELP;
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) {
    throw new UsageError(`--runs ${values.runs}: give 1 or more`);
  }
  const scale = Number(values.scale);
  if (!(scale >= 0.01 && scale <= 1)) {
    throw new UsageError(`--scale ${values.scale}: give 0.01 to 1`);
  }
  const here = engineKinds.filter((kind) =>
    kind.runtimes.includes(thisRuntime) && (values.native || "open" in kind)
  );
  const suiteNames = values.suites === undefined ? [] : choose(
    "suite",
    values.suites === "all" ? undefined : values.suites,
    suites.map(({ name }) => name),
  );
  const engineNames = choose("engine", values.engines, here.map(({ name }) => name));
  return {
    runs,
    scale,
    names: values.only === undefined && suiteNames.length > 0
      ? []
      : choose("workload", values.only, rows.map(({ name }) => name)),
    suites: suites.filter(({ name }) => suiteNames.includes(name)),
    engines: here.filter(({ name }) => engineNames.includes(name)),
    syncs: values.syncs,
    parent: values.dir ?? tmpdir(),
    json: values.json,
    enforce: values.enforce,
  };
}
