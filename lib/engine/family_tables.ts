/**
 * The tables of a family as the group in the making has them: their trees, and the catalog that names them.
 *
 * Invariants: a table's root before the group is known until the group ends, so that the group can be discarded;
 * the catalog says what the roots are once the group is sealed.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { decodeName, type FamilyState, ID_MAX, NAME_BYTES_MAX } from "../memory/family_slots.ts";
import { decodeText } from "../memory/utf8.ts";
import { getU53 } from "../storage/bytes.ts";
import type { PageStore } from "../storage/page_store.ts";
import { insert } from "../tree/insert.ts";
import { type EntryRun, insertRun } from "../tree/insert_run.ts";
import { inlineBytesMax, OVERFLOW_PAYLOAD_BYTES, staysInLeaf } from "../tree/page.ts";
import { dropTree, removeRange } from "../tree/range.ts";
import { remove } from "../tree/remove.ts";
import { type Bound, TreeRoot } from "../tree/root.ts";
import { catalogRoot, EncodedEntry, listTables, type TableEntry } from "./catalog.ts";
import type { ChangeRecorder } from "./change_recorder.ts";
import type { FamilyPager } from "./family_pager.ts";
import {
  CHANGES_TABLE,
  isKeepBytes,
  keepBytesOf,
  KeptChanges,
  keptCodecs,
} from "./kept_changes.ts";
import type { PresentTables } from "./reads.ts";

/** Two names of codecs, and what joins them. */
const CODECS_BYTES_MAX = 2 * NAME_BYTES_MAX + 1;

/** A table that the group in the making sees. */
export interface OpenTable {
  readonly name: string;
  readonly entry: TableEntry;
  /** The same in the catalog: its key and value. */
  readonly key: Uint8Array;
  readonly encoded: EncodedEntry;
  /** What it is called when changes are told: its name and the names of its codecs. */
  readonly label: Uint8Array;
  /** The root before the group changed it. */
  readonly before: TreeRoot;
  changed: boolean;
}

/** What a family's tables are made from. */
export interface FamilyTablesParts {
  readonly pager: FamilyPager;
  readonly store: PageStore;
  readonly changes: ChangeRecorder;
  /** The family's name. */
  readonly name: string;
  /** The state that the group in the making will publish; changed here. */
  readonly next: FamilyState;
}

export class FamilyTables implements PresentTables {
  readonly #parts: FamilyTablesParts;
  /** See `staysInLeaf`. */
  readonly inlineBytesMax: number;
  readonly #byId = new Map<number, OpenTable>();
  readonly #byName = new Map<string, OpenTable>();
  #changed: OpenTable[] = [];
  /** Whether tables were made or dropped in the group. */
  #tablesChanged = false;
  readonly #payloadWords = new Uint32Array(OVERFLOW_PAYLOAD_BYTES / 4);
  readonly #payload = new Uint8Array(this.#payloadWords.buffer);

  constructor(parts: FamilyTablesParts) {
    this.#parts = parts;
    this.inlineBytesMax = inlineBytesMax(parts.store.arena.pageSize);
  }

  /** Finds the tables of a state. Inside an epoch. */
  load(state: FamilyState): void {
    this.#byId.clear();
    this.#byName.clear();
    this.#parts.changes.kept = undefined;
    for (const { name, entry } of listTables(this.#parts.pager, state)) this.#add(name, entry);
  }

  #add(name: string, entry: TableEntry): OpenTable {
    const utf8 = new TextEncoder();
    const table = {
      name,
      entry,
      key: utf8.encode(name),
      encoded: new EncodedEntry(entry),
      label: utf8.encode(`${name}\0${entry.codecs}`),
      before: entry.root.clone(),
      changed: false,
    };
    this.#byId.set(entry.id, table);
    this.#byName.set(name, table);
    if (name === CHANGES_TABLE) this.#parts.changes.kept = this.#keptChanges(table);
    return table;
  }

  #keptChanges(table: OpenTable): KeptChanges {
    const { pager, store } = this.#parts;
    return new KeptChanges({
      pager,
      root: table.entry.root,
      values: store,
      set: (key, value) => this.put(table, key, 0, key.length, value, 0, value.length),
      removeRange: (lower, upper) => this.removeRange(table, lower, upper),
    }, keepBytesOf(table.entry.codecs));
  }

  byId(id: number): OpenTable | undefined {
    return this.#byId.get(id);
  }

  byName(name: Uint8Array): OpenTable | undefined {
    return this.#byName.get(decodeText(name));
  }

  treeOf(id: number, name: () => Uint8Array): TreeRoot | undefined {
    const table = this.byId(id) ?? this.byName(name());
    return table?.entry.root;
  }

