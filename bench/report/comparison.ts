/**
 * Whether something has become slower, by the ratio of medians.
 *
 * A ratio alone would cry wolf, because some rows vary by half from run to run. So the runs have to agree,
 * too: those of two reports must not overlap; of runs that were made in pairs, each pair must say so.
 *
 * @module
 */

import { type Spread, spreadOf } from "../support/results.ts";
import { type BenchReport, type Series, seriesOf, WORKLOADS } from "./bench_json.ts";
import { formatFactor, formatFactors, formatFigure, textTable } from "./format.ts";

export type Verdict = "slower" | "faster" | "same";

export interface Comparison {
  readonly name: string;
  readonly unit: string;
  readonly old: Spread;
  readonly new: Spread;
  /** How many times as long, or as large, it is now: above 1 is worse, whichever way the figure counts. */
  readonly factor: Spread;
  /** `same` if the factor is within the limit, or the runs do not agree. */
  readonly verdict: Verdict;
}

function costFactor(better: Series["better"], old: number, now: number): number {
  return better === "more" ? old / now : now / old;
}

function nameOf({ group, row }: Series): string {
  return group === WORKLOADS ? row : `${group}: ${row}`;
}

/** Of runs that have nothing to do with each other. */
export function compareSeries(old: Series, now: Series, most: number): Comparison {
  const [before, after] = [spreadOf(old.runs), spreadOf(now.runs)];
  const factor = costFactor(old.better, before.median, after.median);
  const apart = before.least > after.most || after.least > before.most;
  return {
    name: nameOf(old),
    unit: old.unit,
    old: before,
    new: after,
    factor: { median: factor, least: factor, most: factor },
    verdict: apart && factor > most ? "slower" : apart && factor < 1 / most ? "faster" : "same",
  };
}

/** Of runs of which each old one was disturbed by the same as the new one of its place. */
export function comparePairs(old: Series, now: Series, most: number): Comparison {
  const factor = spreadOf(old.runs.map((run, at) => costFactor(old.better, run, now.runs[at])));
  const { median, least, most: largest } = factor;
  return {
    name: nameOf(old),
    unit: old.unit,
    old: spreadOf(old.runs),
    new: spreadOf(now.runs),
    factor,
    verdict: median > most && least > 1
      ? "slower"
      : median < 1 / most && largest < 1
      ? "faster"
      : "same",
  };
}

export interface ReportComparison {
  readonly rows: readonly Comparison[];
  /** Rows that only one of the two has. */
  readonly unpaired: readonly string[];
}

/** Manifold's rows: a peer that became slower is no regression. */
export function compareReports(
  old: BenchReport,
  now: BenchReport,
  most: number,
): ReportComparison {
  const own = ({ engine }: Series) => engine === "manifold";
  const rows: Comparison[] = [];
  const unpaired: string[] = [];
  for (const series of old.series.filter(own)) {
    const pair = seriesOf(now, series.group, series.row, series.engine);
    if (pair === undefined) unpaired.push(series.row);
    else rows.push(compareSeries(series, pair, most));
  }
  for (const { group, row, engine } of now.series.filter(own)) {
    if (seriesOf(old, group, row, engine) === undefined) unpaired.push(row);
  }
  return { rows, unpaired };
}

const VERDICTS: Record<Verdict, string> = { slower: "SLOWER", faster: "faster", same: "" };

export function comparisonTable(rows: readonly Comparison[], most: number): string {
  const spread = ({ median, least, most }: Spread, unit: string) =>
    `${formatFigure(median, unit)} (${formatFigure(least, unit)}–${formatFigure(most, unit)})`;
  return textTable(
    ["row", "unit", "old", "new", "new ÷ old, as a cost", `limit ${formatFactor(most)}`],
    rows.map((row) => [
      row.name,
      row.unit,
      spread(row.old, row.unit),
      spread(row.new, row.unit),
      formatFactors(row.factor),
      VERDICTS[row.verdict],
    ]),
    ["left", "left", "right", "right", "right", "left"],
  );
}
