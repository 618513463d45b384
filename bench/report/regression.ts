/**
 * Whether this tree is slower than the commit before it, on the few rows that tell it within seconds on any
 * machine: `deno task bench:regression`. Exits with 1 if it is.
 *
 * Both trees do the same work by turns in each of a few processes, and what counts is processor time, see
 * `regression_run.ts`: a busy machine disturbs both alike. A row is slower if the median of the processes' ratios is
 * worse than the limit, and each of them is worse than 1. All is in memory: a disk varies by more than is looked for.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { exitWith } from "../support/command.ts";
import { UsageError } from "../support/errors.ts";
import { benchScript, jsonLines, killAll } from "../support/processes.ts";
import type { Series } from "./bench_json.ts";
import { comparePairs, comparisonTable } from "./comparison.ts";
import { limitOf } from "./limit.ts";
import type { RegressionLine } from "./regression_run.ts";

const HELP = `Usage: regression.ts [options]

  --base COMMIT     what to compare with (default HEAD~1)
  --against DIR     compare with the tree in a directory instead
  --most F          a row may be slower by this factor (default 1.5)
  --help`;

/** Processes that measure; fewer, but not fewer than the least, if the machine is slow. */
const PROCESSES = 5;
const LEAST_PROCESSES = 2;
/** No process is begun later than this, unless there have been too few. */
const BEGIN_MS = 28_000;

const own = fileURLToPath(new URL("../../", import.meta.url));

/** There is nothing to compare with: told, and no failure. */
class NoBaseError extends Error {}

function git(args: readonly string[]): { ok: boolean; output: Buffer; said: string } {
  const { status, stdout, stderr, error } = spawnSync("git", ["-C", own, ...args], {
    maxBuffer: 2 ** 30,
  });
  return { ok: status === 0, output: stdout, said: error?.message ?? String(stderr).trim() };
}

/** Puts what a commit ships into a directory. */
function checkOut(commit: string, dir: string): void {
  const found = git(["rev-parse", "--verify", "--quiet", `${commit}^{commit}`]);
  if (!found.ok) throw new NoBaseError(`there is no commit ${commit} ${found.said}`.trim());
  const archive = git(["archive", "--format=tar", commit, "--", "mod.ts", "lib", "workers"]);
  if (!archive.ok) throw new NoBaseError(`${commit} has no tree to measure: ${archive.said}`);
  const tar = spawnSync("tar", ["-x", "-C", dir], { input: archive.output });
  if (tar.status !== 0) {
    throw new NoBaseError(`${commit} cannot be unpacked: ${tar.error?.message ?? tar.stderr}`);
  }
}

/** What the rows did in one process, by tree: of both, or this one alone if the other cannot do them. */
function measureOnce(trees: readonly string[]): AsyncGenerator<RegressionLine> {
  return jsonLines(benchScript("report/regression_run.ts", trees), "the measurement");
}

/** @throws {NoBaseError} if the base cannot do the work; any other error if this tree cannot. */
async function measure(base: string): Promise<Map<string, [old: number[], now: number[]]>> {
  const rates = new Map<string, [number[], number[]]>();
  const begun = performance.now();
  for (let round = 0; round < PROCESSES; round++) {
    if (round >= LEAST_PROCESSES && performance.now() - begun > BEGIN_MS) break;
    // In every other process this tree is the one that is opened first.
    const swapped = round % 2 === 1;
    for await (const line of measureOnce(swapped ? [own, base] : [base, own])) {
      const which = swapped ? 1 - line.tree : line.tree;
      if ("failed" in line) {
        if (which === 0) throw new NoBaseError(`it cannot do the work: ${line.failed}`);
        throw new Error(`this tree cannot do the work: ${line.failed}`);
      }
      const pair = rates.get(line.row) ?? [[], []];
      rates.set(line.row, pair);
      pair[which].push(line.opsPerSecond);
    }
  }
  return rates;
}

function seriesOf(row: string, runs: readonly number[]): Series {
  return {
    group: "workloads",
    row,
    engine: "manifold",
    unit: "/processor s",
    better: "more",
    runs,
  };
}

async function regression(): Promise<number> {
  const { values } = parseArgs({
    options: {
      base: { type: "string", default: "HEAD~1" },
      against: { type: "string" },
      most: { type: "string", default: "1.5" },
      help: { type: "boolean" },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const most = limitOf(values.most);
  const dir = mkdtempSync(join(tmpdir(), "manifold-base-"));
  try {
    if (values.against === undefined) checkOut(values.base, dir);
    else if (!existsSync(join(values.against, "mod.ts"))) {
      throw new UsageError(`--against ${values.against}: it has no mod.ts`);
    }
    const rates = await measure(values.against ?? dir);
    const rows = [...rates].map(([row, [old, now]]) =>
      comparePairs(seriesOf(row, old), seriesOf(row, now), most)
    );
    console.log(comparisonTable(rows, most));
    const slower = rows.filter(({ verdict }) => verdict === "slower").length;
    console.log(`\n${slower} of ${rows.length} rows slower than ${values.against ?? values.base}`);
    return slower > 0 ? 1 : 0;
  } catch (error) {
    if (!(error instanceof NoBaseError)) throw error;
    console.log(`skipped, nothing to compare with: ${error.message}`);
    return 0;
  } finally {
    // Of one that has told that it cannot go on.
    killAll();
    rmSync(dir, { recursive: true, force: true });
  }
}

await exitWith(regression);
