/**
 * A multimap of a column family: keys with sorted sets of values, as a table (lib/api/multimap_layout.ts).
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { checkIterable, isObject, notATable } from "./arguments.ts";
import type { Codec } from "./codec.ts";
import { describe } from "./codecs/describe.ts";
import { none } from "./codecs/multimap_entry.ts";
import type { FamilyAccess } from "./family_access.ts";
import type { MultimapLayout } from "./multimap_layout.ts";
import { MultimapReader } from "./multimap_reader.ts";
import type { Range } from "./range.ts";
import type { WriteOptions } from "./session.ts";
import { replaceIn, replaceManyIn, type SetManyOptions, Table } from "./table.ts";
import { rawTableOf, type TableReader, type TableStats } from "./table_reader.ts";

/**
 * How a multimap's keys and values are encoded.
 *
 * @typeParam K The type of the keys.
 * @typeParam V The type of the values.
 *
 * @example
 * ```ts
 * import { type MultimapOptions, openInMemory, text, u32 } from "@manifold/db";
 *
 * const options: MultimapOptions<string, number> = { key: text, value: u32 };
 * await using db = await openInMemory();
 * const seen = (await db.columnFamily("wiki")).multimap("seen", options);
 * await seen.add("ada", 7);
 * ```
 */
export interface MultimapOptions<K, V> {
  /** The codec of the keys, an ordered one. */
  readonly key: Codec<K>;
  /** The codec of the values, an ordered one, too: the values of a key are sorted by their encodings. */
  readonly value: Codec<V>;
}

/** The codecs of a multimap that can be written, and the table below: for the rest of the package. */
export let writeBelow: <K, V>(
  multimap: Multimap<K, V>,
) => { readonly layout: MultimapLayout<K, V>; readonly table: Table<Uint8Array, undefined> };

/**
 * Keys with sorted sets of values, durable, in a column family. Made by `ColumnFamily.multimap`; the first write
 * makes it. It is a table of the family: `tables()` names it, and `deleteTable()` deletes it.
 *
 * A key without values is not there. The encodings of a key and one of its values together are not longer than a
 * quarter of the page size, like a table's key.
 *
 * Reads are those of {@linkcode MultimapReader}; they see every write of this process that has resolved. Writes
 * resolve when they are durable, and reject as those of a {@linkcode Table} do.
 *
 * @typeParam K The type of the keys.
 * @typeParam V The type of the values.
 *
 * @example
 * ```ts
 * import { type Multimap, openInMemory, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family = await db.columnFamily("wiki");
 * const tags: Multimap<string, string> = family.multimap("tags", { key: text, value: text });
 * await tags.add("home", "start");
 * await tags.add("home", "help");
 * for (const tag of tags.get("home")) console.log(tag); // help, start
 * ```
 */
export class Multimap<K, V> extends MultimapReader<K, V> {
  readonly #layout: MultimapLayout<K, V>;
  readonly #table: Table<Uint8Array, undefined>;

  static {
    writeBelow = (multimap) => {
      if (isObject(multimap) && #table in multimap) {
        return { layout: multimap.#layout, table: multimap.#table };
      }
      const from = "columnFamily.multimap(); those of snapshots cannot be written";
      throw notATable(multimap, from, "multimap");
    };
  }

  /** Column families make it. */
  constructor(layout: MultimapLayout<K, V>, access: FamilyAccess) {
    const codecs = `${layout.raw.name}\0${none.name}`;
    const table = new Table<Uint8Array, undefined>(access, layout.name, layout.raw, none, codecs);
    super(layout, table);
    this.#layout = layout;
    this.#table = table;
    rawTableOf(table as TableReader<Uint8Array, undefined>).resolve();
  }

  /**
   * Adds a value to those of a key.
   *
   * @param key The key. It and the value are encoded before this returns; `too-large` when that takes more than
   * a quarter of the page size.
   * @param value The value.
   * @param options `durability`: when it resolves.
   * @returns Whether the key did not have it.
   *
   * @example
   * ```ts
   * import { openInMemory, text } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const tags = (await db.columnFamily("wiki")).multimap("tags", { key: text, value: text });
   * console.log(await tags.add("home", "help"), await tags.add("home", "help")); // true false
   * ```
   */
  async add(key: K, value: V, options?: WriteOptions): Promise<boolean> {
    const entry = this.#layout.entryToWrite(key, value);
    return await replaceIn(this.#table, entry, undefined, options) === 0;
  }

  /**
   * Adds many entries, all of them or none: one transaction. All encodings are held in memory until the end.
   *
   * @param entries Keys, each with a value; `invalid-argument` for what is not iterable. What it throws while it
   * gives them is thrown, and nothing is added.
   * @param options `durability`: when it resolves; `onProgress`: is told how far it is.
   * @returns How many were not there.
   *
   * @example
   * ```ts
   * import { openInMemory, text } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const tags = (await db.columnFamily("wiki")).multimap("tags", { key: text, value: text });
   * const all = ["start", "help"].map((tag): [string, string] => ["home", tag]);
   * console.log(await tags.addMany(all), await tags.addMany(all)); // 2 0
   * ```
   */
  async addMany(
    entries: Iterable<readonly [key: K, value: V]>,
    options?: SetManyOptions,
  ): Promise<number> {
    checkIterable(entries, () => `addMany in multimap "${this.name}"`);
    const counted = { entries: 0 };
    const replaced = await replaceManyIn(this.#table, this.#encode(entries, counted), options);
    return counted.entries - replaced;
  }

  *#encode(
    entries: Iterable<readonly [K, V]>,
    counted: { entries: number },
  ): Generator<[Uint8Array, undefined], void, undefined> {
    for (const entry of entries) {
      if (!Array.isArray(entry)) {
        throw new ManifoldError(
          "invalid-argument",
          `addMany in multimap "${this.name}": entry ${counted.entries} is ${describe(entry)}; ` +
            "give arrays of key and value",
        );
      }
      yield [this.#layout.entryToWrite(entry[0], entry[1]), undefined];
      counted.entries++;
    }
  }

  /**
   * Deletes a value of a key.
   *
   * @param key The key.
   * @param value The value.
   * @param options `durability`: when it resolves.
   * @returns Whether it was there.
   */
  async delete(key: K, value: V, options?: WriteOptions): Promise<boolean> {
    return await this.#table.delete(this.#layout.entryToWrite(key, value), options);
  }

  /**
   * Deletes all values of a key, at once.
   *
   * @param key The key.
   * @param options `durability`: when it resolves.
   * @returns How many there were.
   *
   * @example
   * ```ts
   * import { openInMemory, text } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const tags = (await db.columnFamily("wiki")).multimap("tags", { key: text, value: text });
   * await tags.addMany([["home", "start"], ["home", "help"], ["faq", "help"]]);
   * console.log(await tags.deleteAll("home"), tags.count()); // 2 1
   * ```
   */
  async deleteAll(key: K, options?: WriteOptions): Promise<number> {
    return await this.#table.deleteRange(this.#layout.entriesOf(key), options);
  }

  /**
   * Deletes the entries of a range of keys, all at once.
   *
   * @param range Of which keys; `invalid-argument` with `reverse`, `limit` or `offset`, and else as
   * {@linkcode Range} says. `{}` is every entry.
   * @param options `durability`: when it resolves.
   * @returns How many there were.
   */
  async deleteRange(range: Range<K>, options?: WriteOptions): Promise<number> {
    return await this.#table.deleteRange(this.#layout.keyRange(range ?? null), options);
  }

  /** What the multimap takes. Reads every page of it. */
  stats(): TableStats {
    return this.#table.stats();
  }
}
