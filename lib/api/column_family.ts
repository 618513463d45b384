/**
 * A column family: tables that are written together.
 *
 * @module
 */

import { findTable, listTables } from "../engine/catalog.ts";
import { ManifoldError } from "../errors.ts";
import { newFamilyState } from "../memory/family_slots.ts";
import { isObject } from "./arguments.ts";
import { Batch } from "./batch.ts";
import { checkCodec, type Codec } from "./codec.ts";
import { describe } from "./codecs/describe.ts";
import { bytes } from "./codecs/mod.ts";
import { type FamilyAccess, isTableGone } from "./family_access.ts";
import { checkName } from "./names.ts";
import { Snapshot } from "./snapshot.ts";
import { type FamilyStats, familyStats } from "./stats.ts";
import { Table } from "./table.ts";
import { rawTableOf, type TableReader } from "./table_reader.ts";
import type { Transaction, TransactionOptions } from "./transaction.ts";
import { runTransaction } from "./transaction_run.ts";

/**
 * How a table's keys and values are encoded.
 *
 * @typeParam K The type of the keys.
 * @typeParam V The type of the values.
 *
 * @example
 * ```ts
 * import { openInMemory, type TableOptions, text, u32 } from "@manifold/db";
 *
 * const options: TableOptions<string, number> = { key: text, value: u32 };
 * await using db = await openInMemory();
 * const stock = (await db.columnFamily("shop")).table("stock", options);
 * await stock.set("apples", 3);
 * ```
 */
export interface TableOptions<K, V> {
  /** The codec of the keys, an ordered one; `bytes` when not given. */
  readonly key?: Codec<K>;
  /** The codec of the values; `bytes` when not given. */
  readonly value?: Codec<V>;
}

/** The writing side of a column family: for the rest of the package. */
export let accessOf: (family: ColumnFamily) => FamilyAccess;

/**
 * A column family of a database: its own tables, its own worker that writes them, its own versions.
 * Families are written in parallel; what always changes together is best in one. Made by
 * `Database.columnFamily`.
 *
 * Everything throws or rejects with `closed` when the database is closed, and with `not-found` when the column
 * family was deleted.
 *
 * @example
 * ```ts
 * import { type ColumnFamily, openInMemory, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family: ColumnFamily = await db.columnFamily("users");
 * await family.table("names", { key: text, value: text }).set("ada", "Ada Lovelace");
 * console.log(family.tables()); // ["names"]
 * ```
 */
export class ColumnFamily {
  readonly #access: FamilyAccess;

  static {
    accessOf = (family) => {
      if (isObject(family) && #access in family) return family.#access;
      throw new ManifoldError(
        "invalid-argument",
        `${describe(family)} is no column family; give what db.columnFamily() gives`,
      );
    };
  }

  /** Databases make it. */
  constructor(access: FamilyAccess) {
    this.#access = access;
  }

  /** Its name. */
  get name(): string {
    return this.#access.name;
  }

  /** A table with keys and values of bytes. */
  table(name: string): Table<Uint8Array, Uint8Array>;
  /** A table with typed keys. */
  table<K>(name: string, options: { key: Codec<K>; value?: undefined }): Table<K, Uint8Array>;
  /** A table with typed values. */
  table<V>(name: string, options: { key?: undefined; value: Codec<V> }): Table<Uint8Array, V>;
  /**
   * A table. It need not exist: then it reads as empty, and the first write makes it.
   *
   * Throws `type-mismatch` when the table was made with other codecs; `invalid-argument` for a name that
   * is not 1 to 255 bytes of UTF-8 without NUL, and for what is not a codec.
   *
   * @param name Its name in the column family.
   * @param options `key` and `value`: the codecs, `bytes` when not given.
   *
   * @example
   * ```ts
   * import { json, openInMemory, text } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const family = await db.columnFamily("users");
   * const profiles = family.table("profiles", { key: text, value: json<{ visits: number }>() });
   * await profiles.set("ada", { visits: 1 });
   * ```
   */
  table<K, V>(name: string, options: TableOptions<K, V>): Table<K, V>;
  table(name: string, options: TableOptions<unknown, unknown> = {}): Table<unknown, unknown> {
    this.#access.open.check();
    checkName("table", name);
    if (typeof options !== "object" || options === null) {
      throw new ManifoldError(
        "invalid-argument",
        `table "${name}": the options are no object; give { key, value }`,
      );
    }
    const { key = bytes, value = bytes } = options;
    const codecs = `${checkCodec(key, "key")}\0${checkCodec(value, "value")}`;
    const table = new Table<unknown, unknown>(
      this.#access,
      name,
      key as Codec<unknown>,
      value as Codec<unknown>,
      codecs,
    );
    rawTableOf(table as TableReader<unknown, unknown>).resolve();
    return table;
  }

  /**
   * The names of the tables that exist, sorted by their bytes.
   *
   * @example
   * ```ts
   * import { openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const family = await db.columnFamily("users");
   * await family.table("b").setMany([[new Uint8Array([1]), new Uint8Array([2])]]);
   * console.log(family.tables()); // ["b"]
   * ```
   */
  tables(): string[] {
    const { source, slot, name } = this.#access;
    const { epochs, store } = source.memory;
    const state = newFamilyState();
    epochs.enter();
    try {
      source.read(state);
      store.family = slot;
      store.familyName = name;
      return listTables(store, state).map((table) => table.name);
    } finally {
      epochs.leave();
    }
  }

  /**
   * Deletes a table with all its entries; resolves when that is durable. A table object of that
   * name reads as empty afterwards, and makes the table anew when it is written.
   *
   * Rejects with `not-found` when there is no such table, and as the writes of a {@linkcode Table} do.
   *
   * @param name The table's name.
   *
   * @example
   * ```ts
   * import { openInMemory, text } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const family = await db.columnFamily("users");
   * await family.table("names", { key: text, value: text }).set("ada", "Ada");
   * await family.deleteTable("names");
   * console.log(family.tables()); // []
   * ```
   */
  async deleteTable(name: string): Promise<void> {
    const access = this.#access;
    checkName("table", name);
    const what = (): string => `deleteTable("${name}") in ${access.place}`;
    const client = access.writingClient(what);
    const flags = access.open.durabilityFlag(undefined);
    const id = this.#tableId(name);
    if (id === undefined) throw noSuchTable(what());
    const writer = access.open.takeWriter();
    writer.dropTable(id, name);
    const done = access.apply(client, flags, writer, [], what);
    access.open.setLeaving(access.id, id, true);
    try {
      await done;
    } catch (error) {
      throw isTableGone(error) ? noSuchTable(what()) : error;
    } finally {
      access.open.setLeaving(access.id, id, false);
      access.open.putWriter(writer);
    }
  }

  #tableId(name: string): number | undefined {
    const { source, slot, name: family } = this.#access;
    const { epochs, store } = source.memory;
    const state = newFamilyState();
    epochs.enter();
    try {
      source.read(state);
      store.family = slot;
      store.familyName = family;
      return findTable(store, state, new TextEncoder().encode(name))?.id;
    } finally {
      epochs.leave();
    }
  }

