/**
 * What a transaction has read, as bytes in front of its operations, and whether that still holds.
 *
 * The block begins with a word: its own bytes. Then come *reads*, written as operations are
 * (lib/log/operations.ts), table by table:
 *
 * | kind | table | key | value |
 * |---|---|---|---|
 * | 1 table | its id, 0 if there was none | the root that was read: reference (4 words) and height | its name |
 * | 2 key | | key | |
 * | 3 range | | lower bound | upper bound; flags as those of `delete range` |
 *
 * A table stands before its keys and ranges. Invariant: whoever has made the block holds a pin of the version
 * that the roots are of until he has been answered.
 *
 * @module
 */

import {
  type OperationMemory,
  OperationReader,
  RANGE_HAS_LOWER,
  RANGE_HAS_UPPER,
  RANGE_LOWER_INCLUSIVE,
  RANGE_UPPER_INCLUSIVE,
} from "../log/operations.ts";
import { treesDiffer } from "../tree/compare.ts";
import { type PageReader, REF_WORDS } from "../tree/pager.ts";
import { type Bound, TreeRoot } from "../tree/root.ts";

export const READ_TABLE = 1;
export const READ_KEY = 2;
export const READ_RANGE = 3;

/** Bytes of the word that a block begins with. */
export const READS_HEAD_BYTES = 4;

/** Words of a root: reference and height. */
export const READ_ROOT_WORDS = REF_WORDS + 1;

/** What is there now, for a table that was read. */
export interface PresentTables {
  /** The tree of the table of that id, or else of that name; undefined if there is none. */
  treeOf(id: number, name: () => Uint8Array): TreeRoot | undefined;
}

const NO_TREE = new TreeRoot();

const reader = new OperationReader();
const read = new TreeRoot();

/** Whether everything that was read is the same now. Inside an epoch; the read version must be pinned. */
export function readsHold(
  pager: PageReader,
  present: PresentTables,
  memory: OperationMemory,
  from: number,
  to: number,
): boolean {
  let now = NO_TREE;
  reader.begin(memory, from + READS_HEAD_BYTES, to);
  while (reader.next()) {
    if (reader.kind === READ_TABLE) {
      const word = reader.keyOffset >> 2;
      for (let i = 0; i < REF_WORDS; i++) read.ref[i] = memory.u32[word + i];
      read.height = memory.u32[word + REF_WORDS];
      now = present.treeOf(reader.table, () => reader.value()) ?? NO_TREE;
    } else if (reader.kind === READ_KEY) {
      const bound: Bound = { key: reader.key(), inclusive: true };
      if (treesDiffer(pager, read, now, bound, bound)) return false;
    } else {
      const { flags } = reader;
      const lower = (flags & RANGE_HAS_LOWER) === 0
        ? null
        : { key: reader.key(), inclusive: (flags & RANGE_LOWER_INCLUSIVE) !== 0 };
      const upper = (flags & RANGE_HAS_UPPER) === 0
        ? null
        : { key: reader.value(), inclusive: (flags & RANGE_UPPER_INCLUSIVE) !== 0 };
      if (treesDiffer(pager, read, now, lower, upper)) return false;
    }
  }
  return true;
}
