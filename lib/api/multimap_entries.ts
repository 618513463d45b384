/**
 * What the iterators of multimaps go over: entries of the table below, or of all entries of a key one.
 *
 * @module
 */

import { compareBytes, prefixSuccessor } from "./bytes_order.ts";
import { carveInternal } from "./codecs/tuning.ts";
import type { EntryIterator, EntrySource } from "./entry_iterator.ts";
import { type MultimapLayout, NO_BYTES } from "./multimap_layout.ts";
import type { Range } from "./range.ts";

/** Goes over encoded entries. */
export type Entries = EntryIterator<Uint8Array, Uint8Array>;

/** So many entries of a key are passed one by one: what comes along with a seek (lib/api/raw_entries.ts). */
const PASSED_MAX = 31;

/** Entries of the table below, sought by what `position` makes of a key. */
export class PlainEntries implements EntrySource {
  readonly #entries: Entries;
  readonly #position: (key: Uint8Array) => Uint8Array;
  #entry: Uint8Array = NO_BYTES;

  constructor(entries: Entries, position: (key: Uint8Array) => Uint8Array) {
    this.#entries = entries;
    this.#position = position;
  }

  advance(): boolean {
    const { done, value } = this.#entries.next();
    if (done) return false;
    this.#entry = value;
    return true;
  }

  key(): Uint8Array {
    return this.#entry;
  }

  value(): Uint8Array {
    return NO_BYTES;
  }

  seek(key: Uint8Array): void {
    this.#entries.seek(this.#position(key));
  }

  close(): void {
    this.#entries.return();
  }
}

/**
 * Each key once. Its framed encoding is what `key` gives.
 *
 * Invariant: offset and limit are of keys, and what they leave is fixed when this is made, whereto it is sought
 * afterwards.
 */
export class DistinctKeys<K, V> implements EntrySource {
  readonly #entries: Entries;
  readonly #layout: MultimapLayout<K, V>;
  readonly #reverse: boolean;
  readonly #limit: number;
  readonly #offset: number;
  /** The framed key that it is on; undefined at the beginning and after a seek. */
  #key: Uint8Array | undefined;
  /** Keys that are still to be passed over. */
  #skip: number;
  /** Keys that may still come. */
  #left: number;
  /** Keys before this one are passed over, too. */
  #target: Uint8Array | undefined;
  #ended = false;

  /** @param entries All entries of the keys of the range, whatever its offset and limit. */
  constructor(entries: Entries, layout: MultimapLayout<K, V>, range: Range<unknown>) {
    const { reverse = false, limit = Infinity, offset = 0 } = range;
    this.#entries = entries;
    this.#layout = layout;
    this.#reverse = reverse;
    this.#limit = this.#left = limit;
    this.#offset = this.#skip = offset;
  }

  advance(): boolean {
    while (!this.#ended && this.#left > 0 && this.#nextKey()) {
      if (this.#skip > 0) {
        this.#skip--;
        continue;
      }
      this.#left--;
      if (!this.#isBeforeTarget()) return true;
    }
    this.close();
    return false;
  }

  key(): Uint8Array {
    return this.#key!;
  }

  value(): Uint8Array {
    return NO_BYTES;
  }

  seek(key: Uint8Array): void {
    this.#key = undefined;
    if (this.#limit === Infinity && this.#offset === 0) {
      this.#entries.seek(this.#reverse ? this.#layout.behind(key) : key);
      return;
    }
    // They count from the beginning, so this counts anew, and nobody knows how many keys lie between.
    this.#entries.seek(this.#reverse ? this.#layout.behind(NO_BYTES) : NO_BYTES);
    this.#skip = this.#offset;
    this.#left = this.#limit;
    this.#target = key;
  }

  close(): void {
    this.#ended = true;
    this.#entries.return();
  }

  #isBeforeTarget(): boolean {
    if (this.#target === undefined) return false;
    const order = compareBytes(this.#key!, this.#target);
    return this.#reverse ? order > 0 : order < 0;
  }

  /** To the first entry of another key; false if there is none. */
  #nextKey(): boolean {
    const { done, value: entry } = this.#key === undefined
      ? this.#entries.next()
      : this.#past(this.#key);
    if (done) return false;
    this.#key = carveInternal(entry.subarray(0, this.#layout.keyEnd(entry)));
    return true;
  }

  /** The first entry that is not of the key. */
  #past(key: Uint8Array): IteratorResult<Uint8Array, undefined> {
    for (let passed = 0; passed < PASSED_MAX; passed++) {
      const result = this.#entries.next();
      if (result.done || !startsWith(result.value, key)) return result;
    }
    const behind = this.#reverse ? key : prefixSuccessor(key);
    if (behind === null) return { done: true, value: undefined };
    this.#entries.seek(behind);
    const result = this.#entries.next();
    // In reverse, an entry whose value has an empty encoding is the key itself.
    return result.done || !startsWith(result.value, key) ? result : this.#entries.next();
  }
}

function startsWith(entry: Uint8Array, start: Uint8Array): boolean {
  if (entry.length < start.length) return false;
  for (let i = 0; i < start.length; i++) if (entry[i] !== start[i]) return false;
  return true;
}
