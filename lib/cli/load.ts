/**
 * `load`: the entries of a dump into a database.
 *
 * Invariant: what is written is written in batches, each whole or not at all, and a batch with a line that
 * cannot be used is not written.
 *
 * @module
 */

import type { Batch } from "../api/batch.ts";
import type { ColumnFamily } from "../api/column_family.ts";
import type { Database } from "../api/database.ts";
import { open } from "../api/open.ts";
import type { Table } from "../api/table.ts";
import { ManifoldError } from "../errors.ts";
import { allocateBytes } from "../storage/bytes.ts";
import { VALUE_BYTES_MAX } from "../storage/overflow.ts";
import { DUMP_NAME, DUMP_VERSION } from "./dump_format.ts";
import { bytesOf, linesOf } from "./lines.ts";
import { count, type Progress, size } from "./output.ts";
import { Notation, rawCodec } from "./readable.ts";

/** Entries of a batch, when not told otherwise. */
export const BATCH_ENTRIES = 10_000;
/** A batch ends with the entry that passes this, bytes of keys and values. */
export const BATCH_BYTES = 8 * 2 ** 20;

/** How a dump is loaded. */
export interface LoadOptions {
  /** The dump; the standard input when not given. */
  readonly file?: string;
  /** Entries that are written at once, at the most. */
  readonly batchEntries: number;
}

/** What was loaded. */
export interface Loaded {
  readonly tables: number;
  readonly entries: number;
}

/**
 * Loads a dump into the database at `path`, which is made if it is missing, once the dump's first line was
 * read.
 * @throws {ManifoldError} `invalid-argument` naming the line; what `open` and writes throw.
 */
export async function load(
  path: string,
  options: LoadOptions,
  progress: Progress,
): Promise<Loaded> {
  const name = options.file ?? "standard input";
  const lines = linesOf(bytesOf(options.file), name);
  const first = await lines.next();
  const pageSize = readHeader(first.done ? "" : first.value, name);
  // An existing database keeps its own page size.
  await using db = await open(path, { pageSize });
  return await new Loader(db, name, options.batchEntries, progress).run(lines);
}

/**
 * The page size that the first line of a dump says.
 * @throws {ManifoldError} `invalid-argument`, `unsupported-version`
 */
export function readHeader(line: string, name: string): number | undefined {
  const header = parse(line);
  if (header?.dump !== DUMP_NAME) {
    throw new ManifoldError(
      "invalid-argument",
      `${name}, line 1: it is not the first line of a dump; give what dump wrote`,
    );
  }
  if (header.version !== DUMP_VERSION) {
    throw new ManifoldError(
      "unsupported-version",
      `${name}, line 1: the dump has version ${
        JSON.stringify(header.version)
      }, this release reads ` +
        `version ${DUMP_VERSION}; load it with the release that wrote it`,
    );
  }
  return header.pageSize as number | undefined;
}

/** A line's object; undefined if it is none. */
function parse(line: string): Record<string, unknown> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined; // the caller says which line it is
  }
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Record<string, unknown>
    : undefined;
}

/** A value that comes in parts. */
interface Parts {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  filled: number;
}

/** The table that entries are read into. */
interface Target {
  readonly table: Table<Uint8Array, Uint8Array>;
  readonly keys: Notation;
  readonly values: Notation;
}

/** Takes the lines behind the first of a dump. */
export class Loader {
  readonly #db: Database;
  readonly #name: string;
  readonly #batchEntries: number;
  readonly #progress: Progress;
  readonly #seen = new Set<string>();
  #line = 1;
  /** The first line that is not written yet. */
  #batchLine = 2;
  #family: ColumnFamily | undefined;
  #target: Target | undefined;
  #parts: Parts | undefined;
  #batch: Batch | undefined;
  #batchBytes = 0;
  #batchCount = 0;
  #entries = 0;
  #bytes = 0;
  #ended = false;

  constructor(db: Database, name: string, batchEntries: number, progress: Progress) {
    this.#db = db;
    this.#name = name;
    this.#batchEntries = batchEntries;
    this.#progress = progress;
  }

  async run(lines: AsyncIterable<string>): Promise<Loaded> {
    for await (const line of lines) {
      this.#line++;
      try {
        const written = this.#read(line);
        if (written !== undefined) await written;
      } catch (error) {
        throw this.#explain(error);
      }
    }
    if (!this.#ended) {
      await this.#flush();
      throw new ManifoldError(
        "invalid-argument",
        `${this.#name}: the dump ends with line ${this.#line}, without its last line: it was cut off. ` +
          "What it has was loaded",
      );
    }
    return { tables: this.#seen.size, entries: this.#entries };
  }

  #explain(error: unknown): unknown {
    if (!(error instanceof ManifoldError)) return error;
    const nothing = error.code === "failed"
      ? "of the lines after them it is unknown"
      : "nothing more";
    const written = this.#batchLine === 2
      ? "Nothing was loaded"
      : `Lines 1 to ${this.#batchLine - 1} were loaded, ${nothing}`;
    return new ManifoldError(
      error.code,
      `${this.#name}, line ${this.#line}: ${error.message}. ${written}`,
      { cause: error },
    );
  }

