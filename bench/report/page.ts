/**
 * `docs/performance.md`: everything that two runtimes' reports hold, in tables and pictures.
 *
 * @module
 */

import { type Spread, spreadOf } from "../support/results.ts";
import type { Floor } from "../support/floors.ts";
import {
  type BenchReport,
  ratioOf,
  rowsOf,
  type Series,
  seriesOf,
  suitesOf,
  WORKLOADS,
} from "./bench_json.ts";
import { type Chart, runtimeName } from "./charts.ts";
import { commandOf } from "./command_line.ts";
import { formatFactor, formatFactors, formatFigure, markdownTable } from "./format.ts";

/** What rows are, which the reports do not say. */
export interface Descriptions {
  /** What a suite shows; undefined if there is none of that name any more. */
  suite(name: string): string | undefined;
  row(group: string, row: string): string | undefined;
}

const INTRODUCTION = `# Performance

Made by \`deno task bench:report\` from what \`deno task bench\` and \`bun run bench/main.ts\` wrote: no figure
on this page was typed. What made Manifold so is in [design.md](design.md), section 11; which option
matters for which work, in [tuning.md](tuning.md).

Every engine works in a process and a directory of its own, with settings that make a write that has
returned survive a loss of power, unless a row says otherwise. Engines take turns, run by run, so that a
disturbance of the machine hits all of them. Figures are medians of the runs. A ratio is Manifold's figure to the
peer's **of the same round**: the median of the rounds, with the least and the most of them. Above 1
Manifold is better, also where less is better, as with bytes and times.`;

function capital(text: string): string {
  return text[0].toUpperCase() + text.slice(1);
}

function partOf(scale: number): string {
  return scale === 1 ? "all" : `**${scale}: too little to tell anything but that it works**`;
}

function machineSection(reports: readonly BenchReport[], manifold: string): string {
  const parts = reports.flatMap((report) => report.parts.map((part) => ({ report, part })));
  const lines: (readonly [string, (typeof parts)[number]["report"]["cpu"][]])[] = [
    ["machine", parts.map(({ report }) => report.cpu)],
    ["date", parts.map(({ part }) => `${part.date.slice(0, 16).replace("T", " ")} UTC`)],
    ["Manifold", parts.map(() => manifold)],
    ["runs of each engine", parts.map(({ part }) => String(part.runs))],
    ["part of the work", parts.map(({ part }) => partOf(part.scale))],
    ["command", parts.map(({ report, part }) => `\`${commandOf(report, part)}\``)],
  ];
  const head = ["", ...parts.map(({ report }) => report.runtime)];
  const table = markdownTable(
    head,
    lines.map(([name, cells]) => [name, ...cells]),
    head.map(() => "left"),
  );
  const engines = new Map(
    reports.flatMap(({ engines }) => engines).map((engine) => [engine.title, engine]),
  );
  const list = [...engines.values()].map(({ title, settings }) => `- **${title}**: ${settings}.`);
  return `## Machine, versions, settings\n\n${table}\n\n${list.join("\n")}`;
}

function formatFloor(value: number, unit: string): string {
  if (unit === "×") return formatFactor(value);
  return unit === "/s" ? `${formatFigure(value, unit)}/s` : formatFigure(value, unit.trim());
}

function foundCell(floor: Floor | undefined): string {
  if (floor === undefined) return "–";
  if (floor.found === undefined) return "not run";
  const { median, least, most } = floor.found;
  const told = formatFloor(median, floor.unit);
  const spread = least === most
    ? ""
    : ` (${formatFloor(least, floor.unit)}–${formatFloor(most, floor.unit)})`;
  return `${floor.met ? "met" : "**missed**"}: ${told}${spread}`;
}

/** Floors of one name may ask for something else on another runtime. */
function floorKey({ name, about }: Floor): string {
  return `${name}: ${about}`;
}

function targetsSection(reports: readonly BenchReport[]): string {
  const all = new Map(
    reports.flatMap(({ floors }) => floors).map((floor) => [floorKey(floor), floor]),
  );
  const rows = [...all].map(([key, { name, about, least, most, unit }]) => [
    name,
    about,
    least === undefined ? `≤ ${formatFloor(most!, unit)}` : `≥ ${formatFloor(least, unit)}`,
    ...reports.map(({ floors }) => foundCell(floors.find((floor) => floorKey(floor) === key))),
  ]);
  const head = ["target", "what", "asked for", ...reports.map(({ runtime }) => runtime)];
  const table = markdownTable(head, rows, head.map((_, i) => i < 2 ? "left" : "right"));
  const summary = reports.map((report) => {
    const run = report.floors.filter(({ found }) => found !== undefined);
    const missed = run.filter(({ met }) => !met).map(({ name }) => `\`${name}\``);
    const told = `${runtimeName(report)}: ${run.length - missed.length} of ${run.length} met`;
    return `- ${told}${missed.length === 0 ? "" : `; missed: ${missed.join(", ")}`}.`;
  });
  return `## Targets\n\n${summary.join("\n")}\n\n${table}`;
}

