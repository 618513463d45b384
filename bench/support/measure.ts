/**
 * Runs the engines by turns: a disturbance of the machine hits all of them.
 *
 * @module
 */

import { rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import type { Measured } from "../runner.ts";
import type { EngineKind } from "./engine.ts";
import { EVENNESS } from "./floors.ts";
import { benchScript, engineCommand, finish, start } from "./processes.ts";
import { formatRate } from "./report.ts";
import type { Settings } from "./settings.ts";
import { RECOVERY, RECOVERY_ENTRIES } from "./workloads.ts";

/** Progress goes to stderr, and only to a person. */
const watched = process.stderr.isTTY === true;
function say(line: string): void {
  if (watched) process.stderr.write(`\r\x1b[2K${line}`);
}

/** One run of an engine on the workloads of the table. */
async function* runEngine(
  engine: EngineKind,
  dir: string,
  { scale, names }: Settings,
): AsyncGenerator<Measured> {
  const own = names.filter((name) => name !== RECOVERY);
  if (own.length > 0) {
    const child = start(engineCommand(engine, dir, scale, own));
    for await (const line of child.lines) yield JSON.parse(line);
    await finish(child, engine.title);
  }
  if (engine.name !== "manifold" || !names.includes(RECOVERY)) return;
  const args = [dir, String(Math.round(RECOVERY_ENTRIES * scale))];
  const writer = start(benchScript("recovery.ts", ["write", ...args]));
  await writer.nextLine();
  writer.kill("SIGKILL");
  await writer.exited;
  const opener = start(benchScript("recovery.ts", ["open", ...args]));
  yield JSON.parse(await opener.nextLine());
  await finish(opener, "recovery");
}

export async function measure(settings: Settings, dir: string): Promise<Map<string, number[]>> {
  const results = new Map<string, number[]>();
  for (let run = 1; run <= settings.runs; run++) {
    for (const engine of settings.engines) {
      const heading = `run ${run} of ${settings.runs}  ${engine.title}`;
      say(heading);
      const own = join(dir, `${engine.name}-${run}`);
      await mkdir(own);
      const keep = (workload: string, value: number) => {
        const key = `${engine.name} ${workload}`;
        results.set(key, [...results.get(key) ?? [], value]);
      };
      for await (const measured of runEngine(engine, own, settings)) {
        const { workload, opsPerSecond, evenness } = measured;
        keep(workload, opsPerSecond);
        if (evenness !== undefined) keep(workload + EVENNESS, evenness);
        say(`${heading}  ${workload} ${formatRate(opsPerSecond)}/s`);
      }
      rmSync(own, { recursive: true, force: true });
    }
  }
  say("");
  return results;
}
