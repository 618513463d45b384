/**
 * `stats`: what a database has, and where its bytes are.
 *
 * @module
 */

import type { Database } from "../api/database.ts";
import { describeTables, fileSpace } from "../api/inspect.ts";
import type { TableStats } from "../api/table_reader.ts";
import { columns, count, counted, type Output, printableName, size } from "./output.ts";
import { rawCodec } from "./readable.ts";

/** Figures of a table, with its codecs. */
export interface TableFigures extends TableStats {
  readonly name: string;
  readonly keyCodec: string;
  readonly valueCodec: string;
}

/** Figures of a column family. */
export interface FamilyFigures {
  readonly name: string;
  /** How many groups of transactions it has seen. */
  readonly version: number;
  /** Bytes of the file that are its own. */
  readonly bytes: number;
  /** Bytes of those that hold nothing. */
  readonly freeBytes: number;
  readonly tables: readonly TableFigures[];
}

/** Figures of a database. */
export interface DatabaseFigures {
  readonly path: string;
  readonly pageSize: number;
  readonly fileBytes: number;
  /** Bytes that hold nothing, in families or between them: later writes use them. */
  readonly freeBytes: number;
  /** Bytes of the two meta pages, and of the directory. */
  readonly overheadBytes: number;
  readonly families: readonly FamilyFigures[];
}

/** Collects the figures; reads every page of every table. */
export async function figuresOf(db: Database): Promise<DatabaseFigures> {
  const space = await fileSpace(db);
  const { pageSize } = space;
  const families: FamilyFigures[] = [];
  let freePages = space.freePages;
  for (const name of db.columnFamilies()) {
    const family = await db.columnFamily(name, { create: false });
    const { pages, used } = space.families.get(name) ?? { pages: 0, used: 0 };
    freePages += pages - used;
    using snapshot = family.snapshot();
    const tables = describeTables(snapshot).map((table): TableFigures => {
      const key = rawCodec(table.keyCodec);
      const value = rawCodec(table.valueCodec);
      return { ...table, ...snapshot.table(family.table(table.name, { key, value })).stats() };
    });
    families.push({
      name,
      version: snapshot.version,
      bytes: pages * pageSize,
      freeBytes: (pages - used) * pageSize,
      tables,
    });
  }
  return {
    path: db.path,
    pageSize,
    fileBytes: space.filePages * pageSize,
    freeBytes: freePages * pageSize,
    overheadBytes: (space.headPages + space.directoryPages) * pageSize,
    families,
  };
}

/** Prints figures as tables for people. */
export async function printFigures(figures: DatabaseFigures, out: Output): Promise<void> {
  const { families, fileBytes, freeBytes, overheadBytes, pageSize } = figures;
  const tables = families.reduce((sum, family) => sum + family.tables.length, 0);
  await out.line(
    `${printableName(figures.path)}: ${size(fileBytes)} in pages of ${size(pageSize)}, ` +
      `${counted(families.length, "column family", "column families")}, ${
        counted(tables, "table")
      }`,
  );
  if (tables > 0) {
    await out.line("");
    for (const line of columns(tableRows(families), new Set([4, 5, 6, 7, 8]))) await out.line(line);
  }
  await out.line("");
  for (const line of columns(spaceRows(figures), new Set([1, 2, 3, 4, 5]))) await out.line(line);
  await out.line("");
  await out.line(
    `${size(freeBytes)} of the file are free (${percent(freeBytes, fileBytes)}), ` +
      `${size(overheadBytes)} are its meta pages and directory`,
  );
  await out.flush();
}

function tableRows(families: readonly FamilyFigures[]): string[][] {
  const rows = [["FAMILY", "TABLE", "KEY", "VALUE", "ENTRIES", "KEYS", "VALUES", "PAGES", "FILL"]];
  for (const family of families) {
    for (const table of family.tables) {
      rows.push([
        printableName(family.name),
        printableName(table.name),
        printableName(table.keyCodec),
        printableName(table.valueCodec),
        count(table.entries),
        size(table.keyBytes),
        size(table.valueBytes + table.overflowBytes),
        count(table.leafPages + table.branchPages + table.overflowPages),
        table.leafPages === 0 ? "-" : percent(table.fill, 1),
      ]);
    }
  }
  return rows;
}

function spaceRows({ families }: DatabaseFigures): string[][] {
  const rows = [["FAMILY", "VERSION", "TABLES", "ENTRIES", "SIZE", "FREE"]];
  for (const { name, version, tables, bytes, freeBytes } of families) {
    rows.push([
      printableName(name),
      count(version),
      count(tables.length),
      count(tables.reduce((sum, { entries }) => sum + entries, 0)),
      size(bytes),
      size(freeBytes),
    ]);
  }
  return rows;
}

function percent(part: number, whole: number): string {
  return whole === 0 ? "-" : `${Math.round(part / whole * 100)}%`;
}
