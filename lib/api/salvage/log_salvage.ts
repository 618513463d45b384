/**
 * Applies what a damaged log still has to the families that were copied.
 *
 * @module
 */

import { logPathOf } from "../../log/log_file.ts";
import { ManifoldError } from "../../errors.ts";
import {
  OP_CREATE_FAMILY,
  OP_CREATE_TABLE,
  OP_DELETE,
  OP_DELETE_RANGE,
  OP_DROP_FAMILY,
  OP_DROP_TABLE,
  OP_SET,
  operationMemory,
  OperationReader,
  RANGE_HAS_LOWER,
  RANGE_HAS_UPPER,
  RANGE_LOWER_INCLUSIVE,
  RANGE_UPPER_INCLUSIVE,
} from "../../log/operations.ts";
import { type RecordPart, recordParts } from "../../log/record.ts";
import { readRecord } from "../../log/recovery_scan.ts";
import { decodeText } from "../../memory/utf8.ts";
import type { Range } from "../range.ts";
import type { SalvagedFamily, SalvageParts } from "./family_salvage.ts";
import type { DamagedLog } from "./log_records.ts";
import type { RawTarget } from "./target.ts";

/** A family and the last version of it that was applied; -1 if nobody knows which the pages have. */
interface Applied extends SalvagedFamily {
  version: number;
}

export class LogSalvage {
  readonly #parts: SalvageParts;
  readonly #families = new Map<number, Applied>();
  readonly #dropped = new Set<number>();

  constructor(parts: SalvageParts, families: readonly SalvagedFamily[]) {
    this.#parts = parts;
    for (const family of families) {
      this.#families.set(family.plan.id, { ...family, version: family.plan.version });
    }
  }

  /** Says of which families there were newer versions than those that pages and log have led to. */
  reportOlder(): void {
    const { notes, file } = this.#parts.pages;
    for (const { plan, family: { name }, version } of this.#families.values()) {
      if (version >= plan.newest) continue;
      notes.lost({
        kind: "doubtful",
        message:
          `${file.path}: column family "${name}" was found as it was in version ${version}, ` +
          `and pages of it up to version ${plan.newest}: what was changed in between may be missing`,
        family: name,
      });
    }
  }

  async apply({ reader, salt, positions }: DamagedLog): Promise<void> {
    const { notes } = this.#parts.pages;
    for (const position of positions) {
      await this.#parts.pause();
      const record = readRecord(reader, position, salt, undefined);
      if (record === undefined) throw new ManifoldError("io", "the log changed while it was read");
      // The reader's window is used again by the next read.
      const bytes = record.bytes.slice();
      try {
        const parts = recordParts(bytes, record.header, logPathOf(this.#parts.pages.file.path));
        for (const part of parts) await this.#part(bytes, part);
        notes.logRecordsUsed++;
      } catch (error) {
        if (!(error instanceof ManifoldError) || error.code !== "corrupt") throw error;
        notes.log = "damaged";
        notes.lost({ kind: "log", message: error.message, position });
      }
    }
  }

  async #part(bytes: Uint8Array, part: RecordPart): Promise<void> {
    if (this.#dropped.has(part.family)) return;
    const reader = new OperationReader();
    reader.begin(operationMemory(bytes), part.from, part.to);
    let family = this.#families.get(part.family);
    if (family !== undefined) {
      if (part.version <= family.version) return;
      if (family.version >= 0 && part.version !== family.version + 1) {
        this.#parts.pages.notes.lost({
          kind: "log",
          message: `column family "${family.family.name}": the commits of versions ` +
            `${family.version + 1} to ${part.version - 1} are lost`,
          family: family.family.name,
        });
      }
      family.version = part.version;
    }
    let batch: ReturnType<Applied["family"]["batch"]> | undefined;
    const commit = async () => {
      const full = batch;
      batch = undefined;
      await full?.commit();
    };
    while (reader.next()) {
      const { kind } = reader;
      if (kind === OP_CREATE_FAMILY) {
        // A family whose pages were found without a name has one now; they are in use already.
        if (family === undefined) family = await this.#make(part, decodeText(reader.value()));
        continue;
      }
      family ??= await this.#make(part, undefined);
      if (kind === OP_DROP_FAMILY) {
        await this.#parts.target.db.deleteColumnFamily(family.family.name);
        this.#families.delete(part.family);
        this.#dropped.add(part.family);
        return;
      }
      if (kind === OP_CREATE_TABLE) {
        await commit();
        await this.#createTable(family, reader);
        continue;
      }
      const table = this.#table(family, reader.table);
      if (kind === OP_DROP_TABLE) {
        await commit();
        if (family.family.tables().includes(table.name)) {
          await family.family.deleteTable(table.name);
        }
        family.tables.delete(reader.table);
        continue;
      }
      batch ??= family.family.batch();
      if (kind === OP_SET) batch.set(table, reader.key(), reader.value());
      else if (kind === OP_DELETE) batch.delete(table, reader.key());
      else if (kind === OP_DELETE_RANGE) batch.deleteRange(table, rangeOf(reader));
    }
    await commit();
  }

  async #make(part: RecordPart, name: string | undefined): Promise<Applied> {
    const { target } = this.#parts;
    const made = await target.family(name, part.family);
    const plan = {
      id: part.family,
      name,
      version: -1,
      entry: undefined,
      image: undefined,
      isUsed: undefined,
      newest: -1,
    };
    const family = { plan, family: made, tables: new Map(), version: part.version };
    this.#families.set(part.family, family);
    return family;
  }

  async #createTable(family: Applied, reader: OperationReader): Promise<void> {
    const { target } = this.#parts;
    const { table: id } = reader;
    if (family.tables.has(id)) return; // its pages were found
    const table = target.table(
      family.family,
      decodeText(reader.key()),
      id,
      decodeText(reader.value()),
    );
    await target.make(family.family, table);
    family.tables.set(id, table);
  }

  /** A table by its id; one whose making is lost gets a name of ours. */
  #table(family: Applied, id: number): RawTarget {
    let table = family.tables.get(id);
    if (table === undefined) {
      table = this.#parts.target.table(family.family, undefined, id, "bytes\0bytes");
      family.tables.set(id, table);
    }
    return table;
  }
}

function rangeOf(reader: OperationReader): Range<Uint8Array> {
  const { flags } = reader;
  return {
    ...(flags & RANGE_HAS_LOWER
      ? { [flags & RANGE_LOWER_INCLUSIVE ? "gte" : "gt"]: reader.key() }
      : {}),
    ...(flags & RANGE_HAS_UPPER
      ? { [flags & RANGE_UPPER_INCLUSIVE ? "lte" : "lt"]: reader.value() }
      : {}),
  };
}
