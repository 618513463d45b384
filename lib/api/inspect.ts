/**
 * What tools see of a database that programs have no use for: tables with the names of their codecs, entries as
 * bytes whatever the codecs are, and who has which part of the file.
 *
 * Invariant: it reads only, and everything of one snapshot is of that snapshot's version.
 *
 * @module
 */

import { listTables } from "../engine/catalog.ts";
import { CHANGES_TABLE } from "../engine/kept_changes.ts";
import { FAMILY_LIVE, newFamilyEntry, newFamilyState } from "../memory/family_slots.ts";
import { firstDataPage } from "../storage/meta.ts";
import { type Database, sessionOf } from "./database.ts";
import { EVERYTHING } from "./range.ts";
import { RawEntries } from "./raw_entries.ts";
import { RawTable } from "./raw_reads.ts";
import { type Snapshot, sourceOf } from "./snapshot.ts";

/** A table as the catalog has it. */
export interface DescribedTable {
  readonly name: string;
  readonly keyCodec: string;
  readonly valueCodec: string;
}

/** The tables of a snapshot, sorted by the bytes of their names. */
export function describeTables(snapshot: Snapshot): DescribedTable[] {
  const source = sourceOf(snapshot);
  const { epochs, store } = source.memory;
  const state = newFamilyState();
  epochs.enter();
  try {
    source.read(state);
    store.family = source.slot;
    store.familyName = source.familyName;
    const tables = listTables(store, state).filter(({ name }) => name !== CHANGES_TABLE);
    return tables.map(({ name, entry }) => {
      const [keyCodec, valueCodec] = entry.codecs.split("\0");
      return { name, keyCodec, valueCodec };
    });
  } finally {
    epochs.leave();
  }
}

/** The entries of a table of a snapshot; keys and values are valid until the next move. */
export function rawEntries(snapshot: Snapshot, table: DescribedTable): RawEntries {
  const codecs = `${table.keyCodec}\0${table.valueCodec}`;
  return new RawEntries(new RawTable(sourceOf(snapshot), table.name, codecs), EVERYTHING, true);
}

/** What a part of the file is for, in pages. */
export interface FileSpace {
  readonly pageSize: number;
  /** All pages that the file is made of, its head included. */
  readonly filePages: number;
  /** Pages at the beginning, with the two meta pages. */
  readonly headPages: number;
  readonly directoryPages: number;
  /** Pages that no family has. */
  readonly freePages: number;
  /** By name: pages that a family has, and how many of them its last checkpoint uses. */
  readonly families: ReadonlyMap<string, { readonly pages: number; readonly used: number }>;
}

/** Who has which part of the file, as the last checkpoint left it. */
export async function fileSpace(db: Database): Promise<FileSpace> {
  const { extents, shared, slots } = sessionOf(db).memory;
  const pagesOf = new Map<number, number>();
  let freePages = 0;
  for (const { free, owner, pages } of await extents.listed()) {
    if (free) freePages += pages;
    else pagesOf.set(owner, (pagesOf.get(owner) ?? 0) + pages);
  }
  const families = new Map<string, { pages: number; used: number }>();
  for (const slot of slots.used()) {
    if (slots.state(slot) !== FAMILY_LIVE) continue;
    const entry = newFamilyEntry();
    slots.readDurable(slot, entry);
    const pages = pagesOf.get(slots.id(slot)) ?? 0;
    families.set(slots.name(slot), { pages, used: Math.min(entry.pages, pages) });
  }
  return {
    pageSize: shared.pageSize,
    filePages: extents.filePages,
    headPages: firstDataPage(shared.pageSize),
    directoryPages: pagesOf.get(0) ?? 0,
    freePages,
    families,
  };
}
