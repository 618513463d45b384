/**
 * Overflow extents: values too large for a leaf, and allocator images. A run of pages that holds one
 * page header (page.ts) and the bytes behind it; not through the arena.
 *
 * The header's checksum covers bytes 8 to 47 and the value; `used` is the value's length.
 *
 * Invariants: written before anything that refers to it is published; read inside an epoch; the
 * length is checked against the file before memory is taken for it.
 *
 * @module
 */

import {
  CHECKSUM_BYTES,
  HEADER_BYTES,
  PAGE_OVERFLOW,
  WORD_BIRTH_HIGH,
  WORD_BIRTH_LOW,
  WORD_FAMILY,
  WORD_INCARNATION,
  WORD_KIND,
  WORD_NUMBER,
  WORD_TABLE,
  WORD_USED,
} from "../tree/page.ts";
import { allocateBytes } from "./bytes.ts";
import type { Checksum } from "./checksum.ts";
import type { File } from "./file.ts";
import { PageError } from "./page_error.ts";
import type { PageStore } from "./page_store.ts";

/** The longest value, in bytes. */
export const VALUE_BYTES_MAX = 2 ** 30;

/** Pages of an overflow extent for a value. */
export function overflowPages(length: number, pageSize: number): number {
  return Math.ceil((HEADER_BYTES + length) / pageSize);
}

/** Values up to here are written together with their header. */
const JOINED_BYTES_MAX = 65536;

/**
 * Writes an extent. `ref[at..at+3]` says page, birth and incarnation.
 */
export function writeOverflow(
  store: PageStore,
  ref: Uint32Array,
  at: number,
  family: number,
  table: number,
  value: Uint8Array,
): void {
  const header = new Uint8Array(HEADER_BYTES);
  const words = new Uint32Array(header.buffer);
  words[WORD_NUMBER] = ref[at];
  words[WORD_BIRTH_LOW] = ref[at + 1];
  words[WORD_BIRTH_HIGH] = ref[at + 2];
  words[WORD_INCARNATION] = ref[at + 3];
  words[WORD_KIND] = PAGE_OVERFLOW;
  words[WORD_USED] = value.length;
  words[WORD_FAMILY] = family;
  words[WORD_TABLE] = table;
  header.set(store.checksum.of(header.subarray(CHECKSUM_BYTES), value));
  const offset = ref[at] * store.arena.pageSize;
  if (value.length <= JOINED_BYTES_MAX) {
    const joined = new Uint8Array(HEADER_BYTES + value.length);
    joined.set(header);
    joined.set(value, HEADER_BYTES);
    store.file.write(offset, joined);
  } else {
    store.file.write(offset, header);
    store.file.write(offset + HEADER_BYTES, value);
  }
}

/** Where extents are read from: a {@linkcode PageStore}, or what has the same. */
export interface OverflowSource {
  readonly arena: { readonly pageSize: number };
  readonly file: File;
  readonly checksum: Checksum;
  /** Whose extents are read, for errors. */
  readonly familyName: string;
}

/**
 * Reads an extent of `length` bytes into memory of the caller's own.
 *
 * @throws {ManifoldError} `corrupt`.
 */
export function readOverflow(
  store: OverflowSource,
  ref: Uint32Array,
  at: number,
  length: number,
): Uint8Array {
  const page = ref[at];
  const { pageSize } = store.arena;
  const offset = page * pageSize;
  const corrupt = (how: string): PageError =>
    new PageError(
      page,
      `${store.file.path}: the overflow value at page ${page} (byte ${offset}) of the column family ` +
        `"${store.familyName}" cannot be used: ${how}; restore a backup`,
    );
  if (length > VALUE_BYTES_MAX || offset + HEADER_BYTES + length > store.file.size()) {
    throw corrupt(`its ${length} bytes do not fit the file`);
  }
  const header = new Uint8Array(HEADER_BYTES);
  const value = allocateBytes(length, "a value");
  const count = store.file.read(offset, header) + store.file.read(offset + HEADER_BYTES, value);
  if (count < HEADER_BYTES + length) throw corrupt("the file ends inside it");
  if (!store.checksum.matches(header, 0, header.subarray(CHECKSUM_BYTES), value)) {
    throw corrupt("its checksum is wrong");
  }
  const words = new Uint32Array(header.buffer);
  if (
    words[WORD_NUMBER] !== page || words[WORD_BIRTH_LOW] !== ref[at + 1] ||
    words[WORD_BIRTH_HIGH] !== ref[at + 2] || words[WORD_INCARNATION] !== ref[at + 3] ||
    words[WORD_USED] !== length || words[WORD_KIND] !== PAGE_OVERFLOW
  ) throw corrupt("it is not the value referred to: a write was lost");
  return value;
}
