/**
 * From rows of reports to pictures. One whose rows were not run is left out.
 *
 * @module
 */

import { median, spreadOf } from "../support/results.ts";
import { type BenchReport, type Series, seriesOf, WORKLOADS } from "./bench_json.ts";
import { type Bar, drawBars, drawLines, type Line, type LinePanel, type Tone } from "./draw.ts";
import { formatFigure, formatTick } from "./format.ts";

export interface Chart {
  /** Its file, without the directory. */
  readonly file: string;
  readonly title: string;
  /** What there is to see. */
  readonly about: string;
  readonly svg: string;
}

/** Engines in programs of their own, which no runtime makes faster or slower. */
const NATIVE = ["rocksdb", "lmdb-c"];

/** `Deno` of `Deno 2.9.6`. */
export function runtimeName({ runtime }: BenchReport): string {
  return runtime.split(" ")[0];
}

/** An engine's name, with the runtime where there are two that run it. */
function labelOf(report: BenchReport, engine: string, reports: readonly BenchReport[]): string {
  const title = report.engines.find(({ name }) => name === engine)?.title ?? engine;
  const same = reports.filter(({ engines }) => engines.some((other) => other.title === title));
  return same.length < 2 || NATIVE.includes(engine) ? title : `${title}, ${runtimeName(report)}`;
}

/** Native engines do the same in every report: the first that has one tells. */
function isRepeated(report: BenchReport, engine: string, reports: readonly BenchReport[]): boolean {
  return NATIVE.includes(engine) &&
    reports.find(({ engines }) => engines.some(({ name }) => name === engine)) !== report;
}

function toneOf(report: BenchReport, engine: string, reports: readonly BenchReport[]): Tone {
  if (engine === "manifold") return report === reports[0] ? "own" : "ownOther";
  return NATIVE.includes(engine) ? "native" : "script";
}

/** A bar of each engine that has the row. */
interface BarRow {
  readonly row: string;
  /** What is told in place of the engine's name, where only Manifold has the row. */
  readonly name?: string;
  /** Left out, it is the engine's. */
  readonly tone?: Tone;
}

export interface BarRows {
  readonly title: string;
  /** The suite, or the workloads if left out. */
  readonly group?: string;
  /** Bars of one row stand in the order of their length, the best on top; those of several in this order. */
  readonly rows: readonly BarRow[];
}

/** Panels with bars of the engines of all reports. */
export function barChart(
  reports: readonly BenchReport[],
  panels: readonly BarRows[],
  chart: Omit<Chart, "svg">,
): Chart[] {
  const drawn = panels.flatMap(({ title, group = WORKLOADS, rows }) => {
    const found = rows.flatMap((row) =>
      reports.flatMap((report) =>
        report.engines.flatMap(({ name: engine }) => {
          const series = seriesOf(report, group, row.row, engine);
          if (series === undefined || isRepeated(report, engine, reports)) return [];
          return [{ series, bar: barOf(row, series, report, reports) }];
        })
      )
    );
    if (found.length === 0) return [];
    const { unit, better } = found[0].series;
    const bars = found.map(({ bar }) => bar);
    if (rows.length === 1) {
      bars.sort((a, b) => better === "more" ? b.median - a.median : a.median - b.median);
    }
    return [{
      title: withUnit(title, unit),
      format: (value: number) => formatFigure(value, unit),
      bars,
    }];
  });
  return drawn.length === 0 ? [] : [{ ...chart, svg: drawBars(drawn) }];
}

function barOf(
  { name, tone }: BarRow,
  { engine, runs }: Series,
  report: BenchReport,
  reports: readonly BenchReport[],
): Bar {
  const runtime = reports.length > 1 ? `, ${runtimeName(report)}` : "";
  return {
    label: name === undefined ? labelOf(report, engine, reports) : name + runtime,
    tone: tone ?? toneOf(report, engine, reports),
    ...spreadOf(runs),
  };
}

/** Rates are told without their unit at each figure. */
function withUnit(title: string, unit: string): string {
  return unit.endsWith("/s") ? `${title}, ${unit}` : title;
}

/** What a line shows: the rows of a suite whose names have a number in the place of `#`. */
interface LineRows {
  readonly rows: string;
  /** What is told behind the engine's name. */
  readonly name: string;
}

export interface PanelRows extends Pick<LinePanel, "title" | "xName" | "logarithmic"> {
  readonly lines: readonly LineRows[];
  /** Only Manifold's. */
  readonly alone?: boolean;
}

function pointsOf(
  { series }: BenchReport,
  suite: string,
  engine: string,
  rows: string,
): { unit: string; points: [number, number][] } {
  const pattern = new RegExp(`^${rows.replace("#", "(\\d+)")}$`);
  const points: [number, number][] = [];
  let unit = "";
  for (const one of series) {
    const number = one.group === suite && one.engine === engine && pattern.exec(one.row)?.[1];
    if (!number) continue;
    unit = one.unit;
    points.push([Number(number), median(one.runs)]);
  }
  return { unit, points: points.sort(([a], [b]) => a - b) };
}

/** Panels beside each other; lines of fewer than two points are left out, and panels without lines. */
export function lineChart(
  reports: readonly BenchReport[],
  suite: string,
  panels: readonly PanelRows[],
  chart: Omit<Chart, "svg">,
): Chart[] {
  const drawn = panels.flatMap(({ lines, alone, title, ...panel }) => {
    let unit = "";
    const all = reports.flatMap((report) =>
      report.engines.flatMap(({ name: engine }) => {
        if (isRepeated(report, engine, reports) || (alone && engine !== "manifold")) return [];
        return lines.flatMap(({ rows, name }, variant): Line[] => {
          const found = pointsOf(report, suite, engine, rows);
          if (found.points.length < 2) return [];
          unit = found.unit;
          const subject = labelOf(report, engine, reports);
          const { points } = found;
          return [{
            name: name === "" ? subject : `${subject}, ${name}`,
            subject,
            variant,
            tone: toneOf(report, engine, reports),
            points,
          }];
        });
      })
    );
    if (all.length === 0) return [];
    return [{
      ...panel,
      title: withUnit(title, unit),
      formatX: (value: number) => value.toLocaleString("en"),
      formatY: (value: number) => formatTick(value, unit),
      lines: all,
    }];
  });
  return drawn.length === 0 ? [] : [{ ...chart, svg: drawLines(drawn) }];
}
