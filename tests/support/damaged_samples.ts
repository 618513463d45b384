/**
 * Small databases to be damaged, made by the package itself, with what they must give when they are read.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Database, ManifoldError, open, text } from "../../mod.ts";
import { AssertionError } from "./assert.ts";
import { Operations } from "./local_family.ts";
import { BYTES_PATH, entriesOf, type OpenedBytes, WHOLE } from "./opened_bytes.ts";
import { Random } from "./random.ts";
import { withTempDir } from "./temp.ts";

/** Entries in the order of their keys. */
type Entries = Map<string, Uint8Array>;
/** Family by family, table by table. */
export type Contents = Map<string, Map<string, Entries>>;

export const PAGE_SIZE = 4096;
const OPTIONS = { pageSize: PAGE_SIZE, cacheBytes: 2 ** 20, logBytes: 2 ** 18 };

/** What one record of a sample's log does. */
export interface LoggedStep {
  readonly family: string;
  /** Undefined: the record makes the family. */
  readonly entry?: { readonly key: string; readonly value: Uint8Array };
}

export interface Sample {
  /** The closed file. */
  readonly bytes: Uint8Array;
  readonly contents: Contents;
  /** Every entry that was ever there, by `family/table`. */
  readonly history: ReadonlyMap<string, ReadonlySet<string>>;
  /** The same file at its earlier checkpoints, open or closed. */
  readonly older: readonly Uint8Array[];
  /** File and log as a crash leaves them, and what each record of that log does to `contents`. */
  readonly crashed: { readonly bytes: Uint8Array; readonly log: Uint8Array };
  readonly steps: readonly LoggedStep[];
}

/** How many entries of about how many bytes the largest table has. */
export interface SampleSize {
  readonly entries: number;
  readonly tables: number;
  readonly overflowBytes: number;
}

/** About ten pages: each kind of page, a tree of two levels, and overflow values. */
export const SMALL: SampleSize = { entries: 36, tables: 2, overflowBytes: 4100 };
/** Trees of three levels, a catalog of two. */
export const LARGE: SampleSize = { entries: 3500, tables: 120, overflowBytes: 60_000 };

export async function makeSample(size: SampleSize, seed: number): Promise<Sample> {
  const random = new Random(seed);
  return await withTempDir(async (dir) => {
    const path = join(dir, "sample.manifold");
    const contents: Contents = new Map();
    const history = new Map<string, Set<string>>();
    const older: Uint8Array[] = [];
    const look = async () => void older.push(new Uint8Array(await readFile(path)));
    for (let life = 0; life < 3; life++) {
      {
        await using db = await open(path, OPTIONS);
        for (const family of ["shop", "other"]) {
          await fill(db, contents, history, family, size, random);
        }
        await db.checkpoint();
        await look();
        await fill(db, contents, history, "shop", { ...size, entries: 5, tables: 1 }, random);
      }
      await look();
    }
    const bytes = older.pop()!;
    const { crashed, steps } = await makeCrash(path, random);
    return { bytes, contents, history, older, crashed, steps };
  });
}

async function fill(
  db: Database,
  contents: Contents,
  history: Map<string, Set<string>>,
  name: string,
  size: SampleSize,
  random: Random,
): Promise<void> {
  const family = await db.columnFamily(name);
  const tables = contents.get(name) ?? new Map<string, Entries>();
  contents.set(name, tables);
  for (let i = 0; i < size.tables; i++) {
    const table = i === 0 ? "stock" : `table-${String(i).padStart(3, "0")}`;
    const entries: Entries = tables.get(table) ?? new Map<string, Uint8Array>();
    tables.set(table, entries);
    const writes: [string, Uint8Array][] = [];
    // Small tables share the work, so that many of them fit a small file.
    const count = i === 0 ? size.entries : 1 + i % 5;
    for (let n = 0; n < count; n++) {
      const key = `key-${String(random.int(size.entries)).padStart(6, "0")}`;
      writes.push([key, random.bytes(20 + random.int(180))]);
    }
    if (i < 2) writes.push([`large-${i}`, random.bytes(size.overflowBytes)]);
    await family.table(table, { key: text }).setMany(writes);
    const known = history.get(`${name}/${table}`) ?? new Set();
    history.set(`${name}/${table}`, known);
    for (const [key, value] of writes) {
      entries.set(key, value);
      known.add(entryName(key, value));
    }
    const sorted = [...entries].sort(([a], [b]) => a < b ? -1 : 1);
    entries.clear();
    for (const [key, value] of sorted) entries.set(key, value);
  }
}

/** What tells entries apart: key and value. */
export function entryName(key: string, value: Uint8Array): string {
  return `${key}=${Buffer.from(value).toString("base64")}`;
}

async function makeCrash(
  path: string,
  random: Random,
): Promise<{ crashed: Sample["crashed"]; steps: LoggedStep[] }> {
  await using db = await open(path, OPTIONS);
  const steps: LoggedStep[] = [];
  for (let i = 0; i < 24; i++) {
    const family = ["shop", "other", "late"][i % 3];
    if (i === 2) {
      await db.createColumnFamily("late");
      steps.push({ family });
    }
    const entry = { key: `logged-${String(i).padStart(3, "0")}`, value: random.bytes(150) };
    const table = (await db.columnFamily(family)).table("stock", { key: text });
    await table.set(entry.key, entry.value);
    steps.push({ family, entry });
  }
  const [bytes, log] = await Promise.all([readFile(path), readFile(`${path}-log`)]);
  return { crashed: { bytes: new Uint8Array(bytes), log: new Uint8Array(log) }, steps };
}

