/**
 * The proof that acknowledged is durable: a child process writes and tells what was acknowledged, is
 * killed in the middle of it, and everything it told must be there.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { type Database, open, text, u32 } from "../../mod.ts";

/** Writes on their way at a time in the child. */
const WRITERS = 64;

/** The argument that makes the program the child. */
export const WRITER_ARGUMENT = "--crash-writer";

async function crashTable(db: Database) {
  return (await db.columnFamily("crash")).table("writes", { key: u32, value: text });
}

function valueOf(key: number): string {
  return `write ${key}`;
}

/** The child: writes until it is killed. */
export async function writeUntilKilled(path: string): Promise<never> {
  const db = await open(path);
  const table = await crashTable(db);
  let next = 0;
  const writeOn = async (): Promise<never> => {
    while (true) {
      const key = next++;
      await table.set(key, valueOf(key));
      // Synchronous: what was told is in the pipe when this process dies.
      writeSync(1, `${key}\n`);
    }
  };
  return await Promise.race(Array.from({ length: WRITERS }, writeOn));
}

export interface Crash {
  acknowledged: number;
  /** Acknowledged writes that are not there or wrong: must be 0. */
  missing: number;
  /** Writes that are there although their acknowledgement was never heard: allowed. */
  unheard: number;
  /** What opening took, recovery included. */
  openMs: number;
}

/** Runs the child on the database at `path`, which must be closed, and kills it after `kill` writes. */
export async function crash(script: string, path: string, kill: number): Promise<Crash> {
  const flags = process.versions.bun === undefined ? ["run", "-A", "--quiet"] : ["run"];
  const child = spawn(process.execPath, [...flags, script, WRITER_ARGUMENT, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  // The lock on the file is gone when the whole process is, which is later than the end of its output.
  const exited = once(child, "exit");
  const acknowledged: number[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(Number(line));
    if (acknowledged.length === kill) child.kill("SIGKILL");
  }
  await exited;
  if (acknowledged.length < kill) {
    throw new Error(`the writing child ended by itself after ${acknowledged.length} writes`);
  }
  const start = performance.now();
  await using db = await open(path);
  const openMs = performance.now() - start;
  const table = await crashTable(db);
  const missing = acknowledged.filter((key) => table.get(key) !== valueOf(key)).length;
  return {
    acknowledged: acknowledged.length,
    missing,
    unheard: table.count() - acknowledged.length + missing,
    openMs,
  };
}
