/**
 * Runs the suites by turns on their engines: a disturbance of the machine hits all of them.
 *
 * @module
 */

import { rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Suite, SuiteResult } from "../suites/suite.ts";
import type { EngineKind } from "./engine.ts";
import { jsonLines, suiteCommand } from "./processes.ts";
import { say } from "./progress.ts";
import { formatUnit } from "./report.ts";
import { Results, rowKey } from "./results.ts";
import type { Settings } from "./settings.ts";

/** Those of the engines that can run it. */
export function enginesOf(suite: Suite, engines: readonly EngineKind[]): EngineKind[] {
  return engines.filter(({ name }) => suite.engines.includes(name));
}

/** One run of a suite on an engine. */
function runSuite(
  suite: Suite,
  engine: EngineKind,
  dir: string,
  scale: number,
): AsyncGenerator<SuiteResult> {
  const command = suiteCommand(suite, engine, dir, scale);
  // Ended gently, so that it can end processes of its own.
  return jsonLines(command, `${suite.name} on ${engine.title}`, "SIGTERM");
}

/** What all suites find, under the names that `rowKey` gives. */
export async function measureSuites(settings: Settings, dir: string): Promise<Results> {
  const { runs, scale, suites, engines } = settings;
  const results = new Results();
  for (let run = 1; run <= runs; run++) {
    for (const suite of suites) {
      const rows = new Map(suite.rows.map((row) => [row.name, row]));
      for (const engine of enginesOf(suite, engines)) {
        const heading = `run ${run} of ${runs}  ${suite.name}  ${engine.title}`;
        say(heading);
        const own = join(dir, `${suite.name}-${engine.name}-${run}`);
        await mkdir(own);
        for await (const { row: name, value } of runSuite(suite, engine, own, scale)) {
          const row = rows.get(name)!;
          results.add(
            {
              engine: engine.name,
              workload: rowKey(suite.name, name),
              figure: row.unit,
              better: row.better,
            },
            value,
          );
          say(`${heading}  ${name} ${formatUnit(row.unit, value)}`);
        }
        rmSync(own, { recursive: true, force: true });
      }
    }
  }
  say("");
  return results;
}
