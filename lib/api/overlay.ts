/**
 * What a transaction sees of one table, as bytes: its own writes over the state that it reads.
 *
 * Single writes stand in a map by key, deleted ranges in a set of spans; everything else comes from the
 * base. Counts are arithmetic: what the base counts outside of the spans, and for every single
 * write in question what it adds to that or takes from it.
 *
 * What an answer depends on is noted as it is asked for: keys, and ranges as far as they were looked at. What
 * an own write or deletion hides is not, and neither is anything for a mere write.
 *
 * Invariant: a span takes the single writes before it away, so that a single write within a span came after
 * it.
 *
 * @module
 */

import { keyAfter } from "./bytes_order.ts";
import { carveInternal } from "./codecs/tuning.ts";
import type { OperationsWriter } from "./operations_writer.ts";
import { OverlayEntries } from "./overlay_entries.ts";
import { type EncodedRange, EVERYTHING, type KeyBound } from "./range.ts";
import type { RawEntry, RawTable } from "./raw_reads.ts";
import type { ReadSet } from "./read_set.ts";
import { type KeySpan, RangeSet, SortedMap } from "./sorted_map.ts";

const NO_KEY = new Uint8Array(0);
const EVERY_KEY: KeySpan = { from: NO_KEY, to: null };

/** A single write. */
export interface Write {
  /** Null: deleted. */
  readonly value: Uint8Array | null;
  /** Whether it hides an entry of the base; undefined while nobody asked. */
  hides: boolean | undefined;
}

export class Overlay {
  readonly base: RawTable;
  /** Where what was learnt of the base is noted; undefined if nobody asks. */
  readonly reads: ReadSet | undefined;
  readonly writes: SortedMap<Write> = new SortedMap<Write>();
  readonly cleared: RangeSet = new RangeSet();

  constructor(base: RawTable, reads?: ReadSet) {
    this.base = base;
    this.reads = reads;
  }

  /** Whether nothing was written. */
  get isEmpty(): boolean {
    return this.writes.size === 0 && this.cleared.size === 0;
  }

  /** The same, unchanged by what is written from now on. Costs a pointer per 512 writes. */
  clone(): Overlay {
    const copy = new Overlay(this.base, this.reads);
    copy.restore(this);
    return copy;
  }

  /** Makes the writes those of `saved`, which can be used again. */
  restore(saved: Overlay): void {
    this.writes.restore(saved.writes);
    this.cleared.restore(saved.cleared);
  }

  /** Forgets all writes. */
  clear(): void {
    this.writes.clear();
    this.cleared.clear();
  }

  /** Notes that all entries of the base between two bounds that no deleted range covers were looked at. */
  noteRange(lower: KeyBound | null, upper: KeyBound | null): void {
    const { reads } = this;
    if (reads === undefined) return;
    const { from, to } = spanOf(lower, upper);
    if (this.cleared.size === 0) reads.ranges.add(from, to);
    else for (const gap of this.cleared.gaps(from, to)) reads.ranges.add(gap.from, gap.to);
  }

