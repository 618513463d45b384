/**
 * Pages and values of a damaged file: what is returned verified, and was the very thing asked for.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";
import type { Chunk } from "../../memory/arena.ts";
import type { Checksum } from "../../storage/checksum.ts";
import type { File } from "../../storage/file.ts";
import { type OverflowSource, readOverflow } from "../../storage/overflow.ts";
import {
  CHECKSUM_BYTES,
  WORD_BIRTH_HIGH,
  WORD_BIRTH_LOW,
  WORD_INCARNATION,
  WORD_KIND,
  WORD_NUMBER,
} from "../../tree/page.ts";
import { checkPage } from "../../tree/page_check.ts";
import type { SalvageNotes } from "./report.ts";

export class DamagedPages {
  readonly file: File;
  readonly checksum: Checksum;
  readonly pageSize: number;
  readonly notes: SalvageNotes;

  constructor(file: File, checksum: Checksum, pageSize: number, notes: SalvageNotes) {
    this.file = file;
    this.checksum = checksum;
    this.pageSize = pageSize;
    this.notes = notes;
  }

  /** Reads the page referred to, which must be of that level; says why not if it cannot be used. */
  read(words: Uint32Array, index: number, level: number, into: Chunk): string | null {
    const page = words[index];
    this.notes.pagesRead++;
    const why = this.#read(page, into) ?? notReferredTo(into.u32, words, index) ??
      checkPage(into, 0, this.pageSize);
    if (why !== null) return why;
    const found = (into.u32[WORD_KIND] >>> 8) & 0xff;
    return found === level ? null : `it is of level ${found}, where ${level} is due`;
  }

  /** Reads an overflow extent; says why not if it cannot be used. */
  readValue(
    words: Uint32Array,
    index: number,
    length: number,
    familyName: string,
  ): Uint8Array | string {
    const { file, checksum, pageSize } = this;
    const source: OverflowSource = { arena: { pageSize }, file, checksum, familyName };
    try {
      return readOverflow(source, words, index, length);
    } catch (error) {
      // It is being done what can be done without a backup.
      if (error instanceof ManifoldError) return error.message.replace("; restore a backup", "");
      throw error;
    }
  }

  #read(page: number, into: Chunk): string | null {
    try {
      const count = this.file.read(page * this.pageSize, into.u8);
      if (count < this.pageSize) return `only ${count} of its bytes are in the file`;
    } catch (error) {
      if (error instanceof ManifoldError) return error.message;
      throw error;
    }
    return this.verifies(into.u8, page) ? null : "its checksum is wrong";
  }

  /** Whether bytes are a whole page, and this one. */
  verifies(bytes: Uint8Array, page: number): boolean {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    return words[WORD_NUMBER] === page &&
      this.checksum.matches(bytes, 0, bytes.subarray(CHECKSUM_BYTES));
  }
}

function notReferredTo(u32: Uint32Array, words: Uint32Array, index: number): string | null {
  const same = u32[WORD_BIRTH_LOW] === words[index + 1] &&
    u32[WORD_BIRTH_HIGH] === words[index + 2] && u32[WORD_INCARNATION] === words[index + 3];
  return same ? null : "it is another one than the one referred to";
}
