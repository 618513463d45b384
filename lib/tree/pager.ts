/**
 * What the tree asks of whoever keeps its pages. The tree knows pages and references, not files,
 * frames' states or threads.
 *
 * A *reference* is four 32-bit words in some `Uint32Array`: page number, birth version (low word,
 * high word), incarnation. It stands in branch cells, in overflow cells and in a table's root, and
 * is always passed as (words, index), so that following one allocates nothing.
 *
 * @module
 */

import type { Arena } from "../memory/arena.ts";

/** Words in a reference. */
export const REF_WORDS = 4;

/** Reads pages. */
export interface PageReader {
  readonly arena: Arena;
  /**
   * The frame that holds the page referred to at `words[index..index+3]`. It was verified against
   * the reference, and is a leaf (level 0) or a branch of that `level`: a walk that begins at a root
   * and goes down a level with every load ends, whatever a damaged file refers to. It stays readable until the sixteenth later `load` of the same thread or the end of
   * the surrounding epoch, whichever is first: keep references over loads, not frames.
   *
   * `cold` asks not to count as a use of the page (scans).
   *
   * @throws {ManifoldError} `corrupt` if the page on disk is not the one referred to; `io`.
   */
  load(words: Uint32Array, index: number, level: number, cold?: boolean): number;
  /** No tree has more pages: a walk that meets more goes over some of them again and again. */
  pagesMax(): number;
}

/** Changes pages, inside one group. Frames returned here stay until {@linkcode PageWriter.reserve}. */
export interface PageWriter extends PageReader {
  /**
   * Makes room for one operation that holds at most `frames` frames at once: called at the start of
   * every changing operation, while none is held. Frames got before may be gone after it.
   *
   * @throws {ManifoldError} `disk-full`, `io`; then the group must be discarded.
   */
  reserve(frames: number): void;
  /**
   * The frame of the page referred to, for changing it. A page that is not fresh (born in this group)
   * is copied to a fresh one first; the old one is retired and the reference at `words[index]`
   * rewritten to the new one.
   */
  edit(words: Uint32Array, index: number, level: number): number;
  /**
   * A fresh page with an initialised header (see `page.ts`: number, birth, incarnation, kind, level,
   * family, table; everything else zero) and undefined cells; its reference is written to
   * `words[index]`.
   */
  create(kind: number, level: number, words: Uint32Array, index: number): number;
  /** Gives back the page referred to (not what it refers to). */
  free(words: Uint32Array, index: number): void;
  /** Gives back the overflow extent whose 20-byte payload stands at `words[index..index+4]`. */
  freeOverflow(words: Uint32Array, index: number): void;
}
