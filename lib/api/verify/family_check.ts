/**
 * The check of one version of one family: catalog, tables, values, and whether each page is owned once.
 *
 * A page that the checkpoint's version and the published one share was checked with the first and is not
 * read again.
 *
 * @module
 */

import { catalogRoot, decodeTableEntry, type TableEntry } from "../../engine/catalog.ts";
import { CHANGES_TABLE } from "../../engine/kept_changes.ts";
import { ManifoldError } from "../../errors.ts";
import type { Chunk } from "../../memory/arena.ts";
import type { FamilyEntry, FamilyState } from "../../memory/family_slots.ts";
import { decodeText } from "../../memory/utf8.ts";
import { AllocatorImage } from "../../storage/allocator_image.ts";
import type { Extent } from "../../storage/extents.ts";
import { overflowPages } from "../../storage/overflow.ts";
import { type Below, type CheckedPages, TreeChecker } from "../../tree/check.ts";
import {
  cellAt,
  isOverflow,
  keyLengthAt,
  LEAF_HEAD_BYTES,
  payloadAt,
  payloadBytes,
} from "../../tree/cell.ts";
import { pageCount, WORD_BIRTH_HIGH, WORD_BIRTH_LOW, WORD_NUMBER } from "../../tree/page.ts";
import { REF_WORDS } from "../../tree/pager.ts";
import { checkName } from "../names.ts";
import type { Owner, PageCopies } from "./checked_pages.ts";
import { IN_CHECKPOINT, IN_PUBLISHED, type PageMarks } from "./page_marks.ts";
import type { ReportBuilder, VerifyFinding } from "./report.ts";

/** What the checks of all families share. */
export interface FamilyCheckParts {
  readonly copies: PageCopies;
  readonly marks: PageMarks;
  readonly report: ReportBuilder;
}

/** A table as the catalog has it, with the version of the leaf that says so. */
interface FoundTable {
  readonly name: string;
  readonly entry: TableEntry;
  readonly birth: number;
}

export class FamilyCheck implements CheckedPages {
  readonly pageSize: number;
  readonly #parts: FamilyCheckParts;
  readonly #checker: TreeChecker;
  readonly #family: { readonly id: number; readonly name: string };
  /** The checkpoint's version; -1 if there is none. */
  readonly #checkpointVersion: number;
  #owner: Owner;
  #mark = IN_CHECKPOINT;
  /** The family's part of the file: first page and the page behind, again and again. */
  #segments: number[] = [];
  /** Whether there is something below a page that could not be read. */
  #lost = false;
  /** The tables met so far, while the catalog is walked. */
  #found: FoundTable[] | undefined;
  /** Entries of the tables of the version that was checked last. */
  entries = 0;

  constructor(
    parts: FamilyCheckParts,
    family: { readonly id: number; readonly name: string },
    checkpointVersion: number,
  ) {
    this.#parts = parts;
    this.#family = family;
    this.#checkpointVersion = checkpointVersion;
    this.#owner = { family: family.name, familyId: family.id, tableId: 0 };
    this.#checker = new TreeChecker(this);
    this.pageSize = parts.copies.pageSize;
  }

