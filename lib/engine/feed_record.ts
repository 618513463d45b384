/**
 * What a worker tells of one version of a family in its feed: records of 20 bytes and a change (or a
 * table's name), one after another.
 *
 * | bytes | what |
 * |---|---|
 * | 0–3 | bytes of the record |
 * | 4–7 | family id |
 * | 8–15 | version (u53) |
 * | 16–19 | 1 change, 2 gap: the version's changes are not told, 3 table deleted; above it, in bits 8 and up, 1 in the last record of a version |
 *
 * @module
 */

import type { ChangeFeed } from "../memory/change_feed.ts";
import { getU53, putU53 } from "../storage/bytes.ts";
import { changeBytes, type EntryChange, putChange } from "./change_record.ts";

export const FEED_HEAD_BYTES = 20;
export const FEED_CHANGE = 1;
export const FEED_GAP = 2;
export const FEED_TABLE_GONE = 3;

const KIND_AT = 16;
const LAST = 1 << 8;
const MEMORY_BYTES = 65536;

/** The head of a record. */
export interface FeedRecord {
  bytes: number;
  family: number;
  version: number;
  kind: number;
  last: boolean;
}

/** Reads the head of the record at `at`. */
export function readFeedHead(view: DataView, at: number, into: FeedRecord): void {
  const kind = view.getUint32(at + KIND_AT, true);
  into.bytes = view.getUint32(at, true);
  into.family = view.getUint32(at + 4, true);
  into.version = getU53(view, at + 8);
  into.kind = kind & 255;
  into.last = (kind & LAST) !== 0;
}

/** Puts the records of one version together and tells them at once, when the version is published. */
export class FeedWriter {
  readonly #feed: ChangeFeed;
  readonly #family: number;
  #u8 = new Uint8Array(MEMORY_BYTES);
  #view = new DataView(this.#u8.buffer);
  #length = 0;
  /** Where the last record begins. */
  #lastAt = 0;
  /** Whether there was too much for the feed. */
  #overflown = false;

  constructor(feed: ChangeFeed, family: number) {
    this.#feed = feed;
    this.#family = family;
  }

  change(version: number, change: EntryChange): void {
    const at = this.#record(version, FEED_CHANGE, changeBytes(change));
    if (at >= 0) putChange(this.#u8, at, change, false, false);
  }

  tableGone(version: number, table: Uint8Array): void {
    const at = this.#record(version, FEED_TABLE_GONE, table.length);
    if (at >= 0) this.#u8.set(table, at);
  }

  /** Tells what there is of the version. */
  tell(version: number): void {
    if (this.#overflown) {
      this.gap(version);
    } else if (this.#length > 0) {
      const kind = this.#view.getUint32(this.#lastAt + KIND_AT, true);
      this.#view.setUint32(this.#lastAt + KIND_AT, kind | LAST, true);
      this.#feed.append(this.#u8.subarray(0, this.#length));
    }
    this.forget();
  }

  /** Tells that the changes of a version are not told. */
  gap(version: number): void {
    this.forget();
    this.#record(version, FEED_GAP, 0);
    this.#feed.append(this.#u8.subarray(0, this.#length));
    this.forget();
  }

  forget(): void {
    this.#length = 0;
    this.#overflown = false;
    // Memory of an unusually large version is not kept.
    if (this.#u8.length > MEMORY_BYTES) this.#replaceMemory(MEMORY_BYTES);
  }

  /** A record with room for so many bytes behind its head; where they stand, -1 if it is too much. */
  #record(version: number, kind: number, bytes: number): number {
    const at = this.#length;
    const end = at + FEED_HEAD_BYTES + bytes;
    // Half of the ring at the most, so that a reader who keeps up has the time to copy it.
    if (this.#overflown || end > this.#feed.capacity / 2) {
      this.#overflown = true;
      return -1;
    }
    if (end > this.#u8.length) this.#replaceMemory(Math.max(end, this.#u8.length * 2));
    this.#view.setUint32(at, end - at, true);
    this.#view.setUint32(at + 4, this.#family, true);
    putU53(this.#view, at + 8, version);
    this.#view.setUint32(at + KIND_AT, kind, true);
    this.#lastAt = at;
    this.#length = end;
    return at + FEED_HEAD_BYTES;
  }

  #replaceMemory(bytes: number): void {
    const memory = new Uint8Array(bytes);
    memory.set(this.#u8.subarray(0, this.#length));
    this.#u8 = memory;
    this.#view = new DataView(memory.buffer);
  }
}