  /** A table's tree, to be changed. */
  #touch(table: OpenTable): TreeRoot {
    if (!table.changed) {
      table.changed = true;
      table.before.copyFrom(table.entry.root);
      this.#changed.push(table);
    }
    this.#parts.pager.table = table.entry.id;
    return table.entry.root;
  }

  /** Sets an entry; says whether it has replaced one. */
  put(
    table: OpenTable,
    keys: Uint8Array,
    keyOffset: number,
    keyLength: number,
    values: Uint8Array,
    valueOffset: number,
    valueLength: number,
  ): boolean {
    const { pager } = this.#parts;
    const root = this.#touch(table);
    if (staysInLeaf(keyLength, valueLength, this.inlineBytesMax)) {
      return insert(
        pager,
        root,
        keys,
        keyOffset,
        keyLength,
        values,
        valueOffset,
        valueLength,
        false,
      );
    }
    pager.writeOverflow(
      values.subarray(valueOffset, valueOffset + valueLength),
      this.#payloadWords,
    );
    return insert(
      pager,
      root,
      keys,
      keyOffset,
      keyLength,
      this.#payload,
      0,
      OVERFLOW_PAYLOAD_BYTES,
      true,
    );
  }

  /** Sets entries that stay in a leaf: those of one leaf, see {@linkcode insertRun}. */
  putRun(table: OpenTable, entries: EntryRun): number {
    return insertRun(this.#parts.pager, this.#touch(table), entries);
  }

  /** Removes an entry; says whether there was one. */
  remove(table: OpenTable, keys: Uint8Array, keyOffset: number, keyLength: number): boolean {
    return remove(this.#parts.pager, this.#touch(table), keys, keyOffset, keyLength);
  }

  /** Removes the entries between two bounds (null: without end); how many there were. */
  removeRange(table: OpenTable, lower: Bound | null, upper: Bound | null): number {
    return removeRange(this.#parts.pager, this.#touch(table), lower, upper);
  }

  /** The id that the next table gets. */
  get nextId(): number {
    return this.#parts.next.nextTableId;
  }

  /** Makes a table, of which a log may say anything. @throws {ManifoldError} `corrupt` */
  create(nameBytes: Uint8Array, codecs: Uint8Array, id: number): void {
    const name = decodeName(nameBytes);
    // A caller's name was checked by who took it.
    if (
      name === undefined || this.#byName.has(name) || id === 0 || id > ID_MAX ||
      this.#byId.has(id) || codecs.length > CODECS_BYTES_MAX
    ) {
      throw new ManifoldError(
        "corrupt",
        `the table ${id}, ${
          JSON.stringify(name)
        }, cannot be made in column family "${this.#parts.name}"`,
      );
    }
    this.#make(name, decodeText(codecs), id);
  }

  /** Makes the table of the changes that the family keeps: `key` is that of the operation that makes the family. */
  keepChanges(key: Uint8Array): void {
    const keepBytes = key.length === 8 ? getU53(new DataView(key.buffer), 0) : NaN;
    // A log can say anything.
    if (!isKeepBytes(keepBytes) || this.nextId !== 1) {
      throw new ManifoldError(
        "corrupt",
        `column family "${this.#parts.name}" cannot be made to keep ${keepBytes} bytes of its changes`,
      );
    }
    this.#make(CHANGES_TABLE, keptCodecs(keepBytes), 1);
  }

  #make(name: string, codecs: string, id: number): void {
    const { next } = this.#parts;
    next.nextTableId = Math.max(next.nextTableId, id + 1);
    this.#tablesChanged = true;
    this.#touch(this.#add(name, { id, codecs, root: new TreeRoot() }));
  }

  /** Drops a table; how many entries it had. */
  drop(table: OpenTable): number {
    const { root, id } = table.entry;
    const { count } = root;
    this.#touch(table);
    dropTree(this.#parts.pager, root);
    this.#byId.delete(id);
    this.#byName.delete(table.name);
    this.#tablesChanged = true;
    const { key } = table;
    this.#changeCatalog((catalog) => remove(this.#parts.pager, catalog, key, 0, key.length));
    return count;
  }

  #changeCatalog(change: (root: TreeRoot) => void): void {
    const { pager, next } = this.#parts;
    pager.table = 0;
    const root = catalogRoot(next);
    change(root);
    next.root.set(root.ref);
    next.height = root.height;
    next.tables = root.count;
  }

  /** Writes the catalog's entries of all tables that the group has changed. Inside an epoch. */
  seal(): void {
    const { pager } = this.#parts;
    for (const table of this.#changed) {
      if (this.#byId.get(table.entry.id) !== table) continue;
      const { key } = table;
      const value = table.encoded.now();
      this.#changeCatalog((root) =>
        insert(pager, root, key, 0, key.length, value, 0, value.length, false)
      );
    }
  }

  /** The group is published: what it has changed is what there is. */
  published(): void {
    for (const table of this.#changed) table.changed = false;
    this.#changed = [];
    this.#tablesChanged = false;
  }

  /** Takes the group's changes back; says whether the tables have to be loaded anew. */
  discard(): boolean {
    for (const table of this.#changed) table.entry.root.copyFrom(table.before);
    const reload = this.#tablesChanged;
    this.published();
    return reload;
  }
}
