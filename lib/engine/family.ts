/**
 * One column family as a state machine without threads: begin a group, apply transactions to it,
 * seal it, publish it or discard it; hand the state over to a checkpoint.
 *
 * Invariants: a transaction is refused before it changes anything, or applied whole, or the group is
 * discarded with it; the published state changes only by {@linkcode FamilyEngine.publish}; between
 * publications of c and c + 2 the family is asked whether a checkpoint pins c, so that the state of c
 * is still known when it is handed over.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import type { OperationMemory } from "../log/operations.ts";
import type { ChangeFeed } from "../memory/change_feed.ts";
import type { Control } from "../memory/control.ts";
import type { Epochs } from "../memory/epochs.ts";
import {
  copyFamilyState,
  type FamilyEntry,
  type FamilySlots,
  type FamilyState,
  newFamilyEntry,
  newFamilyState,
} from "../memory/family_slots.ts";
import type { Pins } from "../memory/pins.ts";
import type { Extents } from "../storage/extents.ts";
import { overflowPages, readOverflow, writeOverflow } from "../storage/overflow.ts";
import { PageAllocator } from "../storage/page_allocator.ts";
import type { PageStore } from "../storage/page_store.ts";
import { Application, type OperationSink } from "./application.ts";
import { ChangeRecorder } from "./change_recorder.ts";
import { FamilyPager } from "./family_pager.ts";
import { FamilyTables } from "./family_tables.ts";
import { readsHold } from "./reads.ts";
import { DETAIL_CONFLICT, Refusal } from "./requests.ts";

/** What a family's engine works with. */
export interface FamilyParts {
  readonly control: Control;
  readonly slots: FamilySlots;
  readonly extents: Extents;
  readonly epochs: Epochs;
  readonly pins: Pins;
  readonly store: PageStore;
  /** Where each worker tells of its changes. */
  readonly feeds: readonly ChangeFeed[];
}

