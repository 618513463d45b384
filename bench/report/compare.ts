/**
 * What has become slower between two runs of the benchmarks: `deno task bench:compare OLD.json NEW.json`.
 * Exits with 1 if something has.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { exitWith } from "../support/command.ts";
import { UsageError } from "../support/errors.ts";
import { type BenchReport, readReport } from "./bench_json.ts";
import { compareReports, comparisonTable } from "./comparison.ts";
import { limitOf } from "./limit.ts";

const HELP = `Usage: compare.ts OLD.json NEW.json [--most 1.25]

Compares Manifold's rows of two files that the benchmarks wrote with --json. A row is slower if its
median is worse by more than --most, and no run of the new file is as good as any of the old one.
Exits with 1 if a row is slower.`;

function describeReport(path: string, { runtime, cpu, parts }: BenchReport): string {
  const [{ date, runs, scale }] = parts;
  const work = scale === 1 ? "" : `, ${scale} of the work`;
  return `${path}: ${runtime} on ${cpu}, ${date}, ${runs} ${runs === 1 ? "run" : "runs"}${work}`;
}

function compare(): number {
  const { values, positionals } = parseArgs({
    options: { most: { type: "string", default: "1.25" }, help: { type: "boolean" } },
    allowPositionals: true,
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (positionals.length !== 2) throw new UsageError("give an old and a new file");
  const most = limitOf(values.most);
  const [old, now] = positionals.map(readReport);
  // Most rows depend on how much is in the table.
  const [before, after] = [old.parts[0].scale, now.parts[0].scale];
  if (before !== after) {
    throw new UsageError(`one did ${before} of the work, the other ${after}`);
  }
  const { rows, unpaired } = compareReports(old, now, most);
  if (rows.length === 0) throw new UsageError("the two files have no row of Manifold in common");
  console.log(describeReport(positionals[0], old));
  console.log(describeReport(positionals[1], now));
  console.log(`\n${comparisonTable(rows, most)}`);
  if (unpaired.length > 0) console.log(`\nonly in one of them: ${unpaired.join(", ")}`);
  const slower = rows.filter(({ verdict }) => verdict === "slower");
  console.log(`\n${slower.length} of ${rows.length} rows slower`);
  return slower.length > 0 ? 1 : 0;
}

await exitWith(compare);
