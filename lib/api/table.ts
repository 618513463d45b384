/**
 * A table of a column family: a sorted, durable map.
 *
 * @module
 */

import { REQUEST_TRANSACTION } from "../engine/requests.ts";
import { ManifoldError } from "../errors.ts";
import { checkCallback, checkIterable, isObject, notATable } from "./arguments.ts";
import type { Codec } from "./codec.ts";
import { describe } from "./codecs/describe.ts";
import { type FamilyAccess, isTableGone } from "./family_access.ts";
import type { OperationsWriter, TableShape } from "./operations_writer.ts";
import { type EncodedRange, encodeRange, type Range } from "./range.ts";
import type { RawTable } from "./raw_reads.ts";
import type { WriteOptions } from "./session.ts";
import { rawTableOf, TableReader } from "./table_reader.ts";
import { incrementEntry, setIfAbsent, updateEntry } from "./table_updates.ts";
import { type ChangeGap, type TableChange, type WatchOptions, watchTable } from "./watch.ts";

/**
 * Options of `setMany`.
 *
 * @example
 * ```ts
 * import { openInMemory, type SetManyOptions, text, u32 } from "@manifold/db";
 *
 * const options: SetManyOptions = { onProgress: (done) => console.log(`${done} entries`) };
 * await using db = await openInMemory();
 * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
 * await stock.setMany([["apples", 3], ["pears", 0]], options);
 * ```
 */
export interface SetManyOptions extends WriteOptions {
  /**
   * Called with the number of entries encoded so far, every 4096 entries, and at the end, when they are
   * stored, with the number of all. What it throws ends `setMany`; before the end nothing is stored then.
   */
  readonly onProgress?: (done: number) => void;
}

/** Entries between two calls of `onProgress`. */
const PROGRESS_ENTRIES = 4096;

/** What writes need of a table: for the rest of the package. */
export interface TableTarget<K, V> extends TableShape<K, V> {
  readonly access: FamilyAccess;
  /** The table's and its family's name, for messages. */
  readonly place: string;
  /** Names of the codecs, joined by a NUL. */
  readonly codecs: string;
  /** The same table as bytes. */
  readonly raw: RawTable;
  /** The table's id, if there is a table; it may be outdated. */
  id(): number | undefined;
}

/** The target of a table: for the rest of the package. */
export let targetOf: <K, V>(table: Table<K, V>) => TableTarget<K, V>;

/** As `set`; resolves with how many entries were replaced, 0 or 1. For the rest of the package. */
export let replaceIn: <K, V>(
  table: Table<K, V>,
  key: K,
  value: V,
  options: WriteOptions | undefined,
) => Promise<number>;

/** As `setMany`; resolves with how many entries were replaced. For the rest of the package. */
export let replaceManyIn: <K, V>(
  table: Table<K, V>,
  entries: Iterable<readonly [K, V]>,
  options: SetManyOptions | undefined,
) => Promise<number>;

/**
 * A sorted, durable map of a column family, in the order of its encoded keys. Made by
 * `ColumnFamily.table`; the first write makes the table itself.
 *
 * Reads are synchronous and see what is published: every write of this process that has resolved.
 * Writes resolve when they are durable, and those of one thread to one column family are applied in the
 * order of the calls (one that meets the deletion of its table by another thread makes the table anew, and
 * can fall behind later ones).
 *
 * Every write rejects with `closed`; with `read-only`; with `not-found` when the column family was deleted; with
 * `type-mismatch` when the table was made with other codecs; with `too-large` for a key longer than a
 * quarter of the page size or a value beyond 1 GiB; with `disk-full` or `io`, and nothing is changed; with
 * `failed` after a failed sync, and what became of the change is unknown; with
 * `invalid-argument` inside a transaction of the same column family (use `tx.table()` there); and with
 * what the codecs throw.
 *
 * @typeParam K The type of the keys.
 * @typeParam V The type of the values.
 *
 * @example
 * ```ts
 * import { openInMemory, type Table, text, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family = await db.columnFamily("shop");
 * const stock: Table<string, number> = family.table("stock", { key: text, value: u32 });
 * await stock.set("apples", 3);
 * console.log(stock.get("apples")); // 3
 * ```
 */
