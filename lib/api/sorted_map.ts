/**
 * The overlay of a transaction: what it has written over the snapshot that it reads. A
 * {@linkcode SortedMap} holds single writes by encoded key, a {@linkcode RangeSet} the ranges that
 * were deleted as a whole.
 *
 * Both keep the keys that they are given, which must not change afterwards. Both copy on write, so
 * that a clone (a savepoint) costs one pointer per chunk.
 *
 * @module
 */

import { compareBytes, keyAfter } from "./bytes_order.ts";
import type { KeyBound } from "./range.ts";

/** Most entries of a chunk; a full one is split in half. */
const CHUNK_ENTRIES_MAX = 512;
/** A chunk with fewer entries is joined with a neighbour, if that leaves room for new ones. */
const CHUNK_ENTRIES_MIN = 64;
const JOINED_ENTRIES_MAX = 384;

const NO_BYTES = new Uint8Array(0);

/** Never empty. Written only by the map whose list has this `owner`. */
interface Chunk<V> {
  owner: object;
  keys: Uint8Array[];
  values: V[];
}

/** The chunks of a map, and the last search in them. */
class ChunkList<V> {
  chunks: Chunk<V>[] = [];
  owner: object = {};
  /** Changes whenever an entry moves, so that cursors know to look again. */
  revision = 0;
  /** Where the last search ended: the entry that it found, or where a new one belongs. */
  chunk = 0;
  index = 0;

  /**
   * Finds `key`. Not there: false, and `chunk` and `index` say where it belongs, which may be
   * after the last entry of a chunk.
   */
  search(key: Uint8Array): boolean {
    const chunks = this.chunks;
    let low = 0;
    let high = chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareBytes(chunks[middle].keys[0], key) <= 0) low = middle + 1;
      else high = middle;
    }
    const at = low === 0 ? 0 : low - 1;
    this.chunk = at;
    this.index = 0;
    if (low === 0) return false;
    const keys = chunks[at].keys;
    low = 0;
    high = keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = compareBytes(keys[middle], key);
      if (order === 0) {
        this.index = middle;
        return true;
      }
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    this.index = low;
    return false;
  }

  /**
   * Puts `chunk` and `index` on the first entry after a lower bound (`isLower`), or behind the
   * last entry before an upper one; null is no bound.
   */
  seek(bound: KeyBound | null, isLower: boolean): void {
    if (bound === null) {
      this.chunk = isLower ? 0 : Math.max(0, this.chunks.length - 1);
      this.index = isLower ? 0 : this.chunks[this.chunk]?.keys.length ?? 0;
    } else if (this.search(bound.key) && bound.inclusive !== isLower) this.index++;
  }

  /** The chunk at `index`, copied first if another map has it too. */
  writable(index: number): Chunk<V> {
    const chunk = this.chunks[index];
    if (chunk.owner === this.owner) return chunk;
    this.revision++;
    const own = { owner: this.owner, keys: chunk.keys.slice(), values: chunk.values.slice() };
    this.chunks[index] = own;
    return own;
  }

  /** Drops an empty chunk, and joins a small one with the smaller neighbour. */
  join(index: number): void {
    const chunks = this.chunks;
    const count = chunks[index].keys.length;
    if (count === 0) {
      chunks.splice(index, 1);
      return;
    }
    if (count >= CHUNK_ENTRIES_MIN) return;
    const before = index > 0 ? chunks[index - 1].keys.length : Infinity;
    const after = index + 1 < chunks.length ? chunks[index + 1].keys.length : Infinity;
    if (count + Math.min(before, after) > JOINED_ENTRIES_MAX) return;
    const left = this.writable(before <= after ? index - 1 : index);
    const [right] = chunks.splice(before <= after ? index : index + 1, 1);
    left.keys = left.keys.concat(right.keys);
    left.values = left.values.concat(right.values);
  }
}

/** A map from byte strings to `V`, in the order of {@linkcode compareBytes}. */
export class SortedMap<V> {
  readonly #list = new ChunkList<V>();
  #size = 0;

  /** How many entries there are. */
  get size(): number {
    return this.#size;
  }

  /** The value of `key`; undefined when it is not there. */
  get(key: Uint8Array): V | undefined {
    return this.#list.search(key)
      ? this.#list.chunks[this.#list.chunk].values[this.#list.index]
      : undefined;
  }

  /** Whether `key` is there. */
  has(key: Uint8Array): boolean {
    return this.#list.search(key);
  }

