/**
 * The entries of a range as bytes, one after another, on the version at the creation.
 *
 * Entries are copied out of the leaves a batch at a time, each batch inside one epoch, and handed out
 * without any. A range that the first batch exhausts takes no pin; any other holds one until its end, its
 * {@linkcode RawEntries.close} or, when it is forgotten, until it is collected.
 *
 * Invariant: what an iterator goes over is fixed when it is made: the entries of one version in the
 * range, offset and limit included. Seeking moves inside of that.
 *
 * @module
 */

import { noteGarbage } from "../runtime/garbage.ts";
import type { Cursor } from "../tree/cursor.ts";
import { rank } from "../tree/find.ts";
import { TreeRoot } from "../tree/root.ts";
import { compareBytes } from "./bytes_order.ts";
import type { EntryBatch } from "./entry_batch.ts";
import type { EncodedRange } from "./range.ts";
import { leafEnd, type RawTable, resultGarbage, seekStart, startIndex } from "./raw_reads.ts";
import { Hold } from "./state_source.ts";

/** Entries of the first batch; each later one is four times as big, up to the most. */
const FIRST_ENTRIES = 32;
const ENTRIES_MAX = 512;
/** A batch ends with the run of entries (entry_batch.ts) that passes this. */
const FIRST_BYTES = 32 * 1024;
const BYTES_MAX = 128 * 1024;

const EMPTY = new TreeRoot();

/** Iterators that were forgotten give their pins back, at the latest when new pins run out. */
const abandoned = new FinalizationRegistry<Hold>((hold) => hold.release());

export class RawEntries {
  readonly #table: RawTable;
  readonly #range: EncodedRange;
  readonly #values: boolean;
  /** The tree of the version; never changed by anyone. */
  #root: TreeRoot = EMPTY;
  /** Undefined once the iterator has ended. */
  #batch: EntryBatch | undefined;
  /** The entry in the batch that is current. */
  #at = -1;
  /** Entries that may still come after the batch. */
  #left: number;
  /** Stands on the entry after the batch; undefined if there is none. */
  #cursor: Cursor | undefined;
  #hold: Hold | undefined;
  #entriesMax = FIRST_ENTRIES;

  /**
   * @param values Whether values are wanted, too.
   * @throws {ManifoldError} as {@linkcode RawTable.resolve}; `too-large` when no pin is free.
   */
  constructor(table: RawTable, range: EncodedRange, values: boolean) {
    this.#table = table;
    this.#range = range;
    this.#values = values;
    this.#left = range.limit;
    if (!range.empty) this.#start();
  }

