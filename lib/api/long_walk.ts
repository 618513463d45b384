/**
 * Walking a whole tree without keeping others from evicting pages: the version is pinned, and the epoch
 * renewed every now and then.
 *
 * Invariant: the epoch is renewed at the beginning of a load, so whoever walks keeps references over
 * loads (in memory of its own), not frames.
 *
 * @module
 */

import type { Arena } from "../memory/arena.ts";
import type { PageReader } from "../tree/pager.ts";
import type { TreeRoot } from "../tree/root.ts";
import type { RawTable } from "./raw_reads.ts";

/** Pages that are loaded inside one epoch. */
const LOADS_PER_EPOCH = 64;

class RenewingReader implements PageReader {
  readonly arena: Arena;
  readonly #table: RawTable;
  #loads = 0;

  constructor(table: RawTable) {
    this.arena = table.store.arena;
    this.#table = table;
  }

  load(words: Uint32Array, index: number, level: number, cold?: boolean): number {
    const { epochs, store } = this.#table;
    if (++this.#loads % LOADS_PER_EPOCH === 0) {
      epochs.leave();
      epochs.enter();
    }
    return store.load(words, index, level, cold);
  }

  pagesMax(): number {
    return this.#table.store.pagesMax();
  }
}

/** Walks the tree of a table as it is now, pinned; undefined if there is no such table. */
export function walkTable<T>(
  table: RawTable,
  walk: (pager: PageReader, root: TreeRoot) => T,
): T | undefined {
  const { epochs, source } = table;
  epochs.enter();
  try {
    const entry = table.entry();
    if (entry === undefined) return undefined;
    const pin = source.pin(table.state);
    try {
      return walk(new RenewingReader(table), entry.root);
    } finally {
      source.release(pin);
    }
  } catch (error) {
    throw table.explain(error);
  } finally {
    epochs.leave();
  }
}
