/**
 * How often the engines have the disk sync, per commit: nobody is to win by leaving it out. A short
 * run of each under `strace`, which slows it down, so it is not one that is timed.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Measured } from "../runner.ts";
import type { EngineKind } from "./engine.ts";
import { UnavailableError } from "./errors.ts";
import { engineCommand, finish, start } from "./processes.ts";

/** The most of the work that is done here. */
const MOST_SCALE = 0.1;

const SYNCS = ["fsync", "fdatasync", "msync", "sync_file_range"];
const WRITES = ["write", "writev", "pwrite64", "pwritev", "pwritev2"];
const SENDS = ["sendto", "sendmsg"];

/** What an engine did during a workload and what prepared it. */
export interface Syncs {
  readonly engine: string;
  readonly workload: string;
  readonly commits: number;
  /** Calls that sync, and writes to files that were opened with O_DSYNC or O_SYNC. */
  readonly syncs: number;
}

export function requireStrace(): void {
  if (spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0) return;
  throw new UnavailableError(
    "--syncs needs strace, and leave to trace. On Debian: apt-get install -y strace",
  );
}

/**
 * The syncs before each line of JSON that the traced process printed, from the line before on, by the
 * workload that the line names.
 */
export function syncsByWorkload(trace: string): Map<string, number> {
  const counts = new Map<string, number>();
  const syncing = new Set<string>();
  const opening = new Map<string, string>();
  let syncs = 0;
  for (const line of trace.split("\n")) {
    const resumed = /^(\d+) +<\.\.\. openat resumed>/.exec(line);
    if (resumed !== null) noteOpen((opening.get(resumed[1]) ?? "") + line);
    const [, thread, name, args] = /^(\d+) +(\w+)\((.*)$/.exec(line) ?? [];
    if (args === undefined) continue;
    const file = /^\d+/.exec(args)?.[0];
    if (name === "openat") {
      if (args.endsWith("<unfinished ...>")) opening.set(thread, line);
      else noteOpen(line);
    } else if (SYNCS.includes(name)) {
      syncs++;
    } else if (file === "1" && (WRITES.includes(name) || SENDS.includes(name))) {
      const workload = /\{\\"workload\\":\\"(\w+)\\"/.exec(args)?.[1];
      if (workload === undefined) continue;
      counts.set(workload, syncs);
      syncs = 0;
    } else if (file !== undefined && WRITES.includes(name) && syncing.has(file)) {
      syncs++;
    }
  }
  return counts;

  function noteOpen(call: string): void {
    const file = / = (\d+)$/.exec(call)?.[1];
    if (file === undefined) return;
    if (/O_D?SYNC/.test(call)) syncing.add(file);
    else syncing.delete(file);
  }
}

export async function countSyncs(
  engine: EngineKind,
  parent: string,
  scale: number,
  names: readonly string[],
): Promise<Syncs[]> {
  const dir = join(parent, `${engine.name}-syncs`);
  const trace = `${dir}.trace`;
  mkdirSync(dir);
  const calls = ["openat", ...SYNCS, ...WRITES, ...SENDS].join(",");
  const child = start([
    "strace",
    // -I 2: so that it can be ended, and what it traces with it.
    ..."-I 2 -f --seccomp-bpf -qq -s 48".split(" "),
    ...["-e", `trace=${calls}`, "-o", trace],
    ...engineCommand(engine, dir, Math.min(scale, MOST_SCALE), names, "commits"),
    // Killed, strace would leave behind what it traces; it passes on what ends it gently.
  ], "SIGTERM");
  const commitsOf = new Map<string, number>();
  for await (const line of child.lines) {
    const { workload, commits = 0 }: Measured = JSON.parse(line);
    commitsOf.set(workload, commits);
  }
  await finish(child, `${engine.title} under strace`);
  const syncsOf = syncsByWorkload(readFileSync(trace, "utf8"));
  rmSync(dir, { recursive: true });
  rmSync(trace);
  return [...commitsOf].filter(([, commits]) => commits > 0).map(([workload, commits]) => {
    const syncs = syncsOf.get(workload);
    if (syncs === undefined) throw new Error(`the trace of ${engine.title} has no ${workload}`);
    return { engine: engine.name, workload, commits, syncs };
  });
}
