/**
 * Pages of a family that newer versions do not refer to, on their way back to the allocator.
 *
 * A run of pages born at b and retired at r passes three stations: *retired*, until the epoch in
 * which r was published has passed; *held*, as long as a pin lies in [b, r); *cooling*, unlinked from the page table, until the
 * epoch of the unlinking has passed.
 *
 * Invariants: pins are looked at after epochs, never before (lib/memory/pins.ts says why); a page's
 * mapping is gone, and every reader of it too, before its number is given out again.
 *
 * @module
 */

import { Epochs } from "../memory/epochs.ts";

/** Runs of pages, column by column. */
class Runs {
  readonly page: number[] = [];
  readonly pages: number[] = [];
  readonly birth: number[] = [];
  readonly retired: number[] = [];

  push(page: number, pages: number, birth: number, retired: number): void {
    this.page.push(page);
    this.pages.push(pages);
    this.birth.push(birth);
    this.retired.push(retired);
  }

  get empty(): boolean {
    return this.page.length === 0;
  }
}

/** Runs that share an epoch. */
interface Batch {
  readonly epoch: number;
  readonly runs: Runs;
}

/** What the stations need from the family. */
export interface Reclaiming {
  /** The epoch horizon now. */
  horizon(): number;
  /** Pinned versions now, ascending; asked after the horizon. */
  pins(): number[];
  /** Takes a page's mapping away. */
  unlink(page: number): void;
  /** A page is held by a pin, for longer: its frame may be of more use to others. */
  hold(page: number): void;
  /** Tags what was unlinked so far. */
  tag(): number;
  /** Gives a run to the allocator. */
  giveBack(page: number, pages: number): void;
}

export class RetiredPages {
  readonly #batches: Batch[] = [];
  /** By the pin that holds them. */
  readonly #held = new Map<number, Runs>();
  readonly #cooling: Batch[] = [];
  #open = new Runs();
  #pages = 0;

  /** Pages at the stations; those that the group in the making retires come with its publication. */
  get pages(): number {
    return this.#pages;
  }

  /** Notes a run that the group in the making retires. */
  add(page: number, pages: number, birth: number): void {
    this.#open.push(page, pages, birth, 0);
  }

  /** Forgets what the group in the making retired, and tells it: first page and pages of each run. */
  discard(): [number, number][] {
    const { page, pages } = this.#open;
    this.#open = new Runs();
    return page.map((first, i) => [first, pages[i]]);
  }

  /** The group is published as `version`; `epoch` was tagged after that. */
  published(version: number, epoch: number): void {
    if (this.#open.empty) return;
    this.#open.retired.fill(version);
    for (const pages of this.#open.pages) this.#pages += pages;
    this.#batches.push({ epoch, runs: this.#open });
    this.#open = new Runs();
  }

  /** Retires one run outside a group. */
  retire(page: number, pages: number, birth: number, version: number, epoch: number): void {
    const runs = new Runs();
    runs.push(page, pages, birth, version);
    this.#pages += pages;
    this.#batches.push({ epoch, runs });
  }

  /** Moves everything on that can move; says whether something is on its way to the next station. */
  reclaim(family: Reclaiming): boolean {
    if (this.#batches.length === 0 && this.#held.size === 0 && this.#cooling.length === 0) {
      return false;
    }
    const horizon = family.horizon();
    const pins = family.pins();
    let unlinked: Runs | undefined;
    const settle = (runs: Runs): void => {
      for (let i = 0; i < runs.page.length; i++) {
        const pin = firstPin(pins, runs.birth[i], runs.retired[i]);
        if (pin >= 0) {
          let held = this.#held.get(pin);
          if (held === undefined) this.#held.set(pin, held = new Runs());
          held.push(runs.page[i], runs.pages[i], runs.birth[i], runs.retired[i]);
          if (runs.pages[i] === 1) family.hold(runs.page[i]);
          continue;
        }
        if (runs.pages[i] === 1) family.unlink(runs.page[i]);
        unlinked ??= new Runs();
        unlinked.push(runs.page[i], runs.pages[i], runs.birth[i], runs.retired[i]);
      }
    };
    while (this.#cooling.length > 0 && Epochs.passed(this.#cooling[0].epoch, horizon)) {
      const { runs } = this.#cooling.shift()!;
      for (let i = 0; i < runs.page.length; i++) {
        // A reader that still held the page may have brought it back meanwhile.
        if (runs.pages[i] === 1) family.unlink(runs.page[i]);
        family.giveBack(runs.page[i], runs.pages[i]);
        this.#pages -= runs.pages[i];
      }
    }
    for (const [pin, runs] of this.#held) {
      if (pins[lowerBound(pins, pin)] === pin) continue;
      this.#held.delete(pin);
      settle(runs);
    }
    while (this.#batches.length > 0 && Epochs.passed(this.#batches[0].epoch, horizon)) {
      settle(this.#batches.shift()!.runs);
    }
    if (unlinked === undefined) return false;
    this.#cooling.push({ epoch: family.tag(), runs: unlinked });
    return true;
  }

  /** All runs that version `version` does not use although they are not given back: (page, pages)*. */
  unusedAt(version: number, withOpen: boolean): number[] {
    const unused: number[] = [];
    const collect = (runs: Runs): void => {
      for (let i = 0; i < runs.page.length; i++) {
        if (runs.retired[i] <= version) unused.push(runs.page[i], runs.pages[i]);
      }
    };
    for (const { runs } of this.#batches) collect(runs);
    for (const runs of this.#held.values()) collect(runs);
    for (const { runs } of this.#cooling) collect(runs);
    if (withOpen) {
      for (let i = 0; i < this.#open.page.length; i++) {
        unused.push(this.#open.page[i], this.#open.pages[i]);
      }
    }
    return unused;
  }
}

/** The smallest of the ascending `pins` in [birth, retired), or -1. */
function firstPin(pins: readonly number[], birth: number, retired: number): number {
  const first = lowerBound(pins, birth);
  return first < pins.length && pins[first] < retired ? pins[first] : -1;
}

/** Index of the first of the ascending `pins` that is not before `version`. */
function lowerBound(pins: readonly number[], version: number): number {
  let low = 0;
  let high = pins.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pins[middle] < version) low = middle + 1;
    else high = middle;
  }
  return low;
}
