/**
 * Which pages of a family's segments are in use: a bit a page, in the memory of the family's worker.
 *
 * The image that a checkpoint keeps is, for each segment in the order of its first page: first page
 * (u32), pages (u32), then the bits, in whole 32-bit words.
 *
 * Invariant: a bit is set from the moment a page is given out until nobody can refer to it any more;
 * the image's bits are those of one version exactly.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { countSetBits, FieldReader, FieldWriter } from "./bytes.ts";

interface Segment {
  readonly start: number;
  readonly pages: number;
  readonly bits: Uint32Array;
  /** Those of the pages in use that are on their way back. */
  readonly retired: Uint32Array;
  free: number;
  /** Words below this one are full. */
  hint: number;
}

/** Neighbouring pages. */
export interface PageRun {
  readonly start: number;
  readonly pages: number;
}

/** Asks the file for a segment of at least `pages` pages; answers its first page. */
export type TakeSegment = (pages: number) => number;

const FIRST_SEGMENT_BYTES = 65536;
const SEGMENT_BYTES_MAX = 64 * 2 ** 20;

export class PageAllocator {
  readonly #pageSize: number;
  readonly #take: TakeSegment;
  #segments: Segment[] = [];
  /** The segment that the last page came from. */
  #current: Segment | undefined;
  /** Pages in use. */
  used = 0;

  constructor(pageSize: number, take: TakeSegment) {
    this.#pageSize = pageSize;
    this.#take = take;
  }

