/**
 * A table as bytes: what the reads of tables, snapshots and transactions stand on.
 *
 * Invariants: the entry of the catalog is that of the source's present state; whatever these functions
 * return is on private memory, unless they say otherwise; frames are used inside one epoch and, over a
 * call of the user's code, only if they are not the thread's private ones (which are few and go round).
 *
 * @module
 */

import { findTable, type TableEntry } from "../engine/catalog.ts";
import { ManifoldError } from "../errors.ts";
import type { Chunk } from "../memory/arena.ts";
import type { Epochs } from "../memory/epochs.ts";
import { type FamilyState, newFamilyState } from "../memory/family_slots.ts";
import { noteGarbage, VIEW_GARBAGE_BYTES } from "../runtime/garbage.ts";
import { readOverflow } from "../storage/overflow.ts";
import type { PageStore } from "../storage/page_store.ts";
import type { Cursor } from "../tree/cursor.ts";
import { find, rank } from "../tree/find.ts";
import { REF_WORDS } from "../tree/pager.ts";
import { countRange } from "../tree/range.ts";
import type { TreeRoot } from "../tree/root.ts";
import { searchLeaf } from "../tree/search.ts";
import { carveInternal } from "./codecs/tuning.ts";
import type { EncodedRange, KeyBound } from "./range.ts";
import { type ReadScratch, scratchOf } from "./read_scratch.ts";
import type { StateSource } from "./state_source.ts";

/** One entry, on private memory. */
export interface RawEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export class RawTable {
  readonly source: StateSource;
  readonly name: string;
  /** Names of the key's and the value's codec, joined by a NUL. */
  readonly codecs: string;
  readonly store: PageStore;
  readonly epochs: Epochs;
  readonly scratch: ReadScratch;
  /** The state of {@linkcode entry}. */
  readonly state: FamilyState = newFamilyState();
  readonly nameBytes: Uint8Array;
  #stamp = NaN;
  #entry: TableEntry | undefined;
  /** The chunk that was viewed last, and its buffer: to ask for it takes half as long as making the view. */
  #viewed: Chunk;
  #buffer: ArrayBufferLike;

  constructor(
    source: StateSource,
    name: string,
    codecs: string,
    nameBytes: Uint8Array = new TextEncoder().encode(name),
  ) {
    this.source = source;
    this.name = name;
    this.codecs = codecs;
    this.store = source.memory.store;
    this.epochs = source.memory.epochs;
    this.scratch = scratchOf(source.memory);
    this.nameBytes = nameBytes;
    this.#viewed = this.store.arena.chunks[0];
    this.#buffer = this.#viewed.u8.buffer;
  }

  /** The same table of another state. */
  on(source: StateSource): RawTable {
    return new RawTable(source, this.name, this.codecs, this.nameBytes);
  }

  /**
   * What the present state says of the table; undefined if there is none. The entry is never changed.
   * @throws {ManifoldError} `closed`, `not-found`, `corrupt`, `io`; `type-mismatch`.
   */
  resolve(): TableEntry | undefined {
    this.epochs.enter();
    try {
      return this.entry();
    } catch (error) {
      throw this.explain(error);
    } finally {
      this.epochs.leave();
    }
  }

  /** As {@linkcode resolve}, inside an epoch; what follows may load pages. */
  entry(): TableEntry | undefined {
    this.useStore();
    if (this.source.stamp() === this.#stamp) return this.#entry;
    return this.#reload();
  }

  #reload(): TableEntry | undefined {
    this.#stamp = NaN; // stays so if something throws
    const stamp = this.source.read(this.state);
    const entry = findTable(this.store, this.state, this.nameBytes);
    if (entry !== undefined && entry.codecs !== this.codecs) throw this.#mismatch(entry.codecs);
    this.#entry = entry;
    this.#stamp = stamp;
    return entry;
  }

