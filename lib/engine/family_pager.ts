/**
 * How a family's worker changes pages: fresh pages for the group in the making, retirement of those
 * they replace, frames to hold them.
 *
 * Invariants: a page that is not fresh is never changed; fresh pages carry the group's version and
 * the family's incarnation; when the group is discarded, fresh pages go back at once (nobody else
 * has seen a reference to them) and the incarnation changes; frames are evicted and epochs renewed in
 * {@linkcode FamilyPager.reserve} only, between operations, inside an epoch.
 *
 * @module
 */

import { assert, ManifoldError } from "../errors.ts";
import { type Control, INCARNATION, KEEPER_WAKE } from "../memory/control.ts";
import type { Epochs } from "../memory/epochs.ts";
import type { FamilySlots } from "../memory/family_slots.ts";
import { FRAME_DIRTY } from "../memory/frames.ts";
import type { Arena } from "../memory/arena.ts";
import type { Pins } from "../memory/pins.ts";
import { sleepWhile } from "../memory/waiting.ts";
import { overflowPages, writeOverflow } from "../storage/overflow.ts";
import type { PageAllocator } from "../storage/page_allocator.ts";
import type { PageStore } from "../storage/page_store.ts";
import { type DirtyFrame, PageWriterOut } from "../storage/page_writer.ts";
import {
  HEADER_BYTES,
  WORD_BIRTH_HIGH,
  WORD_BIRTH_LOW,
  WORD_FAMILY,
  WORD_INCARNATION,
  WORD_KIND,
  WORD_NUMBER,
  WORD_TABLE,
  WORD_USED,
} from "../tree/page.ts";
import type { PageWriter } from "../tree/pager.ts";
import { type Reclaiming, RetiredPages } from "./retired_pages.ts";

/** Frames that one search for a frame looks at. */
const VISITS = 256;
/** A smaller gap in the middle of a page is copied with the rest. */
const GAP_BYTES_MIN = 512;
/** Dirty pages that are written when no clean frame is left. */
const SPILL_PAGES = 128;
/** After so many searches in vain, other families' shares count no more. */
const ATTEMPTS_PATIENT = 4;
/** After each so many, a worker lets others have what it has. */
const ATTEMPTS_GREEDY = 16;
/** After so many there is no hope: a few seconds. */
const ATTEMPTS_MAX = 20_000;
/** How long a worker waits for others that need frames as well, ms. */
const YIELD_MS = 0.5;

export interface FamilyPagerParts {
  readonly control: Control;
  readonly slots: FamilySlots;
  readonly epochs: Epochs;
  readonly pins: Pins;
  readonly store: PageStore;
  readonly allocator: PageAllocator;
  /** Slot and id of the family. */
  readonly slot: number;
  readonly family: number;
  readonly name: string;
}

export class FamilyPager implements PageWriter, Reclaiming {
  readonly arena: Arena;
  /** Table whose pages are being made; 0 for the catalog. */
  table = 0;
  readonly retired = new RetiredPages();
  readonly #parts: FamilyPagerParts;
  readonly #writer: PageWriterOut;
  /** Of the thread, not of the family: there may be more families than frames. */
  readonly #stock: number[];
  #spillHand = 0;
  /** Whether a reader had a version pinned when pins were looked at last. */
  #hasReaders = false;
  #version = 0;
  #versionLow = 0;
  #versionHigh = 0;
  #incarnation: number;
  /** Fresh runs of the group: how many pages, by the first. */
  #fresh = new Map<number, number>();
  /** The same of the group before. */
  #lastFresh = new Map<number, number>();

  constructor(parts: FamilyPagerParts) {
    this.#parts = parts;
    this.arena = parts.store.arena;
    this.#writer = new PageWriterOut(parts.store, parts.epochs);
    this.#stock = parts.store.stock;
    this.#incarnation = newIncarnation(parts.control);
  }

  /** The pages made from now on belong to the group that will be published as `version`. */
  begin(version: number): void {
    this.#version = version;
    this.#versionLow = version >>> 0;
    this.#versionHigh = Math.floor(version / 2 ** 32);
    this.#useStore();
  }

