/**
 * Long work of the simulator, in several processes: each does its share and prints what it finds, a line of JSON each.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import process from "node:process";
import { spawnScript } from "../support/child.ts";

/** Which part of the work a process does: every `of`th piece, from the piece `index` on. */
export interface Share {
  readonly index: number;
  readonly of: number;
}

/** What the option `--share` of a child says, `index/of`; undefined in the process that was started by hand. */
export function parseShare(text: string | undefined): Share | undefined {
  if (text === undefined) return undefined;
  const [index, of] = text.split("/").map(Number);
  return { index, of };
}

/** As many processes as the option `--processes` says; unless told, as there are processors, and pieces of work. */
export function processesFor(given: string | undefined, pieces: number): number {
  return Math.max(
    1,
    given === undefined ? Math.min(availableParallelism(), pieces) : Number(given),
  );
}

/**
 * Runs `script` in `processes` processes, each with `args` and its share, and hands on what they say. The first that fails ends
 * all: its exit code, or 0.
 */
export async function inShares<Said>(
  script: string,
  args: readonly string[],
  processes: number,
  onSaid: (said: Said, share: number) => void,
): Promise<number> {
  const children = Array.from({ length: processes }, (_, index) => {
    return spawnScript("self", script, [...args, "--share", `${index}/${processes}`]);
  });
  let hasFailed = false;
  const codes = await Promise.all(children.map(async (child, index) => {
    for await (const line of child.lines) onSaid(JSON.parse(line) as Said, index);
    const { code, signal } = await child.exited;
    if (code === 0) return 0;
    if (!hasFailed) {
      hasFailed = true;
      const how = signal === null ? `with code ${code}` : `by ${signal}`;
      process.stderr.write(`${child.stderr()}process ${index + 1} has ended ${how}\n`);
      for (const other of children) other.kill();
    }
    return code ?? 1;
  }));
  return Math.max(...codes);
}

/** Says something to the process that waits for this one's share. */
export function say(said: unknown): void {
  console.log(JSON.stringify(said));
}
