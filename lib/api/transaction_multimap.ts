/**
 * A multimap as a transaction sees and changes it.
 *
 * @module
 */

import type { MultimapLayout } from "./multimap_layout.ts";
import { MultimapReader } from "./multimap_reader.ts";
import type { TransactionTable } from "./overlay_table.ts";
import type { Range } from "./range.ts";

/**
 * A multimap inside a transaction: what the transaction began with, and its own writes over it. Everything is
 * synchronous; writes are kept in memory until the transaction is committed. Made by `Transaction.multimap`.
 *
 * @typeParam K The type of the keys.
 * @typeParam V The type of the values.
 *
 * @example
 * ```ts
 * import { openInMemory, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family = await db.columnFamily("wiki");
 * const tags = family.multimap("tags", { key: text, value: text });
 * await tags.add("home", "start");
 * await family.transaction((tx) => {
 *   const t = tx.multimap(tags);
 *   for (const tag of t.get("home")) t.add("faq", tag);
 *   t.deleteAll("home");
 *   console.log([...t], [...tags]); // [["faq", "start"]] [["home", "start"]]
 * });
 * ```
 */
export class TransactionMultimap<K, V> extends MultimapReader<K, V> {
  readonly #layout: MultimapLayout<K, V>;
  readonly #table: TransactionTable<Uint8Array, undefined>;

  /** Transactions make it. */
  constructor(layout: MultimapLayout<K, V>, table: TransactionTable<Uint8Array, undefined>) {
    super(layout, table);
    this.#layout = layout;
    this.#table = table;
  }

  /**
   * Adds a value to those of a key. Throws `too-large` when their encodings take more than a quarter of the page
   * size.
   *
   * @param key The key.
   * @param value The value.
   * @returns Whether the key did not have it.
   */
  add(key: K, value: V): boolean {
    const entry = this.#layout.entryToWrite(key, value);
    if (this.#table.has(entry)) return false;
    this.#table.set(entry, undefined);
    return true;
  }

  /**
   * Deletes a value of a key.
   *
   * @param key The key.
   * @param value The value.
   * @returns Whether it was there.
   */
  delete(key: K, value: V): boolean {
    return this.#table.delete(this.#layout.entry(key, value));
  }

  /**
   * Deletes all values of a key.
   *
   * @param key The key.
   * @returns How many there were.
   */
  deleteAll(key: K): number {
    return this.#table.deleteRange(this.#layout.entriesOf(key));
  }

  /**
   * Deletes the entries of a range of keys.
   *
   * @param range Of which keys; `invalid-argument` with `reverse`, `limit` or `offset`, and else as
   * {@linkcode Range} says. `{}` is every entry.
   * @returns How many there were.
   */
  deleteRange(range: Range<K>): number {
    return this.#table.deleteRange(this.#layout.keyRange(range ?? null));
  }
}
