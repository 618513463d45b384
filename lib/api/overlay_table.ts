/**
 * A table as a transaction sees and changes it.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { keyBytesMax } from "../tree/page.ts";
import { checkCallback, checkIterable } from "./arguments.ts";
import { describe } from "./codecs/describe.ts";
import { encodeWith } from "./encode.ts";
import { EntryIterator } from "./entry_iterator.ts";
import { checkValue } from "./operations_writer.ts";
import type { Overlay } from "./overlay.ts";
import { OverlayEntries } from "./overlay_entries.ts";
import { encodeKey, encodeRange, type Range } from "./range.ts";
import type { RawEntries } from "./raw_entries.ts";
import type { RawEntry } from "./raw_reads.ts";
import { scratchOf } from "./read_scratch.ts";
import { deletableRange, type TableTarget } from "./table.ts";

/**
 * A table inside a transaction: what the transaction began with, and its own writes over it. Everything
 * is synchronous; writes are kept in memory until the transaction is committed. Made by
 * `Transaction.table`.
 *
 * Iterators go over the entries as they are when the iterator is made: what the transaction writes
 * meanwhile does not show.
 *
 * Everything throws `closed` once the transaction has ended; `corrupt` or `io` when a page cannot be
 * read; and what the codecs throw.
 *
 * @typeParam K The type of the keys.
 * @typeParam V The type of the values.
 *
 * @example
 * ```ts
 * import { openInMemory, text, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family = await db.columnFamily("shop");
 * const stock = family.table("stock", { key: text, value: u32 });
 * await family.transaction((tx) => {
 *   const t = tx.table(stock);
 *   t.set("apples", (t.get("apples") ?? 0) + 1);
 *   console.log(t.get("apples"), stock.get("apples")); // 1 undefined
 * });
 * ```
 */
export class TransactionTable<K, V> {
  readonly #target: TableTarget<K, V>;
  readonly #overlay: Overlay;
  readonly #check: () => void;

  /** Transactions make it. */
  constructor(target: TableTarget<K, V>, overlay: Overlay, check: () => void) {
    this.#target = target;
    this.#overlay = overlay;
    this.#check = check;
  }

  /** The table's name. */
  get name(): string {
    return this.#target.name;
  }

  /**
   * The value of a key.
   *
   * @param key The key.
   * @returns The value, or undefined if there is none.
   */
  get(key: K): V | undefined {
    this.#check();
    const value = this.#overlay.get(encodeKey(this.#target.keyCodec, key));
    return value === undefined ? undefined : this.#decodeValue(value);
  }

  /**
   * Whether there is a value of a key.
   *
   * @param key The key.
   */
  has(key: K): boolean {
    this.#check();
    return this.#overlay.has(encodeKey(this.#target.keyCodec, key));
  }

  /**
   * The values of many keys.
   *
   * @param keys The keys, in any order; `invalid-argument` for what is not iterable.
   * @returns Value by value in the order of the keys, undefined where there is none.
   */
  getMany(keys: Iterable<K>): (V | undefined)[] {
    checkIterable(keys, () => `getMany of the table "${this.name}"`);
    return Array.from(keys, (key) => this.get(key));
  }