  /** Puts an entry in place of the one of the same key, whose key object stays, or anew. */
  set(key: Uint8Array, value: V): void {
    const list = this.#list;
    if (list.search(key)) {
      list.writable(list.chunk).values[list.index] = value;
      return;
    }
    list.revision++;
    this.#size++;
    if (list.chunks.length === 0) {
      list.chunks.push({ owner: list.owner, keys: [key], values: [value] });
      return;
    }
    let chunk = list.writable(list.chunk);
    let index = list.index;
    const count = chunk.keys.length;
    if (count >= CHUNK_ENTRIES_MAX) {
      // Keys that come in order leave full chunks behind.
      const atEnd = index === count && list.chunk === list.chunks.length - 1;
      const half = atEnd ? count : count >> 1;
      const right: Chunk<V> = {
        owner: list.owner,
        keys: chunk.keys.splice(half),
        values: chunk.values.splice(half),
      };
      list.chunks.splice(list.chunk + 1, 0, right);
      if (index > half || atEnd) {
        chunk = right;
        index -= half;
      }
    }
    if (index === chunk.keys.length) {
      chunk.keys.push(key);
      chunk.values.push(value);
    } else {
      chunk.keys.splice(index, 0, key);
      chunk.values.splice(index, 0, value);
    }
  }

  /** Removes an entry; returns whether it was there. */
  delete(key: Uint8Array): boolean {
    const list = this.#list;
    if (!list.search(key)) return false;
    list.revision++;
    this.#size--;
    const chunk = list.writable(list.chunk);
    chunk.keys.splice(list.index, 1);
    chunk.values.splice(list.index, 1);
    list.join(list.chunk);
    return true;
  }

