/**
 * All that was found, for machines.
 *
 * @module
 */

import type { Floor } from "./floors.ts";
import { median, type Results } from "./results.ts";
import type { Settings } from "./settings.ts";
import type { Syncs } from "./syncs.ts";

/** Where it was measured. */
export interface Machine {
  readonly runtime: string;
  readonly cpu: string;
}

export function jsonReport(
  { runtime, cpu }: Machine,
  { runs, scale, names, engines }: Settings,
  results: Results,
  floors: readonly Floor[],
  syncs: readonly Syncs[] | undefined,
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
    syncs,
    floors,
  };
  return JSON.stringify(report, null, 2) + "\n";
}
