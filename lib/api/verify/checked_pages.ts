/**
 * Pages for the checks: read past the cache, into memory of the reader's own, and looked at before
 * anything is believed of them.
 *
 * Invariants: no page is taken into a frame and none is marked as used; what is read belongs to a pinned
 * version, so it stays where it is; whatever is wrong is reported once, with its place.
 *
 * @module
 */

import type { Arena, Chunk } from "../../memory/arena.ts";
import type { Epochs } from "../../memory/epochs.ts";
import type { Frames } from "../../memory/frames.ts";
import type { Checksum } from "../../storage/checksum.ts";
import type { File } from "../../storage/file.ts";
import { overflowPages, VALUE_BYTES_MAX } from "../../storage/overflow.ts";
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
} from "../../tree/page.ts";
import type { ReportBuilder, VerifyFinding } from "./report.ts";

/** Where a finding is. */
export interface Place {
  readonly family?: string;
  readonly table?: string;
}

/** Whose pages are being read: they must say so. */
export interface Owner extends Place {
  readonly familyId: number;
  readonly tableId: number;
}

export interface CheckedPagesParts {
  readonly file: File;
  /** Of the check's own: a long value is summed up over several stretches. */
  readonly checksum: Checksum;
  readonly arena: Arena;
  readonly frames: Frames;
  readonly epochs: Epochs;
  readonly report: ReportBuilder;
}

/** Bytes of a long value that are read at once. */
const PIECE_BYTES = 2 ** 18;

export class PageCopies {
  readonly pageSize: number;
  readonly #parts: CheckedPagesParts;
  readonly #piece = new Uint8Array(PIECE_BYTES);

  constructor(parts: CheckedPagesParts) {
    this.#parts = parts;
    this.pageSize = parts.arena.pageSize;
  }

