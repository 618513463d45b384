/**
 * What a tree takes.
 *
 * @module
 */

import { cellAt, isOverflow, keyLengthAt, payloadAt, payloadBytes } from "./cell.ts";
import { capacityOf, HEADER_BYTES, liveBytes, pageCount } from "./page.ts";
import { type PageReader, REF_WORDS } from "./pager.ts";
import { HEIGHT_MAX, type TreeRoot } from "./root.ts";
import { VisitLimit } from "./visit_limit.ts";

/** Figures of a tree. */
export interface TreeStats {
  height: number;
  entries: number;
  leafPages: number;
  branchPages: number;
  /** Bytes of slots and cells of entries, leaves and branches. */
  leafBytes: number;
  branchBytes: number;
  /** Bytes of keys and of inline values (overflow payloads not counted). */
  keyBytes: number;
  valueBytes: number;
  overflowValues: number;
  /** Pages of the overflow extents. */
  overflowPages: number;
  /** Bytes of the values in overflow extents. */
  overflowBytes: number;
  /** Part of the leaves' capacity that entries take, 0 to 1. */
  fill: number;
}

/** Reads every page of the tree, as a scan. */
export function treeStats(pager: PageReader, root: TreeRoot): TreeStats {
  const stats: TreeStats = {
    height: root.height,
    entries: root.count,
    leafPages: 0,
    branchPages: 0,
    leafBytes: 0,
    branchBytes: 0,
    keyBytes: 0,
    valueBytes: 0,
    overflowValues: 0,
    overflowPages: 0,
    overflowBytes: 0,
    fill: 0,
  };
  const refs = new Uint32Array(HEIGHT_MAX * REF_WORDS);
  refs.set(root.ref, (root.height - 1 < 0 ? 0 : root.height - 1) * REF_WORDS);
  if (root.height > 0) measure(pager, refs, root.height - 1, stats, new VisitLimit(pager));
  if (stats.leafPages > 0) {
    stats.fill = stats.leafBytes / (stats.leafPages * capacityOf(pager.arena.pageSize));
  }
  return stats;
}

/** Adds the page whose reference stands at its level in `refs`, and all below it. */
function measure(
  pager: PageReader,
  refs: Uint32Array,
  level: number,
  stats: TreeStats,
  visits: VisitLimit,
): void {
  visits.count();
  const arena = pager.arena;
  const at = level * REF_WORDS;
  let frame = pager.load(refs, at, level, true);
  const count = pageCount(arena.chunk(frame).u32, arena.base(frame));
  if (level === 0) {
    measureLeaf(arena.chunk(frame).u32, arena.base(frame), count, arena.pageSize, stats);
    return;
  }
  stats.branchPages++;
  stats.branchBytes += liveBytes(arena.chunk(frame).u32, arena.base(frame));
  for (let slot = 0; slot < count; slot++) {
    const u32 = arena.chunk(frame).u32;
    const word = cellAt(u32, arena.base(frame), slot) >> 2;
    for (let i = 0; i < REF_WORDS; i++) refs[at - REF_WORDS + i] = u32[word + i];
    measure(pager, refs, level - 1, stats, visits);
    frame = pager.load(refs, at, level, true);
  }
}

function measureLeaf(
  u32: Uint32Array,
  base: number,
  count: number,
  pageSize: number,
  stats: TreeStats,
): void {
  stats.leafPages++;
  stats.leafBytes += liveBytes(u32, base);
  for (let slot = 0; slot < count; slot++) {
    const cell = cellAt(u32, base, slot);
    const keyLength = keyLengthAt(u32, base, slot);
    stats.keyBytes += keyLength;
    if (isOverflow(u32, cell)) {
      stats.overflowValues++;
      const bytes = u32[(payloadAt(cell, keyLength) >> 2) + REF_WORDS];
      stats.overflowBytes += bytes;
      stats.overflowPages += Math.ceil((HEADER_BYTES + bytes) / pageSize);
    } else {
      stats.valueBytes += payloadBytes(u32, cell);
    }
  }
}