export class Table<K, V> extends TableReader<K, V> {
  readonly #target: Target<K, V>;

  static {
    targetOf = (table) => {
      if (isObject(table) && #target in table) return table.#target;
      throw notATable(table, "columnFamily.table(); those of snapshots cannot be written");
    };
    replaceIn = (table, key, value, options) =>
      table.#write(options, "set", (writer, id) => writer.set(id, table.#target, key, value));
    replaceManyIn = (table, entries, options) => table.#replaceMany(entries, options);
  }

  /** Column families make it. */
  constructor(
    access: FamilyAccess,
    name: string,
    key: Codec<K>,
    value: Codec<V>,
    codecs: string,
  ) {
    super(name, key, value, access.source, codecs);
    const raw = rawTableOf(this as TableReader<K, V>);
    this.#target = new Target(access, name, key, value, codecs, raw);
  }

  /**
   * Puts an entry in place of the one of the same key, or anew.
   *
   * @param key The key. It and the value are encoded before this returns.
   * @param value The value.
   * @param options `durability`: when it resolves.
   *
   * @example Many at once, without waiting for each
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
   * await Promise.all([stock.set("apples", 3), stock.set("pears", 0)]);
   * ```
   */
  async set(key: K, value: V, options?: WriteOptions): Promise<void> {
    const target = this.#target;
    const id = target.id();
    const encode = (writer: OperationsWriter, address: number): void =>
      writer.set(address, target, key, value);
    try {
      await target.send(options, "set", id, encode);
    } catch (error) {
      target.checkOutdated(id, error);
      await target.send(options, "set", undefined, encode);
    }
  }

  /**
   * Deletes the entry of a key.
   *
   * @param key The key.
   * @param options `durability`: when it resolves.
   * @returns Whether it was there.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
   * await stock.set("apples", 3);
   * console.log(await stock.delete("apples"), await stock.delete("apples")); // true false
   * ```
   */
  async delete(key: K, options?: WriteOptions): Promise<boolean> {
    const removed = await this.#write(
      options,
      "delete",
      (writer, id) => writer.delete(id, this.#target, key),
    );
    return removed > 0;
  }

  /**
   * Puts many entries, all of them or none: one transaction. Of entries with the same key the last
   * one stays. All encodings are held in memory until the end.
   *
   * @param entries Keys and values; a `Map` for instance. What it throws while it gives them is thrown, and
   * nothing is stored; what it writes meanwhile is applied before. `invalid-argument` for what is not iterable.
   * @param options `durability`: when it resolves; `onProgress`: is told how far it is.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
   * await stock.setMany(new Map([["apples", 3], ["pears", 0]]));
   * console.log(stock.count()); // 2
   * ```
   */
  async setMany(entries: Iterable<readonly [K, V]>, options?: SetManyOptions): Promise<void> {
    await this.#replaceMany(entries, options);
  }

  async #replaceMany(
    entries: Iterable<readonly [K, V]>,
    options: SetManyOptions | undefined,
  ): Promise<number> {
    const target = this.#target;
    const what = (): string => `setMany in ${target.place}`;
    const client = target.access.writingClient(what);
    const flags = target.access.open.durabilityFlag(options);
    const onProgress = options?.onProgress;
    checkIterable(entries, what);
    if (onProgress !== undefined) checkCallback(onProgress, () => `${what()}, onProgress`);
    const writer = target.access.open.takeWriter();
    const id = target.id();
    const named = id === undefined ? [] : [{ id, name: target.name, codecs: target.codecs }];
    const address = id ?? writer.openTable(target.name, target.codecs);
    let done = 0;
    for (const entry of entries) {
      if (!Array.isArray(entry)) {
        throw new ManifoldError(
          "invalid-argument",
          `${what()}: entry ${done} is ${describe(entry)}; give arrays of key and value`,
        );
      }
      writer.set(address, target, entry[0], entry[1]);
      if (++done % PROGRESS_ENTRIES === 0) onProgress?.(done);
    }
    const replaced = done > 0 ? await target.access.apply(client, flags, writer, named, what) : 0;
    target.access.open.putWriter(writer);
    onProgress?.(done);
    return replaced;
  }

