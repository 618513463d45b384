/**
 * One column family as a state machine without threads: begin a group, apply transactions to it,
 * seal it, publish it or discard it; hand the state over to a checkpoint.
 *
 * Invariants: a transaction is refused before it changes anything, or applied whole, or the group is
 * discarded with it; the published state changes only by {@linkcode FamilyEngine.publish}; between
 * publications of c and c + 2 the family is asked whether a checkpoint pins c, so that the state of c
 * is still known when it is handed over.
 *
 * @module
 */

import { type ErrorCode, ManifoldError } from "../errors.ts";
import type { Control } from "../memory/control.ts";
import type { Epochs } from "../memory/epochs.ts";
import {
  copyFamilyState,
  decodeName,
  type FamilyEntry,
  type FamilySlots,
  type FamilyState,
  ID_MAX,
  NAME_BYTES_MAX,
  newFamilyEntry,
  newFamilyState,
} from "../memory/family_slots.ts";
import type { Pins } from "../memory/pins.ts";
import { decodeText } from "../memory/utf8.ts";
import type { Extents } from "../storage/extents.ts";
import {
  overflowPages,
  readOverflow,
  VALUE_BYTES_MAX,
  writeOverflow,
} from "../storage/overflow.ts";
import { PageAllocator } from "../storage/page_allocator.ts";
import type { PageStore } from "../storage/page_store.ts";
import { insert } from "../tree/insert.ts";
import { inlineBytesMax, keyBytesMax, OVERFLOW_PAYLOAD_BYTES } from "../tree/page.ts";
import { dropTree, removeRange } from "../tree/range.ts";
import { remove } from "../tree/remove.ts";
import { type Bound, TreeRoot } from "../tree/root.ts";
import { catalogRoot, encodeTableEntry, listTables, type TableEntry } from "./catalog.ts";
import { FamilyPager } from "./family_pager.ts";
import {
  encodeOperation,
  OP_CREATE_FAMILY,
  OP_CREATE_TABLE,
  OP_DELETE,
  OP_DELETE_RANGE,
  OP_DROP_FAMILY,
  OP_DROP_TABLE,
  OP_OPEN_TABLE,
  OP_SET,
  type OperationMemory,
  OperationReader,
  RANGE_HAS_LOWER,
  RANGE_HAS_UPPER,
  RANGE_LOWER_INCLUSIVE,
  RANGE_UPPER_INCLUSIVE,
  TABLE_ALIAS,
} from "../log/operations.ts";
import { type PresentTables, readsHold } from "./reads.ts";
import {
  DETAIL_CODECS,
  DETAIL_CONFLICT,
  DETAIL_KEY,
  DETAIL_TABLE_GONE,
  DETAIL_VALUE,
} from "./requests.ts";

/** Two names of codecs, and what joins them. */
const CODECS_BYTES_MAX = 2 * NAME_BYTES_MAX + 1;

/** What a family's engine works with. */
export interface FamilyParts {
  readonly control: Control;
  readonly slots: FamilySlots;
  readonly extents: Extents;
  readonly epochs: Epochs;
  readonly pins: Pins;
  readonly store: PageStore;
}

/** Why a transaction was refused before it changed anything. */
export class Refusal {
  constructor(readonly code: ErrorCode, readonly detail: number) {}
}

/** Where accepted operations go: the log's record in the making. */
export interface OperationSink {
  /** Copies operations; returns where they stand now. */
  append(source: Uint8Array, from: number, to: number): number;
  /** Rewrites the table id of the operation that was appended at `at`. */
  setTable(at: number, table: number): void;
}

interface OpenTable {
  readonly name: string;
  readonly entry: TableEntry;
  /** The root before the group changed it. */
  readonly before: TreeRoot;
  changed: boolean;
}

export class FamilyEngine implements PresentTables {
  readonly slot: number;
  readonly id: number;
  readonly name: string;
  readonly pager: FamilyPager;
  readonly #parts: FamilyParts;
  readonly #allocator: PageAllocator;
  /** The state that is published. */
  readonly #published = newFamilyState();
  /** The state that was published before. */
  readonly #previous = newFamilyState();
  /** The state that the group in the making will publish. */
  readonly #next = newFamilyState();
  #groupOpen = false;
  #sealed = false;
  #byId = new Map<number, OpenTable>();
  #byName = new Map<string, OpenTable>();
  #changed: OpenTable[] = [];
  /** Whether tables were made or dropped in the group. */
  #tablesChanged = false;
  /** What was handed over last. */
  #handed: FamilyEntry = newFamilyEntry();
  readonly #reader = new OperationReader();
  readonly #payloadWords = new Uint32Array(5);
  readonly #payload = new Uint8Array(this.#payloadWords.buffer);