  /**
   * Goes over entries, in the order of the keys.
   *
   * @param range Which; all when not given. `invalid-argument` as {@linkcode Range} says.
   */
  entries(range?: Range<K>): EntryIterator<K, [K, V]> {
    const { keyCodec, valueCodec } = this.#target;
    return this.#iterate(
      range,
      true,
      (entries) => [keyCodec.decode(entries.key()), valueCodec.decode(entries.value())],
    );
  }

  /**
   * Goes over keys, in their order.
   *
   * @param range Which; all when not given. `invalid-argument` as {@linkcode Range} says.
   */
  keys(range?: Range<K>): EntryIterator<K, K> {
    const { keyCodec } = this.#target;
    return this.#iterate(range, false, (entries) => keyCodec.decode(entries.key()));
  }

  /**
   * Goes over values, in the order of the keys.
   *
   * @param range Which; all when not given. `invalid-argument` as {@linkcode Range} says.
   */
  values(range?: Range<K>): EntryIterator<K, V> {
    const { valueCodec } = this.#target;
    return this.#iterate(range, true, (entries) => valueCodec.decode(entries.value()));
  }

  #iterate<T>(
    range: Range<K> | undefined,
    values: boolean,
    give: (entries: OverlayEntries) => T,
  ): EntryIterator<K, T> {
    this.#check();
    const { keyCodec } = this.#target;
    const entries = new OverlayEntries(
      this.#overlay.clone(),
      encodeRange(keyCodec, range),
      values,
      this.#check,
      this.#overlay.reads,
    );
    // The iterator calls nothing but what both kinds of entries have.
    return new EntryIterator(
      entries as unknown as RawEntries,
      keyCodec,
      give as unknown as (entries: RawEntries) => T,
    );
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
    this.#check();
    return this.#decode(this.#overlay.first(encodeRange(this.#target.keyCodec, range)));
  }

  /**
   * The last entry of a range: the one that `entries(range)` gives last.
   *
   * @param range Which; all when not given. `invalid-argument` as {@linkcode Range} says.
   * @returns Key and value, or undefined if there is none.
   */
  last(range?: Range<K>): [K, V] | undefined {
    this.#check();
    return this.#decode(this.#overlay.last(encodeRange(this.#target.keyCodec, range)));
  }

  /**
   * How many entries a range has, its offset and limit included. Costs O(log n), and O(m) for the m
   * writes of the transaction in the range.
   *
   * @param range Which; all when not given. `invalid-argument` as {@linkcode Range} says.
   */
  count(range?: Range<K>): number {
    this.#check();
    return this.#overlay.countIn(encodeRange(this.#target.keyCodec, range));
  }

  /**
   * The entry at a place in the order of the keys. Costs O(log n), and O(m) for the m writes of the
   * transaction.
   *
   * @param index How many entries are before it, a non-negative integer; otherwise `invalid-argument`.
   * @returns Key and value, or undefined if there are no more than `index` entries.
   */
  at(index: number): [K, V] | undefined {
    this.#check();
    if (!Number.isSafeInteger(index) || index < 0) {
      throw new ManifoldError(
        "invalid-argument",
        `at(index) of the table "${this.name}": the index is ${describe(index)}; ` +
          "give a non-negative integer",
      );
    }
    return this.#decode(this.#overlay.at(index));
  }

  /**
   * Shows the encoded value of a key to a function. The bytes are valid during the call only, and not
   * to be written to.
   *
   * @typeParam T What the function returns.
   * @param key The key.
   * @param show Is shown the value; not called if there is none. What it throws is thrown.
   * `invalid-argument` for what is no function.
   * @returns What the function returns, or undefined if there is no value.
   */
  view<T>(key: K, show: (bytes: Uint8Array) => T): T | undefined {
    checkCallback(show, () => `view of the table "${this.name}"`);
    this.#check();
    const value = this.#overlay.get(encodeKey(this.#target.keyCodec, key));
    return value === undefined ? undefined : show(value);
  }

  /**
   * Shows the encoded entries of a range to a function, in order. The bytes are valid during the call
   * only, and not to be written to.
   *
   * @param range Which; undefined for all. `invalid-argument` as {@linkcode Range} says.
   * @param show Is shown each entry; `false` ends the scan. What it throws is thrown.
   * `invalid-argument` for what is no function.
   * @returns How many entries were shown, the one that ended it included.
   */
  scan(
    range: Range<K> | undefined,
    show: (key: Uint8Array, value: Uint8Array) => boolean | void,
  ): number {
    checkCallback(show, () => `scan of the table "${this.name}"`);
    this.#check();
    const entries = this.#overlay.entries(encodeRange(this.#target.keyCodec, range), true);
    let shown = 0;
    try {
      while (entries.advance()) {
        shown++;
        if (show(entries.key(), entries.value()) === false) break;
        this.#check();
      }
    } finally {
      entries.close();
    }
    return shown;
  }

  /**
   * Puts an entry in place of the one of the same key, or anew.
   *
   * Throws `too-large` for a key longer than a quarter of the page size or a value beyond 1 GiB;
   * nothing is changed then.
   *
   * @param key The key. It and the value are encoded before this returns.
   * @param value The value.
   */
  set(key: K, value: V): void {
    this.#check();
    const { keyCodec, valueCodec, name } = this.#target;
    const encoded = this.#key(encodeKey(keyCodec, key));
    const writer = scratchOf(this.#overlay.base.source.memory).takeWriter();
    encodeWith(valueCodec, value, writer);
    checkValue(writer.length, name);
    this.#overlay.set(encoded, writer.view().slice());
    scratchOf(this.#overlay.base.source.memory).putWriter(writer);
  }

  /**
   * Deletes the entry of a key.
   *
   * @param key The key.
   * @returns Whether it was there.
   */
  delete(key: K): boolean {
    this.#check();
    return this.#overlay.delete(encodeKey(this.#target.keyCodec, key));
  }

  /**
   * Deletes the entries of a range.
   *
   * @param range Which; `invalid-argument` with `reverse`, `limit` or `offset`, and else as
   * {@linkcode Range} says. `{}` is every entry.
   * @returns How many there were.
   */
  deleteRange(range: Range<K>): number {
    this.#check();
    const { lower, upper, empty } = deletableRange(this.#target, range);
    return empty ? 0 : this.#overlay.deleteRange(lower, upper);
  }

  #key(key: Uint8Array): Uint8Array {
    const max = keyBytesMax(this.#overlay.base.source.memory.shared.pageSize);
    if (key.length <= max) return key;
    throw new ManifoldError(
      "too-large",
      `table "${this.name}": a key of ${key.length} bytes is longer than ${max}, a quarter of the ` +
        "page size; shorten it",
    );
  }

  #decode(entry: RawEntry | undefined): [K, V] | undefined {
    if (entry === undefined) return undefined;
    try {
      return [this.#target.keyCodec.decode(entry.key), this.#target.valueCodec.decode(entry.value)];
    } catch (error) {
      throw this.#overlay.base.explain(error);
    }
  }

  #decodeValue(value: Uint8Array): V {
    try {
      return this.#target.valueCodec.decode(value);
    } catch (error) {
      throw this.#overlay.base.explain(error);
    }
  }
}
