/**
 * Protects the meaning of an acknowledgement, as the operating system sees it: before a lone write
 * is resolved, its record has been written to the log and a sync of the log, begun after that, has
 * succeeded. The system calls are watched by `strace`.
 */

import { spawn, spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertGreaterOrEqual, assertLess } from "./support/assert.ts";
import { executable, thisRuntime } from "./support/child.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const script = fileURLToPath(new URL("./support/process_child.ts", import.meta.url));
const WRITES = 20;

/** Only a machine without it, or one that lets nobody be traced, does without these tests. */
const noStrace = spawnSync("strace", ["-o", "/dev/null", "true"]).status !== 0;

interface Call {
  readonly name: string;
  /** Arguments, as far as `strace` shows them. */
  readonly args: string;
  /** In which line it began and in which it ended. */
  readonly began: number;
  readonly ended: number;
  readonly result: number;
}

/** The calls of a trace, by their ends. */
function callsOf(trace: string): Call[] {
  const calls: Call[] = [];
  const unfinished = new Map<string, { args: string; began: number }>();
  trace.split("\n").forEach((line, at) => {
    const start = /^(\d+) +([\d.]+) (\w+)\((.*)$/.exec(line);
    const resumed = /^(\d+) +([\d.]+) <\.\.\. (\w+) resumed>(.*)$/.exec(line);
    const [, thread, , name, rest] = start ?? resumed ?? [];
    if (rest === undefined) return;
    if (start !== null && rest.endsWith("<unfinished ...>")) {
      unfinished.set(thread, { args: rest, began: at });
      return;
    }
    const result = Number(/ = (-?\d+)[^=]*$/.exec(rest)?.[1] ?? NaN);
    const from = resumed === null ? { args: rest, began: at } : unfinished.get(thread);
    if (from !== undefined) calls.push({ ...from, name, ended: at, result });
  });
  return calls;
}

async function traced(what: string, dir: string): Promise<Call[]> {
  const output = `${dir}/trace`;
  const run = thisRuntime === "deno" ? ["run", "-A", "--no-check"] : ["run"];
  const child = spawn("strace", [
    ...["-f", "-y", "-ttt", "-s", "64", "-o", output],
    ...["-e", "trace=fdatasync,fsync,write,pwrite64,writev,pwritev"],
    ...[executable("deno" === thisRuntime ? "deno" : "bun"), ...run],
    ...[script, what, `${dir}/d.manifold`, String(WRITES)],
  ], { stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => errors += text);
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  assertEquals(code, 0, errors);
  return callsOf(await readFile(output, "utf8"));
}

function isSync(call: Call): boolean {
  return (call.name === "fdatasync" || call.name === "fsync") && call.args.includes("-log>");
}

function isLogWrite(call: Call): boolean {
  return call.name.includes("write") && call.args.includes("-log>") && call.result > 0;
}

/** The line of each marker that the child wrote: `marker begin` first. */
function markersOf(calls: readonly Call[]): Call[] {
  const markers = calls.filter(({ args }) => args.includes('"marker '));
  assertEquals(markers.length, WRITES + 1);
  return markers;
}

test(
  `durability: no write is resolved before a sync that began after it`,
  { ignore: noStrace },
  () =>
    withTempDir(async (dir) => {
      const calls = await traced("write-slowly", dir);
      const markers = markersOf(calls);
      for (let n = 1; n <= WRITES; n++) {
        const from = markers[n - 1].ended;
        const to = markers[n].began;
        const written = calls.findLast((call) =>
          isLogWrite(call) && call.began > from && call.ended < to
        );
        assert(written !== undefined, `write ${n}: nothing was written to the log`);
        const synced = calls.find((call) =>
          isSync(call) && call.began > written.ended && call.ended < to && call.result === 0
        );
        assert(synced !== undefined, `write ${n} was resolved before a sync`);
      }
    }),
);

test(`durability: an eventual write waits for no sync, only for its record`, {
  ignore: noStrace,
}, () =>
  withTempDir(async (dir) => {
    const calls = await traced("write-eventually", dir);
    const markers = markersOf(calls);
    const from = markers[0].ended;
    const to = markers[WRITES].began;
    for (let n = 1; n <= WRITES; n++) {
      const written = calls.some((call) =>
        isLogWrite(call) && call.began > markers[n - 1].ended && call.ended < markers[n].began
      );
      assert(written, `write ${n} was resolved before its record was in the file`);
    }
    const syncs = calls.filter((call) => isSync(call) && call.began > from && call.ended < to);
    assertLess(syncs.length, WRITES / 2);
    assertGreaterOrEqual(syncs.length, 0);
  }));
