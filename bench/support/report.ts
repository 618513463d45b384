/**
 * The tables that the benchmarks print.
 *
 * @module
 */

import Table from "cli-table3";
import type { EngineKind } from "./engine.ts";
import type { Floor, Lookup } from "./floors.ts";

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

function formatRatio(own: number | undefined, peer: number | undefined): string {
  if (own === undefined || peer === undefined) return "";
  const ratio = own / peer;
  return `${ratio.toFixed(ratio >= 10 ? 0 : ratio >= 1 ? 1 : 2)}×`;
}

/** One row per workload: what each engine did, and how many times as fast Manifold was. */
export function resultsTable(
  rows: readonly { name: string; unit: string }[],
  engines: readonly EngineKind[],
  lookup: Lookup,
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
    if (engines.every((engine) => lookup(engine.name, name) === undefined)) continue;
    const own = lookup("manifold", name);
    const cells = [name, unit];
    for (const engine of engines) {
      const value = lookup(engine.name, name);
      cells.push(formatRate(value));
      if (withRatio(engine.name)) cells.push(formatRatio(own, value));
    }
    table.push(cells);
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
