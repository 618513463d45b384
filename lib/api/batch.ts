/**
 * Several writes at once, all of them or none.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import type { FamilyAccess, OpenSession } from "./family_access.ts";
import { JointCommit } from "./joint.ts";
import { type NamedTable, OperationsWriter } from "./operations_writer.ts";
import type { Range } from "./range.ts";
import type { WriteOptions } from "./session.ts";
import { deletableRange, type Table, type TableTarget, targetOf } from "./table.ts";

/** What a batch has for one column family. */
class FamilyBatch {
  readonly access: FamilyAccess;
  readonly writer: OperationsWriter;
  readonly named: NamedTable[] = [];
  /** How operations call a table, by name and codecs. */
  readonly #addresses = new Map<string, number>();

  constructor(access: FamilyAccess) {
    this.access = access;
    this.writer = new OperationsWriter(access.open.session.memory.shared.pageSize);
  }

  /** Adds a write to a table. If the first one throws, the table is not opened for its sake either. */
  add<K, V>(target: TableTarget<K, V>, write: (address: number) => void): void {
    const { name, codecs } = target;
    const key = `${name}\0${codecs}`;
    const known = this.#addresses.get(key);
    if (known !== undefined) {
      write(known);
      return;
    }
    const id = target.id();
    this.writer.checkIdle();
    const before = this.writer.mark();
    const address = id ?? this.writer.openTable(name, codecs);
    try {
      write(address);
    } catch (error) {
      this.writer.rollback(before);
      throw error;
    }
    this.#addresses.set(key, address);
    if (id !== undefined) this.named.push({ id, name, codecs });
  }
}

/**
 * Writes that are collected and then committed together: all of them or none. They are applied in the
 * order of the calls, and never conflict. Made by `ColumnFamily.batch` for tables of one column family, by
 * `Database.batch` for tables of any: then nobody sees some of them without the others in a `Database.snapshot`, and
 * no crash leaves some of them.
 *
 * Keys and values are encoded at once and held in memory until the commit. The tables must belong to
 * the batch's column family or database (`invalid-argument`); a batch that was committed cannot be used again
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
  readonly #open: OpenSession;
  /** The only family that it may write; undefined if it is the database's. */
  readonly #only: FamilyAccess | undefined;
  readonly #families = new Map<number, FamilyBatch>();
  #size = 0;
  #committed = false;

  /** Column families and databases make it. */
  constructor(open: OpenSession, only?: FamilyAccess) {
    open.check();
    this.#open = open;
    this.#only = only;
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
   * @param table A table of the batch's column family or database.
   * @param key The key.
   * @param value The value.
   * @returns The batch.
   */
  set<K, V>(table: Table<K, V>, key: K, value: V): this {
    const target = this.#target("set", table);
    const family = this.#familyOf(target);
    family.add(target, (address) => family.writer.set(address, target, key, value));
    this.#size++;
    return this;
  }

  /**
   * Adds an entry to be deleted, whether it is there or not. Throws as `set` does.
   *
   * @param table A table of the batch's column family or database.
   * @param key The key.
   * @returns The batch.
   */
  delete<K, V>(table: Table<K, V>, key: K): this {
    const target = this.#target("delete", table);
    const family = this.#familyOf(target);
    family.add(target, (address) => family.writer.delete(address, target, key));
    this.#size++;
    return this;
  }

  /**
   * Adds a range to be deleted: what it has when the batch is applied, the batch's own earlier writes
   * included.
   *
   * @param table A table of the batch's column family or database.
   * @param range Which entries; `invalid-argument` with `reverse`, `limit` or `offset`, and else as
   * {@linkcode Range} says.
   * @returns The batch.
   */
  deleteRange<K, V>(table: Table<K, V>, range: Range<K>): this {
    const target = this.#target("deleteRange", table);
    const { lower, upper, empty } = deletableRange(target, range);
    if (!empty) { // else there is no reason to make the table
      const family = this.#familyOf(target);
      family.add(target, (address) => family.writer.deleteRange(address, lower, upper));
    }
    this.#size++;
    return this;
  }

  /**
   * Applies all writes, or none. Rejects as the writes of a {@linkcode Table} do, also if only one of several
   * column families was deleted; a batch without writes resolves at once.
   *
   * @param options `durability`: when it resolves.
   */
  async commit(options?: WriteOptions): Promise<void> {
    const open = this.#open;
    this.#checkOpen("commit");
    const families = [...this.#families.values()];
    const what = (): string => `batch of ${this.#size} writes to ${this.#placeOf(families)}`;
    const client = open.client();
    for (const { access } of families) access.writingClient(what);
    const flags = open.durabilityFlag(options);
    for (const { writer } of families) writer.checkIdle();
    this.#committed = true;
    const writes = families.filter(({ writer }) => writer.byteLength > 0);
    if (writes.length === 1) {
      const [{ access, writer, named }] = writes;
      await access.apply(client, flags, writer, named, what);
    } else if (writes.length > 1) {
      await new JointCommit(open, client, flags, writes, what).run();
    }
    this.#families.clear();
  }

  #placeOf(families: readonly FamilyBatch[]): string {
    if (this.#only !== undefined) return this.#only.place;
    return families.length === 1
      ? families[0].access.place
      : `column families ${families.map(({ access }) => `"${access.name}"`).join(", ")}`;
  }

  #checkOpen(what: string): void {
    this.#open.check();
    if (!this.#committed) return;
    const of = this.#only === undefined ? "" : ` of ${this.#only.place}`;
    throw new ManifoldError(
      "closed",
      `${what} in a batch${of} that was committed; make a new batch`,
    );
  }

  #target<K, V>(what: string, table: Table<K, V>): TableTarget<K, V> {
    this.#checkOpen(what);
    const target = targetOf(table);
    const only = this.#only;
    if (only === undefined ? target.access.open === this.#open : target.access.isSame(only)) {
      return target;
    }
    throw new ManifoldError(
      "invalid-argument",
      `${what}: table "${table.name}" belongs to ${target.access.place}` +
        (only === undefined
          ? " of another open database; use a table of the batch's own"
          : `, the batch to ${only.place}; use a table of the same column family, or db.batch()`),
    );
  }

  #familyOf<K, V>({ access }: TableTarget<K, V>): FamilyBatch {
    let family = this.#families.get(access.id);
    if (family === undefined) this.#families.set(access.id, family = new FamilyBatch(access));
    return family;
  }
}
