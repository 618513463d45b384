/**
 * Starts a script in a process of its own, on this runtime or on the other one: tests of what
 * happens between processes, and of processes that are killed.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The runtimes that the suite runs on. */
export type RuntimeName = "deno" | "bun";

/** The runtime of this process. */
export const thisRuntime: RuntimeName = process.versions.bun === undefined ? "deno" : "bun";

/** Both, for tests that try every pairing. */
export const runtimes: readonly RuntimeName[] = ["deno", "bun"];

const projectDir = fileURLToPath(new URL("../../", import.meta.url));

/** How a child ended: the exit code, or the signal that killed it. */
export interface Exit {
  code: number | null;
  signal: string | null;
}

/** How a child is started. */
export interface SpawnOptions {
  /** Flags for Deno, `["-A"]` when not given; Bun has none. */
  permissions?: string[];
  /** Variables set in addition to this process's own. */
  env?: Record<string, string>;
  /** Where it runs; the project's directory when not given. */
  cwd?: string;
}

/** A running child. */
export interface Child {
  readonly pid: number;
  /** Its standard output, line by line; may be consumed in several goes. */
  readonly lines: AsyncIterableIterator<string>;
  /** The next line; rejects, with what it said on stderr, when the child ends without one. */
  nextLine(): Promise<string>;
  /** Writes a line to its standard input. */
  send(line: string): void;
  /** Closes its standard input. */
  closeInput(): void;
  /** What it has written to standard error so far. */
  stderr(): string;
  kill(signal?: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): void;
  /** Settles when the process has ended and its output has been read. */
  readonly exited: Promise<Exit>;
}

/** The executable of a runtime: `DENO_BIN`/`BUN_BIN`, this one, the project's own, or `PATH`'s. */
export function executable(name: RuntimeName): string {
  const given = process.env[name === "deno" ? "DENO_BIN" : "BUN_BIN"];
  if (given !== undefined && given !== "") return given;
  if (name === thisRuntime) return process.execPath;
  const linked = join(projectDir, "node_modules", ".bin", name);
  return existsSync(linked) ? linked : name;
}

/** The lines of a child's output, as they come. */
class Lines implements AsyncIterableIterator<string> {
  #partial = "";
  #ready: string[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  push(text: string): void {
    const parts = (this.#partial + text).split("\n");
    this.#partial = parts.pop()!;
    this.#ready.push(...parts);
    this.#wake?.();
  }

  end(): void {
    if (this.#partial !== "") this.#ready.push(this.#partial);
    this.#partial = "";
    this.#ended = true;
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<string>> {
    while (this.#ready.length === 0) {
      if (this.#ended) return { done: true, value: undefined };
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return { done: false, value: this.#ready.shift()! };
  }

  // A `for await` that is left early must not end the output for the next one.
  return(): Promise<IteratorResult<string>> {
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** What runs `script` with `args` on `runtime`: a program and its arguments. */
export function scriptCommand(
  runtime: RuntimeName | "self",
  script: URL | string,
  args: readonly string[] = [],
  permissions: readonly string[] = ["-A"],
): [program: string, ...args: string[]] {
  const name = runtime === "self" ? thisRuntime : runtime;
  const href = String(script);
  const target = href.startsWith("file:") ? fileURLToPath(href) : href;
  // Deno's node:child_process adds -A to the start of a Deno without any permission flag.
  const flags = permissions.length === 0 ? ["--deny-run"] : permissions;
  // What a child loads, from a test's own server too, has no place in the project's lock file.
  return name === "deno"
    ? [executable(name), "run", "--quiet", "--no-prompt", "--no-lock", ...flags, target, ...args]
    : [executable(name), "run", target, ...args];
}

/** Starts `script` with `args` on `runtime`. */
export function spawnScript(
  runtime: RuntimeName | "self",
  script: URL | string,
  args: readonly string[] = [],
  options: SpawnOptions = {},
): Child {
  const name = runtime === "self" ? thisRuntime : runtime;
  const [program, ...rest] = scriptCommand(name, script, args, options.permissions);
  return spawnProgram(program, rest, options, `${script} on ${name}`);
}

/** Starts a program; `what` it is in messages. */
export function spawnProgram(
  program: string,
  args: readonly string[],
  options: Omit<SpawnOptions, "permissions"> = {},
  what: string = program,
): Child {
  const process_: ChildProcess = spawn(program, args, {
    cwd: options.cwd ?? projectDir,
    env: { ...process.env, NO_COLOR: "1", ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });

  const lines = new Lines();
  let errors = "";
  process_.stdout!.setEncoding("utf8");
  process_.stdout!.on("data", (text: string) => lines.push(text));
  process_.stdout!.on("end", () => lines.end());
  process_.stderr!.setEncoding("utf8");
  process_.stderr!.on("data", (text: string) => errors += text);
  // Writing to a child that has ended is no failure of the test: its exit is what is looked at.
  process_.stdin!.on("error", () => {});

  const exited = new Promise<Exit>((resolve, reject) => {
    process_.on("error", (error) => {
      lines.end();
      reject(error);
    });
    process_.on("close", (code, signal) => {
      lines.end();
      resolve({ code: signal === null ? code : null, signal });
    });
  });
  exited.catch(() => {});

  return {
    pid: process_.pid!,
    lines,
    async nextLine() {
      const line = await lines.next();
      if (!line.done) return line.value;
      const { code, signal } = await exited;
      throw new Error(`${what} ended (code ${code}, signal ${signal}):\n${errors}`);
    },
    send: (line) => void process_.stdin!.write(line + "\n"),
    closeInput: () => void process_.stdin!.end(),
    stderr: () => errors,
    kill: (signal = "SIGKILL") => void process_.kill(signal),
    exited,
  };
}

/** Runs `script` to its end and returns its output; rejects unless it exits with code 0. */
export async function runScript(
  runtime: RuntimeName | "self",
  script: URL | string,
  args: readonly string[] = [],
  options: SpawnOptions = {},
): Promise<string[]> {
  const child = spawnScript(runtime, script, args, options);
  child.closeInput();
  const output: string[] = [];
  for await (const line of child.lines) output.push(line);
  const { code, signal } = await child.exited;
  if (code !== 0) {
    throw new Error(
      `${String(script)} on ${runtime} ended (code ${code}, signal ${signal}):\n${
        output.join("\n")
      }\n${child.stderr()}`,
    );
  }
  return output;
}
