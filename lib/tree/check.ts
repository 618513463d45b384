/**
 * The full check of a tree: every statement that `cell.ts`, `page_edit.ts` and `path.ts` make about
 * pages is verified on every page.
 *
 * The walk is a generator that stops after each page, so that whoever drives it can let others run in
 * between; it works on copies of the pages, one a level.
 *
 * @module
 */

import type { Chunk } from "../memory/arena.ts";
import { compareBytes, hintOf } from "./bytes.ts";
import {
  BRANCH_HEAD_BYTES,
  cellAt,
  cellCount,
  cellHasOverflow,
  isOverflow,
  keyLengthAt,
  LEAF_HEAD_BYTES,
  payloadAt,
  slotWord,
} from "./cell.ts";
import { pageCount, pagePrefix, WORD_KIND } from "./page.ts";
import { checkPage } from "./page_check.ts";
import type { PageReader } from "./pager.ts";
import { HEIGHT_MAX, type TreeRoot } from "./root.ts";

/** What can be wrong with pages that could be read. */
export type TreeProblem = "structure" | "key-order" | "count" | "birth";

/** What is below a reference. */
export interface Below {
  readonly count: number;
  /** Whether an overflow value is there. */
  readonly overflow: boolean;
}

/** Where {@linkcode TreeChecker} gets pages from, and what it tells. */
export interface CheckedPages {
  readonly pageSize: number;
  /**
   * Copies the page referred to into `into` and says `"read"`; or says what is below it, if that is known
   * already; or `"lost"`, after reporting why: then what the reference promises is believed. `level` is due.
   */
  read(words: Uint32Array, index: number, into: Chunk, level: number): "read" | "lost" | Below;
  /** A leaf that was read and can be walked. */
  leaf?(page: Chunk): void;
  /** The page and all below it were walked. */
  walked?(page: number, below: Below): void;
  /** An overflow value, whose payload stands at `words[index..index+4]`. */
  value?(words: Uint32Array, index: number): Iterable<void>;
  report(problem: TreeProblem, page: number, message: string): void;
}

/** What a reference promises about a page. */
interface Due {
  readonly level: number;
  readonly lower: Uint8Array | null;
  readonly upper: Uint8Array | null;
  /** The version that made the page which refers to it: what it refers to is not younger. */
  readonly birth: number;
}

/** Checks trees, one after another. */
export class TreeChecker {
  readonly #pages: CheckedPages;
  /** The page of each level that the walk stands on. */
  readonly #memory: Chunk[] = [];

  constructor(pages: CheckedPages) {
    this.#pages = pages;
  }

  /**
   * Walks a tree whose root stands in something that was made by version `birth` or a later one. `report`
   * is told what is wrong with the root; the rest goes to the pages' own.
   */
  *walk(
    root: TreeRoot,
    birth: number,
    report: (problem: TreeProblem, message: string) => void,
  ): Generator<void> {
    if (root.height === 0) {
      if (root.count !== 0) report("count", `an empty tree counts ${root.count} entries`);
      if (root.ref.some((word) => word !== 0)) {
        report("structure", "an empty tree refers to a page");
      }
      return;
    }
    if (root.height > HEIGHT_MAX) {
      report("structure", `a tree of ${root.height} levels`);
      return;
    }
    const due = { level: root.height - 1, lower: null, upper: null, birth };
    const below = yield* this.#below(root.ref, 0, due);
    if (below !== undefined && below.count !== root.count) {
      report("count", `the root counts ${root.count} entries, the tree has ${below.count}`);
    }
  }

