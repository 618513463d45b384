/**
 * Which pages a tree refers to.
 *
 * @module
 */

import { overflowPages } from "../../lib/storage/overflow.ts";
import { cellAt, isOverflow, keyLengthAt, payloadAt } from "../../lib/tree/cell.ts";
import { pageCount } from "../../lib/tree/page.ts";
import { type PageReader, REF_WORDS } from "../../lib/tree/pager.ts";
import type { TreeRoot } from "../../lib/tree/root.ts";

/** Adds the pages of a tree, overflow extents included, to `pages`. Throws on one met twice. Inside an epoch. */
export function collectPages(pager: PageReader, root: TreeRoot, pages: Set<number>): void {
  collectPage(pager, root.ref.slice(), root.height - 1, pages);
}

function add(pages: Set<number>, page: number): void {
  if (pages.has(page)) throw new Error(`page ${page} is referred to twice`);
  pages.add(page);
}

function collectPage(
  pager: PageReader,
  ref: Uint32Array,
  level: number,
  pages: Set<number>,
): void {
  const { arena } = pager;
  add(pages, ref[0]);
  const frame = pager.load(ref, 0, level, true);
  const base = arena.base(frame);
  const u32 = arena.chunk(frame).u32;
  const children: Uint32Array[] = [];
  for (let slot = 0; slot < pageCount(u32, base); slot++) {
    const cell = cellAt(u32, base, slot);
    if (level > 0) {
      children.push(u32.slice(cell >> 2, (cell >> 2) + REF_WORDS));
    } else if (isOverflow(u32, cell)) {
      const at = payloadAt(cell, keyLengthAt(u32, base, slot)) >> 2;
      const count = overflowPages(u32[at + REF_WORDS], arena.pageSize);
      for (let i = 0; i < count; i++) add(pages, u32[at] + i);
    }
  }
  for (const child of children) collectPage(pager, child, level - 1, pages);
}
