/**
 * All pages of a file that say themselves what they are, found without any reference: every page has
 * its own number, family, table, level and birth under its checksum.
 *
 * Also directories of earlier checkpoints, of which the newest that can be read is kept.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";
import type { AllocatorImage } from "../../storage/allocator_image.ts";
import { decodeDirectory, type Directory, directoryLength } from "../../storage/directory.ts";
import { firstDataPage } from "../../storage/meta.ts";
import { overflowPages, VALUE_BYTES_MAX } from "../../storage/overflow.ts";
import {
  HEADER_BYTES,
  PAGE_BRANCH,
  PAGE_LEAF,
  PAGE_OVERFLOW,
  WORD_BIRTH_HIGH,
  WORD_BIRTH_LOW,
  WORD_FAMILY,
  WORD_INCARNATION,
  WORD_KIND,
  WORD_NUMBER,
  WORD_TABLE,
  WORD_USED,
} from "../../tree/page.ts";
import type { DamagedPages } from "./damaged_pages.ts";

/** A page that was found. */
export interface FoundPage {
  /** As a reference to it: number, birth, incarnation. */
  readonly ref: Uint32Array;
  readonly level: number;
  readonly birth: number;
}

/** An overflow extent, by its header. */
interface FoundRun {
  readonly page: number;
  readonly pages: number;
  readonly birth: number;
}

/** An allocator image that was found; it is not read yet. */
export interface FoundImage {
  readonly ref: Uint32Array;
  readonly bytes: number;
  /** The version that it is of. */
  readonly birth: number;
}

/** First word of a directory. */
const DIRECTORY_MAGIC = 0x5249444d;
/** More than a directory of all families and extents takes. */
const DIRECTORY_BYTES_MAX = 4 * 2 ** 20;
const WINDOW_BYTES = 2 ** 20;

export class PageIndex {
  /** By family, by table. */
  readonly #pages = new Map<number, Map<number, FoundPage[]>>();
  readonly #images = new Map<number, FoundImage[]>();
  readonly #runs = new Map<number, FoundRun[]>();
  /** The newest directory that can be decoded. */
  directory: Directory | undefined;

  /** Looks at every page of the file; stops now and then. */
  *build(pages: DamagedPages): Generator<void> {
    const { file, pageSize } = pages;
    const window = new Uint8Array(WINDOW_BYTES);
    const size = file.size();
    const first = firstDataPage(pageSize) * pageSize;
    for (let from = first; from < size; from += WINDOW_BYTES) {
      const count = readPatiently(pages, from, window);
      for (let at = 0; at + pageSize <= count; at += pageSize) {
        const page = (from + at) / pageSize;
        pages.notes.pagesRead++;
        this.#look(pages, window.subarray(at, at + pageSize), page);
        yield;
      }
    }
  }

  /** Ids of families, ascending. */
  get families(): number[] {
    return [...new Set([...this.#pages.keys(), ...this.#images.keys()])].sort((a, b) => a - b);
  }

  /** Ids of a family's tables, ascending; 0 is the catalog. */
  tables(family: number): number[] {
    return [...this.#pages.get(family)?.keys() ?? []].sort((a, b) => a - b);
  }

  /** Leaves and branches of a table, of whatever version. */
  pages(family: number, table: number): readonly FoundPage[] {
    return this.#pages.get(family)?.get(table) ?? [];
  }

  /** Allocator images of a family, newest first. */
  images(family: number): readonly FoundImage[] {
    return this.#images.get(family) ?? [];
  }

  /** The newest version that a page or an allocator image of a family is of. */
  newestVersion(family: number): number {
    let newest = this.images(family)[0]?.birth ?? 0;
    for (const found of this.#pages.get(family)?.values() ?? []) {
      for (const { birth } of found) newest = Math.max(newest, birth);
    }
    return newest;
  }

  /** The pages that an image says are in use in a version and that cannot be found, or are of a later one. */
  missing(family: number, image: AllocatorImage, version: number): number[] {
    const there = new Set<number>();
    for (const found of this.#pages.get(family)?.values() ?? []) {
      for (const { ref, birth } of found) if (birth <= version) there.add(ref[0]);
    }
    for (const { page, pages, birth } of this.#runs.get(family) ?? []) {
      if (birth > version || !image.isUsed(page)) continue;
      for (let i = 0; i < pages; i++) there.add(page + i);
    }
    const missing: number[] = [];
    for (const { start, pages } of image.segments) {
      for (let page = start; page < start + pages; page++) {
        if (image.isUsed(page) && !there.has(page)) missing.push(page);
      }
    }
    return missing;
  }

  #look(pages: DamagedPages, bytes: Uint8Array, page: number): void {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    if (words[0] === DIRECTORY_MAGIC) this.#lookAtDirectory(pages, page);
    if (words[WORD_NUMBER] !== page) return;
    const kind = words[WORD_KIND] & 0xff;
    const ref = Uint32Array.of(
      page,
      words[WORD_BIRTH_LOW],
      words[WORD_BIRTH_HIGH],
      words[WORD_INCARNATION],
    );
    const birth = ref[1] + ref[2] * 2 ** 32;
    const family = words[WORD_FAMILY];
    const table = words[WORD_TABLE];
    if (kind === PAGE_OVERFLOW) {
      const length = words[WORD_USED];
      const end = page * pages.pageSize + HEADER_BYTES + length;
      if (length > VALUE_BYTES_MAX || end > pages.file.size()) return;
      const runs = this.#runs.get(family) ?? [];
      runs.push({ page, pages: overflowPages(length, pages.pageSize), birth });
      this.#runs.set(family, runs);
      if (table !== 0) return;
      const images = this.#images.get(family) ?? [];
      images.push({ ref, bytes: length, birth });
      this.#images.set(family, images.sort((a, b) => b.birth - a.birth));
      return;
    }
    if ((kind !== PAGE_LEAF && kind !== PAGE_BRANCH) || !pages.verifies(bytes, page)) return;
    let tables = this.#pages.get(family);
    if (tables === undefined) this.#pages.set(family, tables = new Map());
    let found = tables.get(table);
    if (found === undefined) tables.set(table, found = []);
    found.push({ ref, level: (words[WORD_KIND] >>> 8) & 0xff, birth });
  }

  #lookAtDirectory(pages: DamagedPages, page: number): void {
    const { file, pageSize } = pages;
    const bytes = new Uint8Array(Math.min(DIRECTORY_BYTES_MAX, file.size() - page * pageSize));
    const count = readPatiently(pages, page * pageSize, bytes);
    try {
      const there = bytes.subarray(0, count);
      const directory = decodeDirectory(
        there.subarray(0, directoryLength(there, file.path)),
        file.path,
        firstDataPage(pageSize),
        pageSize,
      );
      if (directory.generation > (this.directory?.generation ?? -1)) this.directory = directory;
    } catch (error) {
      if (!(error instanceof ManifoldError)) throw error; // else it is none, or overwritten in part
    }
  }
}

/** Reads a piece, and page by page if the disk refuses some of it: what it refuses reads as zeros. */
function readPatiently(pages: DamagedPages, from: number, target: Uint8Array): number {
  const { file, pageSize } = pages;
  try {
    return file.read(from, target);
  } catch (error) {
    if (!(error instanceof ManifoldError)) throw error;
    if (target.length <= pageSize) {
      target.fill(0);
      return target.length;
    }
  }
  let count = 0;
  for (let at = 0; at < target.length; at += pageSize) {
    count += readPatiently(pages, from + at, target.subarray(at, at + pageSize));
  }
  return count;
}