  /** The group was published; its pages are not fresh any more. */
  published(): void {
    this.retired.published(this.#version, this.#parts.epochs.tag());
    this.#lastFresh = this.#fresh;
    this.#fresh = new Map();
    this.#keep(this.#parts.store.stockMax);
  }

  /** Drops everything that the group has made. */
  discard(): void {
    const { allocator } = this.#parts;
    for (const [page, pages] of this.#fresh) {
      for (let i = 0; i < pages; i++) this.unlink(page + i);
      allocator.giveBack(page, pages);
    }
    this.#fresh.clear();
    for (const [page, pages] of this.retired.discard()) allocator.keep(page, pages);
    this.#incarnation = newIncarnation(this.#parts.control);
    this.#keep(this.#parts.store.stockMax);
  }

  /** Fresh runs of the group in the making, or of the one before: (page, pages)*. */
  freshRuns(last: boolean): number[] {
    return [...(last ? this.#lastFresh : this.#fresh)].flat();
  }

  load(words: Uint32Array, index: number, level: number, cold?: boolean): number {
    return this.#parts.store.load(words, index, level, cold);
  }

  pagesMax(): number {
    return this.#parts.store.pagesMax();
  }

  reserve(frames: number): void {
    if (this.#stock.length >= frames) return;
    this.#useStore();
    // No more than will be kept: frames that are given back come again last, with memory that is in no cache.
    const wanted = Math.max(frames, this.#parts.store.stockMax);
    let horizon = this.#parts.epochs.horizon();
    for (let attempt = 0; this.#stock.length < wanted; attempt++) {
      const emergency = attempt >= ATTEMPTS_PATIENT;
      const frame = this.#parts.store.frames.take(this.#parts.slot, VISITS, horizon, emergency);
      if (frame >= 0) {
        this.#stock.push(frame);
        continue;
      }
      if (this.#stock.length >= frames) return;
      if (attempt % ATTEMPTS_GREEDY === ATTEMPTS_GREEDY - 1) this.#yield();
      this.#parts.epochs.renew();
      horizon = this.#parts.epochs.horizon();
      // The clock hand may pass many frames that are in use, dirty or not out of limbo yet.
      if (attempt % 4 === 3) this.#spill();
      if (attempt > ATTEMPTS_MAX) {
        throw new ManifoldError(
          "too-large",
          `no frame of the cache could be freed for the column family "${this.#parts.name}": ` +
            `readers and other writers hold all of it; make cacheBytes larger`,
        );
      }
    }
  }

  /**
   * Several workers may each hold a part of what one of them needs: lets others have this one's, and
   * comes back later than they do, or sooner.
   */
  #yield(): void {
    this.#keep(0);
    const { control, slot } = this.#parts;
    const seen = Atomics.load(control.words, KEEPER_WAKE);
    sleepWhile(control.words, KEEPER_WAKE, seen, YIELD_MS * (1 + slot % 8));
  }

  /** Gives frames of the stock back beyond so many. */
  #keep(frames: number): void {
    while (this.#stock.length > frames) this.#parts.store.frames.giveBack(this.#stock.pop()!);
  }

  edit(words: Uint32Array, index: number, level: number): number {
    const page = words[index];
    const { store } = this.#parts;
    if (this.#isFresh(words, index)) {
      const frame = store.frames.find(page);
      if (frame >= 0 && store.frames.markDirty(frame)) return frame;
      return this.#reloadFresh(words, index, level);
    }
    const old = store.load(words, index, level);
    this.#retire(words, index, 1);
    const frame = this.#takeFrame();
    this.#copyPage(old, frame);
    this.#show(frame, words, index);
    return frame;
  }

  create(kind: number, level: number, words: Uint32Array, index: number): number {
    const frame = this.#takeFrame();
    const chunk = this.arena.chunk(frame);
    const base = this.arena.base(frame);
    chunk.u8.fill(0, base, base + HEADER_BYTES);
    chunk.u32[(base >> 2) + WORD_KIND] = kind | (level << 8);
    chunk.u32[(base >> 2) + WORD_FAMILY] = this.#parts.family;
    chunk.u32[(base >> 2) + WORD_TABLE] = this.table;
    this.#show(frame, words, index);
    return frame;
  }

  free(words: Uint32Array, index: number): void {
    this.#release(words, index, 1);
  }

  freeOverflow(words: Uint32Array, index: number): void {
    this.#release(words, index, overflowPages(words[index + 4], this.arena.pageSize));
  }

  /** Writes a value to an overflow extent of its own; its payload goes to `payload`. */
  writeOverflow(value: Uint8Array, payload: Uint32Array): void {
    const pages = overflowPages(value.length, this.arena.pageSize);
    this.#newRun(pages, payload, 0);
    payload[4] = value.length;
    const { store, family } = this.#parts;
    writeOverflow(store, payload, 0, family, this.table, value);
  }

  /** Pages for something that is not part of a group (an allocator image), born at `version`. */
  takeRun(pages: number, version: number, words: Uint32Array): void {
    words[0] = this.#parts.allocator.takeRun(pages);
    words[1] = version >>> 0;
    words[2] = Math.floor(version / 2 ** 32);
    words[3] = this.#incarnation;
  }

  /** Retires what {@linkcode takeRun} took, and of which its own version was served, or none. */
  retireRun(words: Uint32Array, pages: number, served: boolean): void {
    this.#takeOut(words[0], pages);
    const birth = birthOf(words, 0);
    this.retired.retire(words[0], pages, birth, served ? birth + 1 : 0, this.#parts.epochs.tag());
  }

  /** Gives pages back that no version needs any more. */
  reclaim(): boolean {
    return this.retired.reclaim(this);
  }

  // What RetiredPages asks for.

  horizon(): number {
    return this.#parts.epochs.horizon();
  }

  pins(): number[] {
    const { slots, slot, pins, family } = this.#parts;
    // In this order: when a checkpoint ends, its version becomes the durable one before it is cleared.
    const inProgress = slots.checkpointVersion(slot);
    const durable = slots.durableVersion(slot);
    const versions = pins.versionsOf(family);
    this.#hasReaders = versions.length > 0;
    for (const version of [inProgress, durable]) {
      if (version >= 0 && !versions.includes(version)) versions.push(version);
    }
    return versions.sort((a, b) => a - b);
  }

  unlink(page: number): void {
    this.#parts.store.frames.unlink(page);
  }

  hold(page: number): void {
    // A checkpoint has its pages in the file, and nobody reads them there but after a crash.
    if (!this.#hasReaders) this.#parts.store.frames.evict(page);
  }

  tag(): number {
    return this.#parts.epochs.tag();
  }

  giveBack(page: number, pages: number): void {
    this.#parts.allocator.giveBack(page, pages);
  }

  /** Gives unused frames back: the worker ends. */
  close(): void {
    this.#keep(0);
  }

  /** Copies a page's header, slots and cells; what is between them is of no use to anyone. */
  #copyPage(from: number, to: number): void {
    const { arena } = this;
    const { pageSize } = arena;
    const { u32 } = arena.chunk(from);
    const header = arena.base(from) >> 2;
    const slotsEnd = HEADER_BYTES + (u32[header + WORD_KIND] >>> 16) * 8;
    const cellsStart = pageSize - u32[header + WORD_USED];
    if (cellsStart - slotsEnd < GAP_BYTES_MIN) {
      arena.copy(from, to, 0, pageSize);
    } else {
      arena.copy(from, to, 0, slotsEnd);
      arena.copy(from, to, cellsStart, pageSize);
    }
  }

  /** Whether the group in the making has made the page referred to. */
  #isFresh(words: Uint32Array, index: number): boolean {
    return words[index + 1] === this.#versionLow && words[index + 3] === this.#incarnation &&
      words[index + 2] === this.#versionHigh;
  }

  #release(words: Uint32Array, index: number, pages: number): void {
    const page = words[index];
    if (this.#isFresh(words, index)) {
      for (let i = 0; i < pages; i++) this.unlink(page + i);
      // Forgotten at once: the next to take these pages may be no part of the group.
      this.#fresh.delete(page);
      this.#parts.allocator.giveBack(page, pages);
    } else {
      this.#retire(words, index, pages);
    }
  }

  /** The pages referred to are of no use to the version in the making. */
  #retire(words: Uint32Array, index: number, pages: number): void {
    this.#takeOut(words[index], pages);
    this.retired.add(words[index], pages, birthOf(words, index));
  }

  /**
   * What is retired will be given out again: a damaged reference must not give away what belongs to
   * others, or twice.
   */
  #takeOut(page: number, pages: number): void {
    const { allocator, store } = this.#parts;
    if (allocator.retire(page, pages)) return;
    const what = pages === 1 ? "it is" : `some of the ${pages} from it on are`;
    throw store.corrupt(page, `${what} not among the family's pages in use, or referred to twice`);
  }

  #newRun(pages: number, words: Uint32Array, index: number): void {
    const page = this.#parts.allocator.takeRun(pages);
    this.#fresh.set(page, pages);
    words[index] = page;
    words[index + 1] = this.#versionLow;
    words[index + 2] = this.#versionHigh;
    words[index + 3] = this.#incarnation;
  }

  /** Gives a filled frame the name of a fresh page and shows it. */
  #show(frame: number, words: Uint32Array, index: number): void {
    this.#newRun(1, words, index);
    const { u32 } = this.arena.chunk(frame);
    const at = this.arena.base(frame) >> 2;
    u32[at + WORD_NUMBER] = words[index];
    u32[at + WORD_BIRTH_LOW] = this.#versionLow;
    u32[at + WORD_BIRTH_HIGH] = this.#versionHigh;
    u32[at + WORD_INCARNATION] = this.#incarnation;
    this.#parts.store.frames.publishDirty(frame, words[index], this.#parts.slot);
  }

