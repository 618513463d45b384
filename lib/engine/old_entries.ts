/**
 * What a tree has before an operation changes it, in memory of the caller's own: for those who are told of
 * changes.
 *
 * @module
 */

import { type OverflowSource, readOverflow } from "../storage/overflow.ts";
import { compareBytes } from "../tree/bytes.ts";
import { Cursor } from "../tree/cursor.ts";
import { find, Hit } from "../tree/find.ts";
import { type PageReader, REF_WORDS } from "../tree/pager.ts";
import type { Bound, TreeRoot } from "../tree/root.ts";
import { entryValue } from "./kept_changes.ts";

/** Entries, and bytes of them, that are read before others may change pages. */
const ENTRIES_MAX = 256;
const BYTES_MAX = 65536;

const hit = new Hit();

/** The value of a key; undefined if there is none. Inside an epoch. */
export function oldValue(
  pager: PageReader,
  values: OverflowSource,
  root: TreeRoot,
  key: Uint8Array,
): Uint8Array | undefined {
  if (!find(pager, root, key, 0, key.length, hit)) return undefined;
  const { chunk, valueOffset, valueLength, overflow } = hit;
  if (!overflow) return chunk.u8.slice(valueOffset, valueOffset + valueLength);
  const at = valueOffset >> 2;
  return readOverflow(values, chunk.u32, at, chunk.u32[at + REF_WORDS]);
}

/** An entry. */
export interface OldEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/**
 * The next entries inside the bounds (`null`: without end), ascending; none behind the last. A cursor does not outlive a
 * change of any tree of the family, so they come in batches. Inside an epoch.
 */
export function oldEntries(
  pager: PageReader,
  values: OverflowSource,
  root: TreeRoot,
  lower: Bound | null,
  upper: Bound | null,
): OldEntry[] {
  const entries: OldEntry[] = [];
  const cursor = new Cursor(pager);
  let more = cursor.seek(root, lower?.key ?? null, lower?.inclusive ?? true);
  for (let bytes = 0; more && bytes < BYTES_MAX && entries.length < ENTRIES_MAX;) {
    const { chunk, slot } = cursor;
    const at = cursor.keyOffset(slot);
    const length = cursor.keyLength(slot);
    if (upper !== null) {
      const order = compareBytes(chunk.u8, at, length, upper.key, 0, upper.key.length);
      if (order > 0 || (order === 0 && !upper.inclusive)) break;
    }
    const key = chunk.u8.slice(at, at + length);
    const value = entryValue({ values }, cursor);
    entries.push({ key, value });
    bytes += key.length + value.length;
    more = cursor.next();
  }
  return entries;
}
