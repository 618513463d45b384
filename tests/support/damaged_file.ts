/**
 * Damage to the file of a closed database, made on purpose: any byte can be changed, and the checksums be
 * put right again, so that what is wrong behind a valid checksum can be found, too.
 *
 * @module
 */

import { readFile, writeFile } from "node:fs/promises";
import { catalogRoot, decodeTableEntry, type TableEntry } from "../../lib/engine/catalog.ts";
import type { Chunk } from "../../lib/memory/arena.ts";
import { Checksum } from "../../lib/storage/checksum.ts";
import {
  decodeDirectory,
  type Directory,
  type DirectoryFamily,
  encodeDirectory,
} from "../../lib/storage/directory.ts";
import {
  decodeMeta,
  encodeMeta,
  firstDataPage,
  type Meta,
  META_BYTES,
  metaOffset,
} from "../../lib/storage/meta.ts";
import { overflowPages } from "../../lib/storage/overflow.ts";
import {
  cellAt,
  isOverflow,
  keyLengthAt,
  LEAF_HEAD_BYTES,
  payloadAt,
  payloadBytes,
  slotWord,
} from "../../lib/tree/cell.ts";
import { HEADER_BYTES, pageCount, WORD_KIND } from "../../lib/tree/page.ts";
import type { TreeRoot } from "../../lib/tree/root.ts";

/** A page of a tree, and the branch cell (first word) that refers to it, if there is one. */
export interface TreePage {
  readonly page: number;
  readonly level: number;
  readonly parent: { readonly page: number; readonly slot: number } | undefined;
}

/** An overflow value of a leaf. */
export interface ValuePlace {
  readonly leaf: number;
  readonly slot: number;
  /** Word of the leaf where its payload stands. */
  readonly word: number;
  readonly page: number;
  readonly length: number;
}

