/**
 * What `main.ts --json` has written, read back: workloads and suites as one list of series.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { UsageError } from "../support/errors.ts";
import type { Figure } from "../support/context.ts";
import type { Floor } from "../support/floors.ts";
import { type Spread, spreadOf } from "../support/results.ts";
import type { Syncs } from "../support/syncs.ts";
import { rows as workloads } from "../support/workloads.ts";

/** The group of the series that belong to no suite. */
export const WORKLOADS = "workloads";

/** One figure of one engine, run by run. */
export interface Series {
  /** The suite, or {@linkcode WORKLOADS}. */
  readonly group: string;
  readonly row: string;
  readonly engine: string;
  readonly unit: string;
  readonly better: "more" | "less";
  readonly runs: readonly number[];
}

export interface ReportedEngine {
  readonly name: string;
  readonly title: string;
  readonly settings: string;
}

/** One run of `main.ts`. */
export interface Part {
  readonly date: string;
  /** Runs of each engine. */
  readonly runs: number;
  /** The part of the work that was done, 1 for all. */
  readonly scale: number;
  readonly series: readonly Series[];
  /** Whether syncs were counted. */
  readonly counted: boolean;
}

/** All that was measured on one runtime. */
export interface BenchReport {
  /** Its name and version: `Deno 2.9.6`. */
  readonly runtime: string;
  readonly cpu: string;
  readonly parts: readonly Part[];
  readonly engines: readonly ReportedEngine[];
  readonly series: readonly Series[];
  readonly syncs: readonly Syncs[];
  readonly floors: readonly Floor[];
}

interface JsonResult {
  readonly engine: string;
  readonly workload: string;
  readonly runs: readonly number[];
}

interface JsonSuiteRow {
  readonly suite: string;
  readonly engine: string;
  readonly row: string;
  readonly unit: string;
  readonly better: "more" | "less";
  readonly runs: readonly number[];
}

/** What `json_report.ts` writes, as far as it is read. */
export interface BenchJson {
  readonly date: string;
  readonly runtime: string;
  readonly cpu: string;
  readonly runs: number;
  readonly scale: number;
  readonly engines: readonly ReportedEngine[];
  readonly results: readonly JsonResult[];
  readonly suites?: readonly JsonSuiteRow[];
  readonly syncs?: readonly Syncs[];
  readonly floors: readonly Floor[];
}

type FigureName = Figure | "evenness";

/** How the figures of workloads are told where all figures have a unit. */
const FIGURES: Record<FigureName, Pick<Series, "better"> & { unit(of: string): string }> = {
  opsPerSecond: { better: "more", unit: (of) => `${of}/s` },
  bytes: { better: "less", unit: () => "bytes" },
  microseconds: { better: "less", unit: () => "µs" },
  evenness: { better: "more", unit: () => "median ÷ longest" },
};

function workloadSeries({ engine, workload, runs, ...found }: JsonResult): Series {
  const name = (Object.keys(FIGURES) as FigureName[]).find((name) => name in found);
  if (name === undefined) throw new UsageError(`no figure of ${workload} is known`);
  const of = workloads.find((row) => row.name === workload)?.unit ?? "";
  const { better, unit } = FIGURES[name];
  return { group: WORKLOADS, row: workload, engine, unit: unit(of), better, runs };
}

export function reportOf(json: BenchJson): BenchReport {
  const { date, runtime, cpu, runs, scale, engines, floors, results, suites = [], syncs = [] } =
    json;
  const series = [
    ...results.map(workloadSeries),
    ...suites.map(({ suite, ...row }) => ({ group: suite, ...row })),
  ];
  const part = { date, runs, scale, series, counted: syncs.length > 0 };
  return { runtime, cpu, parts: [part], engines, series, syncs, floors };
}

/** @throws {UsageError} */
export function readReport(path: string): BenchReport {
  let json: BenchJson;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}`);
  }
  if (!Array.isArray(json?.results) || typeof json.runtime !== "string") {
    throw new UsageError(`${path} is not what the benchmarks write with --json`);
  }
  return reportOf(json);
}

/**
 * One report a runtime: workloads and suites may have been run apart.
 *
 * @throws {UsageError} if a row was measured twice on one runtime, or on two machines.
 */
export function mergeReports(reports: readonly BenchReport[]): BenchReport[] {
  const merged: BenchReport[] = [];
  for (const report of reports) {
    const at = merged.findIndex(({ runtime }) => runtime === report.runtime);
    if (at < 0) merged.push(report);
    else merged[at] = join(merged[at], report);
  }
  return merged;
}

function join(one: BenchReport, other: BenchReport): BenchReport {
  if (one.cpu !== other.cpu) throw new UsageError(`${one.runtime} was measured on two machines`);
  for (const { group, row, engine } of other.series) {
    if (seriesOf(one, group, row, engine) !== undefined) {
      throw new UsageError(`${row} was measured twice on ${one.runtime}`);
    }
  }
  const engines = new Map(
    [...one.engines, ...other.engines].map((engine) => [engine.name, engine]),
  );
  // A floor is found where its rows were run; one that nobody has found is told once.
  const floors = new Map(one.floors.map((floor) => [floor.name, floor]));
  for (const floor of other.floors) {
    if (floors.get(floor.name)?.found === undefined) floors.set(floor.name, floor);
  }
  return {
    ...one,
    parts: [...one.parts, ...other.parts],
    engines: [...engines.values()],
    series: [...one.series, ...other.series],
    syncs: [...one.syncs, ...other.syncs],
    floors: [...floors.values()],
  };
}

export function seriesOf(
  report: BenchReport,
  group: string,
  row: string,
  engine: string,
): Series | undefined {
  return report.series.find((series) =>
    series.group === group && series.row === row && series.engine === engine
  );
}

/** How many times as well Manifold did as a peer, each run to the peer's of the same round. */
export function ratioOf(
  report: BenchReport,
  group: string,
  row: string,
  peer: string,
): Spread | undefined {
  const own = seriesOf(report, group, row, "manifold");
  const other = seriesOf(report, group, row, peer);
  if (own === undefined || other === undefined) return undefined;
  const ratios = own.runs.map((run, round) => run / other.runs[round]);
  return spreadOf(own.better === "more" ? ratios : ratios.map((ratio) => 1 / ratio));
}

/** What was measured of a group, each row once, in the order in which it was told. */
export function rowsOf(report: BenchReport, group: string): string[] {
  const own = report.series.filter((series) => series.group === group);
  return [...new Set(own.map(({ row }) => row))];
}

/** The suites that were run. */
export function suitesOf(report: BenchReport): string[] {
  const groups = new Set(report.series.map(({ group }) => group));
  groups.delete(WORKLOADS);
  return [...groups];
}