  /** Pages of all segments. */
  get pages(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.pages, 0);
  }

  /** One page. */
  takeOne(): number {
    let segment = this.#current;
    if (segment === undefined || segment.free === 0) {
      segment = this.#segments.find((one) => one.free > 0) ?? this.#grow(1);
      this.#current = segment;
    }
    const { bits } = segment;
    let word = segment.hint;
    while (bits[word] === 0xffffffff) word++;
    segment.hint = word;
    const bit = 31 - Math.clz32(~bits[word] & -~bits[word]);
    bits[word] |= 1 << bit;
    segment.free--;
    this.used++;
    return segment.start + word * 32 + bit;
  }

  /** A run of neighbouring pages. */
  takeRun(pages: number): number {
    if (pages === 1) return this.takeOne();
    for (const segment of this.#segments) {
      if (segment.free < pages) continue;
      const at = findRun(segment, pages);
      if (at >= 0) return this.#markRun(segment, at, pages);
    }
    return this.#markRun(this.#grow(pages), 0, pages);
  }

  /** Gives pages back that are in use. */
  giveBack(page: number, pages: number): void {
    const segment = this.#segmentOf(page)!;
    for (let i = 0, at = page - segment.start; i < pages; i++, at++) {
      segment.bits[at >>> 5] &= ~(1 << (at & 31));
      segment.retired[at >>> 5] &= ~(1 << (at & 31));
    }
    segment.hint = Math.min(segment.hint, (page - segment.start) >>> 5);
    segment.free += pages;
    this.used -= pages;
  }

  /**
   * Notes that a run, which stays in use, will be given back. False if not all of it is in use in one segment, or some of
   * it was noted before: the references of a sound file lead to every page once.
   */
  retire(page: number, pages: number): boolean {
    const segment = this.#segmentOf(page);
    if (segment === undefined || page + pages > segment.start + segment.pages) return false;
    const { bits, retired, start } = segment;
    for (let i = 0, at = page - start; i < pages; i++, at++) {
      if ((bits[at >>> 5] & ~retired[at >>> 5] & (1 << (at & 31))) === 0) return false;
    }
    for (let i = 0, at = page - start; i < pages; i++, at++) retired[at >>> 5] |= 1 << (at & 31);
    return true;
  }

  /** Takes {@linkcode retire} back. */
  keep(page: number, pages: number): void {
    const { retired, start } = this.#segmentOf(page)!;
    for (let i = 0, at = page - start; i < pages; i++, at++) retired[at >>> 5] &= ~(1 << (at & 31));
  }

  /** Bytes that {@linkcode image} will be now. */
  get imageBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + 8 + segment.bits.length * 4, 0);
  }

  /**
   * The bits now, with the runs given by `absent` (first page, pages, first page, …) as if they were free,
   * and then the run of the image itself as used: it may have been one of those.
   */
  image(absent: readonly number[], ownPage: number, ownPages: number): Uint8Array {
    const copies = new Map<Segment, Uint32Array>();
    for (const segment of this.#segments) copies.set(segment, segment.bits.slice());
    for (let i = 0; i < absent.length; i += 2) {
      const segment = this.#segmentOf(absent[i])!;
      const bits = copies.get(segment)!;
      for (let n = 0, at = absent[i] - segment.start; n < absent[i + 1]; n++, at++) {
        bits[at >>> 5] &= ~(1 << (at & 31));
      }
    }
    const home = this.#segmentOf(ownPage)!;
    const homeBits = copies.get(home)!;
    for (let n = 0, at = ownPage - home.start; n < ownPages; n++, at++) {
      homeBits[at >>> 5] |= 1 << (at & 31);
    }
    const out = new FieldWriter();
    this.imagePages = 0;
    for (const [segment, bits] of copies) {
      this.imagePages += countSetBits(bits, segment.pages);
      out.u32(segment.start);
      out.u32(segment.pages);
      out.words(bits);
    }
    return out.take();
  }

  /**
   * Takes over an image, and the extents that the directory says are the family's: those that are not in
   * the image were taken after it was made, and are free. `what` names the image.
   *
   * @throws {ManifoldError} `corrupt` when the image is not one of these extents.
   */
  restore(image: Uint8Array, extents: readonly PageRun[], what: string): void {
    const damaged = (how: string): never => {
      throw new ManifoldError("corrupt", `${what} ${how}; restore a backup`);
    };
    const input = new FieldReader(image, what);
    this.#segments = [];
    this.used = 0;
    let start = -1;
    let pages = 0;
    const read = () => {
      if (input.left === 0) start = -1;
      else [start, pages] = [input.u32(), input.u32()];
    };
    read();
    for (const extent of extents) {
      const segment = this.#add(extent.start, extent.pages);
      if (extent.start !== start) continue;
      if (extent.pages !== pages) damaged(`gives ${pages} pages to the segment at page ${start}`);
      this.#readBits(segment, input);
      read();
    }
    if (start >= 0) {
      damaged(`has a segment at page ${start} that is not the family's, or out of order`);
    }
  }

  #readBits(segment: Segment, input: FieldReader): void {
    const { bits, pages } = segment;
    input.words(bits);
    if (pages % 32 !== 0) bits[bits.length - 1] |= -1 << (pages % 32);
    const used = countSetBits(bits, pages);
    segment.free = pages - used;
    this.used += used;
  }

  /** Pages in use according to the {@linkcode image} made last. */
  imagePages = 0;

  /** The next segment: what is needed and a tenth, or a quarter of the family, within bounds. */
  #grow(need: number): Segment {
    const first = Math.max(1, Math.floor(FIRST_SEGMENT_BYTES / this.#pageSize));
    const most = Math.floor(SEGMENT_BYTES_MAX / this.#pageSize);
    const wanted = this.#segments.length === 0
      ? Math.max(first, need)
      : Math.max(Math.ceil(need * 1.1), Math.min(most, Math.ceil(this.pages / 4)), first);
    const pages = need > most ? need : Math.min(Math.max(wanted, need), most);
    return this.#add(this.#take(pages), pages);
  }

  #add(start: number, pages: number): Segment {
    const bits = new Uint32Array(Math.ceil(pages / 32));
    // Bits past the end of the segment are never free.
    if (pages % 32 !== 0) bits[bits.length - 1] = -1 << (pages % 32);
    const retired = new Uint32Array(bits.length);
    const segment = { start, pages, bits, retired, free: pages, hint: 0 };
    const last = this.#segments.at(-1);
    const at = last === undefined || last.start < start
      ? this.#segments.length
      : this.#segments.findIndex((other) => other.start > start);
    this.#segments.splice(at, 0, segment);
    return segment;
  }

  #markRun(segment: Segment, at: number, pages: number): number {
    for (let i = at; i < at + pages; i++) segment.bits[i >>> 5] |= 1 << (i & 31);
    segment.free -= pages;
    this.used += pages;
    return segment.start + at;
  }

  #segmentOf(page: number): Segment | undefined {
    let low = 0;
    let high = this.#segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#segments[middle].start <= page) low = middle;
      else high = middle - 1;
    }
    const segment = this.#segments[low];
    return segment !== undefined && page >= segment.start && page < segment.start + segment.pages
      ? segment
      : undefined;
  }
}

/** The first of `pages` neighbouring free pages of a segment, or -1. */
function findRun(segment: Segment, pages: number): number {
  const { bits } = segment;
  let run = 0;
  for (let at = segment.hint * 32; at < segment.pages; at++) {
    const word = bits[at >>> 5];
    if ((at & 31) === 0 && word === 0xffffffff) {
      run = 0;
      at += 31;
      continue;
    }
    run = (word >>> (at & 31)) & 1 ? 0 : run + 1;
    if (run === pages) return at - pages + 1;
  }
  return -1;
}