  /** Takes a line; gives a promise when there is something to wait for. */
  #read(line: string): Promise<void> | undefined {
    const fields = parse(line);
    if (fields === undefined) throw bad("it is not an object in JSON");
    if (this.#ended) throw bad("it comes after the last line of the dump");
    if (this.#parts !== undefined) return this.#part(this.#parts, fields);
    if ("key" in fields || "keyBase64" in fields) return this.#entry(fields);
    if ("family" in fields) return this.#place(fields);
    if (fields.end === true) return this.#end(fields);
    throw bad("it is neither a column family, nor a table, nor an entry");
  }

  async #place(fields: Record<string, unknown>): Promise<void> {
    const { family: familyName, table: name, keyCodec, valueCodec } = fields;
    const family = await this.#db.columnFamily(familyName as string);
    let target: Target | undefined;
    if (name !== undefined) {
      if (typeof keyCodec !== "string" || typeof valueCodec !== "string") {
        throw bad("it names a table without keyCodec and valueCodec");
      }
      target = {
        table: family.table(name as string, {
          key: rawCodec(keyCodec),
          value: rawCodec(valueCodec),
        }),
        keys: new Notation(keyCodec),
        values: new Notation(valueCodec),
      };
    }
    // A batch is of one family.
    if (this.#family !== family) await this.#flush(this.#line - 1);
    this.#family = family;
    this.#target = target;
    if (target === undefined || this.#seen.has(`${familyName}\0${name}`)) return;
    this.#seen.add(`${familyName}\0${name}`);
    // So that a table without entries is made, too.
    if (target.table.count() === 0) {
      (this.#batch ??= family.batch()).deleteRange(target.table, {});
    }
  }

  #entry(fields: Record<string, unknown>): Promise<void> | undefined {
    const target = this.#target;
    if (target === undefined) throw bad("it is an entry, and no table was named before it");
    const key = encoded(fields, "key", target.keys);
    if (!("valueBytes" in fields)) return this.#put(key, encoded(fields, "value", target.values));
    const { valueBytes } = fields;
    if (!Number.isSafeInteger(valueBytes) || !((valueBytes as number) > 0)) {
      throw bad("its valueBytes is not a positive integer");
    }
    if (valueBytes as number > VALUE_BYTES_MAX) {
      throw new ManifoldError("too-large", `its value of ${valueBytes} bytes is longer than 1 GiB`);
    }
    this.#parts = {
      key: key.slice(),
      value: allocateBytes(valueBytes as number, "a value"),
      filled: 0,
    };
    return undefined;
  }

  #part(parts: Parts, fields: Record<string, unknown>): Promise<void> | undefined {
    const { value } = parts;
    const bytes = base64(fields.part, "a part of the value that began before");
    if (bytes.length === 0) throw bad("its part is empty");
    if (parts.filled + bytes.length > value.length) {
      throw bad(`with it the value has more than its ${value.length} bytes`);
    }
    value.set(bytes, parts.filled);
    parts.filled += bytes.length;
    if (parts.filled < value.length) return undefined;
    this.#parts = undefined;
    return this.#put(parts.key, value);
  }

  #put(key: Uint8Array, value: Uint8Array): Promise<void> | undefined {
    this.#batch ??= this.#family!.batch();
    this.#batch.set(this.#target!.table, key, value);
    this.#batchCount++;
    this.#batchBytes += key.length + value.length;
    return this.#batchCount >= this.#batchEntries || this.#batchBytes >= BATCH_BYTES
      ? this.#flush()
      : undefined;
  }

  async #end(fields: Record<string, unknown>): Promise<void> {
    const read = this.#entries + this.#batchCount;
    if (fields.entries !== read) {
      throw bad(
        `it tells of ${JSON.stringify(fields.entries)} entries, and ${read} came before it`,
      );
    }
    await this.#flush();
    this.#ended = true;
  }

  /** Writes the batch, which has what came up to the line `through`. */
  async #flush(through: number = this.#line): Promise<void> {
    if (this.#batch !== undefined) await this.#batch.commit();
    this.#entries += this.#batchCount;
    this.#bytes += this.#batchBytes;
    this.#batch = undefined;
    this.#batchCount = 0;
    this.#batchBytes = 0;
    this.#batchLine = through + 1;
    this.#progress.show(() => `${count(this.#entries)} entries, ${size(this.#bytes)}`);
  }
}

function encoded(
  fields: Record<string, unknown>,
  name: "key" | "value",
  notation: Notation,
): Uint8Array {
  if (name in fields) return notation.read(fields[name]);
  const raw = fields[`${name}Base64`];
  if (raw === undefined) throw bad(`it has neither ${name} nor ${name}Base64`);
  return base64(raw, `${name}Base64`);
}

function base64(text: unknown, what: string): Uint8Array {
  try {
    if (typeof text === "string") return Uint8Array.fromBase64(text);
  } catch {
    // Told below.
  }
  throw bad(`${what} is not base64`);
}

function bad(why: string): ManifoldError {
  return new ManifoldError("invalid-argument", why);
}