  /** A fresh page that was written early and evicted comes back to be changed again. */
  #reloadFresh(words: Uint32Array, index: number, level: number): number {
    const { store, slot } = this.#parts;
    const page = words[index];
    const frame = this.#takeFrame();
    store.readInto(frame, words, index, level);
    store.frames.unlink(page);
    store.frames.publishDirty(frame, page, slot);
    return frame;
  }

  #takeFrame(): number {
    const frame = this.#stock.pop();
    assert(frame !== undefined, "an operation needs more frames than it reserved");
    return frame;
  }

  #useStore(): void {
    this.#parts.store.family = this.#parts.slot;
    this.#parts.store.familyName = this.#parts.name;
  }

  /**
   * Writes the group's dirty pages, if they hold much of the cache: nobody else could while the group waits to
   * be published, and others that it waits for need frames.
   */
  writeLargeGroup(): void {
    const { store, slot } = this.#parts;
    const { frames } = store;
    if (this.#fresh.size < frames.limit / LARGE_PART) return;
    const dirty: DirtyFrame[] = [];
    for (let frame = 0; frame < frames.count; frame++) {
      if (frames.kind(frame) !== FRAME_DIRTY || frames.familyOf(frame) !== slot) continue;
      dirty.push({ page: frames.pageOf(frame), frame });
    }
    this.#writer.write(dirty);
  }

  /** Writes dirty pages so that their frames can be evicted: the family's own, and published ones of others. */
  #spill(): void {
    const { store, slots, slot } = this.#parts;
    const { frames } = store;
    const dirty: DirtyFrame[] = [];
    for (let i = 0; i < frames.count && dirty.length < SPILL_PAGES; i++) {
      const frame = this.#spillHand = (this.#spillHand + 1) % frames.count;
      if (frames.kind(frame) === FRAME_DIRTY) dirty.push({ page: frames.pageOf(frame), frame });
    }
    this.#writer.write(dirty, (frame) => {
      const owner = frames.familyOf(frame);
      frames.hot[frame] = 0;
      return owner === slot || this.#birthOf(frame) <= slots.version(owner);
    });
  }

  #birthOf(frame: number): number {
    const { u32 } = this.arena.chunk(frame);
    const at = this.arena.base(frame) >> 2;
    return u32[at + WORD_BIRTH_LOW] + u32[at + WORD_BIRTH_HIGH] * 2 ** 32;
  }
}

/** A group that holds more than this part of the frames is large. */
const LARGE_PART = 16;

function birthOf(words: Uint32Array, index: number): number {
  return words[index + 1] + words[index + 2] * 2 ** 32;
}

function newIncarnation(control: Control): number {
  return Atomics.add(control.words, INCARNATION, 1) >>> 0;
}