  /** Checks the checkpoint's version and the image of its allocator. Returns pages in use, if known. */
  *checkpoint(entry: FamilyEntry, extents: readonly Extent[]): Generator<void, number | undefined> {
    this.#use(IN_CHECKPOINT, extents);
    const image = yield* this.#image(entry, extents);
    yield* this.#version(entry);
    if (image === undefined) return undefined;
    this.#owner = { family: this.#family.name, familyId: this.#family.id, tableId: 0 };
    if (image.used !== entry.pages) {
      this.#say(
        "allocator-image",
        `the directory counts ${entry.pages} pages in use, the allocator image ${image.used}`,
      );
    }
    yield* this.#compare(image);
    return image.used;
  }

  /** Checks the published version, but for what it shares with the checkpoint's. */
  *published(state: FamilyState, extents: readonly Extent[]): Generator<void> {
    this.#use(IN_PUBLISHED, extents);
    yield* this.#version(state);
  }

  // What TreeChecker asks for.

  read(words: Uint32Array, index: number, into: Chunk): "read" | "lost" | Below {
    const { marks, copies } = this.#parts;
    const page = words[index];
    if (!this.#isMine(page, 1)) return this.#loses();
    const birth = words[index + 1] + words[index + 2] * 2 ** 32;
    const shared = this.#mark === IN_PUBLISHED && birth <= this.#checkpointVersion &&
      marks.has(page, IN_CHECKPOINT);
    if (!marks.set(page, this.#mark)) {
      copies.found("owned-twice", this.#owner, page, "it is referred to from two places");
      return this.#loses();
    }
    if (shared) {
      const below = marks.below(page);
      // The catalog is read again, because the tables that it leads to are wanted.
      if (below === undefined || this.#found === undefined) return below ?? "lost";
    }
    const cached = this.#mark === IN_PUBLISHED;
    return copies.read(words, index, into, this.#owner, cached) ? "read" : this.#loses();
  }

  leaf(page: Chunk): void {
    if (this.#found !== undefined) this.#readCatalog(page, this.#found);
  }

  walked(page: number, below: Below): void {
    this.#parts.marks.setBelow(page, below);
  }

  *value(words: Uint32Array, index: number): Generator<void> {
    const { marks, copies, report } = this.#parts;
    const page = words[index];
    const length = words[index + REF_WORDS];
    const pages = overflowPages(length, this.pageSize);
    if (!this.#isMine(page, pages)) {
      this.#lost = true;
      return;
    }
    const birth = words[index + 1] + words[index + 2] * 2 ** 32;
    const shared = this.#mark === IN_PUBLISHED && birth <= this.#checkpointVersion &&
      marks.has(page, IN_CHECKPOINT);
    if (!this.#markRun(page, pages)) {
      this.#lost = true;
      return;
    }
    if (shared) return;
    report.overflowValues++;
    yield* copies.value(words, index, length, this.#owner);
  }

  report(kind: VerifyFinding["kind"], page: number, message: string): void {
    this.#parts.copies.found(kind, this.#owner, page, message);
    if (kind === "structure") this.#lost = true;
  }

  #loses(): "lost" {
    this.#lost = true;
    return "lost";
  }

  #say(kind: VerifyFinding["kind"], how: string): void {
    this.#parts.copies.foundIn(kind, this.#owner, how);
  }

  #use(mark: number, extents: readonly Extent[]): void {
    this.#mark = mark;
    this.#lost = false;
    this.entries = 0;
    this.#segments = [];
    for (const { start, pages, free, owner } of extents) {
      if (free || owner !== this.#family.id) continue;
      if (this.#segments.at(-1) === start) this.#segments.pop();
      else this.#segments.push(start);
      this.#segments.push(start + pages);
    }
  }

  /** Whether neighbouring pages are in the family's part of the file; reports it if not. */
  #isMine(page: number, pages: number): boolean {
    const bounds = this.#segments;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (bounds[middle] <= page) low = middle + 1;
      else high = middle;
    }
    if (low % 2 === 1 && page + pages <= bounds[low]) return true;
    const how = pages === 1 ? "it is" : `an overflow value of ${pages} pages from it on is`;
    this.#parts.copies.found(
      "extent",
      this.#owner,
      page,
      `${how} referred to and not in a segment of the column family`,
    );
    return false;
  }

  #markRun(page: number, pages: number): boolean {
    const { marks, copies } = this.#parts;
    for (let i = 0; i < pages; i++) {
      if (marks.set(page + i, this.#mark)) continue;
      copies.found(
        "owned-twice",
        this.#owner,
        page + i,
        `it is part of an overflow value that begins at page ${page}, and in use elsewhere`,
      );
      return false;
    }
    return true;
  }

  /** The catalog and all tables of a version. */
  *#version(state: FamilyState): Generator<void> {
    const tables: FoundTable[] = [];
    this.#found = tables;
    this.#owner = { family: this.#family.name, familyId: this.#family.id, tableId: 0 };
    yield* this.#checker.walk(catalogRoot(state), state.version, (kind, how) => {
      if (kind === "structure") this.#lost = true;
      this.#say(kind, `the catalog: ${how}`);
    });
    this.#found = undefined;
    const ids = new Set<number>();
    for (const { name, entry, birth } of tables) {
      this.#owner = {
        family: this.#family.name,
        table: name,
        familyId: this.#family.id,
        tableId: entry.id,
      };
      if (entry.id === 0 || entry.id >= state.nextTableId || ids.has(entry.id)) {
        this.#say("catalog", `it cannot have the id ${entry.id}`);
      }
      ids.add(entry.id);
      yield* this.#checker.walk(entry.root, birth, (kind, how) => {
        if (kind === "structure") this.#lost = true;
        this.#say(kind, how);
      });
      this.entries += entry.root.count;
    }
  }

  /** Notes the tables of a leaf of the catalog, and checks what it says of them. */
  #readCatalog({ u8, u32 }: Chunk, tables: FoundTable[]): void {
    const { copies } = this.#parts;
    const birth = u32[WORD_BIRTH_LOW] + u32[WORD_BIRTH_HIGH] * 2 ** 32;
    for (let slot = 0; slot < pageCount(u32, 0); slot++) {
      const cell = cellAt(u32, 0, slot);
      const keyLength = keyLengthAt(u32, 0, slot);
      const value = payloadAt(cell, keyLength);
      const key = u8.slice(cell + LEAF_HEAD_BYTES, cell + LEAF_HEAD_BYTES + keyLength);
      try {
        if (isOverflow(u32, cell)) {
          throw new ManifoldError("corrupt", "its entry is an overflow value");
        }
        const name = strictText(key);
        if (name !== CHANGES_TABLE) checkName("table", name);
        const entry = decodeTableEntry(u8.slice(value, value + payloadBytes(u32, cell)));
        if (!/^[^\0]+\0[^\0]+$/.test(entry.codecs)) {
          throw new ManifoldError("corrupt", "the names of its codecs are damaged");
        }
        tables.push({ name, entry, birth });
      } catch (error) {
        if (!(error instanceof ManifoldError)) throw error;
        this.#lost = true;
        const place = { family: this.#family.name, table: decodeText(key) };
        copies.found("catalog", place, u32[WORD_NUMBER], error.message);
      }
    }
  }

  /** The image of the allocator: which pages are in use. */
  *#image(
    entry: FamilyEntry,
    extents: readonly Extent[],
  ): Generator<void, AllocatorImage | undefined> {
    const { copies } = this.#parts;
    const { image, imageBytes } = entry;
    const page = image[0];
    const pages = overflowPages(imageBytes, this.pageSize);
    const wrong = (how: string): undefined => {
      copies.found("allocator-image", this.#owner, page, how);
    };
    if (imageBytes === 0) return wrong("there is no allocator image");
    if (!this.#isMine(page, pages) || !this.#markRun(page, pages)) return undefined;
    const born = image[1] + image[2] * 2 ** 32;
    if (born > entry.version) {
      copies.found("birth", this.#owner, page, `an allocator image of the later version ${born}`);
    }
    const bytes = new Uint8Array(imageBytes);
    let done = 0;
    const readable = yield* copies.value(image, 0, imageBytes, this.#owner, (piece) => {
      bytes.set(piece, done);
      done += piece.length;
    });
    if (!readable) return undefined;
    let decoded: AllocatorImage;
    try {
      decoded = new AllocatorImage(bytes, "the allocator image");
    } catch (error) {
      if (!(error instanceof ManifoldError)) throw error;
      return wrong(error.message);
    }
    const sizes = new Map(
      extents.filter(({ free, owner }) => !free && owner === this.#family.id)
        .map(({ start, pages }) => [start, pages]),
    );
    for (const segment of decoded.segments) {
      if (sizes.get(segment.start) !== segment.pages) {
        return wrong(
          `it has a segment of ${segment.pages} pages at page ${segment.start}, the directory has ` +
            `${sizes.get(segment.start) ?? "none"} there`,
        );
      }
    }
    return decoded;
  }

  /** Compares the pages in use with those that were met. */
  *#compare(image: AllocatorImage): Generator<void> {
    const { marks } = this.#parts;
    for (const { start, pages } of image.segments) {
      yield;
      for (let page = start; page < start + pages;) {
        const used = image.isUsed(page);
        const first = page;
        const met = marks.has(page, IN_CHECKPOINT);
        while (
          page < start + pages && image.isUsed(page) === used &&
          marks.has(page, IN_CHECKPOINT) === met
        ) page++;
        if (used !== met) this.#reportRun(used, first, page - first);
      }
    }
  }

  #reportRun(used: boolean, page: number, pages: number): void {
    const run = pages === 1 ? "it" : `a run of ${pages} pages from it on`;
    if (!used) {
      const how = `${run} is in use and counts as free`;
      this.#parts.copies.found("not-allocated", this.#owner, page, how);
    } else if (!this.#lost) {
      // Below a page that could not be read there are pages that nothing else refers to.
      const how = `${run} counts as in use, and nothing refers to it`;
      this.#parts.copies.found("leaked", this.#owner, page, how);
    }
  }
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function strictText(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch (cause) {
    throw new ManifoldError("corrupt", "its name is not UTF-8", { cause });
  }
}