function chartSection({ file, title, about }: Chart): string {
  return `### ${title}\n\n${about}\n\n![${title}](performance/${file})`;
}

function figureCell(series: Series | undefined): string {
  return series === undefined ? "–" : formatFigure(spreadOf(series.runs).median, series.unit);
}

function ratioCell(ratio: Spread | undefined): string {
  if (ratio === undefined) return "";
  const told = formatFactors(ratio);
  return `<br>${ratio.median >= 1 ? `**${told}**` : told}`;
}

/** What each engine did on each row; below a peer's figure, how many times as well Manifold did. */
function groupTable(report: BenchReport, group: string): string {
  const engines = report.engines.filter(({ name }) =>
    report.series.some((series) => series.group === group && series.engine === name)
  );
  const rows = rowsOf(report, group).map((row) => {
    const all = engines.map(({ name }) => seriesOf(report, group, row, name));
    const known = all.find((series) => series !== undefined)!;
    return [
      row,
      known.better === "less" ? `${known.unit}, less is better` : known.unit,
      ...all.map((series, i) =>
        figureCell(series) +
        (engines[i].name === "manifold"
          ? ""
          : ratioCell(ratioOf(report, group, row, engines[i].name)))
      ),
    ];
  });
  const head = ["row", "unit", ...engines.map(({ title }) => title)];
  return markdownTable(head, rows, head.map((_, i) => i < 2 ? "left" : "right"));
}

/** What the rows are, folded away below the tables. */
function rowList(
  reports: readonly BenchReport[],
  group: string,
  descriptions: Descriptions,
): string {
  const rows = new Set(reports.flatMap((report) => rowsOf(report, group)));
  const told = [...rows].flatMap((row) => {
    const about = descriptions.row(group, row);
    return about === undefined ? [] : [`- \`${row}\`: ${about}`];
  });
  if (told.length === 0) return "";
  return `\n\n<details><summary>What the rows are</summary>\n\n${told.join("\n")}\n\n</details>`;
}

function groupSection(
  reports: readonly BenchReport[],
  group: string,
  descriptions: Descriptions,
): string {
  const tables = reports.filter((report) => rowsOf(report, group).length > 0).map((report) =>
    `**${report.runtime}**\n\n${groupTable(report, group)}`
  );
  const title = group === WORKLOADS ? "Workloads" : capital(group);
  const about = group === WORKLOADS
    ? "One after the other on one table, every engine on the same keys and values."
    : descriptions.suite(group);
  return `### ${title}\n\n${about === undefined ? "" : `${about}\n\n`}${tables.join("\n\n")}${
    rowList(reports, group, descriptions)
  }`;
}

/** Nobody is to win by not syncing. */
function syncsSection(reports: readonly BenchReport[]): string[] {
  const counted = reports.filter(({ syncs }) => syncs.length > 0);
  if (counted.length === 0) return [];
  const tables = counted.map(({ runtime, engines, syncs }) => {
    const head = ["row", ...engines.map(({ title }) => title)];
    const rows = [...new Set(syncs.map(({ workload }) => workload))].map((row) => [
      row,
      ...engines.map(({ name }) => {
        const found = syncs.find(({ engine, workload }) => engine === name && workload === row);
        return found === undefined ? "–" : formatFigure(found.syncs / found.commits, "");
      }),
    ]);
    const table = markdownTable(head, rows, head.map((_, i) => i === 0 ? "left" : "right"));
    return `**${runtime}**\n\n${table}`;
  });
  return [
    `## Syncs per commit

How often each engine asked the system to sync for each durable commit, counted under \`strace\` in a run that is not
timed. Well below 1 where callers share a sync.

${tables.join("\n\n")}`,
  ];
}

/** The whole page. `manifold` is the version that was measured. */
export function performancePage(
  reports: readonly BenchReport[],
  charts: readonly Chart[],
  descriptions: Descriptions,
  manifold: string,
): string {
  const groups = [...new Set([WORKLOADS, ...reports.flatMap(suitesOf)])].filter((group) =>
    reports.some((report) => rowsOf(report, group).length > 0)
  );
  const sections = [
    INTRODUCTION,
    machineSection(reports, manifold),
    targetsSection(reports),
    ...(charts.length === 0 ? [] : ["## At a glance", ...charts.map(chartSection)]),
    "## All rows",
    ...groups.map((group) => groupSection(reports, group, descriptions)),
    ...syncsSection(reports),
  ];
  return sections.join("\n\n") + "\n";
}
