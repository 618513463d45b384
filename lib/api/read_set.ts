/**
 * What a transaction has learnt of one table: the keys that it asked for, and the ranges that it looked at, as
 * far as it did. The commit carries them, and is refused if any of it is not the same any more.
 *
 * Invariant: what was noted stays, also when the writes are taken back to a savepoint: the function has
 * seen it.
 *
 * @module
 */

import { TreeRoot } from "../tree/root.ts";
import type { OperationsWriter } from "./operations_writer.ts";
import type { OverlayEntries } from "./overlay_entries.ts";
import type { RawTable } from "./raw_reads.ts";
import { RangeSet, SortedMap } from "./sorted_map.ts";

const NO_TREE = new TreeRoot();

export class ReadSet {
  readonly ranges: RangeSet = new RangeSet();
  /** Iterators that have not ended: they note how far they came when they are asked. */
  get open(): Set<OverlayEntries> {
    return this.#open ??= new Set();
  }

  #open: Set<OverlayEntries> | undefined;
  readonly #keys = new SortedMap<true>();

  /** Keeps the array. */
  noteKey(key: Uint8Array): void {
    this.#keys.set(key, true);
  }

  /** Whether there is something; asks the iterators. */
  settle(): boolean {
    if (this.#open !== undefined) { for (const entries of this.#open) entries.noteLooked(); }
    return this.#keys.size > 0 || this.ranges.size > 0;
  }

  /** Appends what was read of the table. */
  encode(writer: OperationsWriter, table: RawTable): void {
    const entry = table.resolve();
    writer.readTable(entry?.id ?? 0, table.nameBytes, entry?.root ?? NO_TREE);
    const keys = this.#keys.cursor();
    for (let more = keys.seek(null); more; more = keys.next()) {
      if (!this.ranges.contains(keys.key)) writer.readKey(keys.key);
    }
    for (const { from, to } of this.ranges.spans()) {
      writer.readRange(
        from.length === 0 ? null : { key: from, inclusive: true },
        to === null ? null : { key: to, inclusive: false },
      );
    }
  }
}
