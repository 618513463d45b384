/**
 * The full check of a tree: every statement that `cell.ts`, `page_edit.ts` and `path.ts` make about
 * pages is verified on every page.
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
  slotWord,
} from "./cell.ts";
import { pageCount, pagePrefix, WORD_KIND, WORD_NUMBER } from "./page.ts";
import { checkPage } from "./page_check.ts";
import type { PageReader } from "./pager.ts";
import type { TreeRoot } from "./root.ts";

/** What a branch promises about a child. */
interface Due {
  level: number;
  lower: Uint8Array | null;
  upper: Uint8Array | null;
}

/** What is below a page. */
interface Found {
  count: number;
  overflow: boolean;
}

const NOTHING: Found = { count: 0, overflow: false };

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
  if (root.height === 0) {
    if (root.count !== 0) report(`an empty tree counts ${root.count} entries`);
    if (root.ref.some((word) => word !== 0)) report("an empty tree refers to a page");
    return;
  }
  const promise = { level: root.height - 1, lower: null, upper: null };
  const found = checkBelow(pager, root.ref, 0, promise, report);
  if (found.count !== root.count) {
    report(`the root counts ${root.count} entries, the tree has ${found.count}`);
  }
}

function checkBelow(
  pager: PageReader,
  words: Uint32Array,
  index: number,
  promise: Due,
  report: (finding: string) => void,
): Found {
  const arena = pager.arena;
  const frame = pager.load(words, index, true);
  const start = arena.base(frame);
  // A copy: the frame does not last over the loads of the pages below.
  const u8 = arena.chunk(frame).u8.slice(start, start + arena.pageSize);
  const page: Chunk = { u8, u32: new Uint32Array(u8.buffer) };
  const number = page.u32[WORD_NUMBER];
  const say = (finding: string) => report(`page ${number}: ${finding}`);

  const structure = checkPage(page, 0, arena.pageSize);
  if (structure !== null) {
    say(structure);
    return NOTHING;
  }
  const level = (page.u32[WORD_KIND] >>> 8) & 0xff;
  if (level !== promise.level) {
    say(`level ${level} where ${promise.level} is due`);
    return NOTHING;
  }
  checkKeys(page, promise, say);
  return level === 0 ? checkLeaf(page) : checkBranch(pager, page, promise, report, say);
}

/** Order, bounds, prefix and hints of the keys of a page. */
function checkKeys(page: Chunk, promise: Due, say: (finding: string) => void): void {
  const { u8, u32 } = page;
  const count = pageCount(u32, 0);
  const prefix = pagePrefix(u32, 0);
  const leaf = promise.level === 0;
  const first = leaf ? 0 : 1;
  if (!leaf && u32[slotWord(0, 0)] !== 0) say("the first hint of a branch is not 0");
  for (let slot = first; slot < count; slot++) {
    const key = keyOf(page, slot, leaf);
    if (slot > first) {
      const before = keyOf(page, slot - 1, leaf);
      if (compareBytes(before, 0, before.length, key, 0, key.length) >= 0) {
        say(`slot ${slot}: key is not behind the one before`);
      }
      if (compareBytes(before, 0, prefix, key, 0, prefix) !== 0) {
        say(`slot ${slot}: key does not share the prefix of ${prefix} bytes`);
      }
    }
    const { lower, upper } = promise;
    if (lower !== null && compareBytes(key, 0, key.length, lower, 0, lower.length) < 0) {
      say(`slot ${slot}: key is before the page's separator`);
    }
    if (upper !== null && compareBytes(key, 0, key.length, upper, 0, upper.length) >= 0) {
      say(`slot ${slot}: key is not before the next page's separator`);
    }
    const at = cellAt(u32, 0, slot) + (leaf ? LEAF_HEAD_BYTES : BRANCH_HEAD_BYTES) + prefix;
    if (u32[slotWord(0, slot)] !== hintOf(u8, at, key.length - prefix)) {
      say(`slot ${slot}: hint is not that of the key`);
    }
  }
}

function keyOf(page: Chunk, slot: number, leaf: boolean): Uint8Array {
  const at = cellAt(page.u32, 0, slot) + (leaf ? LEAF_HEAD_BYTES : BRANCH_HEAD_BYTES);
  return page.u8.subarray(at, at + keyLengthAt(page.u32, 0, slot));
}

function checkLeaf(page: Chunk): Found {
  const count = pageCount(page.u32, 0);
  let overflow = false;
  for (let slot = 0; slot < count; slot++) {
    if (isOverflow(page.u32, cellAt(page.u32, 0, slot))) overflow = true;
  }
  return { count, overflow };
}

function checkBranch(
  pager: PageReader,
  page: Chunk,
  promise: Due,
  report: (finding: string) => void,
  say: (finding: string) => void,
): Found {
  const slots = pageCount(page.u32, 0);
  let count = 0;
  let overflow = false;
  for (let slot = 0; slot < slots; slot++) {
    const word = cellAt(page.u32, 0, slot) >> 2;
    const found = checkBelow(
      pager,
      page.u32,
      word,
      {
        level: promise.level - 1,
        lower: slot === 0 ? promise.lower : keyOf(page, slot, false),
        upper: slot + 1 < slots ? keyOf(page, slot + 1, false) : promise.upper,
      },
      report,
    );
    if (found.count !== cellCount(page.u32, word)) {
      say(`slot ${slot}: counts ${cellCount(page.u32, word)} entries, below are ${found.count}`);
    }
    if (found.overflow !== cellHasOverflow(page.u32, word)) {
      say(`slot ${slot}: its overflow flag is wrong`);
    }
    count += found.count;
    overflow ||= found.overflow;
  }
  return { count, overflow };
}
