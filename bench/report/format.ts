/**
 * Figures and tables in words, for the terminal and for Markdown.
 *
 * @module
 */

import type { Spread } from "../support/results.ts";
import { formatBytes, formatRate } from "../support/report.ts";

/** Units of time, each a thousand times the one before. */
const TIMES = ["ns", "µs", "ms", "s"];

function formatTime(value: number, unit: string): string {
  let [scaled, at] = [value, TIMES.indexOf(unit)];
  for (; scaled >= 1000 && at < TIMES.length - 1; at++) scaled /= 1000;
  for (; scaled > 0 && scaled < 1 && at > 0; at--) scaled *= 1000;
  return `${plain(scaled)} ${TIMES[at]}`;
}

/** Three digits, and never as a power of ten. */
function plain(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** A figure, short; times and sizes in the unit that suits them. */
export function formatFigure(value: number, unit: string): string {
  if (unit === "bytes") return formatBytes(value);
  if (TIMES.includes(unit)) return formatTime(value, unit);
  return value >= 1000 ? formatRate(value) : plain(value);
}

/** The same for an axis, without zeros behind the point: 20 K, not 20.0 K. */
export function formatTick(value: number, unit: string): string {
  if (value === 0) return "0";
  return formatFigure(value, unit).replace(/\.0+(?=\D|$)/, "").replace(/(\.\d*?)0+(?=\D)/, "$1");
}

/** A ratio with as many digits as are worth reading: 0.83×, 1.7×, 24×. */
export function formatFactor(factor: number): string {
  return `${factor.toFixed(factor >= 10 ? 0 : factor >= 2 ? 1 : 2)}×`;
}

/** `2.1× (1.9–2.3)`, without the brackets if there was one run. */
export function formatFactors({ median, least, most }: Spread): string {
  const told = formatFactor(median);
  if (least === most) return told;
  return `${told} (${formatFactor(least).slice(0, -1)}–${formatFactor(most).slice(0, -1)})`;
}

type Align = "left" | "right";

/** Columns of even width, for the terminal. */
export function textTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  aligns: readonly Align[],
): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  return all.map((row) =>
    row.map((cell, i) => aligns[i] === "right" ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))
      .join("  ").trimEnd()
  ).join("\n");
}

/** A table of Markdown. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  aligns: readonly Align[],
): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = `|${aligns.map((align) => align === "right" ? "--:" : ":--").join("|")}|`;
  return [line(head), rule, ...rows.map(line)].join("\n");
}
