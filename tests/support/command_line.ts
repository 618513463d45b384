/**
 * Runs the command line in a process of its own, with no more permissions than it asks its users for.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { executable, thisRuntime } from "./child.ts";

const cli = fileURLToPath(new URL("../../cli.ts", import.meta.url));

/** How a command ended, and what it said. */
export interface Told {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/** What a command is given beyond its arguments. */
export interface CommandOptions {
  /** The standard input; empty when not given. */
  readonly input?: string | Uint8Array;
  /** Close the standard output after the first piece of it. */
  readonly closeOutput?: boolean;
}

/** Runs `manifold` with these arguments on this runtime. */
export function manifold(args: readonly string[], options: CommandOptions = {}): Promise<Told> {
  const flags = thisRuntime === "deno"
    ? ["run", "--quiet", "--no-prompt", "--no-check", "-R", "-W"]
    : ["run"];
  const child = spawn(executable(thisRuntime), [...flags, cli, ...args], {
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    if (options.closeOutput) child.stdout.destroy();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => errors += text);
  // A command that does not read its input may be gone before it is written.
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output, errors }));
  });
}
