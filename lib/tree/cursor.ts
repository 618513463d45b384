/**
 * A place in a tree that moves entry by entry or leaf by leaf, both ways.
 *
 * Between moves the cursor holds one frame, that of its leaf; of the branches above it keeps
 * references and slots, because frames do not last. A move allocates nothing. Everything from a
 * seek to the last use of its registers happens inside one epoch.
 *
 * @module
 */

import type { Chunk } from "../memory/arena.ts";
import {
  cellAt,
  cellCount,
  isOverflow,
  keyLengthAt,
  LEAF_HEAD_BYTES,
  payloadAt,
  payloadBytes,
} from "./cell.ts";
import { pageCount } from "./page.ts";
import { type PageReader, REF_WORDS } from "./pager.ts";
import { HEIGHT_MAX, type TreeRoot } from "./root.ts";
import { askAhead, searchBranch, searchLeaf } from "./search.ts";
import { VisitLimit } from "./visit_limit.ts";

/** Moves over the entries of a tree. The registers mean something while `valid` is true. */
export class Cursor {
  /** Whether the cursor stands on an entry. Moves of one that does not go nowhere; seek again. */
  valid = false;
  /** The leaf: chunk, byte in it, and slots in use. */
  chunk: Chunk;
  base = 0;
  count = 0;
  /** The entry, as a slot of the leaf. */
  slot = 0;
  /** References by level, the leaf's at 0: four words each. */
  readonly refs: Uint32Array = new Uint32Array(HEIGHT_MAX * REF_WORDS);

  private readonly slots = new Int32Array(HEIGHT_MAX);
  private readonly pager: PageReader;
  private readonly visits: VisitLimit;
  private height = 0;

  constructor(pager: PageReader) {
    this.pager = pager;
    this.visits = new VisitLimit(pager);
    this.chunk = pager.arena.chunks[0];
  }

  /** To the first entry at or behind the key (not `inclusive`: behind it; `null`: of all). */
  seek(root: TreeRoot, key: Uint8Array | null, inclusive: boolean): boolean {
    if (!this.start(root)) return false;
    for (let level = this.height - 1; level > 0; level--) {
      this.enter(level, false);
      const slot = key === null ? 0 : searchBranch(this.chunk, this.base, key, 0, key.length);
      this.step(level, slot);
    }
    this.enterLeaf(false);
    let slot = 0;
    if (key !== null) {
      slot = searchLeaf(this.chunk, this.base, key, 0, key.length);
      if (slot < 0) slot = ~slot;
      else if (!inclusive) slot++;
    }
    this.slot = slot;
    return slot < this.count || this.nextLeaf();
  }

  /** To the last entry at or before the key (not `inclusive`: before it; `null`: of all). */
  seekReverse(root: TreeRoot, key: Uint8Array | null, inclusive: boolean): boolean {
    if (!this.start(root)) return false;
    for (let level = this.height - 1; level > 0; level--) {
      this.enter(level, false);
      const slot = key === null
        ? pageCount(this.chunk.u32, this.base) - 1
        : searchBranch(this.chunk, this.base, key, 0, key.length);
      this.step(level, slot);
    }
    this.enterLeaf(false);
    let slot = this.count - 1;
    if (key !== null) {
      slot = searchLeaf(this.chunk, this.base, key, 0, key.length);
      if (slot < 0) slot = ~slot - 1;
      else if (!inclusive) slot--;
    }
    this.slot = slot;
    return slot >= 0 || this.previousLeaf();
  }

  /** To the entry with `index` entries before it. */
  seekIndex(root: TreeRoot, index: number): boolean {
    if (!this.start(root) || index < 0 || index >= root.count) {
      this.valid = false;
      return false;
    }
    let total = root.count;
    for (let level = this.height - 1; level > 0; level--) {
      this.enter(level, false);
      const u32 = this.chunk.u32;
      const last = pageCount(u32, this.base) - 1;
      let slot = 0;
      let below = cellCount(u32, cellAt(u32, this.base, 0) >> 2);
      if (index <= total / 2) {
        while (index >= below && slot < last) {
          index -= below;
          below = cellCount(u32, cellAt(u32, this.base, ++slot) >> 2);
        }
      } else {
        // From the end: how many entries are behind the wanted one decides in the same way.
        let behind = total - 1 - index;
        slot = last;
        below = cellCount(u32, cellAt(u32, this.base, slot) >> 2);
        while (behind >= below && slot > 0) {
          behind -= below;
          below = cellCount(u32, cellAt(u32, this.base, --slot) >> 2);
        }
        index = below - 1 - behind;
      }
      total = below;
      this.step(level, slot);
    }
    this.enterLeaf(false);
    this.slot = index;
    this.valid = index >= 0 && index < this.count;
    return this.valid;
  }

