/**
 * The entries of a tree of which parts are missing: what can be reached from its root, and then what is
 * found without a reference.
 *
 * @module
 */

import type { Chunk } from "../../memory/arena.ts";
import {
  BRANCH_HEAD_BYTES,
  cellAt,
  cellCount,
  isOverflow,
  keyLengthAt,
  LEAF_HEAD_BYTES,
  payloadAt,
  payloadBytes,
} from "../../tree/cell.ts";
import { newChunk } from "../../tree/check.ts";
import { pageCount } from "../../tree/page.ts";
import { REF_WORDS } from "../../tree/pager.ts";
import { HEIGHT_MAX, type TreeRoot } from "../../tree/root.ts";
import { compareBytes } from "../bytes_order.ts";
import type { DamagedPages } from "./damaged_pages.ts";
import type { FoundPage } from "./page_index.ts";

/** An entry on memory of its own. */
export interface DamagedEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface TreePlace {
  readonly family: string;
  readonly table?: string;
}

/** A page that is referred to and could not be used. */
interface LostPage {
  readonly page: number;
  readonly level: number;
  readonly from: Uint8Array | null;
  readonly to: Uint8Array | null;
  /** Entries below it, as the reference says; undefined if nobody says. */
  readonly expected: number | undefined;
  readonly why: string;
  /** Entries that were found without it. */
  found: number;
}

/** Yields entries, and nothing now and then, so that others can run. */
type Entries = Generator<DamagedEntry | undefined>;

export class TreeWalk {
  /** Whether pages are missing that lead to others. */
  lostBranches = false;
  /** Whether anything is missing. */
  lostAny = false;
  readonly #pages: DamagedPages;
  readonly #place: TreePlace;
  readonly #visited = new Set<number>();
  readonly #lost: LostPage[] = [];
  readonly #memory: Chunk[] = [];

  constructor(pages: DamagedPages, place: TreePlace) {
    this.#pages = pages;
    this.#place = place;
  }

