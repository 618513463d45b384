/**
 * The reads of a table, for tables, snapshots and whatever else has a {@linkcode StateSource}.
 *
 * Invariants: nothing that is returned lies on shared memory or changes later; scratch is put back
 * before a codec decodes or a callback runs, so that both may read again.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { noteGarbage, VIEW_GARBAGE_BYTES } from "../runtime/garbage.ts";
import { TreeRoot } from "../tree/root.ts";
import { treeStats } from "../tree/stats.ts";
import type { Codec } from "./codec.ts";
import { checkCallback, checkIterable, isObject, notATable } from "./arguments.ts";
import { bytes } from "./codecs/bytes.ts";
import { describe } from "./codecs/describe.ts";
import { carvePart } from "./codecs/tuning.ts";
import { type ByteWriter, isBytes } from "./codec_writer.ts";
import { encodeWith } from "./encode.ts";
import { EntryIterator } from "./entry_iterator.ts";
import { walkTable } from "./long_walk.ts";
import { encodeRange, type Range } from "./range.ts";
import { RawEntries } from "./raw_entries.ts";
import { type RawEntry, RawTable, resultGarbage } from "./raw_reads.ts";
import type { Pin } from "../memory/pins.ts";
import { scanEntries } from "./raw_scan.ts";
import type { StateSource } from "./state_source.ts";

/**
 * Figures of a table, as `table.stats()` counts them.
 *
 * @example
 * ```ts
 * import { openInMemory, type TableStats } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const stats: TableStats = (await db.columnFamily("shop")).table("stock").stats();
 * console.log(`${stats.entries} entries on ${stats.leafPages} leaf pages`);
 * ```
 */
export interface TableStats {
  /** Entries. */
  entries: number;
  /** Levels of pages; 0 when the table is empty. */
  height: number;
  /** Pages that hold entries. */
  leafPages: number;
  /** Pages that lead to them. */
  branchPages: number;
  /** Bytes that entries take on leaf pages, their slots and heads included. */
  leafBytes: number;
  /** The same of branch pages. */
  branchBytes: number;
  /** Bytes of all keys. */
  keyBytes: number;
  /** Bytes of the values that stand beside their keys. */
  valueBytes: number;
  /** Values too large for that, on pages of their own. */
  overflowValues: number;
  /** Pages that those take. */
  overflowPages: number;
  /** Bytes of those. */
  overflowBytes: number;
  /** Part of the leaf pages' room that entries take, from 0 to 1; 0 when the table is empty. */
  fill: number;
}

/** The raw table under a table: for the rest of the package. */
export let rawTableOf: <K, V>(table: TableReader<K, V>) => RawTable;

/** The codecs of a table: for the rest of the package. */
export let codecsOf: <K, V>(table: TableReader<K, V>) => { key: Codec<K>; value: Codec<V> };

/**
 * Everything of a table that reads: what the tables of a family and of a {@linkcode Snapshot} share.
 *
 * All of it is synchronous and made in the calling thread. A table that was not written yet reads as
 * empty. What is returned belongs to the caller.
 *
 * Every read throws `closed` when the database or the snapshot is; `not-found` when the column family was
 * deleted; `type-mismatch` when the table was made with other codecs; `corrupt` or `io` when a page
 * cannot be read; and what the codecs throw.
 *
 * @typeParam K The type of the keys.
 * @typeParam V The type of the values.
 *
 * @example
 * ```ts
 * import { openInMemory, text, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
 * await stock.set("apples", 3);
 *
 * console.log(stock.get("apples"), stock.has("pears")); // 3 false
 * for (const [name, count] of stock.entries({ prefix: "a" })) console.log(name, count);
 * ```
 */
export class TableReader<K, V> {
  readonly #name: string;
  readonly #key: Codec<K>;
  readonly #value: Codec<V>;
  readonly #raw: RawTable;
  /** Whether keys are looked up as they are. */
  readonly #takesBytes: boolean;
  /** Whether values are given as they are: copied straight from the page. */
  readonly #givesBytes: boolean;

