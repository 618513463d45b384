/**
 * The version of a family that transactions of one thread run on: those that begin while the same version is
 * published share it, its pin and what was looked up in its catalog.
 *
 * Invariant: the pin is held until the last of them gives the view back, which is after the verdict on its commit:
 * the worker reads this version to find out what has changed.
 *
 * @module
 */

import type { RawTable } from "./raw_reads.ts";
import type { LiveSource, PinnedSource } from "./state_source.ts";

export class FamilyView {
  readonly source: PinnedSource;
  readonly stamp: number;
  readonly #tables: RawTable[] = [];
  #uses = 0;

  /** Made by {@linkcode Views.take}. */
  constructor(source: PinnedSource, stamp: number) {
    this.source = source;
    this.stamp = stamp;
  }

  /** Whether nobody has it any more. */
  get ended(): boolean {
    return this.source.disposed;
  }

  /** A table as it is in this version. */
  table(live: RawTable): RawTable {
    for (const table of this.#tables) {
      if (table.name === live.name && table.codecs === live.codecs) return table;
    }
    const table = live.on(this.source);
    this.#tables.push(table);
    return table;
  }

  use(): this {
    this.#uses++;
    return this;
  }

  /** Gives one use back. */
  release(): void {
    if (--this.#uses === 0) this.source.dispose();
  }
}

/** The views of one family. */
export class Views {
  readonly #source: LiveSource;
  #latest: FamilyView | undefined;

  constructor(source: LiveSource) {
    this.#source = source;
  }

  /** The version that is published now; to be given back. Throws as {@linkcode LiveSource.snapshot}. */
  take(): FamilyView {
    const { epochs } = this.#source.memory;
    epochs.enter();
    try {
      const stamp = this.#source.stamp();
      const latest = this.#latest;
      if (latest !== undefined && latest.stamp === stamp && !latest.ended) return latest.use();
      const [source, read] = this.#source.pinned();
      this.#latest = new FamilyView(source, read);
      return this.#latest.use();
    } finally {
      epochs.leave();
    }
  }
}