  /** What can be reached from the root. */
  *from(root: TreeRoot): Entries {
    if (root.height === 0 || root.height > HEIGHT_MAX) return;
    yield* this.#below(root.ref, 0, {
      level: root.height - 1,
      from: null,
      to: null,
      expected: root.count,
    });
  }

  /** What the given pages have that was not met yet: whole subtrees, the highest first. */
  *found(pages: readonly FoundPage[]): Entries {
    for (const { ref, level } of pages.toSorted((a, b) => b.level - a.level)) {
      if (this.#visited.has(ref[0]) || level >= HEIGHT_MAX) continue;
      yield* this.#below(ref, 0, { level, from: null, to: null, expected: undefined }, true);
    }
  }

  /**
   * Leaves of whatever version, newest first, for what is missing: each in a range that is, and not where a
   * newer one is already. Says how many entries there are in `taken`.
   */
  *guessed(pages: readonly FoundPage[], taken: { leaves: number; entries: number }): Entries {
    const ranges: [Uint8Array, Uint8Array][] = [];
    const leaves = pages.filter(({ level, ref }) => level === 0 && !this.#visited.has(ref[0]));
    const page = newChunk(this.#pages.pageSize);
    for (const { ref } of leaves.toSorted((a, b) => b.birth - a.birth)) {
      yield undefined;
      if (this.#pages.read(ref, 0, 0, page) !== null) continue;
      const first = keyOf(page, 0, true).slice();
      const last = keyOf(page, pageCount(page.u32, 0) - 1, true).slice();
      const missing = this.#lost.some((lost) =>
        lost.level > 0 && isIn(first, lost) && isIn(last, lost)
      );
      const covered = ranges.some(([from, to]) =>
        compareBytes(first, to) <= 0 && compareBytes(from, last) <= 0
      );
      if (!missing || covered) continue;
      ranges.push([first, last]);
      taken.leaves++;
      taken.entries += pageCount(page.u32, 0);
      yield* this.#entries(page, ref[0], true);
    }
  }

  /** The pages that are referred to and could not be used. */
  get lostPages(): number[] {
    return this.#lost.map(({ page }) => page);
  }

  /** Nobody knows where the tree begins: all of it is to be guessed. */
  loseAll(page: number, why: string): void {
    this.#lost.push({ page, level: 1, from: null, to: null, expected: undefined, why, found: 0 });
    this.lostAny = true;
    this.lostBranches = true;
  }

  /** Notes what is missing in the end; of a catalog, `entries` of its tables are missing then. */
  report(catalog?: { readonly entries: number | undefined }): void {
    const { notes, file, pageSize } = this.#pages;
    for (const { page, level, from, to, expected, why, found } of this.#lost) {
      const position = page * pageSize;
      const { family, table } = this.#place;
      const where = table === undefined ? "" : ` of table "${table}"`;
      const missing = catalog !== undefined
        ? catalog.entries
        : expected === undefined
        ? undefined
        : Math.max(0, expected - found);
      notes.lost({
        kind: catalog !== undefined ? "catalog" : level > 0 ? "branch" : "leaf",
        message: `${file.path}: page ${page} (at byte ${position})${where} in column family ` +
          `"${family}" cannot be used: ${why}; ${
            missing ?? "an unknown number of"
          } entries are missing`,
        ...this.#place,
        page,
        position,
        ...(from === null ? {} : { from }),
        ...(to === null ? {} : { to }),
        ...(missing === undefined ? {} : { entries: missing }),
      });
    }
  }

  *#below(
    words: Uint32Array,
    index: number,
    due: Pick<LostPage, "level" | "from" | "to" | "expected">,
    isFound = false,
  ): Entries {
    const number = words[index];
    if (this.#visited.has(number)) return; // two references: one of them is wrong, the entries are the same
    this.#visited.add(number);
    const page = this.#memory[due.level] ??= newChunk(this.#pages.pageSize);
    const why = this.#pages.read(words, index, due.level, page);
    yield undefined;
    if (why !== null) {
      this.#pages.notes.pagesUnreadable++;
      this.#lost.push({ ...due, page: number, why, found: 0 });
      this.lostAny = true;
      if (due.level > 0) this.lostBranches = true;
      // What is missing with it is not missing with the branch above once more.
      if (isFound && due.from !== null) this.#makeUp(due.from, due.expected ?? 0);
      return;
    }
    if (due.level === 0) {
      yield* this.#entries(page, number, isFound);
      return;
    }
    const { u32 } = page;
    const slots = pageCount(u32, 0);
    for (let slot = 0; slot < slots; slot++) {
      const word = cellAt(u32, 0, slot) >> 2;
      yield* this.#below(u32, word, {
        level: due.level - 1,
        from: slot === 0 ? due.from : keyOf(page, slot, false).slice(),
        to: slot + 1 < slots ? keyOf(page, slot + 1, false).slice() : due.to,
        expected: cellCount(u32, word),
      }, isFound);
    }
  }

  /** Entries from `key` on were found, which a lost branch above led to. */
  #makeUp(key: Uint8Array, entries: number): void {
    for (const lost of this.#lost) if (lost.level > 0 && isIn(key, lost)) lost.found += entries;
  }

  /** The entries of a leaf; those of one that was found without a reference make up for lost branches. */
  *#entries(page: Chunk, number: number, isFound: boolean): Entries {
    const { u8, u32 } = page;
    const count = pageCount(u32, 0);
    if (isFound) this.#makeUp(keyOf(page, 0, true), count);
    for (let slot = 0; slot < count; slot++) {
      const cell = cellAt(u32, 0, slot);
      const key = keyOf(page, slot, true).slice();
      const at = payloadAt(cell, keyLengthAt(u32, 0, slot));
      if (!isOverflow(u32, cell)) {
        yield { key, value: u8.slice(at, at + payloadBytes(u32, cell)) };
        continue;
      }
      const value = this.#pages.readValue(
        u32,
        at >> 2,
        u32[(at >> 2) + REF_WORDS],
        this.#place.family,
      );
      if (typeof value !== "string") {
        yield { key, value };
        continue;
      }
      this.#pages.notes.pagesUnreadable++;
      this.lostAny = true;
      const valuePage = u32[at >> 2];
      this.#pages.notes.lost({
        kind: "value",
        message: `${value} (the value of slot ${slot} of page ${number})`,
        ...this.#place,
        page: valuePage,
        position: valuePage * this.#pages.pageSize,
        from: key,
        entries: 1,
      });
    }
  }
}

function isIn(key: Uint8Array, lost: LostPage): boolean {
  return (lost.from === null || compareBytes(key, lost.from) >= 0) &&
    (lost.to === null || compareBytes(key, lost.to) < 0);
}

function keyOf(page: Chunk, slot: number, leaf: boolean): Uint8Array {
  const at = cellAt(page.u32, 0, slot) + (leaf ? LEAF_HEAD_BYTES : BRANCH_HEAD_BYTES);
  return page.u8.subarray(at, at + keyLengthAt(page.u32, 0, slot));
}
