/**
 * Iterators over a table, as the language has them.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import type { Codec } from "./codec.ts";
import { encodeKey } from "./range.ts";

/** Encoded entries, one after another. */
export interface EntrySource {
  /** To the next entry; false after the last one, and ever after. */
  advance(): boolean;
  /** The key of the current entry, until the next move. */
  key(): Uint8Array;
  /** The value of the current entry, until the next move. */
  value(): Uint8Array;
  /** Moves so that `advance` comes to the first entry at or after the key, in the direction of the range. */
  seek(key: Uint8Array): void;
  /** Gives back what it holds: it has ended. */
  close(): void;
}

/** Makes what an iterator gives of its current entry. */
export type Give<T> = (entries: EntrySource) => T;

/**
 * Goes over entries, keys or values of a table in the order of the keys, as `table.entries()`,
 * `keys()` and `values()` make it. `map`, `filter`, `take`, `drop`, `toArray` and the like come from
 * the language's own `Iterator`.
 *
 * It goes over the version of the table at its creation, whatever is written meanwhile, and what it
 * gives belongs to the caller. It holds that version until it has ended, which `for … of`, spreading
 * and the language's helpers see to, also when they stop early. One that is advanced by hand and
 * left is given back by `return()`, by `using`, or at last by the garbage collector.
 *
 * @typeParam K The type of the keys.
 * @typeParam T What it gives.
 *
 * @example
 * ```ts
 * import { openInMemory, text, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
 * await stock.setMany([["apples", 3], ["pears", 0], ["plums", 7]]);
 *
 * const missing = stock.entries().filter(([, count]) => count === 0).map(([name]) => name);
 * console.log(missing.toArray()); // ["pears"]
 * ```
 */
export class EntryIterator<K, T> extends Iterator<T, undefined, unknown> {
  readonly #entries: EntrySource;
  readonly #key: Codec<K>;
  readonly #give: Give<T>;
  /** While an entry is being decoded, its bytes must stay. */
  #giving = false;

  /** Tables make it. */
  constructor(entries: EntrySource, key: Codec<K>, give: Give<T>) {
    super();
    this.#entries = entries;
    this.#key = key;
    this.#give = give;
  }

  /**
   * The next one.
   *
   * Throws `closed` when the database was closed meanwhile; `corrupt` and `io` when a page cannot be
   * read, or a value cannot be decoded; `invalid-argument` from inside a codec that is decoding for it; what the
   * codecs throw.
   */
  override next(): IteratorResult<T, undefined> {
    const entries = this.#entries;
    if (this.#giving) throw this.#busy();
    if (!entries.advance()) return { done: true, value: undefined };
    this.#giving = true;
    try {
      return { done: false, value: this.#give(entries) };
    } finally {
      this.#giving = false;
    }
  }

  /** All that are left, in an array; throws as {@linkcode EntryIterator.next}. */
  override toArray(): T[] {
    const entries = this.#entries;
    if (this.#giving) throw this.#busy();
    const all: T[] = [];
    this.#giving = true;
    try {
      while (entries.advance()) all.push(this.#give(entries));
    } finally {
      this.#giving = false;
    }
    return all;
  }

  #busy(): ManifoldError {
    return new ManifoldError(
      "invalid-argument",
      `codec ${this.#key.name} or that of the values uses the iterator that it decodes an entry for; ` +
        "make another one there",
    );
  }

  /**
   * Jumps, forth or back, so that `next()` gives the first entry whose key is `key` or after it; with
   * `reverse`, the first whose key is `key` or before it. Only among what the iterator goes over:
   * before its first entry it begins anew, behind its last entry it ends. Costs O(log n). Does
   * nothing once the iterator has ended.
   *
   * Throws `invalid-argument` for a key that the table's codec does not take; else as `next()`.
   *
   * @param key Where to, whether there is such a key or not.
   * @returns The iterator itself.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
   * await stock.setMany([["apples", 3], ["pears", 0], ["plums", 7]]);
   *
   * using names = stock.keys();
   * console.log(names.seek("b").next().value); // "pears"
   * ```
   */
  seek(key: K): this {
    if (this.#giving) throw this.#busy();
    this.#entries.seek(encodeKey(this.#key, key));
    return this;
  }

  /** Ends it: the version is held no longer, and `next()` gives nothing any more. */
  override return(): IteratorReturnResult<undefined> {
    if (this.#giving) throw this.#busy();
    this.#entries.close();
    return { done: true, value: undefined };
  }

  /** The same as `return()`, for `using`. */
  override [Symbol.dispose](): void {
    this.return();
  }
}