  #start(): void {
    const table = this.#table;
    const { epochs, scratch, source } = table;
    epochs.enter();
    try {
      const entry = table.entry();
      if (entry === undefined || entry.root.height === 0) return;
      this.#root = entry.root;
      this.#batch = scratch.takeBatch();
      const cursor = this.#cursor = scratch.takeCursor();
      if (seekStart(table.store, cursor, this.#root, this.#range)) this.#fill(cursor);
      else this.#noMore();
      if (this.#cursor !== undefined || this.#batch.hasOverflow) {
        this.#hold = new Hold(source, source.pin(table.state));
        abandoned.register(this, this.#hold, this.#hold);
      }
    } catch (error) {
      this.close();
      throw table.explain(error);
    } finally {
      epochs.leave();
    }
  }

  /** To the next entry; false after the last one, and ever after. */
  advance(): boolean {
    const batch = this.#batch;
    if (batch === undefined) return false;
    return ++this.#at < batch.count || this.#refill();
  }

  /** The key of the current entry, on private memory, until the next move. */
  key(): Uint8Array {
    return this.#batch!.key(this.#at);
  }

  /** The value of the current entry, on private memory, until the next move. */
  value(): Uint8Array {
    const batch = this.#batch!;
    return batch.isOverflow(this.#at) ? this.#overflow(batch) : batch.value(this.#at);
  }

  /** The key of the current entry, for a caller to keep. */
  ownKey(): Uint8Array {
    return this.#batch!.ownKey(this.#at);
  }

  /** The value of the current entry, for a caller to keep. */
  ownValue(): Uint8Array {
    const batch = this.#batch!;
    return batch.isOverflow(this.#at) ? this.#overflow(batch) : batch.ownValue(this.#at);
  }

  #overflow(batch: EntryBatch): Uint8Array {
    const table = this.#table;
    table.epochs.enter();
    try {
      table.source.checkOpen();
      table.useStore();
      return table.overflow(batch.u32, batch.payloadAt(this.#at) >> 2);
    } catch (error) {
      throw table.explain(error);
    } finally {
      table.epochs.leave();
    }
  }

  /**
   * Moves so that {@linkcode advance} comes to the first entry at or after the key (in reverse: at or
   * before it), forth or back.
   */
  seek(key: Uint8Array): void {
    if (this.#batch === undefined) return;
    if (this.#hold === undefined) this.#seekInBatch(this.#batch, key);
    else this.#seekInTree(key);
  }

  /** Without a pin, the batch is all there is. */
  #seekInBatch(batch: EntryBatch, key: Uint8Array): void {
    let low = 0;
    let high = batch.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = compareBytes(batch.key(middle), key);
      if (this.#range.reverse ? order > 0 : order < 0) low = middle + 1;
      else high = middle;
    }
    this.#at = low - 1;
  }

  #seekInTree(key: Uint8Array): void {
    const table = this.#table;
    const { epochs, scratch, source } = table;
    const batch = this.#batch!;
    epochs.enter();
    try {
      source.checkOpen();
      table.useStore();
      this.#noteGiven(batch);
      batch.clear();
      this.#at = -1;
      this.#entriesMax = FIRST_ENTRIES; // who jumps may jump again
      const cursor = this.#cursor ??= scratch.takeCursor();
      if (this.#seekCursor(cursor, key)) this.#fill(cursor);
      else this.#noMore();
    } catch (error) {
      this.close();
      throw table.explain(error);
    } finally {
      epochs.leave();
    }
  }

  #seekCursor(cursor: Cursor, key: Uint8Array): boolean {
    const range = this.#range;
    const { reverse, limit, offset } = range;
    const { store } = this.#table;
    if (limit === Infinity && offset === 0) {
      const bound = reverse ? range.upper : range.lower;
      if (bound !== null) {
        const order = compareBytes(key, bound.key);
        if (reverse ? order >= 0 : order <= 0) return seekStart(store, cursor, this.#root, range);
      }
      return reverse
        ? cursor.seekReverse(this.#root, key, true)
        : cursor.seek(this.#root, key, true);
    }
    // Offset and limit count from the range's beginning, so the place is told by its number.
    const start = startIndex(store, this.#root, range);
    const before = rank(store, this.#root, key, 0, key.length, reverse);
    const index = reverse ? Math.min(start, before - 1) : Math.max(start, before);
    this.#left = limit - Math.abs(index - start);
    return this.#left > 0 && cursor.seekIndex(this.#root, index);
  }

  /** Gives back what the iterator holds: it has ended. */
  close(): void {
    this.#noMore();
    const batch = this.#batch;
    if (batch !== undefined) {
      this.#batch = undefined;
      this.#noteGiven(batch);
      this.#table.scratch.putBatch(batch);
    }
    const hold = this.#hold;
    if (hold === undefined) return;
    this.#hold = undefined;
    abandoned.unregister(hold);
    hold.release();
  }

  /** Notes what the entries handed out of a batch cost: not one by one, which would take longer. */
  #noteGiven(batch: EntryBatch): void {
    const given = Math.min(this.#at + 1, batch.count);
    if (given > 0) noteGarbage(given * 2 * resultGarbage(batch.used / batch.count));
  }

  /** The next batch; false, and closed, if there is none. */
  #refill(): boolean {
    const cursor = this.#cursor;
    if (cursor === undefined) {
      this.close();
      return false;
    }
    const table = this.#table;
    const { epochs, source, store } = table;
    const batch = this.#batch!;
    epochs.enter();
    try {
      source.checkOpen();
      table.useStore();
      this.#noteGiven(batch);
      batch.clear();
      this.#entriesMax = Math.min(this.#entriesMax * 4, ENTRIES_MAX);
      // The cursor's frame did not last, its reference does.
      const frame = store.load(cursor.refs, 0, 0, true);
      cursor.chunk = store.arena.chunk(frame);
      cursor.base = store.arena.base(frame);
      this.#at = 0;
      this.#fill(cursor);
    } catch (error) {
      this.close();
      throw table.explain(error);
    } finally {
      epochs.leave();
    }
    if (batch.count > 0) return true;
    this.close();
    return false;
  }

  /** Copies entries from the cursor on; the cursor stays after them, or goes if no more will come. */
  #fill(cursor: Cursor): void {
    const batch = this.#batch!;
    const { reverse } = this.#range;
    const values = this.#values;
    const step = reverse ? -1 : 1;
    const most = Math.min(this.#entriesMax, this.#left);
    const bytesMax = this.#entriesMax === FIRST_ENTRIES ? FIRST_BYTES : BYTES_MAX;
    for (;;) {
      const end = leafEnd(cursor, this.#range);
      let count = reverse ? cursor.slot - end + 1 : end - cursor.slot;
      if (count <= 0) return this.#noMore();
      if (count > most - batch.count) count = most - batch.count;
      const { chunk, base } = cursor;
      let slot = cursor.slot;
      while (count > 0 && batch.used < bytesMax) {
        const added = batch.add(chunk, base, slot, step, count, values);
        count -= added;
        slot += step * added;
      }
      cursor.slot = slot;
      if (batch.count === this.#left) return this.#noMore();
      if (slot === (reverse ? end - 1 : end)) {
        // Whether the range ends with this leaf decides about the pin.
        if (end !== (reverse ? 0 : cursor.count)) return this.#noMore();
        if (!(reverse ? cursor.previousLeaf() : cursor.nextLeaf())) return this.#noMore();
      }
      if (batch.count >= most || batch.used >= bytesMax) break;
    }
    this.#left -= batch.count;
  }

  #noMore(): void {
    const cursor = this.#cursor;
    if (cursor === undefined) return;
    this.#cursor = undefined;
    this.#table.scratch.putCursor(cursor);
  }
}
