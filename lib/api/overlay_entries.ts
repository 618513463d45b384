/**
 * The entries of a range of an overlay, one after another: those of the base and the single writes,
 * merged.
 *
 * Invariant: the overlay does not change while these are in use.
 *
 * @module
 */

import { compareBytes } from "./bytes_order.ts";
import type { Overlay, Write } from "./overlay.ts";
import type { EncodedRange, KeyBound } from "./range.ts";
import { RawEntries } from "./raw_entries.ts";
import type { ReadSet } from "./read_set.ts";
import type { SortedMapCursor } from "./sorted_map.ts";

export class OverlayEntries {
  readonly #overlay: Overlay;
  readonly #reverse: boolean;
  readonly #limit: number;
  readonly #values: boolean;
  readonly #check: (() => void) | undefined;
  /** Where is noted what was looked at, from `#from` on; and whether there is a current entry. */
  readonly #reads: ReadSet | undefined;
  #from: KeyBound | null;
  #isOn = false;
  /** The bounds, the offset already taken off. */
  #lower: KeyBound | null;
  #upper: KeyBound | null;
  /** Undefined once it is at its end. */
  #base: RawEntries | undefined;
  #writes: SortedMapCursor<Write> | undefined;
  /** Whether base and writes stand on an entry that was not handed out. */
  #baseWaits = false;
  #writeWaits = false;
  /** The current entry is a write, or else one of the base. */
  #onWrite = false;
  #baseEnded = false;
  #writesEnded = false;
  /** The cursor of the writes stands on one that was not looked at. */
  #writesBegin = true;
  #left: number;
  #ended: boolean;