export class FamilyEngine {
  readonly slot: number;
  readonly id: number;
  readonly name: string;
  readonly pager: FamilyPager;
  readonly #parts: FamilyParts;
  readonly #allocator: PageAllocator;
  /** The state that is published. */
  readonly #published = newFamilyState();
  /** The state that was published before. */
  readonly #previous = newFamilyState();
  /** The state that the group in the making will publish. */
  readonly #next = newFamilyState();
  #groupOpen = false;
  #sealed = false;
  /** Whether writes of the group wait for more of them: {@linkcode FamilyEngine.beginReplay}. */
  #gathers = false;
  readonly #tables: FamilyTables;
  readonly #application: Application;
  /** What was handed over last. */
  #handed: FamilyEntry = newFamilyEntry();
  readonly #changes: ChangeRecorder;
  constructor(parts: FamilyParts, slot: number) {
    this.#parts = parts;
    this.slot = slot;
    this.id = parts.slots.id(slot);
    this.name = parts.slots.name(slot);
    this.#allocator = new PageAllocator(
      parts.store.arena.pageSize,
      (pages) => parts.extents.take(pages, this.id),
    );
    this.pager = new FamilyPager({
      control: parts.control,
      slots: parts.slots,
      epochs: parts.epochs,
      pins: parts.pins,
      store: parts.store,
      allocator: this.#allocator,
      slot,
      family: this.id,
      name: this.name,
    });
    const feed = parts.feeds[parts.slots.worker(slot)];
    const { pager } = this;
    const { store } = parts;
    const changes = new ChangeRecorder(parts.control, feed, this.id);
    this.#changes = changes;
    this.#tables = new FamilyTables({ pager, store, changes, name: this.name, next: this.#next });
    this.#application = new Application({ tables: this.#tables, pager, store, changes });
    this.#load();
  }

  /** The version that is published. */
  get version(): number {
    return this.#published.version;
  }

  /** Whether a group is in the making. */
  get groupOpen(): boolean {
    return this.#groupOpen;
  }

  /** Pages of all segments, pages in use, pages waiting to be given back. */
  get pageCounts(): { pages: number; used: number; retired: number } {
    return {
      pages: this.#allocator.pages,
      used: this.#allocator.used,
      retired: this.pager.retired.pages,
    };
  }

  /** Takes over the durable state when the worker meets the family first. */
  #load(): void {
    const { slots, store, epochs } = this.#parts;
    store.family = this.slot;
    store.familyName = this.name;
    slots.readDurable(this.slot, this.#handed);
    slots.read(this.slot, this.#published);
    copyFamilyState(this.#published, this.#previous);
    copyFamilyState(this.#published, this.#next);
    epochs.enter();
    try {
      const { image, imageBytes } = this.#handed;
      const bits = imageBytes > 0 ? readOverflow(store, image, 0, imageBytes) : new Uint8Array(0);
      const extents = this.#parts.extents.list().filter((one) =>
        !one.free && one.owner === this.id
      );
      this.#allocator.restore(
        bits,
        extents,
        `${store.file.path}: the allocator image, at page ${
          image[0]
        }, of column family "${this.name}"`,
      );
      this.#tables.load(this.#published);
    } finally {
      epochs.leave();
    }
  }

  /** Begins a group. `version` is the one after the published; or, of many versions, the last. */
  beginGroup(version: number = this.#published.version + 1): void {
    this.#groupOpen = true;
    this.#sealed = false;
    copyFamilyState(this.#published, this.#next);
    this.#next.version = version;
    this.pager.begin(version);
    this.pager.reclaim();
    this.#changes.begin();
  }

  /** Says whether a transaction opens tables by name. @throws {Refusal} if it cannot be applied. */
  check(memory: OperationMemory, from: number, to: number): boolean {
    return this.#application.check(memory, from, to);
  }

  /**
   * Begins the group of a recovery, which applies many records; `last` is the last version among them. Writes that
   * are applied may wait until {@linkcode FamilyEngine.applyGathered}.
   */
  beginReplay(last: number): void {
    this.beginGroup(last);
    this.#gathers = true;
  }

  /**
   * Applies one transaction, and appends what was accepted to `sink`. Returns how many entries it removed or
   * replaced. `version`: of the record that it is from, in a recovery.
   *
   * @throws {Refusal} before anything was changed;
   * @throws {ManifoldError} in the middle: the group must be discarded.
   */
  apply(
    memory: OperationMemory,
    from: number,
    to: number,
    sink: OperationSink | null,
    version: number = this.#next.version,
  ): number {
    const opened = !this.#gathers && this.check(memory, from, to);
    this.#changes.version = version;
    this.pager.begin(this.#next.version);
    this.#parts.epochs.enter();
    try {
      if (!this.#gathers) return this.#application.apply(memory, from, to, sink, opened);
      this.#application.gather(memory, from, to);
      return 0;
    } finally {
      this.#parts.epochs.leave();
    }
  }

  /**
   * Applies the writes that wait, all of which are in `memory`: before that is used anew.
   * @throws {ManifoldError} Because of the operation at {@linkcode FamilyEngine.failedAt}; the group must be discarded.
   */
  applyGathered(memory: OperationMemory): void {
    this.pager.begin(this.#next.version);
    this.#parts.epochs.enter();
    try {
      this.#application.applyGathered(memory);
    } finally {
      this.#parts.epochs.leave();
    }
  }

  /** Where the operation begins that waited and could not be applied; -1 if it is in what was to be applied now. */
  get failedAt(): number {
    return this.#application.failedAt;
  }

  /**
   * Refuses a transaction if something that it has read is not the same any more in the group in the
   * making. The version that it read must be pinned.
   *
   * @throws {Refusal}
   */
  checkReads(memory: OperationMemory, from: number, to: number): void {
    this.pager.begin(this.#next.version);
    this.#parts.epochs.enter();
    try {
      if (readsHold(this.pager, this.#tables, memory, from, to)) return;
    } finally {
      this.#parts.epochs.leave();
    }
    throw new Refusal("conflict", DETAIL_CONFLICT);
  }

  /** All that a version does is applied; a recovery says so after each, else {@linkcode FamilyEngine.seal} does. */
  endVersion(): void {
    this.pager.begin(this.#next.version);
    this.#parts.epochs.enter();
    try {
      this.#changes.endVersion();
    } finally {
      this.#parts.epochs.leave();
    }
  }

  /** Writes the catalog's entries of all tables that the group has changed. */
  seal(): void {
    this.endVersion();
    this.#parts.epochs.enter();
    try {
      this.#tables.seal();
    } finally {
      this.#parts.epochs.leave();
    }
    this.#sealed = true;
  }

  /** Makes the sealed group the published state. Under the publish lock. */
  publish(): void {
    this.#parts.slots.publish(this.slot, this.#next);
  }

  /** Gets the sealed group's state ready, so that another worker can publish it with others'. @throws {ManifoldError} */
  prepare(): void {
    this.pager.writeLargeGroup();
    this.#parts.slots.prepare(this.slot, this.#next);
  }

  /** What remains to be done once the group is published and the lock is given up. */
  afterPublish(): void {
    copyFamilyState(this.#published, this.#previous);
    copyFamilyState(this.#next, this.#published);
    this.pager.published();
    this.#changes.published(this.version);
    if (this.#changes.kept !== undefined) this.#parts.slots.wakeReaders(this.slot);
    this.#tellRetired();
    this.#tables.published();
    this.#endGroup();
  }

  /** Undoes the group in the making. */
  discard(): void {
    // A private version that was handed over will be made again, with other pages.
    if (this.#handed.version === this.#next.version) this.#handed.version = -1;
    this.#parts.slots.unprepare(this.slot);
    this.pager.discard();
    this.#changes.discard();
    const reload = this.#tables.discard();
    this.#endGroup();
    if (!reload) return;
    this.#parts.epochs.enter();
    try {
      this.#tables.load(this.#published);
    } finally {
      this.#parts.epochs.leave();
    }
  }

  #endGroup(): void {
    this.#groupOpen = false;
    this.#sealed = false;
    if (!this.#gathers) return;
    this.#gathers = false;
    this.#application.endGathering();
  }

  /** Gives back what can be, outside a group. */
  reclaim(): boolean {
    const more = this.pager.reclaim();
    this.#tellRetired();
    return more;
  }

  #tellRetired(): void {
    this.#parts.slots.setRetiredPages(this.slot, this.pager.retired.pages);
  }

  /**
   * Hands the state over that the checkpoint in progress pins, if it pins one and has not got it. May
   * be called whenever no operation is in the middle. Says whether it did, or had to refuse: what cannot
   * be written, for want of room perhaps, makes the checkpoint fail and nothing else.
   */
  handOver(checkpoint: number): boolean {
    const { slots } = this.#parts;
    const version = slots.checkpointVersion(this.slot);
    if (version < 0 || slots.handedOver(this.slot) === checkpoint) return false;
    if (version !== this.#handed.version || this.#handed.imageBytes === 0) {
      try {
        this.#handed = this.#entryOf(version);
      } catch (error) {
        if (!(error instanceof ManifoldError) || error.code === "failed") throw error;
        slots.refuseHandOver(this.slot, checkpoint, error.code);
        return true;
      }
    }
    slots.handOver(this.slot, checkpoint, this.#handed);
    return true;
  }

  #entryOf(version: number): FamilyEntry {
    const retired = this.pager.retired;
    let state: FamilyState;
    let absent: number[];
    const open = this.#groupOpen ? this.pager.freshRuns(false) : [];
    if (this.#sealed && version === this.#next.version && version !== this.#published.version) {
      state = this.#next; // a bypassing transaction: what it retires is not in use any more
      absent = retired.unusedAt(version, true);
    } else if (version === this.#published.version) {
      state = this.#published;
      absent = [...retired.unusedAt(version, false), ...open];
    } else if (version === this.#previous.version) {
      state = this.#previous;
      absent = [...retired.unusedAt(version, false), ...open, ...this.pager.freshRuns(true)];
    } else {
      throw new ManifoldError(
        "failed",
        `column family "${this.name}" is at version ${this.version} and cannot hand over ${version}`,
      );
    }
    const entry = newFamilyEntry();
    copyFamilyState(state, entry);
    this.#writeImage(entry, version, absent);
    return entry;
  }

  /** Writes the allocator image to pages of its own, in use from this checkpoint to the next. */
  #writeImage(entry: FamilyEntry, version: number, absent: number[]): void {
    const { pageSize } = this.#parts.store.arena;
    const last = this.#handed;
    let pages = 0;
    for (;;) {
      const needed = overflowPages(this.#allocator.imageBytes, pageSize);
      if (pages > 0 && needed <= pages) break;
      if (pages > 0) this.#allocator.giveBack(entry.image[0], pages); // a new segment made it longer
      pages = needed;
      this.pager.takeRun(pages, version, entry.image);
    }
    const lastPages = last.imageBytes > 0 ? overflowPages(last.imageBytes, pageSize) : 0;
    if (lastPages > 0) absent.push(last.image[0], lastPages);
    const image = this.#allocator.image(absent, entry.image[0], pages);
    entry.imageBytes = image.length;
    entry.pages = this.#allocator.imagePages;
    try {
      writeOverflow(this.#parts.store, entry.image, 0, this.id, 0, image);
    } catch (error) {
      this.#allocator.giveBack(entry.image[0], pages);
      throw error;
    }
    if (lastPages > 0) {
      // An image serves the checkpoint of its own version alone; none, if that checkpoint failed.
      this.pager.retireRun(last.image, lastPages, this.#isDurableImage(last.image));
    }
  }

  #isDurableImage(image: Uint32Array): boolean {
    const durable = newFamilyEntry();
    this.#parts.slots.readDurable(this.slot, durable);
    return durable.imageBytes > 0 && image.every((word, i) => word === durable.image[i]);
  }

  /** The worker ends. */
  close(): void {
    this.pager.close();
  }
}
