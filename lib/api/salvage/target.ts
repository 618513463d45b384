/**
 * The new database that what is salvaged goes to.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";
import { checkCodec, type Codec } from "../codec.ts";
import { bytes } from "../codecs/bytes.ts";
import type { ColumnFamily } from "../column_family.ts";
import type { Database } from "../database.ts";
import { checkName } from "../names.ts";
import type { Table } from "../table.ts";
import type { SalvageNotes } from "./report.ts";
import type { DamagedEntry } from "./tree_walk.ts";

/** A table that is written as bytes, whatever its codecs are. */
export type RawTarget = Table<Uint8Array, Uint8Array>;

/** Bytes, and entries, that are written at once. */
const BATCH_BYTES = 2 ** 20;
const BATCH_ENTRIES = 4096;

export class SalvageTarget {
  readonly db: Database;
  readonly notes: SalvageNotes;

  constructor(db: Database, notes: SalvageNotes) {
    this.db = db;
    this.notes = notes;
  }

  /** Makes a family, under another name if it has none that is free and allowed. */
  async family(name: string | undefined, id: number): Promise<ColumnFamily> {
    const free = usableName("column family", name, this.db.columnFamilies(), `family-${id}`);
    return await this.db.createColumnFamily(free);
  }

  /** A table that is not there yet, under another name if it has none that is free and allowed. */
  table(family: ColumnFamily, name: string | undefined, id: number, codecs: string): RawTarget {
    const free = usableName("table", name, family.tables(), `table-${id}`);
    const [key, value] = codecs.split("\0");
    return family.table(free, { key: raw(key, "key"), value: raw(value, "value") });
  }

  /** Makes a table, without entries. */
  async make(family: ColumnFamily, table: RawTarget): Promise<void> {
    if (family.tables().includes(table.name)) return;
    const key = new Uint8Array(1);
    await family.batch().set(table, key, key).delete(table, key).commit();
  }

  /** Copies entries; `pause` is awaited now and then. */
  async copy(
    table: RawTarget,
    entries: Iterable<DamagedEntry | undefined>,
    pause: () => Promise<void> | undefined,
  ): Promise<void> {
    let batch: [Uint8Array, Uint8Array][] = [];
    let batchBytes = 0;
    for (const entry of entries) {
      if (entry !== undefined) {
        batch.push([entry.key, entry.value]);
        batchBytes += entry.key.length + entry.value.length;
        this.notes.copied++;
        if (batchBytes >= BATCH_BYTES || batch.length >= BATCH_ENTRIES) {
          await table.setMany(batch);
          batch = [];
          batchBytes = 0;
        }
      }
      const paused = pause();
      if (paused !== undefined) await paused;
    }
    if (batch.length > 0) await table.setMany(batch);
  }
}

function usableName(
  kind: "column family" | "table",
  name: string | undefined,
  taken: readonly string[],
  otherwise: string,
): string {
  if (name !== undefined && !taken.includes(name)) {
    try {
      checkName(kind, name);
      return name;
    } catch (error) {
      if (!(error instanceof ManifoldError)) throw error;
    }
  }
  let free = otherwise;
  for (let i = 2; taken.includes(free); i++) free = `${otherwise}-${i}`;
  return free;
}

/** Bytes under the name of another codec; under their own if that is none. */
function raw(name: string | undefined, use: "key" | "value"): Codec<Uint8Array> {
  const codec = { ...bytes, name: name ?? "" };
  try {
    checkCodec(codec, use);
    return codec;
  } catch (error) {
    if (error instanceof ManifoldError) return bytes;
    throw error;
  }
}
