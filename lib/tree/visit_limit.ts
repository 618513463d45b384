/**
 * The end of walks over trees whose references a damaged or hostile file has made: one page referred
 * to from many places is visited as often as there are ways to it, which can be more often than any
 * machine can count.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import type { PageReader } from "./pager.ts";

/** How often a walk looks whether it has met more pages than there are. */
const LOOK_EVERY = 1024;

/** Counts the pages of one walk. */
export class VisitLimit {
  readonly #pager: PageReader;
  #visits = 0;

  constructor(pager: PageReader) {
    this.#pager = pager;
  }

  /** A new walk begins. */
  reset(): void {
    this.#visits = 0;
  }

  /** @throws {ManifoldError} `corrupt` when the walk has met more pages than a tree can have. */
  count(): void {
    if (++this.#visits % LOOK_EVERY === 0 && this.#visits > this.#pager.pagesMax()) {
      throw new ManifoldError(
        "corrupt",
        `a tree was found to have more pages (${this.#visits}) than there are: some of them are ` +
          "referred to more than once; restore a backup",
      );
    }
  }
}
