/**
 * How the operations of a transaction are checked and applied to a family's tables.
 *
 * @module
 */

import { decodeText } from "../memory/utf8.ts";
import { VALUE_BYTES_MAX } from "../storage/overflow.ts";
import type { PageStore } from "../storage/page_store.ts";
import { keyBytesMax } from "../tree/page.ts";
import type { Bound, TreeRoot } from "../tree/root.ts";
import type { ChangeRecorder } from "./change_recorder.ts";
import type { FamilyPager } from "./family_pager.ts";
import type { FamilyTables, OpenTable } from "./family_tables.ts";
import { oldEntries, oldValue } from "./old_entries.ts";
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
import { DETAIL_CODECS, DETAIL_KEY, DETAIL_TABLE_GONE, DETAIL_VALUE, Refusal } from "./requests.ts";
import { SORTED_MAX, SortedWrites, WriteOrder } from "./write_order.ts";

/** Writes of transactions from so many bytes of operations on are applied in the order of their keys. */
const SORTED_BYTES_MIN = 2 ** 20;
/** So many tables' writes wait to be sorted at once. */
const SORTED_TABLES_MAX = 16;

/** Where accepted operations go: the log's record in the making. */
export interface OperationSink {
  /** Copies operations; returns where they stand now. */
  append(source: Uint8Array, from: number, to: number): number;
  /** Rewrites the table id of the operation that was appended at `at`. */
  setTable(at: number, table: number): void;
}

/** What operations are applied with. */
export interface ApplicationParts {
  readonly tables: FamilyTables;
  readonly pager: FamilyPager;
  readonly store: PageStore;
  readonly changes: ChangeRecorder;
}

export class Application {
  readonly #tables: FamilyTables;
  readonly #pager: FamilyPager;
  readonly #store: PageStore;
  readonly #changes: ChangeRecorder;
  readonly #reader = new OperationReader();
  readonly #sorted: SortedWrites;
  readonly #gatherReader = new OperationReader();
  /** Writes that wait to be sorted, by table; those that were gathered are all in one memory. */
  readonly #orders = new Map<OpenTable, WriteOrder>();
  readonly #spareOrders: WriteOrder[] = [];
  /** Whether those that wait are being applied. */
  #applies = false;

  constructor({ tables, pager, store, changes }: ApplicationParts) {
    this.#tables = tables;
    this.#pager = pager;
    this.#store = store;
    this.#changes = changes;
    this.#sorted = new SortedWrites(tables.inlineBytesMax);
  }

