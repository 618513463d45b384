/**
 * Pins guard versions of a family for longer than one operation: snapshots, transactions, iterators
 * between steps. A page born at b and retired at r stays while a pin lies in [b, r).
 *
 * One slot of six words: owner (thread + 1, 0 when free), family id, version (low, high), since when (low,
 * high; ms of the taker's clock). A thread takes one slot for all its uses of one version of one family and
 * counts them itself.
 *
 * Invariants: a pin is taken inside an epoch, of a version that was published when the epoch began
 * or that the thread has pinned already; the reclaimer waits for the epochs first and looks at pins
 * afterwards, so that it either sees the pin or knows that its taker read a newer version. The pins
 * of checkpoints stand in the families' slots (family_slots.ts).
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { type Control, PIN_WORDS, PINS, PINS_MAX, PINS_USED } from "./control.ts";
import { countSlots } from "./slot_table.ts";

interface OwnPin {
  readonly slot: number;
  readonly family: number;
  readonly version: number;
  count: number;
}

/** What {@linkcode Pins.oldest} tells. */
export interface OldestPin {
  readonly thread: number;
  readonly family: number;
  readonly version: number;
  /** When it was taken. */
  readonly since: number;
}

/** A held pin; give it back once. */
export type Pin = OwnPin;

export class Pins {
  readonly #words: Int32Array;
  readonly #thread: number;
  readonly #own: OwnPin[] = [];

  constructor(control: Control, thread: number) {
    this.#words = control.words;
    this.#thread = thread;
  }

  /**
   * Pins a version. Inside an epoch only. `now` is told to who asks how long it is held.
   * @throws {ManifoldError} `too-large` when all slots are taken.
   */
  take(family: number, version: number, now = 0): Pin {
    for (const own of this.#own) {
      if (own.version === version && own.family === family) {
        own.count++;
        return own;
      }
    }
    const words = this.#words;
    for (let slot = 0; slot < PINS_MAX; slot++) {
      const at = PINS + slot * PIN_WORDS;
      if (Atomics.load(words, at) !== 0) continue;
      countSlots(words, PINS_USED, slot + 1);
      if (Atomics.compareExchange(words, at, 0, this.#thread + 1) !== 0) continue;
      Atomics.store(words, at + 2, version >>> 0);
      Atomics.store(words, at + 3, Math.floor(version / 2 ** 32));
      Atomics.store(words, at + 4, now >>> 0);
      Atomics.store(words, at + 5, Math.floor(now / 2 ** 32));
      Atomics.store(words, at + 1, family);
      const pin = { slot, family, version, count: 1 };
      this.#own.push(pin);
      return pin;
    }
    throw new ManifoldError(
      "too-large",
      `more than ${PINS_MAX} versions are held by snapshots, transactions and iterators; dispose of some`,
    );
  }

  /** One more use of a pin that the caller holds. */
  share(pin: Pin): Pin {
    pin.count++;
    return pin;
  }

  release(pin: Pin): void {
    if (--pin.count > 0) return;
    this.#own.splice(this.#own.indexOf(pin), 1);
    const at = PINS + pin.slot * PIN_WORDS;
    Atomics.store(this.#words, at + 1, 0);
    Atomics.store(this.#words, at, 0);
  }

  /** The versions of a family that are pinned now, ascending, each once. */
  versionsOf(family: number): number[] {
    const words = this.#words;
    const versions: number[] = [];
    const used = Atomics.load(words, PINS_USED);
    for (let slot = 0, at = PINS; slot < used; slot++, at += PIN_WORDS) {
      if (Atomics.load(words, at) === 0 || Atomics.load(words, at + 1) !== family) continue;
      versions.push((Atomics.load(words, at + 2) >>> 0) + Atomics.load(words, at + 3) * 2 ** 32);
    }
    versions.sort((a, b) => a - b);
    let kept = 0;
    for (const version of versions) {
      if (kept === 0 || versions[kept - 1] !== version) versions[kept++] = version;
    }
    versions.length = kept;
    return versions;
  }

  /** Pins held now, by thread slot (for statistics). */
  static count(control: Control): number {
    let count = 0;
    const used = Atomics.load(control.words, PINS_USED);
    for (let slot = 0; slot < used; slot++) {
      if (Atomics.load(control.words, PINS + slot * PIN_WORDS) !== 0) count++;
    }
    return count;
  }

  /** The pin that is held longest (for statistics); undefined if there is none. */
  static oldest(control: Control): OldestPin | undefined {
    const { words } = control;
    const u53 = (at: number): number =>
      (Atomics.load(words, at) >>> 0) + Atomics.load(words, at + 1) * 2 ** 32;
    let oldest: OldestPin | undefined;
    const used = Atomics.load(words, PINS_USED);
    for (let slot = 0, at = PINS; slot < used; slot++, at += PIN_WORDS) {
      const thread = Atomics.load(words, at) - 1;
      const family = Atomics.load(words, at + 1);
      // Without a family it is just being taken or given back.
      if (thread < 0 || family === 0) continue;
      const since = u53(at + 4);
      if (oldest !== undefined && oldest.since <= since) continue;
      oldest = { thread, family, version: u53(at + 2), since };
    }
    return oldest;
  }

  /** Releases everything that a thread, known to be dead, held. */
  static releaseOf(control: Control, thread: number): void {
    const used = Atomics.load(control.words, PINS_USED);
    for (let slot = 0; slot < used; slot++) {
      const at = PINS + slot * PIN_WORDS;
      if (Atomics.load(control.words, at) !== thread + 1) continue;
      Atomics.store(control.words, at + 1, 0);
      Atomics.store(control.words, at, 0);
    }
  }
}
