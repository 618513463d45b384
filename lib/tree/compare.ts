/**
 * Whether two versions of a tree differ inside a range: both are walked in step, and what they share
 * is passed over. Only pages that are in one of the versions alone, and those on the way to them, are read.
 *
 * Two references that are the same lead to the same entries: a page that somebody can refer to never
 * changes. Entries are compared by their bytes; values in overflow extents by their references, so that
 * one which was written again counts as another, whatever its bytes.
 *
 * Invariants: before each step everything in front of both places was found to be the same, and both
 * places begin with the same key that is due. So a page that both versions share is met by both at
 * once, if nothing before it differs: whichever stands before a page of a higher level goes down.
 *
 * @module
 */

import { compareBytes } from "./bytes.ts";
import { cellAt, keyLengthAt, LEAF_HEAD_BYTES, payloadAt, payloadBytes } from "./cell.ts";
import { pageCount } from "./page.ts";
import { type PageReader, REF_WORDS } from "./pager.ts";
import { type Bound, HEIGHT_MAX, type TreeRoot } from "./root.ts";
import { searchBranch, searchLeaf } from "./search.ts";
import { VisitLimit } from "./visit_limit.ts";

/** The level of a place that stands on an entry, not before a page. */
const ON_ENTRY = -1;

/** A place in one of the versions: before a page that was not looked into, or on an entry of a leaf. */
class Place {
  /** The level of the page that it stands before; or {@linkcode ON_ENTRY}. */
  level = 0;
  /** Whether there is nothing more in the range. */
  ended = true;
  /** References by level, the leaf's at 0: of the pages on the way, and of the one that it stands before. */
  readonly refs: Uint32Array = new Uint32Array(HEIGHT_MAX * REF_WORDS);
  /** By level: the slot that was taken on the page, and the first one behind the range. */
  readonly slots: Int32Array = new Int32Array(HEIGHT_MAX);
  readonly ends: Int32Array = new Int32Array(HEIGHT_MAX);
  #height = 0;
  /** Whether the range may begin inside of the page that it stands before. */
  #atLower = false;

  begin(root: TreeRoot): void {
    this.#height = root.height;
    this.level = root.height - 1;
    this.ended = root.height === 0;
    this.#atLower = true;
    if (!this.ended) this.refs.set(root.ref, this.level * REF_WORDS);
  }

  /** Looks into the page that it stands before. */
  open(pager: PageReader, lower: Bound | null, upper: Bound | null): void {
    const { level } = this;
    const { arena } = pager;
    const frame = pager.load(this.refs, level * REF_WORDS, level);
    const chunk = arena.chunk(frame);
    const base = arena.base(frame);
    const count = pageCount(chunk.u32, base);
    let slot = 0;
    let end = count;
    if (level === 0) {
      if (this.#atLower && lower !== null) {
        slot = searchLeaf(chunk, base, lower.key, 0, lower.key.length);
        slot = slot < 0 ? ~slot : lower.inclusive ? slot : slot + 1;
      }
      if (upper !== null) {
        end = searchLeaf(chunk, base, upper.key, 0, upper.key.length);
        end = end < 0 ? ~end : upper.inclusive ? end + 1 : end;
      }
      this.#atLower = false;
    } else {
      if (this.#atLower && lower !== null) {
        slot = searchBranch(chunk, base, lower.key, 0, lower.key.length);
      }
      if (upper !== null) {
        end = searchBranch(chunk, base, upper.key, 0, upper.key.length) + 1;
      }
    }
    this.slots[level] = slot;
    this.ends[level] = end;
    this.level = level - 1;
    if (slot >= end) this.#leave(pager, level);
    else if (level > 0) this.#take(chunk.u32, base, level, slot);
  }

  /** Passes over the entry, or the whole page that it stands before. */
  next(pager: PageReader): void {
    this.#atLower = false;
    this.#leave(pager, this.level + 1);
  }