  /**
   * Deletes the entries of a range, all at once.
   *
   * @param range Which; `invalid-argument` with `reverse`, `limit` or `offset`, and else as
   * {@linkcode Range} says. `{}` is every entry.
   * @param options `durability`: when it resolves.
   * @returns How many there were.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
   * await stock.setMany([["apples", 3], ["pears", 0], ["plums", 7]]);
   * console.log(await stock.deleteRange({ prefix: "p" })); // 2
   * ```
   */
  async deleteRange(range: Range<K>, options?: WriteOptions): Promise<number> {
    const encoded = deletableRange(this.#target, range);
    if (encoded.empty) {
      this.#target.access.writingClient(() => `deleteRange in ${this.#target.place}`);
      return 0;
    }
    const { lower, upper } = encoded;
    return await this.#write(
      options,
      "deleteRange",
      (writer, id) => writer.deleteRange(id, lower, upper),
    );
  }

  /**
   * Changes the entry of a key: reads it, asks a function what shall be there, and puts that; nobody else
   * changes it in between. A transaction on one key.
   *
   * Rejects with what `change` throws, and nothing is changed then; with `invalid-argument` when it returns a
   * promise; with `invalid-argument` inside a transaction of the same column family.
   *
   * @param key The key.
   * @param change Is given the value, undefined if there is none, and returns the new one; undefined deletes the entry.
   * It may be called more than once, when others change the entry at the same time.
   * @param options `durability`: when it resolves.
   * @returns The new value.
   *
   * @example
   * ```ts
   * import { json, openInMemory, text } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const family = await db.columnFamily("users");
   * const visits = family.table("visits", { key: text, value: json<string[]>() });
   * await visits.update("ada", (days = []) => [...days, "monday"]);
   * console.log(visits.get("ada")); // ["monday"]
   * ```
   */
  async update(
    key: K,
    change: (value: V | undefined) => V | undefined,
    options?: WriteOptions,
  ): Promise<V | undefined> {
    return await updateEntry(this, key, change, options);
  }

  /**
   * Puts an entry unless there is one of that key.
   *
   * @param key The key. It and the value are taken before this returns.
   * @param value The value.
   * @param options `durability`: when it resolves.
   * @returns Whether it was put.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
   * console.log(await stock.setIfAbsent("apples", 3), await stock.setIfAbsent("apples", 4)); // true false
   * ```
   */
  async setIfAbsent(key: K, value: V, options?: WriteOptions): Promise<boolean> {
    return await setIfAbsent(this, key, value, options);
  }

  /**
   * Adds to the integer of a key; without an entry, to 0. Increments of one key by many callers are all
   * counted, and share their syncs.
   *
   * Rejects with `type-mismatch` unless the values are of the codec `u32`, `i32`, `u64` or `i64`; with
   * `invalid-argument` when the sum does not fit that, and nothing is changed then, or when `by` is not an integer of the
   * same kind (`number` or `bigint`).
   *
   * @param key The key.
   * @param by What to add; 1 when not given.
   * @param options `durability`: when it resolves.
   * @returns The sum.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u64 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const hits = (await db.columnFamily("site")).table("hits", { key: text, value: u64 });
   * await Promise.all([hits.increment("/"), hits.increment("/", 2n)]);
   * console.log(hits.get("/")); // 3n
   * ```
   */
  async increment(key: K, by?: V & (number | bigint), options?: WriteOptions): Promise<V> {
    return await incrementEntry(this, key, by, options);
  }

