/**
 * Who is told of a family's changes while they are made: what the family keeps, and the feed, while somebody
 * watches it.
 *
 * Invariant: the feed tells of a version once that is published, whole or as a gap; nothing is told of a
 * version that was discarded.
 *
 * @module
 */

import type { ChangeFeed } from "../memory/change_feed.ts";
import type { Control } from "../memory/control.ts";
import { isWatched } from "../memory/watchers.ts";
import type { EntryChange } from "./change_record.ts";
import { FeedWriter } from "./feed_record.ts";
import type { KeptChanges } from "./kept_changes.ts";

export class ChangeRecorder {
  /** Undefined if the family keeps nothing. */
  kept: KeptChanges | undefined;
  /** The version whose operations are applied. */
  version = 0;
  readonly #control: Control;
  readonly #family: number;
  readonly #feed: FeedWriter;
  #watched = false;

  constructor(control: Control, feed: ChangeFeed, family: number) {
    this.#control = control;
    this.#family = family;
    this.#feed = new FeedWriter(feed, family);
  }

  /** Whether anybody wants to be told. */
  get wanted(): boolean {
    return this.#watched || this.kept !== undefined;
  }

  /** A group begins. Whoever is there now sees all of it. */
  begin(): void {
    this.#watched = isWatched(this.#control, this.#family);
  }

  /** Tells a change; what it holds is copied. */
  tell(change: EntryChange): void {
    this.kept?.add(this.version, change);
    if (this.#watched) this.#feed.change(this.version, change);
  }

  tellTableGone(table: Uint8Array): void {
    if (this.#watched) this.#feed.tableGone(this.version, table);
  }

  /** All operations of the version are applied. */
  endVersion(): void {
    this.kept?.endVersion(this.version);
  }

  /** The group is published as this version. */
  published(version: number): void {
    if (this.#watched) this.#feed.tell(version);
    // Somebody came when the version was being made already, and has not seen it published.
    else if (isWatched(this.#control, this.#family)) this.#feed.gap(version);
  }

  discard(): void {
    this.kept?.forget();
    this.#feed.forget();
  }
}