  #mismatch(recorded: string): ManifoldError {
    const open = isMultimap(recorded) ? "multimap()" : "table()";
    const method = isMultimap(recorded) === isMultimap(this.codecs) ? "" : ` by ${open}`;
    const [key, value] = recorded.split("\0");
    const [askedKey, askedValue] = this.codecs.split("\0");
    return new ManifoldError(
      "type-mismatch",
      `the table "${this.name}" of the column family "${this.source.familyName}" has keys of codec ` +
        `${key} and values of codec ${value}, not ${askedKey} and ${askedValue}; open it with those${method}`,
    );
  }

  /** Says for which family the pages to be loaded are: before the first load, and after user code ran. */
  useStore(): void {
    this.store.family = this.source.slot;
    this.store.familyName = this.source.familyName;
  }

  /** Adds the table to what a damaged page or value says of itself. */
  explain(error: unknown): unknown {
    if (!(error instanceof ManifoldError) || error.code !== "corrupt") return error;
    const table = `table "${this.name}" of the column family "${this.source.familyName}"`;
    if (error.message.startsWith(table)) return error;
    const { path } = this.source;
    const place = error.message.includes(path) ? "" : `${path}: `;
    return new ManifoldError("corrupt", `${table}: ${place}${error.message}`, { cause: error });
  }

  /** Looks a key up; the scratch's hit says where it is. Inside an epoch. */
  find(key: Uint8Array, length: number): boolean {
    const entry = this.entry();
    return entry !== undefined && find(this.store, entry.root, key, 0, length, this.scratch.hit);
  }

  /** The same in an entry that was got in the same epoch, or is pinned. */
  findIn(entry: TableEntry, key: Uint8Array, length: number): boolean {
    this.useStore();
    return find(this.store, entry.root, key, 0, length, this.scratch.hit);
  }

  /**
   * The value of the hit: where it lies, perhaps on shared memory, until the epoch ends; overflow values and those
   * on a private frame are copied.
   */
  hitValue(): Uint8Array {
    const { chunk, base, valueOffset, valueLength, overflow } = this.scratch.hit;
    if (overflow) return this.overflow(chunk.u32, valueOffset >> 2);
    if (this.isPrivate(chunk, base)) {
      return chunk.u8.slice(valueOffset, valueOffset + valueLength);
    }
    if (chunk !== this.#viewed) {
      this.#viewed = chunk;
      this.#buffer = chunk.u8.buffer;
    }
    return new Uint8Array(this.#buffer, valueOffset, valueLength); // half the time of `subarray`
  }

  /** The overflow value whose payload stands at `words[at]`. Inside an epoch. */
  overflow(words: Uint32Array, at: number): Uint8Array {
    const length = words[at + REF_WORDS];
    noteGarbage(resultGarbage(length));
    return readOverflow(this.store, words, at, length);
  }

  /** Whether the page at `base` was read privately, for want of a frame. */
  isPrivate(chunk: Chunk, base: number): boolean {
    const { arena, frames } = this.store;
    const number = arena.chunks.length === 1 ? 0 : arena.chunks.indexOf(chunk);
    return (number << arena.frameShift) + (base >> arena.pageShift) >= frames.count;
  }

  has(key: Uint8Array): boolean {
    this.epochs.enter();
    try {
      return this.find(key, key.length);
    } catch (error) {
      throw this.explain(error);
    } finally {
      this.epochs.leave();
    }
  }

  /** The value of a key, not to be given to a caller of the package. */
  get(key: Uint8Array): Uint8Array | undefined {
    this.epochs.enter();
    try {
      if (!this.find(key, key.length)) return undefined;
      noteGarbage(resultGarbage(this.scratch.hit.valueLength));
      const value = this.hitValue();
      return this.scratch.hit.overflow ? value : carveInternal(value);
    } catch (error) {
      throw this.explain(error);
    } finally {
      this.epochs.leave();
    }
  }

  /** How many entries are between the bounds. */
  count(lower: KeyBound | null, upper: KeyBound | null): number {
    this.epochs.enter();
    try {
      const entry = this.entry();
      return entry === undefined ? 0 : countRange(this.store, entry.root, lower, upper);
    } catch (error) {
      throw this.explain(error);
    } finally {
      this.epochs.leave();
    }
  }

  /** How many entries a range has, its offset and limit included. */
  countIn(range: EncodedRange): number {
    const all = range.empty ? 0 : this.count(range.lower, range.upper);
    return Math.max(0, Math.min(range.limit, all - range.offset));
  }

  /** The entry with `index` entries before it. */
  at(index: number): RawEntry | undefined {
    return this.#entryAt((cursor, root) => cursor.seekIndex(root, index));
  }

  /** The first entry that a range gives. */
  first(range: EncodedRange): RawEntry | undefined {
    if (range.empty) return undefined;
    return this.#entryAt((cursor, root) => {
      if (!seekStart(this.store, cursor, root, range)) return false;
      const slot = leafEnd(cursor, range);
      return range.reverse ? cursor.slot >= slot : cursor.slot < slot;
    });
  }

  /** The last entry that a range gives. */
  last(range: EncodedRange): RawEntry | undefined {
    const { lower, upper, reverse, limit, offset } = range;
    if (limit === Infinity && offset === 0) return this.first({ ...range, reverse: !reverse });
    if (range.empty) return undefined;
    return this.#entryAt((cursor, root) => {
      const count = Math.min(limit, countRange(this.store, root, lower, upper) - offset);
      if (count <= 0) return false;
      const start = startIndex(this.store, root, range);
      return cursor.seekIndex(root, reverse ? start - count + 1 : start + count - 1);
    });
  }

  #entryAt(seek: (cursor: Cursor, root: TreeRoot) => boolean): RawEntry | undefined {
    const cursor = this.scratch.takeCursor();
    this.epochs.enter();
    try {
      const entry = this.entry();
      if (entry === undefined || !seek(cursor, entry.root)) return undefined;
      const { slot } = cursor;
      const { u8, u32 } = cursor.chunk;
      const key = cursor.keyOffset(slot);
      const value = cursor.valueOffset(slot);
      const keyLength = cursor.keyLength(slot);
      const valueLength = cursor.valueLength(slot);
      noteGarbage(2 * (resultGarbage(keyLength) + resultGarbage(valueLength)));
      return {
        key: carveInternal(u8.subarray(key, key + keyLength)),
        value: cursor.overflow(slot)
          ? this.overflow(u32, value >> 2)
          : carveInternal(u8.subarray(value, value + valueLength)),
      };
    } catch (error) {
      throw this.explain(error);
    } finally {
      this.epochs.leave();
      this.scratch.putCursor(cursor);
    }
  }
}

