/**
 * All that was found, for machines.
 *
 * @module
 */

import type { EngineKind } from "./engine.ts";
import type { Floor } from "./floors.ts";
import type { Suite } from "../suites/suite.ts";
import { median, type Results, rowKey } from "./results.ts";
import type { Settings } from "./settings.ts";
import type { Syncs } from "./syncs.ts";

/** Where it was measured. */
export interface Machine {
  readonly runtime: string;
  readonly cpu: string;
}

/** All that was found. */
export interface Findings {
  /** Of the workloads. */
  readonly results: Results;
  /** Of the suites. */
  readonly suiteResults: Results;
  readonly floors: readonly Floor[];
  readonly syncs: readonly Syncs[] | undefined;
}

function suiteFigures(suite: Suite, engines: readonly EngineKind[], results: Results) {
  return engines.flatMap(({ name: engine }) =>
    suite.rows.flatMap(({ name: row, unit, better }) => {
      const runs = results.of(engine, rowKey(suite.name, row))?.runs;
      if (runs === undefined) return [];
      return [{ suite: suite.name, engine, row, unit, better, median: median(runs), runs }];
    })
  );
}

export function jsonReport(
  { runtime, cpu }: Machine,
  { runs, scale, names, suites, engines }: Settings,
  { results, suiteResults, floors, syncs }: Findings,
): string {
  const ratios = names.flatMap((workload) =>
    engines.filter(({ name }) => name !== "manifold").map((peer) => ({
      workload,
      to: peer.name,
      ...results.against(peer.name, workload),
    }))
  );
  const report = {
    date: new Date().toISOString(),
    runtime,
    cpu,
    runs,
    scale,
    engines: engines.map(({ name, title, settings }) => ({ name, title, settings })),
    results: results.all().map(({ engine, workload, figure, runs }) => {
      return { engine, workload, [figure]: median(runs), runs };
    }),
    // Manifold's to its peers', each run to the one of the same round.
    ratios: ratios.filter((ratio) => ratio.median !== undefined),
    suites: suites.flatMap((suite) => suiteFigures(suite, engines, suiteResults)),
    syncs,
    floors,
  };
  return JSON.stringify(report, null, 2) + "\n";
}
