/**
 * Which pages of a file were met, and what is below them: nine bytes a page.
 *
 * @module
 */

import type { Below } from "../../tree/check.ts";

/** The page is in use in the checkpoint's version. */
export const IN_CHECKPOINT = 1;
/** The page is in use in the published version. */
export const IN_PUBLISHED = 2;

export class PageMarks {
  readonly #marks: Uint8Array;
  /** Entries below and one; negative if an overflow value is among them; 0 if nobody knows. */
  readonly #below: Float64Array;

  constructor(pages: number) {
    this.#marks = new Uint8Array(pages);
    this.#below = new Float64Array(pages);
  }

  has(page: number, mark: number): boolean {
    return (this.#marks[page] & mark) !== 0;
  }

  /** Sets a mark; false if it was there. */
  set(page: number, mark: number): boolean {
    if ((this.#marks[page] & mark) !== 0) return false;
    this.#marks[page] |= mark;
    return true;
  }

  setBelow(page: number, below: Below): void {
    this.#below[page] = below.overflow ? -(below.count + 1) : below.count + 1;
  }

  below(page: number): Below | undefined {
    const known = this.#below[page];
    return known === 0 ? undefined : { count: Math.abs(known) - 1, overflow: known < 0 };
  }
}