/** Whether a table is a multimap (lib/api/multimap_layout.ts), by the names of its codecs. */
function isMultimap(codecs: string): boolean {
  return codecs.startsWith("multimap(");
}

/** What a result of so many encoded bytes costs, about: views, and copies as they are and decoded; bytes. */
export function resultGarbage(length: number): number {
  return 2 * (VIEW_GARBAGE_BYTES + length);
}

/** The number of entries of the tree before the one that the range begins with, in its direction. */
export function startIndex(store: PageStore, root: TreeRoot, range: EncodedRange): number {
  const { lower, upper, reverse, offset } = range;
  if (reverse) {
    const behind = upper === null
      ? root.count
      : rank(store, root, upper.key, 0, upper.key.length, upper.inclusive);
    return behind - 1 - offset;
  }
  if (lower === null) return offset;
  return rank(store, root, lower.key, 0, lower.key.length, !lower.inclusive) + offset;
}

/**
 * Puts a cursor on the entry that a range begins with, in its direction, unless that is beyond its other
 * end, which is not looked at. False if there is none.
 */
export function seekStart(
  store: PageStore,
  cursor: Cursor,
  root: TreeRoot,
  range: EncodedRange,
): boolean {
  const { lower, upper, reverse, offset } = range;
  if (offset > 0) return cursor.seekIndex(root, startIndex(store, root, range));
  return reverse
    ? cursor.seekReverse(root, upper?.key ?? null, upper?.inclusive ?? true)
    : cursor.seek(root, lower?.key ?? null, lower?.inclusive ?? true);
}

/**
 * Where the range ends on the cursor's leaf: forwards the first slot behind it (the leaf's count if it goes
 * on), in reverse its first slot (0 if it goes on).
 */
export function leafEnd(cursor: Cursor, range: EncodedRange): number {
  const bound = range.reverse ? range.lower : range.upper;
  if (bound === null) return range.reverse ? 0 : cursor.count;
  const { key, inclusive } = bound;
  const slot = searchLeaf(cursor.chunk, cursor.base, key, 0, key.length);
  if (slot < 0) return ~slot;
  return inclusive === range.reverse ? slot : slot + 1;
}
