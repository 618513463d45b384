/**
 * One reader of what a worker tells of the changes of one family.
 *
 * Invariant: of the versions after the one that was published when the reader was made, each change is given
 * once and in order, or lies in a gap that is given in its place.
 *
 * @module
 */

import { type DecodedChange, readChange } from "../engine/change_record.ts";
import {
  FEED_GAP,
  FEED_HEAD_BYTES,
  FEED_TABLE_GONE,
  type FeedRecord,
  readFeedHead,
} from "../engine/feed_record.ts";
import type { ThreadMemory } from "../engine/thread_memory.ts";
import type { ChangeFeed } from "../memory/change_feed.ts";
import { addWatcher, removeWatcher } from "../memory/watchers.ts";

/** Bytes that are copied at once, if no record is longer. */
const CHUNK_BYTES = 65536;

/** Versions of which changes were missed. */
export interface MissedVersions {
  readonly kind: "gap";
  readonly from: number;
  readonly to: number;
}

/** What a feed tells of a family. */
export type FeedEvent =
  | MissedVersions
  | { readonly kind: "change"; readonly version: number; readonly change: DecodedChange }
  | { readonly kind: "table gone"; readonly table: Uint8Array };

export class FeedReader {
  readonly feed: ChangeFeed;
  readonly #memory: ThreadMemory;
  readonly #slot: number;
  readonly #family: number;
  readonly #watcher: number;
  readonly #head: FeedRecord = { bytes: 0, family: 0, version: 0, kind: 0, last: false };
  /** Where what is not in the chunk begins. */
  #position: number;
  /** A copy of what comes next, and what of it is left. */
  #chunk = new Uint8Array(0);
  #view = new DataView(this.#chunk.buffer);
  #at = 0;
  /** Nothing up to this version is told: it was published before, or lies in a gap. */
  #after: number;
  /** All up to this version was told. */
  #complete: number;

  /** From the version that is published now on. @throws {ManifoldError} `too-large` */
  constructor(memory: ThreadMemory, slot: number, family: number) {
    const { control, thread, slots, feeds } = memory;
    this.#memory = memory;
    this.#slot = slot;
    this.#family = family;
    this.feed = feeds[slots.worker(slot)];
    this.#watcher = addWatcher(control, thread, family);
    // In this order: what is published later is told behind that position.
    this.#position = this.feed.end;
    this.#after = slots.version(slot);
    this.#complete = this.#after;
  }

  release(): void {
    removeWatcher(this.#memory.control, this.#watcher);
  }

  /** What comes next; undefined if that is nothing yet. */
  next(): FeedEvent | undefined {
    for (;;) {
      if (this.#at === this.#chunk.length) {
        const filled = this.#fill();
        if (filled !== true) return filled;
      }
      const head = this.#head;
      readFeedHead(this.#view, this.#at, head);
      const from = this.#at + FEED_HEAD_BYTES;
      this.#at += head.bytes;
      const { family, version, kind, last } = head;
      if (family !== this.#family || version <= this.#after) continue;
      if (kind === FEED_GAP) {
        this.#after = this.#complete = version;
        return { kind: "gap", from: version, to: version };
      }
      this.#complete = last ? version : version - 1;
      const bytes = this.#chunk.subarray(from, this.#at);
      if (kind === FEED_TABLE_GONE) return { kind: "table gone", table: bytes.slice() };
      return { kind: "change", version, change: readChange(bytes) };
    }
  }

  /** Copies whole records; undefined if there are none, or what was missed. */
  #fill(): true | MissedVersions | undefined {
    for (let wanted = CHUNK_BYTES;;) {
      const available = this.feed.end - this.#position;
      if (available === 0) return undefined;
      const chunk = new Uint8Array(Math.min(available, wanted, this.feed.capacity));
      const isOvertaken = !this.feed.read(this.#position, chunk, chunk.length);
      if (isOvertaken) {
        const missed = this.#catchUp();
        if (missed !== undefined) return missed;
        continue;
      }
      const view = new DataView(chunk.buffer);
      let end = 0;
      while (end + FEED_HEAD_BYTES <= chunk.length) {
        const bytes = view.getUint32(end, true);
        if (end + bytes > chunk.length) break;
        end += bytes;
      }
      if (end === 0) {
        wanted = view.getUint32(0, true);
        continue;
      }
      this.#chunk = chunk.subarray(0, end);
      this.#view = view;
      this.#at = 0;
      this.#position += end;
      return true;
    }
  }

  /** Goes on with what comes now; says what was missed, undefined if that was nothing of the family. */
  #catchUp(): MissedVersions | undefined {
    const { slots } = this.#memory;
    // In this order: what is published later is told behind that position.
    this.#position = this.feed.end;
    const to = slots.version(this.#slot);
    const from = this.#complete + 1;
    if (slots.id(this.#slot) !== this.#family || to < from) return undefined;
    this.#after = this.#complete = to;
    return { kind: "gap", from, to };
  }
}