  /** To the next entry; false behind the last. */
  next(): boolean {
    if (!this.valid) return false;
    return ++this.slot < this.count || this.nextLeaf();
  }

  /** To the previous entry; false before the first. */
  previous(): boolean {
    if (!this.valid) return false;
    return --this.slot >= 0 || this.previousLeaf();
  }

  /** To the first entry of the next leaf. */
  nextLeaf(): boolean {
    if (!this.valid) return false;
    this.visits.count();
    for (let level = 1; level < this.height; level++) {
      this.enter(level, true);
      if (this.slots[level] + 1 >= pageCount(this.chunk.u32, this.base)) continue;
      this.step(level, this.slots[level] + 1);
      while (--level > 0) {
        this.enter(level, true);
        this.step(level, 0);
      }
      this.enterLeaf(true);
      this.slot = 0;
      return true;
    }
    this.valid = false;
    return false;
  }

  /** To the last entry of the previous leaf. */
  previousLeaf(): boolean {
    if (!this.valid) return false;
    this.visits.count();
    for (let level = 1; level < this.height; level++) {
      this.enter(level, true);
      if (this.slots[level] === 0) continue;
      this.step(level, this.slots[level] - 1);
      while (--level > 0) {
        this.enter(level, true);
        this.step(level, pageCount(this.chunk.u32, this.base) - 1);
      }
      this.enterLeaf(true);
      this.slot = this.count - 1;
      return true;
    }
    this.valid = false;
    return false;
  }

  /** Byte in the chunk where the key at a slot of the leaf begins. */
  keyOffset(slot: number): number {
    return cellAt(this.chunk.u32, this.base, slot) + LEAF_HEAD_BYTES;
  }

  keyLength(slot: number): number {
    return keyLengthAt(this.chunk.u32, this.base, slot);
  }

  /** Byte in the chunk where the payload at a slot of the leaf begins: a multiple of 4. */
  valueOffset(slot: number): number {
    const u32 = this.chunk.u32;
    return payloadAt(cellAt(u32, this.base, slot), keyLengthAt(u32, this.base, slot));
  }

  valueLength(slot: number): number {
    const u32 = this.chunk.u32;
    return payloadBytes(u32, cellAt(u32, this.base, slot));
  }

  /** Whether the payload at a slot of the leaf refers to an overflow extent. */
  overflow(slot: number): boolean {
    const u32 = this.chunk.u32;
    return isOverflow(u32, cellAt(u32, this.base, slot));
  }

  private start(root: TreeRoot): boolean {
    this.height = root.height;
    this.valid = root.height > 0;
    if (!this.valid) return false;
    this.visits.reset();
    const at = (root.height - 1) * REF_WORDS;
    for (let i = 0; i < REF_WORDS; i++) this.refs[at + i] = root.ref[i];
    return true;
  }

  /** Makes the page of a level the one in `chunk` and `base`. */
  private enter(level: number, cold: boolean): void {
    const arena = this.pager.arena;
    const frame = this.pager.load(this.refs, level * REF_WORDS, level, cold);
    this.chunk = arena.chunks[frame >> arena.frameShift];
    this.base = (frame & arena.frameMask) << arena.pageShift;
  }

  private enterLeaf(cold: boolean): void {
    this.enter(0, cold);
    if (!cold) askAhead(this.chunk.u32, this.base, this.pager.arena.pageSize);
    this.count = pageCount(this.chunk.u32, this.base);
  }

  /** On the branch just entered at `level`: takes a slot and keeps the reference of the child. */
  private step(level: number, slot: number): void {
    const u32 = this.chunk.u32;
    const word = cellAt(u32, this.base, slot) >> 2;
    const at = (level - 1) * REF_WORDS;
    this.slots[level] = slot;
    for (let i = 0; i < REF_WORDS; i++) this.refs[at + i] = u32[word + i];
  }
}
