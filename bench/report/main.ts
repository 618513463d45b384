/**
 * Makes docs/performance.md and its pictures from what the benchmarks wrote with --json:
 * `deno task bench:report FILE.json …`.
 *
 * @module
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { suites } from "../suites/mod.ts";
import { exitWith } from "../support/command.ts";
import { UsageError } from "../support/errors.ts";
import { rows as workloads } from "../support/workloads.ts";
import { mergeReports, readReport, WORKLOADS } from "./bench_json.ts";
import { type Descriptions, performancePage } from "./page.ts";
import { picturesOf } from "./pictures.ts";

const project = new URL("../../", import.meta.url);

const HELP = `Usage: main.ts FILE.json … [--out DIR]

Makes performance.md, and performance/*.svg beside it, from files that the benchmarks wrote with --json: of
one runtime or of several, each in one file or in some.

  --out DIR         where (default: docs)
  --help`;

const descriptions: Descriptions = {
  suite: (name) => suites.find((suite) => suite.name === name)?.about,
  row(group, row) {
    const rows = group === WORKLOADS
      ? workloads
      : suites.find((suite) => suite.name === group)?.rows ?? [];
    return rows.find(({ name }) => name === row)?.about;
  },
};

function version(): string {
  return JSON.parse(readFileSync(new URL("package.json", project), "utf8")).version;
}

function report(): number {
  const { values, positionals } = parseArgs({
    options: { out: { type: "string" }, help: { type: "boolean" } },
    allowPositionals: true,
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (positionals.length === 0) throw new UsageError("give at least one file");
  const reports = mergeReports(positionals.map(readReport));
  const out = values.out ?? fileURLToPath(new URL("docs/", project));
  const charts = picturesOf(reports);
  // Those of an earlier report may not be made any more.
  const pictures = join(out, "performance");
  rmSync(pictures, { recursive: true, force: true });
  mkdirSync(pictures, { recursive: true });
  for (const { file, svg } of charts) writeFileSync(join(pictures, file), svg);
  const page = performancePage(reports, charts, descriptions, version());
  writeFileSync(join(out, "performance.md"), page);
  console.log(`${join(out, "performance.md")} and ${charts.length} pictures`);
  return 0;
}

await exitWith(report);
