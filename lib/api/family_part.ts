/**
 * What a transaction does in one column family: the version that it reads, and per table what it has written
 * and what it has learnt.
 *
 * @module
 */

import { FLAG_READS } from "../engine/requests.ts";
import { ManifoldError } from "../errors.ts";
import type { FamilyAccess } from "./family_access.ts";
import type { FamilyView } from "./family_view.ts";
import type { OperationsWriter } from "./operations_writer.ts";
import { Overlay } from "./overlay.ts";
import { ReadSet } from "./read_set.ts";
import type { TableTarget } from "./table.ts";

/** The writes of a part at some time: by table. */
export type SavedPart = ReadonlyMap<Overlay, Overlay>;

interface TouchedTable {
  readonly codecs: string;
  readonly overlay: Overlay;
}

const NO_TABLES = new Map<string, TouchedTable>();

export class FamilyPart {
  readonly access: FamilyAccess;
  readonly view: FamilyView;
  /** Whether what it learns is noted: not under the family's turn, when nobody else can change anything. */
  readonly #notes: boolean;
  #tables = new Map<string, TouchedTable>();

  /** Takes a view of the family, to be given back by {@linkcode release}. */
  constructor(access: FamilyAccess, notes: boolean) {
    this.access = access;
    this.view = access.views.take();
    this.#notes = notes;
  }

  /**
   * What the transaction sees of a table.
   * @throws {ManifoldError} `type-mismatch`, and as the reads of a table.
   */
  overlay(target: TableTarget<unknown, unknown>): Overlay {
    const { name, codecs } = target;
    const known = this.#tables.get(name);
    if (known === undefined) {
      const base = this.view.table(target.raw);
      base.resolve(); // throws when the codecs are others
      const overlay = new Overlay(base, this.#notes ? new ReadSet() : undefined);
      this.#tables.set(name, { codecs, overlay });
      return overlay;
    }
    if (known.codecs === codecs) return known.overlay;
    throw new ManifoldError(
      "type-mismatch",
      `tx.table: table "${name}" is in the transaction with the codecs ` +
        `${known.codecs.replace("\0", " and ")}, not ${codecs.replace("\0", " and ")}`,
    );
  }

  /** Whether there is anything to apply. */
  get hasWrites(): boolean {
    for (const { overlay } of this.#tables.values()) if (mustBeApplied(overlay)) return true;
    return false;
  }

  /**
   * Appends what the family's worker needs for the commit: what was read, then the operations. Returns
   * the flags of the request.
   */
  encode(writer: OperationsWriter): number {
    let flags = 0;
    for (const { overlay } of this.#tables.values()) {
      if (!overlay.reads?.settle()) continue;
      if (flags === 0) writer.beginReads();
      flags = FLAG_READS;
      overlay.reads.encode(writer, overlay.base);
    }
    if (flags !== 0) writer.endReads();
    for (const [name, { codecs, overlay }] of this.#tables) {
      if (!mustBeApplied(overlay)) continue;
      overlay.encode(writer, overlay.base.resolve()?.id ?? writer.openTable(name, codecs));
    }
    return flags;
  }

  /** The writes as they are now, for {@linkcode restore}. */
  save(): SavedPart {
    const saved = new Map<Overlay, Overlay>();
    for (const { overlay } of this.#tables.values()) saved.set(overlay, overlay.clone());
    return saved;
  }

  /** Takes the writes back to what they were; `saved` can be used again. */
  restore(saved: SavedPart): void {
    for (const { overlay } of this.#tables.values()) {
      const before = saved.get(overlay);
      if (before === undefined) overlay.clear();
      else overlay.restore(before);
    }
  }

  /** Forgets the tables that nothing was written to: the next to use the part may name other codecs. */
  forgetUnwritten(): void {
    for (const [name, { overlay }] of this.#tables) if (overlay.isEmpty) this.#tables.delete(name);
  }

  /** Forgets what was done, which is not needed beyond the encoding: collectors work less. */
  forget(): void {
    this.#tables = NO_TABLES;
  }

  release(): void {
    this.forget();
    this.view.release();
  }
}

/** Where there is no table, only a new entry is a reason to make one. */
function mustBeApplied(overlay: Overlay): boolean {
  return !overlay.isEmpty && (overlay.base.resolve() !== undefined || overlay.sets);
}