  /**
   * Runs a function that reads and writes the column family's tables as if nothing else did
   * (serializable); what it wrote is applied at once when it has ended, or not at all.
   *
   * Transactions run side by side, and nobody waits for them. If others have changed what `fn` had read (keys,
   * ranges as far as it went through them, counts) before it is committed, it is run again on what is there
   * then; the last of `maxAttempts` times the others wait, for a minute at the most. One that only reads, or
   * only writes, is run once.
   *
   * Rejects with what `fn` throws, and nothing is applied then; with `aborted` after `tx.abort()` or by the `signal`;
   * with `timeout` after `timeoutMs`, or a minute in the last attempt; with `conflict` if not even the last
   * attempt could be exclusive; with `invalid-argument` inside another transaction of the same family; and as the
   * writes of a {@linkcode Table} do.
   *
   * @typeParam T What the function returns.
   * @param fn Is given the transaction. It may be async, and may be run more than once: it should
   * have no other effect, and must not use what it was given in an earlier run.
   * @param options `durability`: when it resolves; `maxAttempts`, `timeoutMs`, `signal`.
   * @returns What `fn` returns, when the writes are durable.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const family = await db.columnFamily("shop");
   * const stock = family.table("stock", { key: text, value: u32 });
   * const left = await family.transaction((tx) => {
   *   const t = tx.table(stock);
   *   const count = (t.get("apples") ?? 10) - 1;
   *   t.set("apples", count);
   *   return count;
   * });
   * console.log(left); // 9
   * ```
   */
  transaction<T>(
    fn: (tx: Transaction) => T | Promise<T>,
    options?: TransactionOptions,
  ): Promise<T> {
    return runTransaction([this.#access], fn, options);
  }

  /**
   * An empty batch of writes to the column family's tables.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const family = await db.columnFamily("shop");
   * const stock = family.table("stock", { key: text, value: u32 });
   * await family.batch().set(stock, "apples", 3).delete(stock, "pears").commit();
   * ```
   */
  batch(): Batch {
    return new Batch(this.#access.open, this.#access);
  }

  /**
   * Freezes the column family at the version that is published now. Dispose of it.
   *
   * Throws `too-large` when too many versions are held already (8192).
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const family = await db.columnFamily("shop");
   * const stock = family.table("stock", { key: text, value: u32 });
   * using snapshot = family.snapshot();
   * console.log(snapshot.table(stock).count()); // 0
   * ```
   */
  snapshot(): Snapshot {
    return new Snapshot(this.#access.source.snapshot());
  }

  /**
   * Figures of the column family.
   *
   * @example
   * ```ts
   * import { openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * console.log((await db.columnFamily("shop")).stats().version);
   * ```
   */
  stats(): FamilyStats {
    return familyStats(this.#access);
  }
}

function noSuchTable(what: string): ManifoldError {
  return new ManifoldError("not-found", `${what}: there is no such table; see tables()`);
}