export class DamagedFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly checksum: Checksum;
  /** The newest meta page. */
  readonly meta: Meta;
  readonly directory: Directory;

  private constructor(path: string, bytes: Uint8Array, checksum: Checksum) {
    this.path = path;
    this.bytes = bytes;
    this.checksum = checksum;
    const metas = [0, META_BYTES].flatMap((offset) => {
      const reading = decodeMeta(bytes.subarray(offset, offset + META_BYTES), checksum);
      return "meta" in reading ? [reading.meta] : [];
    });
    this.meta = metas.sort((a, b) => b.generation - a.generation)[0];
    const { directoryPage, directoryBytes, pageSize } = this.meta;
    const at = directoryPage * pageSize;
    this.directory = decodeDirectory(
      bytes.slice(at, at + directoryBytes),
      path,
      firstDataPage(pageSize),
      pageSize,
    );
  }

  static async read(path: string): Promise<DamagedFile> {
    // Of its own buffer, so that words can be seen in it.
    const bytes = new Uint8Array(await readFile(path)).slice();
    return new DamagedFile(path, bytes, await Checksum.create());
  }

  async write(): Promise<void> {
    await writeFile(this.path, this.bytes);
  }

  get pageSize(): number {
    return this.meta.pageSize;
  }

  page(page: number): Chunk {
    const at = page * this.pageSize;
    const u8 = this.bytes.subarray(at, at + this.pageSize);
    return { u8, u32: new Uint32Array(u8.buffer, u8.byteOffset, this.pageSize / 4) };
  }

  /** Inverts a byte. */
  flip(position: number): void {
    this.bytes[position] ^= 0xff;
  }

  /** Inverts a byte of a page. */
  flipIn(page: number, at: number): void {
    this.flip(page * this.pageSize + at);
  }

  /** Puts the checksum of a leaf or branch right. */
  seal(page: number): void {
    const { u8 } = this.page(page);
    this.checksum.put(u8.subarray(8), u8, 0);
  }

  /** Puts the checksum of an overflow extent right. */
  sealRun(page: number, length: number): void {
    const at = page * this.pageSize;
    const u8 = this.bytes.subarray(at, at + HEADER_BYTES + length);
    this.checksum.put(u8.subarray(8), u8, 0);
  }

  /** Writes the directory, which may have been changed but not in length, and its meta page. */
  sealDirectory(directory: Directory = this.directory): void {
    const blob = encodeDirectory(directory);
    if (blob.length !== this.meta.directoryBytes) {
      throw new Error("the directory changed its length");
    }
    this.bytes.set(blob, this.meta.directoryPage * this.pageSize);
    const meta = { ...this.meta, directoryChecksum: this.checksum.of(blob) };
    this.bytes.set(encodeMeta(meta, this.checksum), metaOffset(meta.generation));
  }

  family(name: string): DirectoryFamily {
    return this.directory.families.find((family) => family.name === name)!;
  }

  /** The pages of a family's catalog. */
  catalog(family: string): TreePage[] {
    return this.#walk(catalogRoot(this.family(family).entry));
  }

  /** What the catalog says of a table, and where. */
  tableEntry(family: string, table: string): { entry: TableEntry; leaf: number; at: number } {
    for (const { page, level } of this.catalog(family)) {
      if (level > 0) continue;
      const { u8, u32 } = this.page(page);
      for (let slot = 0; slot < pageCount(u32, 0); slot++) {
        const cell = cellAt(u32, 0, slot);
        const length = keyLengthAt(u32, 0, slot);
        const key = u8.slice(cell + LEAF_HEAD_BYTES, cell + LEAF_HEAD_BYTES + length);
        if (new TextDecoder().decode(key) !== table) continue;
        const at = payloadAt(cell, length);
        const entry = decodeTableEntry(u8.slice(at, at + payloadBytes(u32, cell)));
        return { entry, leaf: page, at };
      }
    }
    throw new Error(`${family} has no table ${table}`);
  }

  /** The pages of a table, a branch before what is below it. */
  table(family: string, table: string): TreePage[] {
    return this.#walk(this.tableEntry(family, table).entry.root);
  }

  leaves(family: string, table: string): TreePage[] {
    return this.table(family, table).filter(({ level }) => level === 0);
  }

  branches(family: string, table: string): TreePage[] {
    return this.table(family, table).filter(({ level }) => level > 0);
  }

  /** The overflow values of a table. */
  values(family: string, table: string): ValuePlace[] {
    const places: ValuePlace[] = [];
    for (const { page: leaf } of this.leaves(family, table)) {
      const { u32 } = this.page(leaf);
      for (let slot = 0; slot < pageCount(u32, 0); slot++) {
        const cell = cellAt(u32, 0, slot);
        if (!isOverflow(u32, cell)) continue;
        const word = payloadAt(cell, keyLengthAt(u32, 0, slot)) >> 2;
        places.push({ leaf, slot, word, page: u32[word], length: u32[word + 4] });
      }
    }
    return places;
  }

  /** The keys of a leaf. */
  keys(page: number): string[] {
    const { u8, u32 } = this.page(page);
    return Array.from({ length: pageCount(u32, 0) }, (_, slot) => {
      const at = cellAt(u32, 0, slot) + LEAF_HEAD_BYTES;
      return new TextDecoder().decode(u8.slice(at, at + keyLengthAt(u32, 0, slot)));
    });
  }

  /** Exchanges two slots of a page. */
  swapSlots(page: number, a: number, b: number): void {
    const { u32 } = this.page(page);
    for (const word of [0, 1]) {
      const [x, y] = [slotWord(0, a) + word, slotWord(0, b) + word];
      [u32[x], u32[y]] = [u32[y], u32[x]];
    }
  }

  /** First word of the cell that refers to a page. */
  reference(of: TreePage): { page: number; u32: Uint32Array; word: number } {
    const { page, slot } = of.parent!;
    const { u32 } = this.page(page);
    return { page, u32, word: cellAt(u32, 0, slot) >> 2 };
  }

  /** The allocator image of a family: its page, and its bits, segment after segment. */
  image(family: string): { page: number; length: number; bitOf: (page: number) => number } {
    const { image, imageBytes } = this.family(family).entry;
    const start = image[0] * this.pageSize + HEADER_BYTES;
    const words = new Uint32Array(this.bytes.slice(start, start + imageBytes).buffer);
    const bitOf = (page: number): number => {
      for (let at = 0; at < words.length; at += 2 + Math.ceil(words[at + 1] / 32)) {
        const inside = page - words[at];
        if (inside >= 0 && inside < words[at + 1]) return (start + (at + 2) * 4) * 8 + inside;
      }
      throw new Error(`page ${page} is in no segment`);
    };
    return { page: image[0], length: imageBytes, bitOf };
  }

  /** Whether a bit, counted from the beginning of the file, is set. */
  bit(at: number): boolean {
    return ((this.bytes[at >> 3] >> (at & 7)) & 1) === 1;
  }

  /** Says in the image of a family that a page is used, or free; everything else is put right. */
  setUsed(family: string, page: number, used: boolean): void {
    const image = this.image(family);
    const at = image.bitOf(page);
    if (this.bit(at) === used) throw new Error(`page ${page} is so already`);
    this.bytes[at >> 3] ^= 1 << (at & 7);
    this.sealRun(image.page, image.length);
    this.family(family).entry.pages += used ? 1 : -1;
    this.sealDirectory();
  }

  /** A page of the family that is not in use. */
  freePage(family: string): number {
    const { id } = this.family(family);
    const { bitOf } = this.image(family);
    for (const { start, pages, owner, free } of this.directory.extents) {
      if (free || owner !== id) continue;
      for (let page = start; page < start + pages; page++) {
        if (!this.bit(bitOf(page))) return page;
      }
    }
    throw new Error(`${family} has no free page`);
  }

  /** Pages of an overflow value. */
  pagesOf(value: ValuePlace): number {
    return overflowPages(value.length, this.pageSize);
  }

  #walk(root: TreeRoot): TreePage[] {
    const pages: TreePage[] = [];
    const visit = (page: number, parent: TreePage["parent"]): void => {
      const { u32 } = this.page(page);
      const level = (u32[WORD_KIND] >>> 8) & 0xff;
      pages.push({ page, level, parent });
      if (level === 0) return;
      for (let slot = 0; slot < pageCount(u32, 0); slot++) {
        visit(u32[cellAt(u32, 0, slot) >> 2], { page, slot });
      }
    };
    if (root.height > 0) visit(root.ref[0], undefined);
    return pages;
  }
}