  /** Refuses a transaction that cannot be applied; says whether it opens tables by name. @throws {Refusal} */
  check(memory: OperationMemory, from: number, to: number): boolean {
    const reader = this.#reader;
    const keyMax = keyBytesMax(this.#store.arena.pageSize);
    let names = 0;
    const made = new Set<number>();
    reader.begin(memory, from, to);
    while (reader.next()) {
      if (reader.kind === OP_OPEN_TABLE) {
        names++;
        const table = this.#tables.byName(reader.key());
        if (table !== undefined && table.entry.codecs !== decodeText(reader.value())) {
          throw new Refusal("type-mismatch", DETAIL_CODECS);
        }
        continue;
      }
      if (reader.kind === OP_CREATE_TABLE) made.add(reader.table);
      if (reader.kind > OP_DROP_TABLE || reader.kind === OP_CREATE_TABLE) continue;
      const known = reader.table >= TABLE_ALIAS
        ? reader.table - TABLE_ALIAS < names
        : this.#tables.byId(reader.table) !== undefined || made.has(reader.table);
      if (!known) throw new Refusal("not-found", DETAIL_TABLE_GONE);
      if (reader.kind === OP_DELETE_RANGE) continue;
      checkLengths(reader, keyMax);
    }
    return names > 0;
  }

  /** The table of a write. @throws {Refusal} */
  #checkWrite(reader: OperationReader): OpenTable {
    const table = this.#tables.byId(reader.table);
    if (table === undefined) throw new Refusal("not-found", DETAIL_TABLE_GONE);
    checkLengths(reader, keyBytesMax(this.#store.arena.pageSize));
    return table;
  }

  /**
   * Applies a transaction that was checked, which said whether it has `opened` tables; appends it to `sink`. Returns how
   * many entries it removed or replaced. Inside an epoch.
   *
   * @throws {ManifoldError} in the middle: the group must be discarded.
   */
  apply(
    memory: OperationMemory,
    from: number,
    to: number,
    sink: OperationSink | null,
    opened: boolean,
  ): number {
    this.#forgetOrders();
    this.#applies = false;
    const { u8 } = memory;
    const reader = this.#reader;
    const tables = this.#tables;
    let removed = 0;
    const names: number[] = [];
    if (!opened) sink?.append(u8, from, to);
    // Changes are told in the order in which they were asked for.
    const sorts = to - from >= SORTED_BYTES_MIN && !this.#changes.wanted;
    reader.begin(memory, from, to);
    while (reader.next()) {
      const isWrite = reader.kind === OP_SET || reader.kind === OP_DELETE;
      if (!isWrite) removed += this.#applySorted(memory);
      switch (reader.kind) {
        case OP_OPEN_TABLE:
          names.push(this.#openTable(reader.key(), reader.value(), sink));
          break;
        case OP_CREATE_TABLE:
          tables.create(reader.key(), reader.value(), reader.table);
          break;
        case OP_CREATE_FAMILY:
          if (reader.keyLength > 0) tables.keepChanges(reader.key());
          break;
        case OP_DROP_FAMILY:
          break; // what it means for the family's slot is the writer's business
        case OP_DROP_TABLE:
          removed += this.#dropTable(tables.byId(reader.table)!);
          break;
        default: {
          if (opened) {
            // The caller's memory stays as it is: the transaction may have to be applied again.
            if (reader.table >= TABLE_ALIAS) reader.table = names[reader.table - TABLE_ALIAS];
            if (sink !== null) {
              sink.setTable(sink.append(u8, reader.start, reader.end), reader.table);
            }
          }
          const table = tables.byId(reader.table)!;
          if (!isWrite) removed += this.#deleteRange(table, reader);
          else if (!sorts) removed += this.#write(table, reader);
          else removed += this.#order(table, reader);
        }
      }
    }
    return removed + this.#applySorted(memory);
  }

  /**
   * Applies what a recovery reads: writes wait for more of them, in the same memory, until {@linkcode applyGathered};
   * what is none is applied at once, behind all that wait. Inside an epoch.
   *
   * @throws {Refusal | ManifoldError} The group must be discarded.
   */
  gather(memory: OperationMemory, from: number, to: number): void {
    const reader = this.#gatherReader;
    reader.begin(memory, from, to);
    while (reader.next()) {
      const { kind, start, end } = reader;
      if ((kind === OP_SET || kind === OP_DELETE) && !this.#changes.wanted) {
        this.#order(this.#checkWrite(reader), reader);
        continue;
      }
      this.applyGathered(memory);
      this.apply(memory, start, end, null, this.check(memory, start, end));
    }
  }

  /** Applies what was gathered from a memory. Throws as {@linkcode gather}. */
  applyGathered(memory: OperationMemory): void {
    this.#applySorted(memory);
  }

  /** The group is over: what waits of one that was given up is forgotten, and the memory of all. */
  endGathering(): void {
    this.#applies = false;
    this.#orders.clear();
    this.#spareOrders.length = 0;
  }

  /** Where the gathered operation begins that could not be applied; -1 if the one that was asked for could not. */
  get failedAt(): number {
    return this.#applies ? this.#sorted.start : -1;
  }

  /** What a group that was given up has left. */
  #forgetOrders(): void {
    for (const order of this.#orders.values()) {
      order.clear();
      this.#spareOrders.push(order);
    }
    this.#orders.clear();
  }

  /** Has the write wait to be sorted; applies all that wait when they are too many. Returns as {@linkcode apply}. */
  #order(table: OpenTable, reader: OperationReader): number {
    let removed = 0;
    let order = this.#orders.get(table);
    if (order === undefined) {
      if (this.#orders.size === SORTED_TABLES_MAX) removed = this.#applySorted(reader.memory);
      order = this.#spareOrders.pop() ?? new WriteOrder();
      this.#orders.set(table, order);
    }
    order.add(reader);
    return order.count < SORTED_MAX ? removed : removed + this.#applySorted(reader.memory);
  }

  /** Applies the writes that wait, all in `memory`; how many entries they removed or replaced. */
  #applySorted(memory: OperationMemory): number {
    if (this.#orders.size === 0) return 0;
    let removed = 0;
    this.#applies = true;
    for (const [table, order] of this.#orders) {
      this.#sorted.sort(order, memory);
      removed += this.#writeSorted(table);
    }
    this.#applies = false;
    this.#forgetOrders();
    return removed;
  }

  /** Applies sorted writes to a table; returns how many entries they removed or replaced. */
  #writeSorted(table: OpenTable): number {
    const sorted = this.#sorted;
    const { root } = table.entry;
    let removed = 0;
    sorted.nextWrite();
    while (sorted.isThere) {
      const { count } = root;
      const set = sorted.isEntry ? this.#tables.putRun(table, sorted) : 0;
      removed += set - (set > 0 ? root.count - count : 0);
      if (set > 0) continue;
      removed += this.#write(table, sorted);
      sorted.nextWrite();
    }
    return removed;
  }

  /** Sets or deletes the entry that the operation says; returns how many entries it removed or replaced. */
  #write(table: OpenTable, op: OperationReader): number {
    const { kind, keyOffset, keyLength, valueOffset, valueLength, memory: { u8 } } = op;
    const tables = this.#tables;
    if (kind === OP_DELETE) {
      if (this.#changes.wanted && !this.#tell(table, op.key(), undefined)) return 0;
      return tables.remove(table, u8, keyOffset, keyLength) ? 1 : 0;
    }
    if (this.#changes.wanted) this.#tell(table, op.key(), op.value());
    const replaced = tables.put(table, u8, keyOffset, keyLength, u8, valueOffset, valueLength);
    return replaced ? 1 : 0;
  }

  #deleteRange(table: OpenTable, op: OperationReader): number {
    const bound = (has: number, inclusive: number, key: () => Uint8Array): Bound | null =>
      op.flags & has ? { key: key(), inclusive: (op.flags & inclusive) !== 0 } : null;
    const lower = bound(RANGE_HAS_LOWER, RANGE_LOWER_INCLUSIVE, () => op.key());
    const upper = bound(RANGE_HAS_UPPER, RANGE_UPPER_INCLUSIVE, () => op.value());
    if (this.#changes.wanted) this.#tellRange(table, lower, upper);
    return this.#tables.removeRange(table, lower, upper);
  }

  /** The id of a table, which is made if there is none of that name. */
  #openTable(name: Uint8Array, codecs: Uint8Array, sink: OperationSink | null): number {
    const known = this.#tables.byName(name);
    if (known !== undefined) return known.entry.id;
    const id = this.#tables.nextId;
    this.#tables.create(name, codecs, id);
    if (sink !== null) {
      const operation = encodeOperation(OP_CREATE_TABLE, id, name, codecs);
      sink.append(operation, 0, operation.length);
    }
    return id;
  }

  #dropTable(table: OpenTable): number {
    if (this.#changes.wanted) {
      this.#tellRange(table, null, null);
      this.#changes.tellTableGone(table.label);
    }
    return this.#tables.drop(table);
  }

  /** Tells a change of one entry, before it is made; false if there is nothing to change. */
  #tell(table: OpenTable, key: Uint8Array, value: Uint8Array | undefined): boolean {
    const previous = oldValue(this.#pager, this.#store, table.entry.root, key);
    if (previous === undefined && value === undefined) return false;
    this.#changes.tell({ table: table.label, key, previous, value });
    return true;
  }

  /** Tells that the entries of a range go, before they do. */
  #tellRange(table: OpenTable, lower: Bound | null, upper: Bound | null): void {
    const root: TreeRoot = table.entry.root;
    for (;;) {
      const entries = oldEntries(this.#pager, this.#store, root, lower, upper);
      if (entries.length === 0) return;
      for (const { key, value: previous } of entries) {
        this.#changes.tell({ table: table.label, key, previous, value: undefined });
      }
      lower = { key: entries[entries.length - 1].key, inclusive: false };
    }
  }
}

/** @throws {Refusal} */
function checkLengths(reader: OperationReader, keyMax: number): void {
  if (reader.keyLength > keyMax) throw new Refusal("too-large", DETAIL_KEY);
  if (reader.valueLength > VALUE_BYTES_MAX) throw new Refusal("too-large", DETAIL_VALUE);
}
