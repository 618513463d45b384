/**
 * The tables that the benchmarks print.
 *
 * @module
 */

import Table from "cli-table3";
import type { Suite } from "../suites/suite.ts";
import type { EngineKind } from "./engine.ts";
import type { Floor } from "./floors.ts";
import type { Syncs } from "./syncs.ts";
import { median, type Results, rowKey, type Spread } from "./results.ts";

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

function textOf(table: Table.Table): string {
  return table.toString().replace(/ +$/gm, "");
}

/** Operations per second, short: 812, 5.32 K, 481 K, 11.2 M. */
export function formatRate(perSecond: number): string {
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
export function formatFigure(figure: string, value: number): string {
  switch (figure) {
    case "opsPerSecond":
      return formatRate(value);
    case "bytes":
      return formatBytes(value);
    case "microseconds":
      return `${value.toPrecision(3)} µs`;
    default:
      return value.toFixed(2);
  }
}

/** A figure of a suite, whose unit is told elsewhere, if it is not bytes. */
export function formatUnit(unit: string, value: number): string {
  if (unit === "bytes") return formatBytes(value);
  if (unit.endsWith("/s")) return formatRate(value);
  return value >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}

function formatRatio(ratio: number): string {
  return ratio.toFixed(ratio >= 10 ? 0 : ratio >= 1 ? 1 : 2);
}

/** The median, and with several runs the least and the most. */
function formatSpread({ median, least, most }: Spread, unit: string, format = formatRatio): string {
  const told = `${format(median)}${unit}`;
  return least === most ? told : `${told} (${format(least)}–${format(most)})`;
}

/** One row per workload: what each engine did. */
export function resultsTable(
  rows: readonly { name: string; unit: string }[],
  engines: readonly EngineKind[],
  results: Results,
): string {
  const head = ["workload", "per s", ...engines.map(({ title }) => title)];
  const table = plainTable(head, head.map((_, i) => i < 2 ? "left" : "right"));
  for (const { name, unit } of rows) {
    const all = engines.map((engine) => results.of(engine.name, name));
    if (all.every((series) => series === undefined)) continue;
    const cells = all.map((series) =>
      series === undefined ? "–" : formatFigure(series.figure, median(series.runs))
    );
    table.push([name, unit, ...cells]);
  }
  return textOf(table);
}

/** One row per workload: how many times as well Manifold did as each peer, run by run. */
export function ratiosTable(
  rows: readonly { name: string }[],
  engines: readonly EngineKind[],
  results: Results,
): string {
  const peers = engines.filter(({ name }) => name !== "manifold");
  const head = ["Manifold against", ...peers.map(({ title }) => title)];
  const table = plainTable(head, head.map((_, i) => i === 0 ? "left" : "right"));
  for (const { name } of rows) {
    const ratios = peers.map((peer) => results.against(peer.name, name));
    if (ratios.every((ratio) => ratio === undefined)) continue;
    table.push([
      name,
      ...ratios.map((ratio) => ratio === undefined ? "–" : formatSpread(ratio, "×")),
    ]);
  }
  return textOf(table);
}

/** One row per figure of a suite: what each engine found, and how many times as well Manifold did. */
export function suiteTable(suite: Suite, engines: readonly EngineKind[], results: Results): string {
  const peers = engines.filter(({ name }) => name !== "manifold");
  const head = [
    suite.name,
    "unit",
    ...engines.map(({ title }) => title),
    ...peers.map(({ title }) => `against ${title}`),
  ];
  const table = plainTable(head, head.map((_, i) => i < 2 ? "left" : "right"));
  for (const row of suite.rows) {
    const key = rowKey(suite.name, row.name);
    const all = engines.map((engine) => results.of(engine.name, key));
    if (all.every((series) => series === undefined)) continue;
    table.push([
      row.name,
      row.unit,
      ...all.map((series) => series ? formatUnit(row.unit, median(series.runs)) : "–"),
      ...peers.map((peer) => {
        const ratio = results.against(peer.name, key);
        return ratio === undefined ? "–" : formatSpread(ratio, "×");
      }),
    ]);
  }
  return textOf(table);
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
  return textOf(table);
}

export function floorsTable(floors: readonly Floor[]): string {
  const table = plainTable(["floor", "", "asked for", "found", ""], [
    "left",
    "left",
    "right",
    "right",
    "left",
  ]);
  for (const { name, about, least, most, unit, found, met } of floors) {
    const format = unit === "/s"
      ? formatRate
      : unit === "bytes"
      ? formatBytes
      : (value: number) => value.toFixed(2);
    const suffix = unit === "bytes" ? "" : unit;
    const limit = least === undefined ? `≤ ${format(most!)}` : `≥ ${format(least)}`;
    table.push([
      name,
      about,
      limit + suffix,
      found === undefined ? "–" : formatSpread(found, suffix, format),
      met === undefined ? "not run" : met ? "met" : "MISSED",
    ]);
  }
  return textOf(table);
}