/** What there is after the first so many records of the log. */
export function contentsAfter(sample: Sample, records: number): Contents {
  const contents: Contents = new Map();
  for (const [family, tables] of sample.contents) contents.set(family, new Map(tables));
  for (const { family, entry } of sample.steps.slice(0, records)) {
    let tables = contents.get(family);
    if (tables === undefined) contents.set(family, tables = new Map());
    if (entry === undefined) continue;
    const entries = new Map(tables.get("stock")).set(entry.key, entry.value);
    tables.set("stock", new Map([...entries].sort(([a], [b]) => a < b ? -1 : 1)));
  }
  return contents;
}

/** What a reading of everything met: errors that are allowed, each with the table it was met in. */
export interface Finding {
  readonly family: string;
  readonly table: string;
  readonly error: ManifoldError;
}

/**
 * Reads everything in every way: each read gives what it must, or a `corrupt` that names file, family and
 * table. Returns those; throws for anything else.
 */
export function readAll(opened: OpenedBytes, contents: Contents): Finding[] {
  const findings: Finding[] = [];
  for (const [family, tables] of contents) {
    for (const [table, entries] of tables) {
      const read = (what: string, fn: () => void): void => {
        try {
          fn();
        } catch (error) {
          if (!(error instanceof ManifoldError) || error.code !== "corrupt") {
            throw new AssertionError(`${what} of "${table}" of "${family}": ${error}`, {
              cause: error,
            });
          }
          for (const place of [BYTES_PATH, `"${family}"`, `"${table}"`]) {
            if (!error.message.includes(place)) {
              throw new AssertionError(`${place} is not in: ${error.message}`);
            }
          }
          findings.push({ family, table, error });
        }
      };
      readTable(opened, family, table, entries, read);
    }
  }
  return findings;
}

const utf8 = new TextEncoder();
const textOf = new TextDecoder();

function readTable(
  opened: OpenedBytes,
  family: string,
  name: string,
  entries: Entries,
  read: (what: string, fn: () => void) => void,
): void {
  const table = opened.table(family, name);
  const keys = [...entries.keys()];
  for (const [key, value] of entries) {
    read("get", () => expectSame(table.get(utf8.encode(key)), value, key));
  }
  read("get", () => {
    if (table.get(utf8.encode("absent")) !== undefined) throw new Error("an absent key is there");
  });
  read("count", () => {
    const count = table.count(null, null);
    if (count !== keys.length) throw new Error(`${count} entries, not ${keys.length}`);
  });
  const middle = utf8.encode(keys[keys.length >> 1]);
  read("count of a half", () => {
    const count = table.count({ key: middle, inclusive: true }, null);
    if (count !== keys.length - (keys.length >> 1)) throw new Error(`${count} entries in a half`);
  });
  read("at", () => {
    const at = keys.length >> 1;
    const entry = table.at(at);
    if (entry === undefined || textOf.decode(entry.key) !== keys[at]) throw new Error(`at(${at})`);
    expectSame(entry.value, entries.get(keys[at])!, keys[at]);
  });
  for (const reverse of [false, true]) {
    const expected = reverse ? keys.toReversed() : keys;
    read(reverse ? "entries in reverse" : "entries", () => {
      let i = 0;
      for (const [key, value] of entriesOf(table, reverse)) {
        if (textOf.decode(key) !== expected[i]) throw new Error(`${expected[i]} should come`);
        expectSame(value, entries.get(expected[i])!, expected[i]);
        i++;
      }
      if (i !== expected.length) throw new Error(`${i} entries of ${expected.length}`);
    });
  }
  read("first", () => {
    const first = table.first(WHOLE);
    if (first === undefined || textOf.decode(first.key) !== keys[0]) throw new Error("first");
  });
}

function expectSame(actual: Uint8Array | undefined, expected: Uint8Array, key: string): void {
  const same = actual !== undefined && actual.length === expected.length &&
    Buffer.compare(actual, expected) === 0;
  if (!same) throw new Error(`the value of ${key} is wrong`);
}

/**
 * Changes every table, as a worker would, and takes the changes back: it succeeds, or is refused as
 * `corrupt`. Returns what was refused.
 */
export function changeAll(opened: OpenedBytes, contents: Contents): ManifoldError[] {
  const refused: ManifoldError[] = [];
  for (const [family, tables] of contents) {
    for (const [table, entries] of tables) {
      const key = utf8.encode([...entries.keys()][entries.size >> 1]);
      const changes: ((operations: Operations, id: number) => void)[] = [
        (operations, id) => operations.set(id, key, new Uint8Array(600)),
        (operations, id) => operations.delete(id, key),
        (operations, id) => operations.deleteRange(id, { key, inclusive: false }, null),
        (operations, id) => operations.deleteRange(id, null, null),
      ];
      for (const change of changes) {
        const operations = new Operations();
        change(operations, operations.open(table, "text\0bytes"));
        try {
          opened.attempt(family, operations);
        } catch (error) {
          if (!(error instanceof ManifoldError) || error.code !== "corrupt") throw error;
          refused.push(error);
        }
      }
    }
  }
  return refused;
}
