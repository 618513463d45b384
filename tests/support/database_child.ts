/**
 * A process that holds a database and does what it is told, a line of JSON at a time, so that it can be
 * killed at a known moment. It answers each command with a line.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import {
  type ColumnFamily,
  type Database,
  ManifoldError,
  open,
  type OpenOptions,
} from "../../mod.ts";
import { text } from "../../mod.ts";
import { bytesOf, type ModelValue } from "./sorted_model.ts";

/** What the child can be told. */
export type Command =
  | { do: "open"; path: string; options?: OpenOptions; dieAtProgress?: number }
  | { do: "family"; family: string }
  | { do: "delete-family"; family: string }
  | { do: "delete-table"; family: string; table: string }
  | {
    do: "write";
    family: string;
    table: string;
    writes: [key: string, value: ModelValue | null][];
    /** `"each"` after the other, `"at once"`, or as one `"batch"`. */
    how: "each" | "at once" | "batch";
    durability?: "immediate" | "eventual";
  }
  | { do: "checkpoint" }
  | { do: "close" };

/** What it answers. */
export type Answer =
  | { ok: true; progress?: number; checkpoints?: number }
  | { ok: false; code: string; message: string };

let db: Database | undefined;

async function obey(command: Command): Promise<Answer> {
  switch (command.do) {
    case "open": {
      let progress = 0;
      const onProgress = (): void => {
        progress++;
        if (progress === command.dieAtProgress) process.kill(process.pid, "SIGKILL");
      };
      db = await open(command.path, { ...command.options, onProgress });
      return { ok: true, progress };
    }
    case "family":
      await db!.columnFamily(command.family);
      break;
    case "delete-family":
      await db!.deleteColumnFamily(command.family);
      break;
    case "delete-table":
      await (await db!.columnFamily(command.family)).deleteTable(command.table);
      break;
    case "write":
      await write(await db!.columnFamily(command.family), command);
      break;
    case "checkpoint":
      await db!.checkpoint();
      break;
    case "close":
      await db!.close();
  }
  return { ok: true };
}

async function write(
  family: ColumnFamily,
  { table: name, writes, how, durability }: Extract<Command, { do: "write" }>,
): Promise<void> {
  const table = family.table(name, { key: text });
  const options = { durability };
  if (how === "batch") {
    const batch = family.batch();
    for (const [key, value] of writes) {
      if (value === null) batch.delete(table, key);
      else batch.set(table, key, bytesOf(value));
    }
    return await batch.commit(options);
  }
  const under: Promise<unknown>[] = [];
  for (const [key, value] of writes) {
    const done = value === null
      ? table.delete(key, options)
      : table.set(key, bytesOf(value), options);
    if (how === "each") await done;
    else under.push(done);
  }
  await Promise.all(under);
}

if (import.meta.main) {
  for await (const line of createInterface({ input: process.stdin })) {
    let answer: Answer;
    try {
      answer = await obey(JSON.parse(line) as Command);
    } catch (error) {
      const code = error instanceof ManifoldError ? error.code : "";
      answer = { ok: false, code, message: error instanceof Error ? error.message : String(error) };
    }
    console.log(JSON.stringify(answer));
  }
}
