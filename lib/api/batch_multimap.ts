/**
 * A multimap as a batch writes it.
 *
 * @module
 */

import type { Batch } from "./batch.ts";
import { type Multimap, writeBelow } from "./multimap.ts";
import type { MultimapLayout } from "./multimap_layout.ts";
import type { Range } from "./range.ts";
import type { Table } from "./table.ts";

/**
 * The writes to a multimap that a batch collects. Each throws as those of {@linkcode Batch} do, and is counted
 * in its `size`. Made by `Batch.multimap`.
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
 * const pages = family.table("pages", { key: text, value: text });
 * const tags = family.multimap("tags", { key: text, value: text });
 * const batch = family.batch().set(pages, "home", "Hello");
 * batch.multimap(tags).deleteAll("home").add("home", "start").add("home", "help");
 * await batch.commit();
 * ```
 */
export class BatchMultimap<K, V> {
  readonly #batch: Batch;
  readonly #layout: MultimapLayout<K, V>;
  readonly #table: Table<Uint8Array, undefined>;

  /** Batches make it. */
  constructor(batch: Batch, multimap: Multimap<K, V>) {
    const { layout, table } = writeBelow(multimap);
    this.#batch = batch;
    this.#layout = layout;
    this.#table = table;
  }

  /**
   * Adds a value to those of a key.
   *
   * @param key The key.
   * @param value The value.
   * @returns This, for more.
   */
  add(key: K, value: V): this {
    this.#batch.set(this.#table, this.#layout.entryToWrite(key, value), undefined);
    return this;
  }

  /**
   * Deletes a value of a key, whether it is there or not.
   *
   * @param key The key.
   * @param value The value.
   * @returns This, for more.
   */
  delete(key: K, value: V): this {
    this.#batch.delete(this.#table, this.#layout.entryToWrite(key, value));
    return this;
  }

  /**
   * Deletes all values that a key has when the batch is applied, those that the batch has added before included.
   *
   * @param key The key.
   * @returns This, for more.
   */
  deleteAll(key: K): this {
    this.#batch.deleteRange(this.#table, this.#layout.entriesOf(key));
    return this;
  }

  /**
   * Deletes the entries of a range of keys, as `deleteAll` does.
   *
   * @param range Of which keys; `invalid-argument` with `reverse`, `limit` or `offset`, and else as
   * {@linkcode Range} says. `{}` is every entry.
   * @returns This, for more.
   */
  deleteRange(range: Range<K>): this {
    this.#batch.deleteRange(this.#table, this.#layout.keyRange(range ?? null));
    return this;
  }
}
