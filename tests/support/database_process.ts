/**
 * The parent's side of `database_child.ts`: a database in another process, and a model of what has
 * been acknowledged; and a look at the files that such a process leaves behind.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { type Database, text } from "../../mod.ts";
import { logPathOf, LogReader, readLogHeader } from "../../lib/log/log_file.ts";
import { alignRecord } from "../../lib/log/record.ts";
import { readRecord } from "../../lib/log/recovery_scan.ts";
import { runtime } from "../../lib/runtime/runtime.ts";
import { Checksum } from "../../lib/storage/checksum.ts";
import { type Meta, readMeta } from "../../lib/storage/meta.ts";
import { assertEquals } from "./assert.ts";
import { type Child, type RuntimeName, type SpawnOptions, spawnScript } from "./child.ts";
import type { Answer, Command } from "./database_child.ts";
import { ModelTable, type ModelValue } from "./sorted_model.ts";

const script = new URL("./database_child.ts", import.meta.url);

/** Family by family, table by table, what a database must have. */
export type DatabaseModel = Map<string, Map<string, ModelTable<string>>>;

/** Puts writes into a model. */
export function applyWrites(
  model: DatabaseModel,
  family: string,
  table: string,
  writes: readonly [string, ModelValue | null][],
): void {
  let tables = model.get(family);
  if (tables === undefined) model.set(family, tables = new Map());
  let entries = tables.get(table);
  if (entries === undefined) tables.set(table, entries = new ModelTable());
  for (const [key, value] of writes) {
    if (value === null) entries.delete(key);
    else entries.set(key, value);
  }
}

/** Fails unless the database has what the model says, and nothing else. */
export async function checkDatabase(db: Database, model: DatabaseModel): Promise<void> {
  assertEquals(db.columnFamilies(), [...model.keys()].sort());
  for (const [name, tables] of model) {
    const family = await db.columnFamily(name, { create: false });
    assertEquals(family.tables(), [...tables.keys()].sort(), `the tables of ${name}`);
    for (const [tableName, expected] of tables) {
      const table = family.table(tableName, { key: text });
      const what = `table ${tableName} of ${name}`;
      expected.checkEntries(table.entries().toArray(), expected.keys, what);
      assertEquals(table.count(), expected.keys.length, what);
    }
  }
}

/** A database in a process of its own. */
export class DatabaseProcess implements AsyncDisposable {
  readonly child: Child;
  /** What it has acknowledged. */
  readonly model: DatabaseModel;

  constructor(on: RuntimeName | "self", model: DatabaseModel = new Map(), options?: SpawnOptions) {
    this.child = spawnScript(on, script, [], options);
    this.model = model;
  }

  /** Sends a command and waits for its answer, whatever that is. */
  async ask(command: Command): Promise<Answer> {
    this.child.send(JSON.stringify(command));
    return JSON.parse(await this.child.nextLine()) as Answer;
  }

  /** Sends a command that must succeed, and puts its effect into the model. */
  async tell(command: Command): Promise<Answer & { ok: true }> {
    const answer = await this.ask(command);
    if (!answer.ok) throw new Error(`${command.do}: ${answer.code}: ${answer.message}`);
    if (command.do === "family" && !this.model.has(command.family)) {
      this.model.set(command.family, new Map());
    } else if (command.do === "delete-family") this.model.delete(command.family);
    else if (command.do === "delete-table") this.model.get(command.family)!.delete(command.table);
    else if (command.do === "write") {
      applyWrites(this.model, command.family, command.table, command.writes);
    }
    return answer;
  }

  /** Ends it as a crash would; resolves when it is gone. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** Where a record of the log stands. */
export interface RecordPlace {
  readonly position: number;
  /** Byte of the log file at which it begins. */
  readonly at: number;
  readonly length: number;
}

/** What a database's files say: the meta page in force, and the records that a recovery would read. */
export async function lookAt(path: string): Promise<{ meta: Meta; records: RecordPlace[] }> {
  const checksum = await Checksum.create();
  const file = runtime.openFile(path, { write: false, create: false });
  try {
    const meta = readMeta(file, checksum);
    const records: RecordPlace[] = [];
    if (meta.clean) return { meta, records };
    const log = runtime.openFile(logPathOf(path), { write: false, create: false });
    try {
      const { capacity } = readLogHeader(log, checksum);
      const reader = new LogReader(log, capacity);
      for (let position = meta.logPosition;;) {
        const record = readRecord(reader, position, meta.salt, checksum);
        if (record === undefined) break;
        const { length } = record.header;
        records.push({ position, at: 4096 + position % capacity, length });
        position += alignRecord(length);
      }
    } finally {
      log.close();
    }
    return { meta, records };
  } finally {
    file.close();
  }
}

/** The bytes of a database's file and of its log (null when there is none). */
export async function filesOf(path: string): Promise<[Uint8Array, Uint8Array | null]> {
  const log = await readFile(logPathOf(path)).catch(() => null);
  return [new Uint8Array(await readFile(path)), log === null ? null : new Uint8Array(log)];
}

/** Fails unless both files are what they were. */
export async function assertUntouched(
  path: string,
  before: [Uint8Array, Uint8Array | null],
): Promise<void> {
  const after = await filesOf(path);
  for (const i of [0, 1] as const) {
    const [old, now] = [before[i], after[i]];
    if ((old === null) !== (now === null) || (old && now && Buffer.compare(old, now) !== 0)) {
      throw new Error(`${i === 0 ? path : logPathOf(path)} was changed`);
    }
  }
}
