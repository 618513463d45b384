/**
 * The tables that the benchmarks print.
 *
 * @module
 */

import Table from "cli-table3";
import type { EngineKind } from "./engine.ts";
import type { Floor } from "./floors.ts";
import type { Syncs } from "./syncs.ts";
import { median, type Results, type Series } from "./results.ts";

const NOTHING = {
  "top": "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  "bottom": "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  "left": "",
  "left-mid": "",
  "mid": "",
  "mid-mid": "",
  "right": "",
  "right-mid": "",
  "middle": " ",
} as const;

function plainTable(head: string[], aligns: ("left" | "right")[]): Table.Table {
  return new Table({
    head,
    colAligns: aligns,
    chars: NOTHING,
    style: { "padding-left": 0, "padding-right": 2, head: [], border: [] },
  });
}

/** Operations per second, short: 812, 5.32 K, 481 K, 11.2 M. */
export function formatRate(perSecond: number | undefined): string {
  if (perSecond === undefined) return "–";
  const [scaled, suffix] = perSecond >= 1e6
    ? [perSecond / 1e6, " M"]
    : perSecond >= 1e3
    ? [perSecond / 1e3, " K"]
    : [perSecond, ""];
  return `${scaled.toPrecision(3).replace(/e\+\d+$/, "")}${suffix}`;
}

/** Bytes, short: 812 B, 93.5 MB, 1.02 GB. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB"];
  let scaled = bytes;
  let unit = 0;
  for (; scaled >= 1000 && unit < units.length - 1; unit++) scaled /= 1000;
  return `${unit === 0 ? scaled : scaled.toPrecision(3)} ${units[unit]}`;
}

/** What was found, as it is told in a table. */
export function formatFigure(figure: Series["figure"], value: number): string {
  switch (figure) {
    case "opsPerSecond":
      return formatRate(value);
    case "bytes":
      return formatBytes(value);
    case "microseconds":
      return `${value.toPrecision(3)} µs`;
    case "evenness":
      return value.toFixed(2);
  }
}

function formatRatio(ratio: number | undefined): string {
  if (ratio === undefined) return "";
  return `${ratio.toFixed(ratio >= 10 ? 0 : ratio >= 1 ? 1 : 2)}×`;
}

/** One row per workload: what each engine did, and how many times as well Manifold did. */
export function resultsTable(
  rows: readonly { name: string; unit: string }[],
  engines: readonly EngineKind[],
  results: Results,
): string {
  const compared = engines.some(({ name }) => name === "manifold");
  const withRatio = (name: string) => compared && name !== "manifold";
  const head = ["workload", "per s"];
  for (const { name, title } of engines) head.push(title, ...(withRatio(name) ? ["ratio"] : []));
  const table = plainTable(
    head,
    head.map((_, i) => i < 2 ? "left" : "right"),
  );
  for (const { name, unit } of rows) {
    if (engines.every((engine) => results.of(engine.name, name) === undefined)) continue;
    const cells = [name, unit];
    for (const engine of engines) {
      const series = results.of(engine.name, name);
      cells.push(series === undefined ? "–" : formatFigure(series.figure, median(series.runs)));
      if (withRatio(engine.name)) {
        cells.push(formatRatio(results.ratio("manifold", engine.name, name)));
      }
    }
    table.push(cells);
  }
  return table.toString().replace(/ +$/gm, "");
}

/** One row per workload that commits: how many syncs each engine asked for per commit. */
export function syncsTable(
  rows: readonly { name: string }[],
  engines: readonly EngineKind[],
  syncs: readonly Syncs[],
): string {
  const head = ["syncs per commit", ...engines.map(({ title }) => title)];
  const table = plainTable(head, head.map((_, i) => i === 0 ? "left" : "right"));
  for (const { name } of rows) {
    const own = syncs.filter(({ workload }) => workload === name);
    if (own.length === 0) continue;
    const cells = engines.map((engine) => {
      const found = own.find((one) => one.engine === engine.name);
      return found === undefined ? "–" : (found.syncs / found.commits).toPrecision(3);
    });
    table.push([name, ...cells]);
  }
  return table.toString().replace(/ +$/gm, "");
}

export function floorsTable(floors: readonly Floor[]): string {
  const format = (value: number, unit: Floor["unit"]) =>
    unit === "×" ? `${value.toFixed(2)}×` : `${formatRate(value)}/s`;
  const table = plainTable(["floor", "", "least", "found", ""], [
    "left",
    "left",
    "right",
    "right",
    "left",
  ]);
  for (const { name, about, least, unit, value } of floors) {
    table.push([
      name,
      about,
      format(least, unit),
      value === undefined ? "–" : format(value, unit),
      value === undefined ? "not run" : value >= least ? "met" : "MISSED",
    ]);
  }
  return table.toString().replace(/ +$/gm, "");
}
