/**
 * The processes in which the engines work. None outlives the benchmarks.
 *
 * @module
 */

import { type Child, scriptCommand, spawnProgram } from "../../tests/support/child.ts";
import type { Suite } from "../suites/suite.ts";
import type { EngineKind } from "./engine.ts";

/** A program and its arguments. */
export type Command = readonly [program: string, ...args: string[]];

/** Those that run, and what ends them. */
const running = new Map<Child, "SIGKILL" | "SIGTERM">();

/** What runs a script of the benchmarks. */
export function benchScript(name: string, args: readonly string[]): Command {
  const script = new URL(`../${name}`, import.meta.url);
  return scriptCommand("self", script, args, ["-A", "--unstable-kv"]);
}

/**
 * What runs workloads on an engine: prints a line of JSON for each, see `runner.ts`; with `commits`, how
 * many there were, too.
 */
export function engineCommand(
  engine: EngineKind,
  dir: string,
  scale: number,
  workloads: readonly string[],
  counting?: "commits",
): Command {
  const args = [engine.name, dir, String(scale), workloads.join(",")];
  if (counting !== undefined) args.push(counting);
  return "program" in engine ? [engine.program(), ...args] : benchScript("runner.ts", args);
}

/** What runs a suite on an engine: prints a line of JSON for each row, see `suite_runner.ts`. */
export function suiteCommand(
  suite: Suite,
  engine: EngineKind,
  dir: string,
  scale: number,
): Command {
  return benchScript("suite_runner.ts", [suite.name, engine.name, dir, String(scale)]);
}

/** `ending`: what ends it, if the benchmarks end early. */
export function start(
  [program, ...args]: Command,
  ending: "SIGKILL" | "SIGTERM" = "SIGKILL",
): Child {
  const child = spawnProgram(program, args);
  running.set(child, ending);
  child.exited.finally(() => running.delete(child)).catch(() => {});
  return child;
}

/** Waits for the end of a process; rejects with what it said unless it ended well. */
export async function finish(child: Child, what: string): Promise<void> {
  const { code, signal } = await child.exited;
  if (code !== 0) {
    throw new Error(`${what} ended with ${signal ?? `code ${code}`}:\n${child.stderr()}`);
  }
}

/** Runs a command and gives what it prints, a line of JSON at a time; rejects as {@linkcode finish}. */
export async function* jsonLines<T>(
  command: Command,
  what: string,
  ending?: "SIGTERM",
): AsyncGenerator<T> {
  const child = start(command, ending);
  for await (const line of child.lines) yield JSON.parse(line);
  await finish(child, what);
}

/** Ends those that still run: the benchmarks end early. */
export function killAll(): void {
  for (const [child, signal] of running) child.kill(signal);
}