  /** To the next slot of the page at `level`, or of the first one above it that has more. */
  #leave(pager: PageReader, level: number): void {
    for (; level < this.#height; level++) {
      const slot = ++this.slots[level];
      if (slot >= this.ends[level]) continue;
      this.level = level - 1;
      if (level > 0) {
        const { arena } = pager;
        const frame = pager.load(this.refs, level * REF_WORDS, level);
        this.#take(arena.chunk(frame).u32, arena.base(frame), level, slot);
      }
      return;
    }
    this.ended = true;
  }

  /** Stands before the child at a slot of the page at `level`. */
  #take(u32: Uint32Array, base: number, level: number, slot: number): void {
    const word = cellAt(u32, base, slot) >> 2;
    const at = (level - 1) * REF_WORDS;
    for (let i = 0; i < REF_WORDS; i++) this.refs[at + i] = u32[word + i];
  }

  /** Whether an entry follows. */
  hasEntry(pager: PageReader, lower: Bound | null, upper: Bound | null): boolean {
    while (!this.ended && this.level !== ON_ENTRY) this.open(pager, lower, upper);
    return !this.ended;
  }
}

const one = new Place();
const other = new Place();

/** Whether there is an entry between the bounds (null: without end) that is in one version and not in the other. */
export function treesDiffer(
  pager: PageReader,
  a: TreeRoot,
  b: TreeRoot,
  lower: Bound | null,
  upper: Bound | null,
): boolean {
  if (a.height === b.height && isSame(a.ref, 0, b.ref, 0, REF_WORDS)) return false;
  one.begin(a);
  other.begin(b);
  const visits = new VisitLimit(pager);
  for (;;) {
    if (one.ended) return other.hasEntry(pager, lower, upper);
    if (other.ended) return one.hasEntry(pager, lower, upper);
    if (one.level !== other.level) {
      visits.count();
      (one.level > other.level ? one : other).open(pager, lower, upper);
    } else if (one.level === ON_ENTRY) {
      if (entriesDiffer(pager)) return true;
      one.next(pager);
      other.next(pager);
    } else {
      const at = one.level * REF_WORDS;
      if (isSame(one.refs, at, other.refs, at, REF_WORDS)) {
        one.next(pager);
        other.next(pager);
      } else {
        visits.count();
        one.open(pager, lower, upper);
        other.open(pager, lower, upper);
      }
    }
  }
}

/** Compares the entries that both places stand on. */
function entriesDiffer(pager: PageReader): boolean {
  const { arena } = pager;
  const frame = pager.load(one.refs, 0, 0);
  const otherFrame = pager.load(other.refs, 0, 0);
  const chunk = arena.chunk(frame);
  const otherChunk = arena.chunk(otherFrame);
  const base = arena.base(frame);
  const otherBase = arena.base(otherFrame);
  const slot = one.slots[0];
  const otherSlot = other.slots[0];
  const cell = cellAt(chunk.u32, base, slot);
  const otherCell = cellAt(otherChunk.u32, otherBase, otherSlot);
  // Also whether the payload is an overflow reference.
  if (chunk.u32[cell >> 2] !== otherChunk.u32[otherCell >> 2]) return true;
  const keyLength = keyLengthAt(chunk.u32, base, slot);
  if (keyLength !== keyLengthAt(otherChunk.u32, otherBase, otherSlot)) return true;
  const length = payloadBytes(chunk.u32, cell);
  return compareBytes(
        chunk.u8,
        cell + LEAF_HEAD_BYTES,
        keyLength,
        otherChunk.u8,
        otherCell + LEAF_HEAD_BYTES,
        keyLength,
      ) !== 0 ||
    compareBytes(
        chunk.u8,
        payloadAt(cell, keyLength),
        length,
        otherChunk.u8,
        payloadAt(otherCell, keyLength),
        length,
      ) !== 0;
}

function isSame(
  a: Uint32Array,
  aIndex: number,
  b: Uint32Array,
  bIndex: number,
  words: number,
): boolean {
  for (let i = 0; i < words; i++) if (a[aIndex + i] !== b[bIndex + i]) return false;
  return true;
}
