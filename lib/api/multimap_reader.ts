/**
 * The reads of a multimap, on the table below: one of a family, of a snapshot or of a transaction.
 *
 * @module
 */

import { isObject, notATable } from "./arguments.ts";
import { EntryIterator } from "./entry_iterator.ts";
import { DistinctKeys, type Entries, PlainEntries } from "./multimap_entries.ts";
import type { MultimapLayout } from "./multimap_layout.ts";
import type { Range } from "./range.ts";

/** What the reads need of the table below. */
export interface EntryTable {
  has(entry: Uint8Array): boolean;
  keys(range?: Range<Uint8Array>): Entries;
  first(range?: Range<Uint8Array>): [Uint8Array, undefined] | undefined;
  last(range?: Range<Uint8Array>): [Uint8Array, undefined] | undefined;
  count(range?: Range<Uint8Array>): number;
}

/** A multimap's codecs and the table below: for the rest of the package. */
export let readBelow: <K, V>(
  multimap: MultimapReader<K, V>,
) => { readonly layout: MultimapLayout<K, V>; readonly table: EntryTable };

/**
 * Everything of a multimap that reads: what those of a family, of a {@linkcode Snapshot} and of a
 * {@linkcode Transaction} share.
 *
 * All of it is synchronous. A multimap that was not written yet reads as empty. An *entry* is a key with one of
 * its values; they are sorted by key, and those of one key by value. Ranges are of keys, but for that of `get`.
 *
 * Every read throws `closed` when the database, the snapshot or the transaction is; `not-found` when the column
 * family was deleted; `type-mismatch` when the table was made with other codecs, or is no multimap; `corrupt` or
 * `io` when a page cannot be read; and what the codecs throw.
 *
 * @typeParam K The type of the keys.
 * @typeParam V The type of the values.
 *
 * @example
 * ```ts
 * import { openInMemory, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const tags = (await db.columnFamily("wiki")).multimap("tags", { key: text, value: text });
 * await tags.addMany([["home", "start"], ["home", "help"], ["faq", "help"]]);
 *
 * console.log([...tags.get("home")]); // ["help", "start"]
 * console.log([...tags.keys()]); // ["faq", "home"]
 * console.log(tags.count("home"), tags.has("faq", "start")); // 2 false
 * ```
 */
export class MultimapReader<K, V> {
  readonly #layout: MultimapLayout<K, V>;
  readonly #table: EntryTable;