  /**
   * Watches the table: what is changed in it from now on, by any thread of the process, as it is committed and in
   * the order of the commits. Every write that this thread asks for afterwards is told, and every one that another
   * thread begins afterwards.
   *
   * A `set` is told also when the value stays the same, the deletion of an absent key is not; a deletion of a
   * range as the deletion of each of its keys, so is the deletion of the table, which ends the iteration. The
   * table need not exist yet. Changes of one transaction come in the order of its operations.
   *
   * A reader that falls behind (there is a buffer of 4 MiB for each worker), and one that meets a version too large for
   * half of that, is given a {@linkcode ChangeGap} in place of what it has missed, and so is one that begins while a commit
   * is under way, for that commit. It is never passed over in silence.
   *
   * The iteration begins with this call. It ends with its `return()` (which leaving a `for await` calls), its
   * signal, the closing of the database in this thread or the one that opened it, and the deletion of the table or its
   * column family. It keeps the process alive only while somebody awaits its next event.
   *
   * Throws `closed`; `not-found` when the column family was deleted; `invalid-argument` for a range with `reverse`,
   * `limit` or `offset`, and else as {@linkcode Range} says; `too-large` when as many iterations as can be are
   * under way (4096). The next event rejects with `failed` when the database fails; with `type-mismatch`
   * when the table was made anew with other codecs; and with what the codecs throw.
   *
   * @param range Which keys; all of them when not given.
   * @param options `signal`: ends the iteration.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
   * const events = stock.watch({ prefix: "a" });
   * await stock.set("apples", 3);
   * for await (const event of events) {
   *   if (event.gap) console.log(`missed versions ${event.from} to ${event.to}`);
   *   else console.log(event.key, event.previous, event.value); // "apples" undefined 3
   *   break;
   * }
   * ```
   */
  watch(
    range?: Range<K>,
    options?: WatchOptions,
  ): AsyncIterableIterator<TableChange<K, V> | ChangeGap> {
    return watchTable(this.#target, range, options);
  }

  /** One operation of its own; `set`, which is called most, does the same without a promise more. */
  async #write(
    options: WriteOptions | undefined,
    name: string,
    encode: (writer: OperationsWriter, id: number) => void,
  ): Promise<number> {
    const target = this.#target;
    const id = target.id();
    try {
      return await target.send(options, name, id, encode);
    } catch (error) {
      target.checkOutdated(id, error);
      return await target.send(options, name, undefined, encode);
    }
  }
}

class Target<K, V> implements TableTarget<K, V> {
  readonly access: FamilyAccess;
  readonly name: string;
  readonly keyCodec: Codec<K>;
  readonly valueCodec: Codec<V>;
  readonly codecs: string;
  readonly raw: RawTable;
  /** Ids are never used twice, so that an outdated one is refused. */
  #id: number | undefined;

  constructor(
    access: FamilyAccess,
    name: string,
    key: Codec<K>,
    value: Codec<V>,
    codecs: string,
    raw: RawTable,
  ) {
    this.access = access;
    this.name = name;
    this.keyCodec = key;
    this.valueCodec = value;
    this.codecs = codecs;
    this.raw = raw;
  }

  get place(): string {
    return `table "${this.name}" of ${this.access.place}`;
  }

  id(): number | undefined {
    const id = this.#id ??= this.raw.resolve()?.id;
    if (id === undefined || !this.access.open.isLeaving(this.access.id, id)) return id;
    this.#id = undefined;
    return undefined;
  }

  /** Throws the error of a request, unless only the id in it was outdated: then the name will do. */
  checkOutdated(id: number | undefined, error: unknown): void {
    if (id === undefined || !isTableGone(error)) throw error;
    this.#id = undefined;
  }

  /** Sends one operation, with the table's id or, without one, its name. */
  send(
    options: WriteOptions | undefined,
    name: string,
    id: number | undefined,
    encode: (writer: OperationsWriter, id: number) => void,
  ): Promise<number> {
    const { access } = this;
    const what = (): string => `${name} in ${this.place}`;
    const client = access.writingClient(what);
    const flags = access.open.durabilityFlag(options);
    const writer = access.open.takeWriter();
    try {
      encode(writer, id ?? writer.openTable(this.name, this.codecs));
      return access.submit(client, REQUEST_TRANSACTION, flags, 0, writer.take(false), what);
    } finally {
      access.open.putWriter(writer);
    }
  }
}

/** A range for a deletion, checked. */
export function deletableRange<K>(table: TableShape<K, unknown>, range: Range<K>): EncodedRange {
  const encoded = encodeRange(table.keyCodec, range ?? null);
  if (!encoded.reverse && encoded.limit === Infinity && encoded.offset === 0) return encoded;
  throw new ManifoldError(
    "invalid-argument",
    `deleteRange in table "${table.name}": it takes no reverse, limit or offset, because what they ` +
      "mean can change before the deletion; find the keys in a transaction and delete those",
  );
}