  /** `check` throws when the entries may not be used any more; in `reads` is noted how far they were. */
  constructor(
    overlay: Overlay,
    range: EncodedRange,
    values: boolean,
    check?: () => void,
    reads?: ReadSet,
  ) {
    this.#check = check;
    this.#reads = reads;
    this.#from = range.reverse ? range.upper : range.lower;
    this.#overlay = overlay;
    this.#reverse = range.reverse;
    this.#limit = range.limit;
    this.#left = range.limit;
    this.#lower = range.lower;
    this.#upper = range.upper;
    this.#ended = range.empty || !this.#takeOffset(range);
    this.#values = values;
    if (this.#ended) return;
    this.#begin(this.#start());
    reads?.open.add(this);
  }

  /** Begins at a bound inside of the range. */
  #begin(start: KeyBound | null): void {
    const reverse = this.#reverse;
    this.#base?.close();
    this.#base = new RawEntries(this.#overlay.base, {
      lower: reverse ? this.#lower : start,
      upper: reverse ? start : this.#upper,
      reverse,
      limit: Infinity,
      offset: 0,
      empty: false,
    }, this.#values);
    this.#writes = this.#overlay.writes.cursor();
    if (reverse) this.#writes.seekLast(start);
    else this.#writes.seek(start);
    this.#writesBegin = true;
    this.#baseWaits =
      this.#baseEnded =
      this.#writeWaits =
      this.#writesEnded =
        false;
  }

  /** Makes the range begin behind its offset; false if nothing is left. */
  #takeOffset(range: EncodedRange): boolean {
    if (range.offset === 0) return true;
    const start = this.#overlay.nth(range, range.offset);
    if (start === undefined) return false;
    const bound = { key: start.key, inclusive: true };
    if (range.reverse) this.#upper = bound;
    else this.#lower = bound;
    return true;
  }

  /** To the next entry; false after the last one, and ever after. */
  advance(): boolean {
    if (this.#ended) return false;
    this.#guard();
    if (this.#left <= 0) {
      this.close();
      return false;
    }
    for (;;) {
      if (!this.#baseWaits) this.#moveBase();
      if (!this.#writeWaits) this.#moveWrite();
      if (!this.#baseWaits && !this.#writeWaits) {
        this.#isOn = false;
        this.#note(this.#reverse ? this.#lower : this.#upper);
        this.close();
        return false;
      }
      const order = !this.#writeWaits ? -1 : !this.#baseWaits ? 1 : this.#compare();
      this.#onWrite = order >= 0;
      if (order <= 0) this.#baseWaits = false; // handed out, or hidden by a write
      if (order >= 0) {
        this.#writeWaits = false;
        if (this.#writes!.value.value === null) continue;
      }
      this.#left--;
      this.#isOn = true;
      return true;
    }
  }

  /** The key of the current entry, on private memory, until the next move. */
  key(): Uint8Array {
    return this.#onWrite ? this.#writes!.key : this.#base!.key();
  }

  /** The value of the current entry, on private memory, until the next move. */
  value(): Uint8Array {
    return this.#onWrite ? this.#writes!.value.value! : this.#base!.value();
  }

  /**
   * Moves so that {@linkcode advance} comes to the first entry at or after the key (in reverse: at or
   * before it), forth or back.
   */
  seek(key: Uint8Array): void {
    if (this.#ended) return;
    this.#guard();
    this.noteLooked();
    this.#isOn = false;
    const start = this.#start();
    if (this.#startsAfter(key)) {
      this.#from = start;
      this.#left = this.#limit;
      this.#begin(start);
      return;
    }
    this.#from = { key, inclusive: true };
    if (this.#limit !== Infinity) {
      const bound = { key, inclusive: false };
      const passed = this.#reverse
        ? this.#overlay.count(bound, start)
        : this.#overlay.count(start, bound);
      this.#left = this.#limit - passed;
    }
    // Nothing of the range is at or after a key beyond its end.
    if (this.#isInside(key)) this.#begin({ key, inclusive: true });
    else this.#left = 0;
  }

  #guard(): void {
    try {
      this.#check?.();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #start(): KeyBound | null {
    return this.#reverse ? this.#upper : this.#lower;
  }

  /** Whether the range begins with a key that comes after this one in its direction. */
  #startsAfter(key: Uint8Array): boolean {
    const start = this.#start();
    if (start === null) return false;
    const order = compareBytes(key, start.key);
    return this.#reverse ? order >= 0 : order <= 0;
  }

  #compare(): number {
    const order = compareBytes(this.#base!.key(), this.#writes!.key);
    return this.#reverse ? -order : order;
  }

  /** The base to its next entry that no deleted range covers. */
  #moveBase(): void {
    const base = this.#base!;
    const { cleared } = this.#overlay;
    if (this.#baseEnded) return;
    while (base.advance()) {
      const span = cleared.size === 0 ? undefined : cleared.spanAt(base.key());
      if (span === undefined) {
        this.#baseWaits = true;
        return;
      }
      // In reverse this comes to the span's first key if there is one, and passes it the next time.
      const past = this.#reverse ? span.from : span.to;
      if (past === null) break;
      if (!this.#reverse || compareBytes(base.key(), past) > 0) base.seek(past);
    }
    this.#baseEnded = true;
  }

  #moveWrite(): void {
    const writes = this.#writes!;
    if (this.#writesEnded) return;
    if (this.#writesBegin) this.#writesBegin = false;
    else if (this.#reverse) writes.previous();
    else writes.next();
    this.#writeWaits = writes.valid && this.#isInside(writes.key);
    this.#writesEnded = !this.#writeWaits;
  }

  /** Whether a key is before the range's end. */
  #isInside(key: Uint8Array): boolean {
    const end = this.#reverse ? this.#lower : this.#upper;
    if (end === null) return true;
    const order = compareBytes(key, end.key);
    return (this.#reverse ? order > 0 : order < 0) || (order === 0 && end.inclusive);
  }

  /** Notes what was looked at up to the current entry. */
  noteLooked(): void {
    if (this.#reads === undefined || !this.#isOn) return;
    this.#note({ key: this.key().slice(), inclusive: true });
  }

  #note(to: KeyBound | null): void {
    if (this.#reads === undefined) return;
    if (this.#reverse) this.#overlay.noteRange(to, this.#from);
    else this.#overlay.noteRange(this.#from, to);
  }

  /** Gives back what these hold: they have ended. */
  close(): void {
    this.noteLooked();
    this.#isOn = false;
    this.#reads?.open.delete(this);
    this.#ended = true;
    this.#base?.close();
    this.#base = undefined;
    this.#writes = undefined;
  }
}