  /** Notes that a range was looked at from where it begins to a key; to its other end, if there is none. */
  #noteUpTo({ lower, upper, reverse }: EncodedRange, key: Uint8Array | undefined): void {
    if (this.reads === undefined) return;
    const end = key === undefined ? undefined : { key, inclusive: true };
    this.noteRange(reverse ? end ?? lower : lower, reverse ? upper : end ?? upper);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const write = this.writes.get(key);
    if (write !== undefined) return write.value ?? undefined;
    if (this.cleared.contains(key)) return undefined;
    this.reads?.noteKey(key);
    return this.base.get(key);
  }

  has(key: Uint8Array): boolean {
    const write = this.writes.get(key);
    if (write !== undefined) return write.value !== null;
    if (this.cleared.contains(key)) return false;
    this.reads?.noteKey(key);
    return this.base.has(key);
  }

  /** Keeps both arrays. */
  set(key: Uint8Array, value: Uint8Array): void {
    this.writes.set(key, { value, hides: this.writes.get(key)?.hides });
  }

  /** Keeps the array; returns whether the entry was there. */
  delete(key: Uint8Array): boolean {
    const write = this.writes.get(key);
    if (write === undefined ? !this.has(key) : write.value === null) return false;
    // Over an own write also if the base has nothing: what others put there meanwhile goes, too.
    this.writes.set(key, { value: null, hides: write === undefined ? true : write.hides });
    return true;
  }

  /** Returns how many entries were there. */
  deleteRange(lower: KeyBound | null, upper: KeyBound | null): number {
    const removed = this.count(lower, upper);
    if (removed === 0) return 0;
    this.writes.deleteRange(lower, upper);
    this.cleared.addBetween(lower, upper);
    return removed;
  }

  /** How many entries are between two bounds. */
  count(lower: KeyBound | null, upper: KeyBound | null): number {
    this.noteRange(lower, upper);
    return this.#count(lower, upper);
  }

  #count(lower: KeyBound | null, upper: KeyBound | null): number {
    if (this.isEmpty) return this.base.count(lower, upper);
    let count = this.#uncovered(spanOf(lower, upper));
    for (const [key, write] of this.writes.entries(lower, upper)) count += this.#adds(key, write);
    return count;
  }

  /** How many entries a range has, its offset and limit included. */
  countIn(range: EncodedRange): number {
    const all = range.empty ? 0 : this.count(range.lower, range.upper);
    return Math.max(0, Math.min(range.limit, all - range.offset));
  }

  /** The entry with `index` entries before it. */
  at(index: number): RawEntry | undefined {
    return this.nth(EVERYTHING, index);
  }

  /** The first entry that a range gives. */
  first(range: EncodedRange): RawEntry | undefined {
    const entry = this.isEmpty ? this.base.first(range) : this.#first(range);
    if (!range.empty) this.#noteUpTo(range, entry?.key);
    return entry;
  }

  #first(range: EncodedRange): RawEntry | undefined {
    // Nothing is written between the creation and the end of these.
    const entries = new OverlayEntries(this, range, true);
    try {
      if (!entries.advance()) return undefined;
      return { key: carveInternal(entries.key()), value: carveInternal(entries.value()) };
    } finally {
      entries.close();
    }
  }

  /** The last entry that a range gives. */
  last(range: EncodedRange): RawEntry | undefined {
    const { lower, upper, limit, offset, empty } = range;
    if (limit === Infinity && offset === 0) {
      return this.first({ ...range, reverse: !range.reverse });
    }
    if (empty) return undefined;
    const count = Math.min(limit, this.#count(lower, upper) - offset);
    const entry = count <= 0 ? undefined : this.#nth(range, offset + count - 1);
    // One more would be the last instead, unless the limit is reached.
    this.#noteUpTo(range, count === limit ? entry?.key : undefined);
    return entry;
  }

  /** The entry with `index` entries of the range before it, whatever the range's offset and limit. */
  nth(range: EncodedRange, index: number): RawEntry | undefined {
    if (range.empty) return undefined;
    const entry = this.#nth(range, index);
    this.#noteUpTo(range, entry?.key);
    return entry;
  }

  #nth(range: EncodedRange, index: number): RawEntry | undefined {
    const { lower, upper, reverse } = range;
    const forwards = reverse ? this.#count(lower, upper) - 1 - index : index;
    return this.#select(forwards, lower, upper);
  }

  /** The entries of a range, as they are now. */
  entries(range: EncodedRange, values: boolean): OverlayEntries {
    return new OverlayEntries(this.clone(), range, values, undefined, this.reads);
  }

  /** Appends operations that have the effect of all writes; they may be done in this order only. */
  encode(writer: OperationsWriter, table: number): void {
    for (const { from, to } of this.cleared.spans()) {
      writer.deleteRange(table, lowerOf(from), upperOf(to));
    }
    const writes = this.writes.cursor();
    for (let more = writes.seek(null); more; more = writes.next()) {
      const { value } = writes.value;
      if (value === null) writer.deleteEncoded(table, writes.key);
      else writer.setEncoded(table, writes.key, value);
    }
  }

  /** Whether there is anything that a table which does not exist would have to be made for. */
  get sets(): boolean {
    for (const [, { value }] of this.writes.entries()) if (value !== null) return true;
    return false;
  }

  #hides(key: Uint8Array, write: Write): boolean {
    write.hides ??= !this.cleared.contains(key) && this.base.has(key);
    return write.hides;
  }

  /** What a write adds to the count of the base outside of the spans. */
  #adds(key: Uint8Array, write: Write): number {
    return (write.value === null ? 0 : 1) - (this.#hides(key, write) ? 1 : 0);
  }

  /** Entries of the base in a span that no deleted range covers. */
  #uncovered(span: KeySpan): number {
    let count = 0;
    for (const { from, to } of this.cleared.gaps(span.from, span.to)) {
      count += this.base.count(lowerOf(from), upperOf(to));
    }
    return count;
  }

  /** The entry between two bounds with `index` others before it. */
  #select(index: number, lower: KeyBound | null, upper: KeyBound | null): RawEntry | undefined {
    if (index < 0) return undefined;
    const { from, to } = spanOf(lower, upper);
    const keys: Uint8Array[] = [];
    const writes: Write[] = [];
    /** What the writes before each one add. */
    const added: number[] = [];
    let sum = 0;
    for (const [key, write] of this.writes.entries(lower, upper)) {
      keys.push(key);
      writes.push(write);
      added.push(sum);
      sum += this.#adds(key, write);
    }
    const before = (i: number): number => this.#uncovered({ from, to: keys[i] }) + added[i];
    // The last write with at most `index` entries before it.
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (before(middle) <= index) low = middle + 1;
      else high = middle;
    }
    const last = low - 1;
    if (last < 0) return this.#selectBase(index, { from, to: keys[0] ?? to });
    let rest = index - before(last);
    const { value } = writes[last];
    if (value !== null && rest-- === 0) return { key: keys[last], value };
    return this.#selectBase(rest, { from: keyAfter(keys[last]), to: keys[low] ?? to });
  }

  /** The entry of the base outside of the deleted ranges with `index` such before it in the span. */
  #selectBase(index: number, span: KeySpan): RawEntry | undefined {
    for (const { from, to } of this.cleared.gaps(span.from, span.to)) {
      const lower = lowerOf(from);
      const upper = upperOf(to);
      const count = this.base.count(lower, upper);
      if (index < count) {
        return this.base.first({
          lower,
          upper,
          reverse: false,
          limit: 1,
          offset: index,
          empty: false,
        });
      }
      index -= count;
    }
    return undefined;
  }
}

function spanOf(lower: KeyBound | null, upper: KeyBound | null): KeySpan {
  if (lower === null && upper === null) return EVERY_KEY;
  return {
    from: lower === null ? NO_KEY : lower.inclusive ? lower.key : keyAfter(lower.key),
    to: upper === null ? null : upper.inclusive ? keyAfter(upper.key) : upper.key,
  };
}

function lowerOf(from: Uint8Array): KeyBound | null {
  return from.length === 0 ? null : { key: from, inclusive: true };
}

function upperOf(to: Uint8Array | null): KeyBound | null {
  return to === null ? null : { key: to, inclusive: false };
}