  static {
    rawTableOf = (table) => {
      if (isObject(table) && #raw in table) return table.#raw;
      throw notATable(table, "columnFamily.table() or snapshot.table()");
    };
    codecsOf = (table) => ({ key: table.#key, value: table.#value });
  }

  /** Column families and snapshots make it. */
  constructor(
    name: string,
    key: Codec<K>,
    value: Codec<V>,
    source: StateSource,
    codecs: string = `${key.name}\0${value.name}`,
  ) {
    this.#name = name;
    this.#key = key;
    this.#value = value;
    this.#takesBytes = (key as Codec<unknown>) === bytes;
    this.#givesBytes = (value as Codec<unknown>) === bytes;
    this.#raw = new RawTable(source, name, codecs);
  }

  /** The table's name. */
  get name(): string {
    return this.#name;
  }

  /**
   * The value of a key.
   *
   * @param key The key.
   * @returns The value, or undefined if there is none.
   */
  get(key: K): V | undefined {
    const raw = this.#raw;
    const { epochs } = raw;
    const writer = this.#encode(key);
    epochs.enter();
    try {
      return this.#find(key, writer) ? this.#decodeHit() : undefined;
    } catch (error) {
      throw raw.explain(error);
    } finally {
      epochs.leave();
    }
  }

  /** The encoding of a key, for {@linkcode TableReader.#find}; undefined for a key that is its own. */
  #encode(key: K): ByteWriter | undefined {
    if (this.#takesBytes && isBytes(key)) return undefined;
    const writer = this.#raw.scratch.takeWriter();
    encodeWith(this.#key, key, writer);
    return writer;
  }

  /** Looks a key up, and gives its encoding back. Inside an epoch. */
  #find(key: K, writer: ByteWriter | undefined): boolean {
    const raw = this.#raw;
    if (writer === undefined) {
      const bytes = key as unknown as Uint8Array;
      return raw.find(bytes, bytes.length);
    }
    const found = raw.find(writer.bytes, writer.length);
    raw.scratch.putWriter(writer);
    return found;
  }

  /** The value of the hit. Inside its epoch. */
  #decodeHit(): V {
    const raw = this.#raw;
    const { hit } = raw.scratch;
    noteGarbage(resultGarbage(hit.valueLength));
    if (this.#givesBytes && !hit.overflow) {
      return carvePart(hit.chunk, hit.valueOffset, hit.valueLength) as V;
    }
    return this.#value.decode(raw.hitValue());
  }

  /**
   * Whether there is a value of a key.
   *
   * @param key The key.
   */
  has(key: K): boolean {
    const raw = this.#raw;
    const { epochs } = raw;
    const writer = this.#encode(key);
    epochs.enter();
    try {
      return this.#find(key, writer);
    } catch (error) {
      throw raw.explain(error);
    } finally {
      epochs.leave();
    }
  }

  /**
   * The values of many keys, all of one version of the table.
   *
   * @param keys The keys, in any order; `invalid-argument` for what is not iterable.
   * @returns Value by value in the order of the keys, undefined where there is none.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
   * await stock.setMany([["apples", 3], ["plums", 7]]);
   * console.log(stock.getMany(["plums", "pears"])); // [7, undefined]
   * ```
   */
  getMany(keys: Iterable<K>): (V | undefined)[] {
    checkIterable(keys, () => `getMany of the table "${this.#name}"`);
    const list = Array.from(keys);
    const raw = this.#raw;
    const { epochs, scratch, source } = raw;
    let pin: Pin | undefined;
    epochs.enter();
    try {
      const entry = raw.entry();
      pin = source.keep(); // a codec is the user's code
      return list.map((key) => {
        const writer = scratch.takeWriter();
        encodeWith(this.#key, key, writer);
        const found = entry !== undefined && raw.findIn(entry, writer.bytes, writer.length);
        scratch.putWriter(writer);
        return found ? this.#decodeHit() : undefined;
      });
    } catch (error) {
      throw raw.explain(error);
    } finally {
      epochs.leave();
      if (pin !== undefined) source.release(pin);
    }
  }

  /**
   * Goes over entries, in the order of the keys.
   *
   * @param range Which; all when not given. `invalid-argument` as {@linkcode Range} says.
   *
   * @example The last three
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
   * for (const [name, count] of stock.entries({ reverse: true, limit: 3 })) {
   *   console.log(name, count);
   * }
   * ```
   */
  entries(range?: Range<K>): EntryIterator<K, [K, V]> {
    const key = this.#key;
    const value = this.#value;
    return this.#iterate(
      range,
      true,
      key === bytes as unknown && value === bytes as unknown
        ? (entries) => [entries.ownKey() as K, entries.ownValue() as V]
        : (entries) => [key.decode(entries.key()), value.decode(entries.value())],
    );
  }

  /**
   * Goes over keys, in their order; cheaper than `entries()`.
   *
   * @param range Which; all when not given. `invalid-argument` as {@linkcode Range} says.
   */
  keys(range?: Range<K>): EntryIterator<K, K> {
    const key = this.#key;
    return this.#iterate(
      range,
      false,
      key === bytes as unknown
        ? (entries) => entries.ownKey() as K
        : (entries) => key.decode(entries.key()),
    );
  }

  /**
   * Goes over values, in the order of the keys.
   *
   * @param range Which; all when not given. `invalid-argument` as {@linkcode Range} says.
   */
  values(range?: Range<K>): EntryIterator<K, V> {
    const value = this.#value;
    return this.#iterate(
      range,
      true,
      value === bytes as unknown
        ? (entries) => entries.ownValue() as V
        : (entries) => value.decode(entries.value()),
    );
  }