  constructor(parts: FamilyParts, slot: number) {
    this.#parts = parts;
    this.slot = slot;
    this.id = parts.slots.id(slot);
    this.name = parts.slots.name(slot);
    this.#allocator = new PageAllocator(
      parts.store.arena.pageSize,
      (pages) => parts.extents.take(pages, this.id),
    );
    this.pager = new FamilyPager({
      control: parts.control,
      slots: parts.slots,
      epochs: parts.epochs,
      pins: parts.pins,
      store: parts.store,
      allocator: this.#allocator,
      slot,
      family: this.id,
      name: this.name,
    });
    this.#load();
  }

  /** The version that is published. */
  get version(): number {
    return this.#published.version;
  }

  /** Whether a group is in the making. */
  get groupOpen(): boolean {
    return this.#groupOpen;
  }

  /** Pages of all segments, pages in use, pages waiting to be given back. */
  get pageCounts(): { pages: number; used: number; retired: number } {
    return {
      pages: this.#allocator.pages,
      used: this.#allocator.used,
      retired: this.pager.retired.pages,
    };
  }

  /** Takes over the durable state when the worker meets the family first. */
  #load(): void {
    const { slots, store, epochs } = this.#parts;
    store.family = this.slot;
    store.familyName = this.name;
    slots.readDurable(this.slot, this.#handed);
    slots.read(this.slot, this.#published);
    copyFamilyState(this.#published, this.#previous);
    copyFamilyState(this.#published, this.#next);
    epochs.enter();
    try {
      const { image, imageBytes } = this.#handed;
      const bits = imageBytes > 0 ? readOverflow(store, image, 0, imageBytes) : new Uint8Array(0);
      const extents = this.#parts.extents.list().filter((one) =>
        !one.free && one.owner === this.id
      );
      this.#allocator.restore(
        bits,
        extents,
        `${store.file.path}: the allocator image, at page ${
          image[0]
        }, of column family "${this.name}"`,
      );
      this.#loadTables();
    } finally {
      epochs.leave();
    }
  }

  #loadTables(): void {
    this.#byId.clear();
    this.#byName.clear();
    for (const { name, entry } of listTables(this.pager, this.#published)) {
      this.#addTable(name, entry);
    }
  }

  #addTable(name: string, entry: TableEntry): OpenTable {
    const table = { name, entry, before: entry.root.clone(), changed: false };
    this.#byId.set(entry.id, table);
    this.#byName.set(name, table);
    return table;
  }

  /**
   * Begins a group. `version` is the one after the published; a recovery, which applies many records
   * as one group, says the last of them.
   */
  beginGroup(version: number = this.#published.version + 1): void {
    this.#groupOpen = true;
    this.#sealed = false;
    copyFamilyState(this.#published, this.#next);
    this.#next.version = version;
    this.pager.begin(version);
    this.pager.reclaim();
  }

  /**
   * Applies one transaction, and appends what was accepted to `sink`. Returns how many entries it removed.
   *
   * @throws {Refusal} before anything was changed;
   * @throws {ManifoldError} in the middle: the group must be discarded.
   */
  apply(memory: OperationMemory, from: number, to: number, sink: OperationSink | null): number {
    const opened = this.#check(memory, from, to);
    this.#parts.epochs.enter();
    try {
      return this.#applyChecked(memory, from, to, sink, opened);
    } finally {
      this.#parts.epochs.leave();
    }
  }

  /**
   * Refuses a transaction if something that it has read is not the same any more in the group in the
   * making. The version that it read must be pinned.
   *
   * @throws {Refusal}
   */
  checkReads(memory: OperationMemory, from: number, to: number): void {
    this.pager.begin(this.#next.version);
    this.#parts.epochs.enter();
    try {
      if (readsHold(this.pager, this, memory, from, to)) return;
    } finally {
      this.#parts.epochs.leave();
    }
    throw new Refusal("conflict", DETAIL_CONFLICT);
  }

  treeOf(id: number, name: () => Uint8Array): TreeRoot | undefined {
    const table = this.#byId.get(id) ?? this.#byName.get(decodeText(name()));
    return table?.entry.root;
  }

  #applyChecked(
    memory: OperationMemory,
    from: number,
    to: number,
    sink: OperationSink | null,
    opened: boolean,
  ): number {
    const { u8 } = memory;
    const reader = this.#reader;
    this.pager.begin(this.#next.version);
    let removed = 0;
    const names: number[] = [];
    if (!opened) sink?.append(u8, from, to);
    reader.begin(memory, from, to);
    while (reader.next()) {
      switch (reader.kind) {
        case OP_OPEN_TABLE:
          names.push(this.#openTable(reader.key(), reader.value(), sink));
          break;
        case OP_CREATE_TABLE:
          this.#createTable(reader.key(), reader.value(), reader.table);
          break;
        case OP_CREATE_FAMILY:
        case OP_DROP_FAMILY:
          break; // what they mean for the family's slot is the writer's business
        case OP_DROP_TABLE:
          removed += this.#dropTable(this.#byId.get(reader.table)!);
          break;
        default: {
          if (opened) {
            // The caller's memory stays as it is: the transaction may have to be applied again.
            if (reader.table >= TABLE_ALIAS) reader.table = names[reader.table - TABLE_ALIAS];
            if (sink !== null) {
              sink.setTable(sink.append(u8, reader.start, reader.end), reader.table);
            }
          }
          const table = this.#byId.get(reader.table)!;
          if (reader.kind === OP_SET) this.#set(table, u8, reader);
          else if (reader.kind === OP_DELETE) removed += this.#delete(table, u8, reader);
          else if (reader.kind === OP_DELETE_RANGE) removed += this.#deleteRange(table, reader);
        }
      }
    }
    return removed;
  }

  /** Refuses a transaction that cannot be applied; says whether it opens tables by name. */
  #check(memory: OperationMemory, from: number, to: number): boolean {
    const reader = this.#reader;
    const pageSize = this.#parts.store.arena.pageSize;
    let names = 0;
    const made = new Set<number>();
    reader.begin(memory, from, to);
    while (reader.next()) {
      if (reader.kind === OP_OPEN_TABLE) {
        names++;
        const table = this.#byName.get(decodeText(reader.key()));
        if (table !== undefined && table.entry.codecs !== decodeText(reader.value())) {
          throw new Refusal("type-mismatch", DETAIL_CODECS);
        }
        continue;
      }
      if (reader.kind === OP_CREATE_TABLE) made.add(reader.table);
      if (reader.kind > OP_DROP_TABLE || reader.kind === OP_CREATE_TABLE) continue;
      const known = reader.table >= TABLE_ALIAS
        ? reader.table - TABLE_ALIAS < names
        : this.#byId.has(reader.table) || made.has(reader.table);
      if (!known) throw new Refusal("not-found", DETAIL_TABLE_GONE);
      if (reader.kind === OP_DELETE_RANGE) continue;
      if (reader.keyLength > keyBytesMax(pageSize)) throw new Refusal("too-large", DETAIL_KEY);
      if (reader.valueLength > VALUE_BYTES_MAX) throw new Refusal("too-large", DETAIL_VALUE);
    }
    return names > 0;
  }

  #touch(table: OpenTable): TreeRoot {
    if (!table.changed) {
      table.changed = true;
      table.before.copyFrom(table.entry.root);
      this.#changed.push(table);
    }
    this.pager.table = table.entry.id;
    return table.entry.root;
  }

  #set(table: OpenTable, u8: Uint8Array, op: OperationReader): void {
    const root = this.#touch(table);
    const { keyOffset, keyLength, valueOffset, valueLength } = op;
    if (
      keyLength + valueLength <= inlineBytesMax(this.#parts.store.arena.pageSize) ||
      valueLength <= OVERFLOW_PAYLOAD_BYTES
    ) {
      insert(this.pager, root, u8, keyOffset, keyLength, u8, valueOffset, valueLength, false);
      return;
    }
    this.pager.writeOverflow(
      u8.subarray(valueOffset, valueOffset + valueLength),
      this.#payloadWords,
    );
    insert(
      this.pager,
      root,
      u8,
      keyOffset,
      keyLength,
      this.#payload,
      0,
      OVERFLOW_PAYLOAD_BYTES,
      true,
    );
  }

  #delete(table: OpenTable, u8: Uint8Array, op: OperationReader): number {
    return remove(this.pager, this.#touch(table), u8, op.keyOffset, op.keyLength) ? 1 : 0;
  }

  #deleteRange(table: OpenTable, op: OperationReader): number {
    const bound = (has: number, inclusive: number, key: () => Uint8Array): Bound | null =>
      op.flags & has ? { key: key(), inclusive: (op.flags & inclusive) !== 0 } : null;
    return removeRange(
      this.pager,
      this.#touch(table),
      bound(RANGE_HAS_LOWER, RANGE_LOWER_INCLUSIVE, () => op.key()),
      bound(RANGE_HAS_UPPER, RANGE_UPPER_INCLUSIVE, () => op.value()),
    );
  }

  /** The id of a table, which is made if there is none of that name. */
  #openTable(name: Uint8Array, codecs: Uint8Array, sink: OperationSink | null): number {
    const known = this.#byName.get(decodeText(name));
    if (known !== undefined) return known.entry.id;
    const id = this.#next.nextTableId;
    this.#createTable(name, codecs, id);
    if (sink !== null) {
      const operation = encodeOperation(OP_CREATE_TABLE, id, name, codecs);
      sink.append(operation, 0, operation.length);
    }
    return id;
  }

  #createTable(nameBytes: Uint8Array, codecs: Uint8Array, id: number): void {
    const name = decodeName(nameBytes);
    // A log can say anything; a caller's name was checked by who took it.
    if (
      name === undefined || this.#byName.has(name) || id === 0 || id > ID_MAX ||
      this.#byId.has(id) || codecs.length > CODECS_BYTES_MAX
    ) {
      throw new ManifoldError(
        "corrupt",
        `the table ${id}, ${JSON.stringify(name)}, cannot be made in column family "${this.name}"`,
      );
    }
    this.#next.nextTableId = Math.max(this.#next.nextTableId, id + 1);
    this.#tablesChanged = true;
    const table = this.#addTable(name, {
      id,
      codecs: decodeText(codecs),
      root: new TreeRoot(),
    });
    this.#touch(table);
  }

  #dropTable(table: OpenTable): number {
    const { root, id } = table.entry;
    const { count } = root;
    this.#touch(table);
    dropTree(this.pager, root);
    this.#byId.delete(id);
    this.#byName.delete(table.name);
    this.#tablesChanged = true;
    this.#removeFromCatalog(table.name);
    return count;
  }

  #removeFromCatalog(name: string): void {
    const key = new TextEncoder().encode(name);
    this.#changeCatalog((root) => remove(this.pager, root, key, 0, key.length));
  }

  #changeCatalog(change: (root: TreeRoot) => void): void {
    this.pager.table = 0;
    const root = catalogRoot(this.#next);
    change(root);
    this.#next.root.set(root.ref);
    this.#next.height = root.height;
    this.#next.tables = root.count;
  }

  /** Writes the catalog's entries of all tables that the group has changed. */
  seal(): void {
    this.pager.begin(this.#next.version);
    this.#parts.epochs.enter();
    try {
      for (const table of this.#changed) {
        if (this.#byId.get(table.entry.id) !== table) continue;
        const key = new TextEncoder().encode(table.name);
        const value = encodeTableEntry(table.entry);
        this.#changeCatalog((root) =>
          insert(this.pager, root, key, 0, key.length, value, 0, value.length, false)
        );
      }
    } finally {
      this.#parts.epochs.leave();
    }
    this.#sealed = true;
  }

  /** Makes the sealed group the published state. Under the publish lock. */
  publish(): void {
    this.#parts.slots.publish(this.slot, this.#next);
  }

  /** Gets the sealed group's state ready, so that another worker can publish it with others'. @throws {ManifoldError} */
  prepare(): void {
    this.pager.writeLargeGroup();
    this.#parts.slots.prepare(this.slot, this.#next);
  }

  /** What remains to be done once the group is published and the lock is given up. */
  afterPublish(): void {
    copyFamilyState(this.#published, this.#previous);
    copyFamilyState(this.#next, this.#published);
    this.pager.published();
    this.#tellRetired();
    this.#forgetChanges();
    this.#endGroup();
  }

  /** Undoes the group in the making. */
  discard(): void {
    // A private version that was handed over will be made again, with other pages.
    if (this.#handed.version === this.#next.version) this.#handed.version = -1;
    this.#parts.slots.unprepare(this.slot);
    this.pager.discard();
    for (const table of this.#changed) table.entry.root.copyFrom(table.before);
    const reload = this.#tablesChanged;
    this.#forgetChanges();
    this.#endGroup();
    if (!reload) return;
    this.#parts.epochs.enter();
    try {
      this.#loadTables();
    } finally {
      this.#parts.epochs.leave();
    }
  }

  #forgetChanges(): void {
    for (const table of this.#changed) table.changed = false;
    this.#changed = [];
    this.#tablesChanged = false;
  }

  #endGroup(): void {
    this.#groupOpen = false;
    this.#sealed = false;
  }

  /** Gives back what can be, outside a group. */
  reclaim(): boolean {
    const more = this.pager.reclaim();
    this.#tellRetired();
    return more;
  }

  #tellRetired(): void {
    this.#parts.slots.setRetiredPages(this.slot, this.pager.retired.pages);
  }

  /**
   * Hands the state over that the checkpoint in progress pins, if it pins one and has not got it. May
   * be called whenever no operation is in the middle. Says whether it did, or had to refuse: what cannot
   * be written, for want of room perhaps, makes the checkpoint fail and nothing else.
   */
  handOver(checkpoint: number): boolean {
    const { slots } = this.#parts;
    const version = slots.checkpointVersion(this.slot);
    if (version < 0 || slots.handedOver(this.slot) === checkpoint) return false;
    if (version !== this.#handed.version || this.#handed.imageBytes === 0) {
      try {
        this.#handed = this.#entryOf(version);
      } catch (error) {
        if (!(error instanceof ManifoldError) || error.code === "failed") throw error;
        slots.refuseHandOver(this.slot, checkpoint, error.code);
        return true;
      }
    }
    slots.handOver(this.slot, checkpoint, this.#handed);
    return true;
  }

  #entryOf(version: number): FamilyEntry {
    const retired = this.pager.retired;
    let state: FamilyState;
    let absent: number[];
    const open = this.#groupOpen ? this.pager.freshRuns(false) : [];
    if (this.#sealed && version === this.#next.version && version !== this.#published.version) {
      state = this.#next; // a bypassing transaction: what it retires is not in use any more
      absent = retired.unusedAt(version, true);
    } else if (version === this.#published.version) {
      state = this.#published;
      absent = [...retired.unusedAt(version, false), ...open];
    } else if (version === this.#previous.version) {
      state = this.#previous;
      absent = [...retired.unusedAt(version, false), ...open, ...this.pager.freshRuns(true)];
    } else {
      throw new ManifoldError(
        "failed",
        `column family "${this.name}" is at version ${this.version} and cannot hand over ${version}`,
      );
    }
    const entry = newFamilyEntry();
    copyFamilyState(state, entry);
    this.#writeImage(entry, version, absent);
    return entry;
  }

  /** Writes the allocator image to pages of its own, in use from this checkpoint to the next. */
  #writeImage(entry: FamilyEntry, version: number, absent: number[]): void {
    const { pageSize } = this.#parts.store.arena;
    const last = this.#handed;
    let pages = 0;
    for (;;) {
      const needed = overflowPages(this.#allocator.imageBytes, pageSize);
      if (pages > 0 && needed <= pages) break;
      if (pages > 0) this.#allocator.giveBack(entry.image[0], pages); // a new segment made it longer
      pages = needed;
      this.pager.takeRun(pages, version, entry.image);
    }
    const lastPages = last.imageBytes > 0 ? overflowPages(last.imageBytes, pageSize) : 0;
    if (lastPages > 0) absent.push(last.image[0], lastPages);
    const image = this.#allocator.image(absent, entry.image[0], pages);
    entry.imageBytes = image.length;
    entry.pages = this.#allocator.imagePages;
    try {
      writeOverflow(this.#parts.store, entry.image, 0, this.id, 0, image);
    } catch (error) {
      this.#allocator.giveBack(entry.image[0], pages);
      throw error;
    }
    if (lastPages > 0) {
      // An image serves the checkpoint of its own version alone; none, if that checkpoint failed.
      const birth = last.image[1] + last.image[2] * 2 ** 32;
      this.pager.retireRun(last.image, lastPages, this.#isDurableImage(last.image) ? birth + 1 : 0);
    }
  }

  #isDurableImage(image: Uint32Array): boolean {
    const durable = newFamilyEntry();
    this.#parts.slots.readDurable(this.slot, durable);
    return durable.imageBytes > 0 && image.every((word, i) => word === durable.image[i]);
  }

  /** The worker ends. */
  close(): void {
    this.pager.close();
  }
}