  /** Removes the entries between two bounds (null: none); returns how many. */
  deleteRange(lower: KeyBound | null, upper: KeyBound | null): number {
    const list = this.#list;
    if (this.#size === 0) return 0;
    list.seek(lower, true);
    const fromChunk = list.chunk;
    const fromIndex = list.index;
    list.seek(upper, false);
    const toChunk = list.chunk;
    const toIndex = list.index;
    if (fromChunk > toChunk || (fromChunk === toChunk && fromIndex >= toIndex)) return 0;

    list.revision++;
    let removed = 0;
    for (let i = fromChunk; i <= toChunk; i++) {
      const count = list.chunks[i].keys.length;
      const from = i === fromChunk ? fromIndex : 0;
      const to = i === toChunk ? toIndex : count;
      removed += to - from;
      if ((i !== fromChunk && i !== toChunk) || to === from) continue;
      const chunk = list.writable(i);
      chunk.keys.splice(from, to - from);
      chunk.values.splice(from, to - from);
    }
    list.chunks.splice(fromChunk + 1, Math.max(0, toChunk - fromChunk - 1));
    if (toChunk > fromChunk) list.join(fromChunk + 1);
    list.join(fromChunk);
    this.#size -= removed;
    return removed;
  }

  /** Removes everything. */
  clear(): void {
    this.#list.chunks = [];
    this.#size = 0;
    this.#list.revision++;
  }

  /** The first entry at `key` (if `inclusive`) or after it. */
  firstAtOrAfter(key: Uint8Array, inclusive: boolean = true): [Uint8Array, V] | undefined {
    const cursor = this.cursor();
    return cursor.seek({ key, inclusive }) ? [cursor.key, cursor.value] : undefined;
  }

  /** The last entry at `key` (if `inclusive`) or before it. */
  lastAtOrBefore(key: Uint8Array, inclusive: boolean = true): [Uint8Array, V] | undefined {
    const cursor = this.cursor();
    return cursor.seekLast({ key, inclusive }) ? [cursor.key, cursor.value] : undefined;
  }

  /** A cursor that is on no entry yet. */
  cursor(): SortedMapCursor<V> {
    return new SortedMapCursor(this.#list);
  }

  /**
   * The entries between two bounds (null: none), from the first to the last or in `reverse`. The
   * map may change meanwhile: an entry ahead is met as it then is. Iterate a clone to exclude that.
   */
  *entries(
    lower: KeyBound | null = null,
    upper: KeyBound | null = null,
    reverse: boolean = false,
  ): Generator<[Uint8Array, V], void, undefined> {
    const cursor = this.cursor();
    let more = reverse ? cursor.seekLast(upper) : cursor.seek(lower);
    while (more && (reverse ? isAfter(cursor.key, lower) : isBefore(cursor.key, upper))) {
      yield [cursor.key, cursor.value];
      more = reverse ? cursor.previous() : cursor.next();
    }
  }

  /** A map with the same entries that changes on its own. Costs one pointer per chunk. */
  clone(): SortedMap<V> {
    const copy = new SortedMap<V>();
    copy.restore(this);
    return copy;
  }

  /** Makes this map what `saved` is. Cursors on this map stay valid; `saved` can be used again. */
  restore(saved: SortedMap<V>): void {
    if (saved === this) return;
    this.#list.chunks = saved.#list.chunks.slice();
    this.#size = saved.#size;
    this.#list.revision++;
    // From now on neither owns a chunk of before.
    this.#list.owner = {};
    saved.#list.owner = {};
  }
}

/**
 * A place in a {@linkcode SortedMap}. After a change of the map it goes on from the key that it was
 * on, whether that is still there or not.
 */
export class SortedMapCursor<V> {
  readonly #list: ChunkList<V>;
  #revision = -1;
  #at = 0;
  #index = 0;
  #chunk: Chunk<V> | undefined;
  #key: Uint8Array | undefined;
  #value: V | undefined;

  /** Made by {@linkcode SortedMap.cursor}. */
  constructor(list: ChunkList<V>) {
    this.#list = list;
  }

  /** Whether it is on an entry. */
  get valid(): boolean {
    return this.#key !== undefined;
  }

  /** The key that it is on. Only while `valid`. */
  get key(): Uint8Array {
    return this.#key!;
  }

  /** The value that was there when it came. Only while `valid`. */
  get value(): V {
    return this.#value!;
  }

  /** Goes to the first entry within a lower bound (null: the first of all); whether there is one. */
  seek(lower: KeyBound | null): boolean {
    this.#find(lower, true);
    return this.#settle(true);
  }

  /** Goes to the last entry within an upper bound (null: the last of all); whether there is one. */
  seekLast(upper: KeyBound | null): boolean {
    this.#find(upper, false);
    this.#index--;
    return this.#settle(false);
  }

  /** Goes to the next entry; false, and on none, when there is none. Only while `valid`. */
  next(): boolean {
    if (this.#revision !== this.#list.revision) {
      return this.seek({ key: this.#key!, inclusive: false });
    }
    this.#index++;
    return this.#settle(true);
  }

  /** Goes to the entry before; false, and on none, when there is none. Only while `valid`. */
  previous(): boolean {
    if (this.#revision !== this.#list.revision) {
      return this.seekLast({ key: this.#key!, inclusive: false });
    }
    this.#index--;
    return this.#settle(false);
  }

  #find(bound: KeyBound | null, isLower: boolean): void {
    this.#list.seek(bound, isLower);
    this.#at = this.#list.chunk;
    this.#index = this.#list.index;
    this.#chunk = this.#list.chunks[this.#at];
    this.#revision = this.#list.revision;
  }

  /** Crosses to the neighbouring chunk if it is past an end, and reads the entry. */
  #settle(forwards: boolean): boolean {
    let chunk = this.#chunk;
    if (chunk !== undefined && forwards && this.#index >= chunk.keys.length) {
      chunk = this.#chunk = this.#list.chunks[++this.#at];
      this.#index = 0;
    } else if (chunk !== undefined && !forwards && this.#index < 0) {
      chunk = this.#chunk = this.#at === 0 ? undefined : this.#list.chunks[--this.#at];
      this.#index = chunk === undefined ? 0 : chunk.keys.length - 1;
    }
    this.#key = chunk?.keys[this.#index];
    this.#value = chunk?.values[this.#index];
    return this.#key !== undefined;
  }
}

/** Byte keys from `from` on, up to and without `to`; null: to the last. */
export interface KeySpan {
  readonly from: Uint8Array;
  readonly to: Uint8Array | null;
}

/** A set of byte keys, as disjoint spans that do not touch. */
export class RangeSet {
  #spans: KeySpan[] = [];
  /** Somebody else has the array too: it is copied before the next change. */
  #shared = false;

  /** How many spans it takes to hold the set. */
  get size(): number {
    return this.#spans.length;
  }

  /** Adds the keys from `from` on, up to and without `to` (null: to the last). */
  add(from: Uint8Array, to: Uint8Array | null): void {
    if (to !== null && compareBytes(from, to) >= 0) return;
    const spans = this.#spans;
    // What touches is joined: from the first span that ends at `from` or later, up to the last that
    // begins at `to` or before.
    const first = this.#countWhere((span) => span.to !== null && compareBytes(span.to, from) < 0);
    const end = to === null
      ? spans.length
      : this.#countWhere((span) => compareBytes(span.from, to) <= 0);
    let joined: KeySpan = { from, to };
    if (first < end) {
      const a = spans[first];
      const b = spans[end - 1];
      if (
        end === first + 1 && compareBytes(a.from, from) <= 0 &&
        (a.to === null || (to !== null && compareBytes(to, a.to) <= 0))
      ) return;
      joined = {
        from: compareBytes(a.from, from) < 0 ? a.from : from,
        to: to === null || b.to === null ? null : compareBytes(b.to, to) > 0 ? b.to : to,
      };
    }
    if (this.#shared) {
      this.#spans = spans.slice();
      this.#shared = false;
    }
    this.#spans.splice(first, Math.max(0, end - first), joined);
  }

  /** Adds the keys between two bounds (null: none). */
  addBetween(lower: KeyBound | null, upper: KeyBound | null): void {
    this.add(
      lower === null ? NO_BYTES : lower.inclusive ? lower.key : keyAfter(lower.key),
      upper === null ? null : upper.inclusive ? keyAfter(upper.key) : upper.key,
    );
  }

  /** Whether `key` is in the set. */
  contains(key: Uint8Array): boolean {
    return this.spanAt(key) !== undefined;
  }

  /** The span that `key` is in: where a scan that came upon a deleted key goes on. */
  spanAt(key: Uint8Array): KeySpan | undefined {
    const spans = this.#spans;
    if (spans.length === 0) return undefined;
    const span = spans[this.#countWhere((span) => compareBytes(span.from, key) <= 0) - 1];
    if (span === undefined || (span.to !== null && compareBytes(key, span.to) >= 0)) {
      return undefined;
    }
    return span;
  }

  /**
   * The pieces of [`from`, `to`) (null: to the last key) that are not in the set, from the first to
   * the last or in `reverse`. Later changes of the set do not show.
   */
  *gaps(
    from: Uint8Array,
    to: Uint8Array | null,
    reverse: boolean = false,
  ): Generator<KeySpan, void, undefined> {
    if (to !== null && compareBytes(from, to) >= 0) return;
    const first = this.#countWhere((span) => span.to !== null && compareBytes(span.to, from) <= 0);
    const end = to === null
      ? this.#spans.length
      : this.#countWhere((span) => compareBytes(span.from, to) < 0);
    if (first >= end) {
      yield { from, to };
      return;
    }
    const spans = this.#spans;
    this.#shared = true;
    // Gap i lies before span first + i; the last one behind the last span.
    const gaps = end - first + 1;
    for (let i = 0; i < gaps; i++) {
      const next = first + (reverse ? gaps - 1 - i : i);
      const gapFrom = next === first ? from : spans[next - 1].to;
      const gapTo = next === end ? to : spans[next].from;
      if (gapFrom === null || (gapTo !== null && compareBytes(gapFrom, gapTo) >= 0)) continue;
      yield { from: gapFrom, to: gapTo };
    }
  }

  /** The spans, from the first to the last. Later changes of the set do not show. */
  spans(): readonly KeySpan[] {
    this.#shared = true;
    return this.#spans;
  }

  /** Removes everything. */
  clear(): void {
    this.#spans = [];
    this.#shared = false;
  }

  /** A set of the same keys that changes on its own. Costs nothing until one of them changes. */
  clone(): RangeSet {
    const copy = new RangeSet();
    copy.restore(this);
    return copy;
  }

  /** Makes this set what `saved` is; `saved` can be used again. */
  restore(saved: RangeSet): void {
    this.#spans = saved.#spans;
    this.#shared = true;
    saved.#shared = true;
  }

  /** How many leading spans `holds` is true for; it must be false for all after these. */
  #countWhere(holds: (span: KeySpan) => boolean): number {
    let low = 0;
    let high = this.#spans.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (holds(this.#spans[middle])) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function isBefore(key: Uint8Array, upper: KeyBound | null): boolean {
  if (upper === null) return true;
  const order = compareBytes(key, upper.key);
  return order < 0 || (order === 0 && upper.inclusive);
}

function isAfter(key: Uint8Array, lower: KeyBound | null): boolean {
  if (lower === null) return true;
  const order = compareBytes(key, lower.key);
  return order > 0 || (order === 0 && lower.inclusive);
}