  /** What is below a reference; undefined if it could not be found out. */
  *#below(words: Uint32Array, index: number, due: Due): Generator<void, Below | undefined> {
    const pages = this.#pages;
    const number = words[index];
    const birth = words[index + 1] + words[index + 2] * 2 ** 32;
    const say = (problem: TreeProblem, message: string) => pages.report(problem, number, message);
    if (birth > due.birth) {
      say("birth", `born at ${birth}, but what refers to it at ${due.birth}`);
    }
    const page = this.#memory[due.level] ??= newChunk(pages.pageSize);
    const known = pages.read(words, index, page, due.level);
    if (known === "lost") return undefined;
    if (known !== "read") return known;
    yield;
    const structure = checkPage(page, 0, pages.pageSize);
    if (structure !== null) {
      say("structure", structure);
      return undefined;
    }
    const level = (page.u32[WORD_KIND] >>> 8) & 0xff;
    if (level !== due.level) {
      say("structure", `level ${level} where ${due.level} is due`);
      return undefined;
    }
    checkKeys(page, due, say);
    const below = level === 0
      ? yield* this.#leaf(page, birth, say)
      : yield* this.#branch(page, due, birth, say);
    pages.walked?.(number, below);
    return below;
  }

  *#leaf(page: Chunk, birth: number, say: Say): Generator<void, Below> {
    const { u32 } = page;
    const count = pageCount(u32, 0);
    let overflow = false;
    this.#pages.leaf?.(page);
    for (let slot = 0; slot < count; slot++) {
      const cell = cellAt(u32, 0, slot);
      if (!isOverflow(u32, cell)) continue;
      overflow = true;
      const word = payloadAt(cell, keyLengthAt(u32, 0, slot)) >> 2;
      const born = u32[word + 1] + u32[word + 2] * 2 ** 32;
      if (born > birth) {
        say("birth", `slot ${slot}: an overflow value born at ${born} in a page born at ${birth}`);
      }
      const value = this.#pages.value?.(u32, word);
      if (value !== undefined) yield* value;
    }
    return { count, overflow };
  }

  *#branch(page: Chunk, due: Due, birth: number, say: Say): Generator<void, Below> {
    const { u32 } = page;
    const slots = pageCount(u32, 0);
    let count = 0;
    let overflow = false;
    for (let slot = 0; slot < slots; slot++) {
      const word = cellAt(u32, 0, slot) >> 2;
      const promised = { count: cellCount(u32, word), overflow: cellHasOverflow(u32, word) };
      const found = yield* this.#below(u32, word, {
        level: due.level - 1,
        lower: slot === 0 ? due.lower : keyOf(page, slot, false),
        upper: slot + 1 < slots ? keyOf(page, slot + 1, false) : due.upper,
        birth,
      });
      if (found !== undefined && found.count !== promised.count) {
        say("count", `slot ${slot}: counts ${promised.count} entries, below are ${found.count}`);
      }
      if (found !== undefined && found.overflow !== promised.overflow) {
        say("structure", `slot ${slot}: its overflow flag is wrong`);
      }
      const below = found ?? promised;
      count += below.count;
      overflow ||= below.overflow;
    }
    return { count, overflow };
  }
}

type Say = (problem: TreeProblem, message: string) => void;

/**
 * Reads every page of the tree and reports each thing that is wrong with it: keys out of order or
 * outside their separators, prefixes, hints, counts, flags, levels, structure.
 *
 * @throws {ManifoldError} what `load` throws, for pages that cannot be read.
 */
export function checkTree(
  pager: PageReader,
  root: TreeRoot,
  report: (finding: string) => void,
): void {
  const { arena } = pager;
  const checker = new TreeChecker({
    pageSize: arena.pageSize,
    read(words, index, into, level) {
      const frame = pager.load(words, index, level, true);
      const start = arena.base(frame);
      into.u8.set(arena.chunk(frame).u8.subarray(start, start + arena.pageSize));
      return "read";
    },
    report: (_problem, page, message) => report(`page ${page}: ${message}`),
  });
  for (const _ of checker.walk(root, Infinity, (_problem, message) => report(message)));
}

/** Order, bounds, prefix and hints of the keys of a page. */
function checkKeys(page: Chunk, due: Due, say: Say): void {
  const { u8, u32 } = page;
  const count = pageCount(u32, 0);
  const prefix = pagePrefix(u32, 0);
  const leaf = due.level === 0;
  const first = leaf ? 0 : 1;
  if (!leaf && u32[slotWord(0, 0)] !== 0) say("structure", "the first hint of a branch is not 0");
  for (let slot = first; slot < count; slot++) {
    const key = keyOf(page, slot, leaf);
    if (slot > first) {
      const before = keyOf(page, slot - 1, leaf);
      if (compareBytes(before, 0, before.length, key, 0, key.length) >= 0) {
        say("key-order", `slot ${slot}: key is not behind the one before`);
      }
      if (compareBytes(before, 0, prefix, key, 0, prefix) !== 0) {
        say("structure", `slot ${slot}: key does not share the prefix of ${prefix} bytes`);
      }
    }
    // The other keys are between these two, or it was said that they are not in order.
    const lower = slot === first ? due.lower : null;
    const upper = slot === count - 1 ? due.upper : null;
    if (lower !== null && compareBytes(key, 0, key.length, lower, 0, lower.length) < 0) {
      say("key-order", `slot ${slot}: key is before the page's separator`);
    }
    if (upper !== null && compareBytes(key, 0, key.length, upper, 0, upper.length) >= 0) {
      say("key-order", `slot ${slot}: key is not before the next page's separator`);
    }
    const at = cellAt(u32, 0, slot) + (leaf ? LEAF_HEAD_BYTES : BRANCH_HEAD_BYTES) + prefix;
    if (u32[slotWord(0, slot)] !== hintOf(u8, at, key.length - prefix)) {
      say("structure", `slot ${slot}: hint is not that of the key`);
    }
  }
}

function keyOf(page: Chunk, slot: number, leaf: boolean): Uint8Array {
  const at = cellAt(page.u32, 0, slot) + (leaf ? LEAF_HEAD_BYTES : BRANCH_HEAD_BYTES);
  return page.u8.subarray(at, at + keyLengthAt(page.u32, 0, slot));
}

/** Private memory for a page. */
export function newChunk(pageSize: number): Chunk {
  const u8 = new Uint8Array(pageSize);
  return { u8, u32: new Uint32Array(u8.buffer) };
}
