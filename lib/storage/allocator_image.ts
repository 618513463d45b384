/**
 * An allocator image as it is: which pages of a family's segments were in use in a version. For those who
 * look at a file without working on it; page_allocator.ts has the layout.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { countSetBits, FieldReader } from "./bytes.ts";

interface ImageSegment {
  readonly start: number;
  readonly pages: number;
  readonly bits: Uint32Array;
}

export class AllocatorImage {
  /** First page and pages of all segments, ascending. */
  readonly segments: readonly ImageSegment[];
  /** Pages in use. */
  readonly used: number;

  /** @throws {ManifoldError} `corrupt`; `what` names the image. */
  constructor(image: Uint8Array, what: string) {
    const input = new FieldReader(image, what);
    const segments: ImageSegment[] = [];
    let used = 0;
    let end = 0;
    while (input.left > 0) {
      const start = input.u32();
      const pages = input.u32();
      if (start < end || pages === 0 || input.left < Math.ceil(pages / 32) * 4) {
        throw new ManifoldError(
          "corrupt",
          `${what} has a segment of ${pages} pages at page ${start}, which cannot be`,
        );
      }
      end = start + pages;
      const bits = new Uint32Array(Math.ceil(pages / 32));
      input.words(bits);
      used += countSetBits(bits, pages);
      segments.push({ start, pages, bits });
    }
    this.segments = segments;
    this.used = used;
  }

  /** Whether a page is in a segment and in use. */
  isUsed(page: number): boolean {
    const { segments } = this;
    let low = 0;
    let high = segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (segments[middle].start <= page) low = middle;
      else high = middle - 1;
    }
    const segment = segments[low];
    if (segment === undefined || page < segment.start) return false;
    const at = page - segment.start;
    return at < segment.pages && ((segment.bits[at >>> 5] >>> (at & 31)) & 1) === 1;
  }
}