  /** Reports a finding on a page. */
  found(kind: VerifyFinding["kind"], place: Place, page: number, how: string): void {
    const position = page * this.pageSize;
    this.#parts.report.add({
      kind,
      message: `${this.#parts.file.path}: page ${page} (at byte ${position})${of(place)}: ${how}`,
      ...(place.family === undefined ? {} : { family: place.family }),
      ...(place.table === undefined ? {} : { table: place.table }),
      page,
      position,
    });
  }

  /** Reports a finding that is on no page. */
  foundIn(kind: VerifyFinding["kind"], place: Place, how: string): void {
    this.#parts.report.add({
      kind,
      message: `${this.#parts.file.path}${of(place)}: ${how}`,
      ...(place.family === undefined ? {} : { family: place.family }),
      ...(place.table === undefined ? {} : { table: place.table }),
    });
  }

  /**
   * Copies the page referred to, from its frame if it has one (`cached`) and from the file otherwise; false
   * if it cannot be used, which was reported then.
   */
  read(words: Uint32Array, index: number, into: Chunk, owner: Owner, cached: boolean): boolean {
    const page = words[index];
    const wrong = (kind: VerifyFinding["kind"], how: string): false => {
      this.found(kind, owner, page, how);
      return false;
    };
    if (!cached || !this.#copyFrame(words, index, into)) {
      const problem = this.#readBytes(page * this.pageSize, into.u8);
      if (problem !== null) return wrong("unreadable", problem);
      const { checksum } = this.#parts;
      if (!checksum.matches(into.u8, 0, into.u8.subarray(CHECKSUM_BYTES))) {
        return wrong("checksum", "its checksum is wrong");
      }
    }
    this.#parts.report.checked(1, this.pageSize);
    return this.#header(into.u32, words, index, owner, wrong);
  }

  /**
   * Reads and checks an overflow extent; its bytes go to `take`, piece by piece. Stops after each piece;
   * false if it cannot be used, which was reported then.
   */
  *value(
    words: Uint32Array,
    index: number,
    length: number,
    owner: Owner,
    take?: (piece: Uint8Array) => void,
  ): Generator<void, boolean> {
    const { checksum, report, file } = this.#parts;
    const page = words[index];
    const wrong = (kind: VerifyFinding["kind"], how: string): false => {
      this.found(kind, owner, page, how);
      return false;
    };
    const offset = page * this.pageSize;
    if (length > VALUE_BYTES_MAX || offset + HEADER_BYTES + length > file.size()) {
      wrong("unreadable", `${length} bytes of an overflow value do not fit the file`);
      return false;
    }
    const header = new Uint8Array(HEADER_BYTES);
    let problem = this.#readBytes(offset, header);
    // The check's own hasher: nobody else uses it between two pieces.
    checksum.begin();
    checksum.add(header.subarray(CHECKSUM_BYTES));
    for (let done = 0; problem === null && done < length;) {
      const piece = this.#piece.subarray(0, Math.min(PIECE_BYTES, length - done));
      problem = this.#readBytes(offset + HEADER_BYTES + done, piece);
      checksum.add(piece);
      take?.(piece);
      done += piece.length;
      yield;
    }
    if (problem !== null) {
      wrong("unreadable", problem);
      return false;
    }
    if (!checksum.holds(header, 0)) {
      wrong("checksum", `the checksum of an overflow value of ${length} bytes is wrong`);
      return false;
    }
    report.checked(overflowPages(length, this.pageSize), HEADER_BYTES + length);
    const u32 = new Uint32Array(header.buffer);
    if (!this.#header(u32, words, index, owner, wrong)) return false;
    if ((u32[WORD_KIND] & 0xff) === PAGE_OVERFLOW && u32[WORD_USED] === length) return true;
    return wrong("structure", `not an overflow value of ${length} bytes`);
  }

  /** Whether a header is that of the page referred to. */
  #header(
    u32: Uint32Array,
    words: Uint32Array,
    index: number,
    owner: Owner,
    wrong: (kind: VerifyFinding["kind"], how: string) => false,
  ): boolean {
    if (u32[WORD_NUMBER] !== words[index]) {
      return wrong("page-number", `it says that it is page ${u32[WORD_NUMBER]}`);
    }
    if (
      u32[WORD_BIRTH_LOW] !== words[index + 1] || u32[WORD_BIRTH_HIGH] !== words[index + 2] ||
      u32[WORD_INCARNATION] !== words[index + 3]
    ) {
      const born = u32[WORD_BIRTH_LOW] + u32[WORD_BIRTH_HIGH] * 2 ** 32;
      const wanted = words[index + 1] + words[index + 2] * 2 ** 32;
      return wrong(
        "reference",
        `born at version ${born}, incarnation ${u32[WORD_INCARNATION]}, where one of version ` +
          `${wanted}, incarnation ${words[index + 3]}, is referred to: a write was lost`,
      );
    }
    if (u32[WORD_FAMILY] !== owner.familyId || u32[WORD_TABLE] !== owner.tableId) {
      return wrong(
        "owner",
        `it says that it is of family ${u32[WORD_FAMILY]}, table ${
          u32[WORD_TABLE]
        }, not of family ` +
          `${owner.familyId}, table ${owner.tableId}`,
      );
    }
    return true;
  }

  #copyFrame(words: Uint32Array, index: number, into: Chunk): boolean {
    const { arena, frames, epochs } = this.#parts;
    epochs.enter();
    try {
      const frame = frames.find(words[index]);
      if (frame < 0) return false;
      const { u8, u32 } = arena.chunk(frame);
      const base = arena.base(frame);
      const at = base >> 2;
      if (
        u32[at + WORD_NUMBER] !== words[index] || u32[at + WORD_BIRTH_LOW] !== words[index + 1] ||
        u32[at + WORD_INCARNATION] !== words[index + 3]
      ) return false;
      into.u8.set(u8.subarray(base, base + this.pageSize));
      return true;
    } finally {
      epochs.leave();
    }
  }

  /** Fills `target` from the file; says why if it cannot. */
  #readBytes(offset: number, target: Uint8Array): string | null {
    try {
      const count = this.#parts.file.read(offset, target);
      return count === target.length ? null : `only ${count} of its bytes are in the file`;
    } catch (error) {
      return `it cannot be read (${error instanceof Error ? error.message : error})`;
    }
  }
}

function of({ family, table }: Place): string {
  if (family === undefined) return "";
  return table === undefined
    ? ` of column family "${family}"`
    : ` of table "${table}", column family "${family}"`;
}
