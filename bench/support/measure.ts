/**
 * Runs the engines by turns: a disturbance of the machine hits all of them.
 *
 * @module
 */

import { readdirSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Measured } from "../runner.ts";
import { bytesOnDisk } from "./disk.ts";
import type { EngineKind } from "./engine.ts";
import { benchScript, engineCommand, finish, jsonLines, start } from "./processes.ts";
import { say } from "./progress.ts";
import { formatFigure } from "./report.ts";
import { EVENNESS, Results } from "./results.ts";
import type { Settings } from "./settings.ts";
import { countSyncs, type Syncs } from "./syncs.ts";
import { BULK_LOAD, RECOVERY, RECOVERY_ENTRIES, SIZE } from "./workloads.ts";

const FIGURES = [
  { figure: "evenness", better: "more" },
  { figure: "opsPerSecond", better: "more" },
  { figure: "bytes", better: "less" },
  { figure: "microseconds", better: "less" },
] as const;

/** What the files in a directory take of the disk. */
function bytesIn(dir: string): number {
  let bytes = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    bytes += entry.isDirectory() ? bytesIn(path) : bytesOnDisk(path);
  }
  return bytes;
}

/** In a process of its own, so that the database can be closed: some of what is there is not kept then. */
async function measureSize(engine: EngineKind, dir: string, scale: number): Promise<Measured> {
  await mkdir(dir);
  const child = start(engineCommand(engine, dir, scale, [BULK_LOAD.name]));
  await child.nextLine();
  await finish(child, engine.title);
  return { workload: SIZE.name, bytes: bytesIn(dir) };
}

async function measureRecovery(dir: string, scale: number): Promise<Measured> {
  await mkdir(dir);
  const args = [dir, String(Math.round(RECOVERY_ENTRIES * scale))];
  const writer = start(benchScript("recovery.ts", ["write", ...args]));
  await writer.nextLine();
  writer.kill("SIGKILL");
  await writer.exited;
  const opener = start(benchScript("recovery.ts", ["open", ...args]));
  const measured: Measured = JSON.parse(await opener.nextLine());
  await finish(opener, "recovery");
  return measured;
}

/** Those that run in one process after the other, on one database. */
function inTable(names: readonly string[]): string[] {
  return names.filter((name) => name !== SIZE.name && name !== RECOVERY.name);
}

/** One run of an engine on all workloads. */
async function* runEngine(
  engine: EngineKind,
  dir: string,
  { scale, names }: Settings,
): AsyncGenerator<Measured> {
  const table = inTable(names);
  if (table.length > 0) {
    yield* jsonLines<Measured>(engineCommand(engine, dir, scale, table), engine.title);
  }
  // Of less work the files are smaller, which is no merit.
  if (names.includes(SIZE.name) && engine.shrink === 1) {
    yield await measureSize(engine, join(dir, "size"), scale);
  }
  if (names.includes(RECOVERY.name) && engine.name === "manifold") {
    yield await measureRecovery(join(dir, "recovery"), scale);
  }
}

export async function measure(settings: Settings, dir: string): Promise<Results> {
  const results = new Results();
  if (settings.names.length === 0) return results;
  for (let run = 1; run <= settings.runs; run++) {
    for (const engine of settings.engines) {
      const heading = `run ${run} of ${settings.runs}  ${engine.title}`;
      say(heading);
      const own = join(dir, `${engine.name}-${run}`);
      await mkdir(own);
      for await (const { workload, ...found } of runEngine(engine, own, settings)) {
        for (const { figure, better } of FIGURES) {
          const value = found[figure];
          if (value === undefined) continue;
          const name = figure === "evenness" ? workload + EVENNESS : workload;
          results.add({ engine: engine.name, workload: name, figure, better }, value);
          say(`${heading}  ${workload} ${formatFigure(figure, value)}`);
        }
      }
      rmSync(own, { recursive: true, force: true });
    }
  }
  say("");
  return results;
}

/** The syncs of all engines in runs that are not timed. */
export async function countAllSyncs(settings: Settings, dir: string): Promise<Syncs[]> {
  const all: Syncs[] = [];
  for (const engine of settings.engines) {
    say(`syncs  ${engine.title}`);
    const names = inTable(settings.names);
    if (names.length > 0) all.push(...await countSyncs(engine, dir, settings.scale, names));
  }
  say("");
  return all;
}
