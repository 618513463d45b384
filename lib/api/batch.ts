/**
 * Several writes at once, all of them or none.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { BatchMultimap } from "./batch_multimap.ts";
import type { FamilyAccess } from "./family_access.ts";
import type { Multimap } from "./multimap.ts";
import { type NamedTable, OperationsWriter } from "./operations_writer.ts";
import type { Range } from "./range.ts";
import type { WriteOptions } from "./session.ts";
import { deletableRange, type Table, type TableTarget, targetOf } from "./table.ts";

/**
 * Writes that are collected and then committed together: all of them or none. They are applied in the
 * order of the calls, and never conflict. Made by `ColumnFamily.batch`.
 *
 * Keys and values are encoded at once and held in memory until the commit. The tables must belong to
 * the batch's column family (`invalid-argument`); a batch that was committed cannot be used again
 * (`closed`).
 *
 * @example
 * ```ts
 * import { openInMemory, text, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family = await db.columnFamily("shop");
 * const stock = family.table("stock", { key: text, value: u32 });
 * const prices = family.table("prices", { key: text, value: u32 });
 * await family.batch().set(stock, "apples", 3).set(prices, "apples", 120).commit();
 * ```
 */
export class Batch {
  readonly #access: FamilyAccess;
  readonly #writer: OperationsWriter;
  /** How operations call a table, by name and codecs. */
  readonly #addresses = new Map<string, number>();
  readonly #named: NamedTable[] = [];
  #size = 0;
  #committed = false;

  /** Column families make it. */
  constructor(access: FamilyAccess) {
    access.open.check();
    this.#access = access;
    this.#writer = new OperationsWriter(access.open.session.memory.shared.pageSize);
  }

  /** How many writes were collected. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds an entry to be put.
   *
   * Throws `too-large` for a key longer than a quarter of the page size or a value beyond 1 GiB,
   * `type-mismatch` when the table was made with other codecs, and what the codecs throw; the batch stays
   * as it was then.
   *
   * @param table A table of the batch's column family.
   * @param key The key.
   * @param value The value.
   * @returns The batch.
   */
  set<K, V>(table: Table<K, V>, key: K, value: V): this {
    const target = this.#target("set", table);
    const address = this.#address(target);
    if (address === undefined) {
      this.#first(target, (address) => this.#writer.set(address, target, key, value));
    } else this.#writer.set(address, target, key, value);
    this.#size++;
    return this;
  }

  /**
   * Adds an entry to be deleted, whether it is there or not. Throws as `set` does.
   *
   * @param table A table of the batch's column family.
   * @param key The key.
   * @returns The batch.
   */
  delete<K, V>(table: Table<K, V>, key: K): this {
    const target = this.#target("delete", table);
    const address = this.#address(target);
    if (address === undefined) {
      this.#first(target, (address) => this.#writer.delete(address, target, key));
    } else this.#writer.delete(address, target, key);
    this.#size++;
    return this;
  }

  /**
   * Adds a range to be deleted: what it has when the batch is applied, the batch's own earlier writes
   * included.
   *
   * @param table A table of the batch's column family.
   * @param range Which entries; `invalid-argument` with `reverse`, `limit` or `offset`, and else as
   * {@linkcode Range} says.
   * @returns The batch.
   */
  deleteRange<K, V>(table: Table<K, V>, range: Range<K>): this {
    const target = this.#target("deleteRange", table);
    const { lower, upper, empty } = deletableRange(target, range);
    const address = this.#address(target);
    if (empty) {
      // Nothing to do, and no reason to make the table.
    } else if (address === undefined) {
      this.#first(target, (address) => this.#writer.deleteRange(address, lower, upper));
    } else this.#writer.deleteRange(address, lower, upper);
    this.#size++;
    return this;
  }

  /**
   * The writes to a multimap.
   *
   * @param multimap A multimap of the batch's column family.
   * @returns What collects them in this batch.
   */
  multimap<K, V>(multimap: Multimap<K, V>): BatchMultimap<K, V> {
    return new BatchMultimap(this, multimap);
  }

  /**
   * Applies all writes, or none. Rejects as the writes of a {@linkcode Table} do; a batch without
   * writes resolves at once.
   *
   * @param options `durability`: when it resolves.
   */
  async commit(options?: WriteOptions): Promise<void> {
    const access = this.#access;
    this.#checkOpen("commit");
    const what = (): string => `batch of ${this.#size} writes to ${access.place}`;
    const client = access.writingClient(what);
    const flags = access.open.durabilityFlag(options);
    this.#writer.checkIdle();
    this.#committed = true;
    if (this.#size > 0) await access.apply(client, flags, this.#writer, this.#named, what);
    this.#writer.reset();
  }

  #checkOpen(what: string): void {
    this.#access.open.check();
    if (!this.#committed) return;
    throw new ManifoldError(
      "closed",
      `${what} in a batch of ${this.#access.place} that was committed; make a new batch`,
    );
  }

  #target<K, V>(what: string, table: Table<K, V>): TableTarget<K, V> {
    this.#checkOpen(what);
    const target = targetOf(table);
    if (target.access.isSame(this.#access)) return target;
    throw new ManifoldError(
      "invalid-argument",
      `${what}: table "${table.name}" belongs to ${target.access.place}, the batch to ` +
        `${this.#access.place}; use a table of the same column family and database`,
    );
  }

  /** What operations call a table that the batch has written to. */
  #address<K, V>({ name, codecs }: TableTarget<K, V>): number | undefined {
    return this.#addresses.get(`${name}\0${codecs}`);
  }

  /** Adds the first write to a table; if that throws, the table is not opened for its sake either. */
  #first<K, V>(target: TableTarget<K, V>, write: (address: number) => void): void {
    const { name, codecs } = target;
    const id = target.id();
    this.#writer.checkIdle();
    const before = this.#writer.mark();
    const address = id ?? this.#writer.openTable(name, codecs);
    try {
      write(address);
    } catch (error) {
      this.#writer.rollback(before);
      throw error;
    }
    this.#addresses.set(`${name}\0${codecs}`, address);
    if (id !== undefined) this.#named.push({ id, name, codecs });
  }
}
