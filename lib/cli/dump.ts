/**
 * `dump`: a database as lines of JSON.
 *
 * @module
 */

import { type DescribedTable, describeTables, fileSpace, rawEntries } from "../api/inspect.ts";
import type { Database } from "../api/database.ts";
import type { Snapshot } from "../api/snapshot.ts";
import { ManifoldError } from "../errors.ts";
import {
  DUMP_NAME,
  DUMP_VERSION,
  type EndLine,
  type HeaderLine,
  PART_BYTES,
  type PlaceLine,
  WHOLE_VALUE_BYTES_MAX,
} from "./dump_format.ts";
import type { Output } from "./output.ts";
import { Notation } from "./readable.ts";

/** What is dumped; everything when neither is given. */
export interface DumpOptions {
  /** Only this column family. */
  readonly family?: string;
  /** Only tables of this name. */
  readonly table?: string;
}

/**
 * Writes a dump. Each family is read in one snapshot.
 * @throws {ManifoldError} `not-found` for a family or table that is not there; what reads throw.
 */
export async function dump(db: Database, options: DumpOptions, out: Output): Promise<void> {
  const names = options.family === undefined ? db.columnFamilies() : [options.family];
  const header: HeaderLine = {
    dump: DUMP_NAME,
    version: DUMP_VERSION,
    pageSize: (await fileSpace(db)).pageSize,
  };
  await out.line(JSON.stringify(header));
  let tables = 0;
  let entries = 0;
  for (const name of names) {
    const family = await db.columnFamily(name, { create: false });
    using snapshot = family.snapshot();
    const place: PlaceLine = { family: name };
    await out.line(JSON.stringify(place));
    for (const table of describeTables(snapshot)) {
      if (options.table !== undefined && options.table !== table.name) continue;
      tables++;
      entries += await dumpTable(snapshot, name, table, out);
    }
  }
  if (options.table !== undefined && tables === 0) {
    throw new ManifoldError(
      "not-found",
      `${db.path} has no table "${options.table}" in ${
        options.family === undefined ? "any column family" : `the column family "${options.family}"`
      }; see stats`,
    );
  }
  const end: EndLine = { end: true, entries };
  await out.line(JSON.stringify(end));
  await out.flush();
}

async function dumpTable(
  snapshot: Snapshot,
  family: string,
  table: DescribedTable,
  out: Output,
): Promise<number> {
  const { name, keyCodec, valueCodec } = table;
  const place: PlaceLine = { family, table: name, keyCodec, valueCodec };
  await out.line(JSON.stringify(place));
  const keys = new Notation(keyCodec);
  const values = new Notation(valueCodec);
  const entries = rawEntries(snapshot, table);
  let count = 0;
  try {
    while (entries.advance()) {
      count++;
      const key = field("key", keys, entries.key());
      const value = entries.value();
      if (value.length > WHOLE_VALUE_BYTES_MAX) {
        await out.line(`{${key},"valueBytes":${value.length}}`);
        for (let at = 0; at < value.length; at += PART_BYTES) {
          await out.line(`{"part":"${value.subarray(at, at + PART_BYTES).toBase64()}"}`);
        }
        continue;
      }
      const full = out.line(`{${key},${field("value", values, value)}}`);
      if (full !== undefined) await full;
    }
  } finally {
    entries.close();
  }
  return count;
}

/** A key or value as a member of a line's object. */
function field(name: string, notation: Notation, encoded: Uint8Array): string {
  const json = notation.write(encoded);
  return json === undefined ? `"${name}Base64":"${encoded.toBase64()}"` : `"${name}":${json}`;
}