  static {
    readBelow = (multimap) => {
      if (isObject(multimap) && #layout in multimap) {
        return { layout: multimap.#layout, table: multimap.#table };
      }
      throw notATable(multimap, "columnFamily.multimap() or snapshot.multimap()", "multimap");
    };
  }

  /** Column families, snapshots and transactions make it. */
  constructor(layout: MultimapLayout<K, V>, table: EntryTable) {
    this.#layout = layout;
    this.#table = table;
  }

  /** The multimap's name. */
  get name(): string {
    return this.#layout.name;
  }

  /**
   * Goes over the values of a key, in their order. It goes over the version of now, whatever is written
   * meanwhile; its `seek` takes values.
   *
   * @param key The key.
   * @param range Which of its values; all when not given. `invalid-argument` as {@linkcode Range} says.
   *
   * @example The last three, and those of a prefix
   * ```ts
   * import { openInMemory, text } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const tags = (await db.columnFamily("wiki")).multimap("tags", { key: text, value: text });
   * await tags.addMany([["home", "start"], ["home", "help"], ["home", "hello"]]);
   * console.log([...tags.get("home", { reverse: true, limit: 3 })]); // ["start", "help", "hello"]
   * console.log([...tags.get("home", { prefix: "hel" })]); // ["hello", "help"]
   * ```
   */
  get(key: K, range?: Range<V>): EntryIterator<V, V> {
    const values = this.#layout.valuesOf(key);
    const entries = this.#table.keys(this.#layout.valueRange(values, range));
    return new EntryIterator(
      new PlainEntries(entries, (entry) => entry),
      values.codec,
      (entries) => values.codec.decode(entries.key()),
    );
  }

  /**
   * Whether a key has a value, or any.
   *
   * @param key The key.
   * @param value The value; any when not given.
   */
  has(key: K, value?: V): boolean {
    return value === undefined
      ? this.#table.first(this.#layout.entriesOf(key)) !== undefined
      : this.#table.has(this.#layout.entry(key, value));
  }

  /**
   * How many values a key has, or how many entries there are. Costs O(log n), and in a transaction O(m) for
   * its m writes in question.
   *
   * @param key The key; all when not given.
   */
  count(key?: K): number {
    return this.#table.count(key === undefined ? undefined : this.#layout.entriesOf(key));
  }

  /**
   * Goes over entries, in the order of the keys and, of one key, of the values. Its `seek` takes keys, and comes
   * to the first entry of one, or with `reverse` to the last.
   *
   * @param range Of which keys; all when not given. Its offset and limit are of entries. `invalid-argument` as
   * {@linkcode Range} says.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const seen = (await db.columnFamily("wiki")).multimap("seen", { key: text, value: u32 });
   * await seen.addMany([["ada", 2], ["ada", 1], ["grace", 1]]);
   * for (const [name, page] of seen.entries({ lt: "b" })) console.log(name, page); // ada 1, ada 2
   * ```
   */
  entries(range?: Range<K>): EntryIterator<K, [key: K, value: V]> {
    return this.#iterate(range, (entry) => this.#layout.decode(entry));
  }

  /**
   * Goes over the keys that have values, each once, in their order. The values of a key that has many are passed
   * over by a jump.
   *
   * @param range Which; all when not given. Its offset and limit are of keys, and cost a step for each that is
   * passed over, also when the iterator seeks. `invalid-argument` as {@linkcode Range} says.
   */
  keys(range?: Range<K>): EntryIterator<K, K> {
    const layout = this.#layout;
    const asked = layout.keyRange(range);
    const entries = this.#table.keys({ ...asked, limit: Infinity, offset: 0 });
    return new EntryIterator(
      new DistinctKeys(entries, layout, asked),
      layout.key,
      (entries) => layout.key.decode(entries.key()),
    );
  }

  /**
   * Goes over the values of all entries of a range, in their order: key by key. Its `seek` takes keys.
   *
   * @param range Of which keys; all when not given. Its offset and limit are of entries. `invalid-argument` as
   * {@linkcode Range} says.
   */
  values(range?: Range<K>): EntryIterator<K, V> {
    return this.#iterate(range, (entry) => this.#layout.decodeValue(entry));
  }

  #iterate<G>(range: Range<K> | undefined, give: (entry: Uint8Array) => G): EntryIterator<K, G> {
    const layout = this.#layout;
    const asked = layout.keyRange(range);
    const position = asked.reverse
      ? (key: Uint8Array) => layout.behind(key)
      : (key: Uint8Array) => key;
    return new EntryIterator(
      new PlainEntries(this.#table.keys(asked), position),
      layout.key,
      (entries) => give(entries.key()),
    );
  }

  /** Goes over all entries: the same as `entries()`. */
  [Symbol.iterator](): EntryIterator<K, [key: K, value: V]> {
    return this.entries();
  }

  /**
   * The first entry of a range: the one that `entries(range)` gives first.
   *
   * @param range Of which keys; all when not given. `invalid-argument` as {@linkcode Range} says.
   * @returns Key and value, or undefined if there is none.
   */
  first(range?: Range<K>): [key: K, value: V] | undefined {
    return this.#decode(this.#table.first(this.#layout.keyRange(range)));
  }

  /**
   * The last entry of a range: the one that `entries(range)` gives last.
   *
   * @param range Of which keys; all when not given. `invalid-argument` as {@linkcode Range} says.
   * @returns Key and value, or undefined if there is none.
   */
  last(range?: Range<K>): [key: K, value: V] | undefined {
    return this.#decode(this.#table.last(this.#layout.keyRange(range)));
  }

  #decode(entry: [Uint8Array, undefined] | undefined): [key: K, value: V] | undefined {
    return entry === undefined ? undefined : this.#layout.decode(entry[0]);
  }
}