  #iterate<T>(
    range: Range<K> | undefined,
    values: boolean,
    give: (entries: RawEntries) => T,
  ): EntryIterator<K, T> {
    const entries = new RawEntries(this.#raw, encodeRange(this.#key, range), values);
    return new EntryIterator(entries, this.#key, () => give(entries));
  }

  /** Goes over all entries: the same as `entries()`. */
  [Symbol.iterator](): EntryIterator<K, [K, V]> {
    return this.entries();
  }

  /**
   * The first entry of a range: the one that `entries(range)` gives first.
   *
   * @param range Which; all when not given. `invalid-argument` as {@linkcode Range} says.
   * @returns Key and value, or undefined if there is none.
   */
  first(range?: Range<K>): [K, V] | undefined {
    return this.#decode(this.#raw.first(encodeRange(this.#key, range)));
  }

  /**
   * The last entry of a range: the one that `entries(range)` gives last. Costs O(log n).
   *
   * @param range Which; all when not given. `invalid-argument` as {@linkcode Range} says.
   * @returns Key and value, or undefined if there is none.
   */
  last(range?: Range<K>): [K, V] | undefined {
    return this.#decode(this.#raw.last(encodeRange(this.#key, range)));
  }

  /**
   * How many entries a range has, its offset and limit included. Costs O(log n).
   *
   * @param range Which; all when not given. `invalid-argument` as {@linkcode Range} says.
   */
  count(range?: Range<K>): number {
    return this.#raw.countIn(encodeRange(this.#key, range));
  }

  /**
   * The entry at a place in the order of the keys. Costs O(log n).
   *
   * @param index How many entries are before it, a non-negative integer; otherwise `invalid-argument`.
   * @returns Key and value, or undefined if there are no more than `index` entries.
   */
  at(index: number): [K, V] | undefined {
    if (!Number.isSafeInteger(index) || index < 0) {
      throw new ManifoldError(
        "invalid-argument",
        `at(index) of the table "${this.#name}": the index is ${describe(index)}; ` +
          "give a non-negative integer",
      );
    }
    return this.#decode(this.#raw.at(index));
  }

  #decode(entry: RawEntry | undefined): [K, V] | undefined {
    if (entry === undefined) return undefined;
    try {
      return [this.#key.decode(entry.key), this.#value.decode(entry.value)];
    } catch (error) {
      throw this.#raw.explain(error);
    }
  }

  /**
   * Shows the encoded value of a key to a function, without a copy.
   *
   * The bytes are the database's own: valid during the call only, and not to be written to. (A value that
   * is too large to stand beside its key is copied first.) Keep the function short: pages that are
   * replaced meanwhile cannot be used again before it returns.
   *
   * @typeParam T What the function returns.
   * @param key The key.
   * @param show Is shown the value; not called if there is none. What it throws is thrown. It may read and
   * write as it likes, and close the database. `invalid-argument` for what is no function.
   * @returns What the function returns, or undefined if there is no value.
   *
   * @example
   * ```ts
   * import { bytes, openInMemory, text } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const blobs = (await db.columnFamily("shop")).table("blobs", { key: text, value: bytes });
   * await blobs.set("logo", new Uint8Array([0x89, 0x50, 0x4e, 0x47]));
   * console.log(blobs.view("logo", (bytes) => bytes[0] === 0x89)); // true
   * ```
   */
  view<T>(key: K, show: (bytes: Uint8Array) => T): T | undefined {
    checkCallback(show, () => `view of the table "${this.#name}"`);
    const { epochs } = this.#raw;
    const writer = this.#encode(key);
    epochs.enter();
    try {
      const found = this.#viewOf(key, writer);
      return found === undefined ? undefined : show(found);
    } finally {
      epochs.leave();
    }
  }

  /** Apart from the caller's function, whose errors are none of the table's. */
  #viewOf(key: K, writer: ByteWriter | undefined): Uint8Array | undefined {
    const raw = this.#raw;
    try {
      if (!this.#find(key, writer)) return undefined;
      noteGarbage(VIEW_GARBAGE_BYTES);
      return raw.hitValue();
    } catch (error) {
      throw raw.explain(error);
    }
  }

  /**
   * Shows the encoded entries of a range to a function, in order, without copies: the fastest way
   * through a table.
   *
   * All entries are of one version. The bytes are the database's own: valid during the call only, and
   * not to be written to. (Values too large to stand beside their keys are copied first.)
   *
   * @param range Which; undefined for all. `invalid-argument` as {@linkcode Range} says.
   * @param show Is shown each entry; `false` ends the scan. What it throws is thrown. It may read and write as
   * it likes, of which the scan shows nothing; when it closes the database, the scan throws `closed` before the
   * next page. `invalid-argument` for what is no function.
   * @returns How many entries were shown, the one that ended it included.
   *
   * @example
   * ```ts
   * import { openInMemory, text } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const pages = (await db.columnFamily("wiki")).table("pages", { key: text, value: text });
   * let bytes = 0;
   * const count = pages.scan({ prefix: "help/" }, (_key, value) => {
   *   bytes += value.length;
   * });
   * console.log(`${count} pages, ${bytes} bytes`);
   * ```
   */
  scan(
    range: Range<K> | undefined,
    show: (key: Uint8Array, value: Uint8Array) => boolean | void,
  ): number {
    checkCallback(show, () => `scan of the table "${this.#name}"`);
    return scanEntries(this.#raw, encodeRange(this.#key, range), show);
  }

  /**
   * What the table takes. Reads every page of it.
   *
   * @example
   * ```ts
   * import { openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const stock = (await db.columnFamily("shop")).table("stock");
   * console.log(stock.stats().entries); // 0
   * ```
   */
  stats(): TableStats {
    return walkTable(this.#raw, treeStats) ?? treeStats(this.#raw.store, new TreeRoot());
  }
}
