/**
 * Which state of a family a table reads: the one published now, or one that was pinned.
 *
 * Invariants: a state is read inside an epoch and used inside the same one, unless it was pinned there;
 * a pin is given back through the source that gave it, once, and never after the session has closed
 * (then the thread's slot, and with it the pin, may belong to somebody else).
 *
 * @module
 */

import type { ThreadMemory } from "../engine/thread_memory.ts";
import { ManifoldError } from "../errors.ts";
import {
  copyFamilyState,
  FAMILY_LIVE,
  type FamilyState,
  newFamilyState,
} from "../memory/family_slots.ts";
import type { Pin } from "../memory/pins.ts";

/** Where a table gets the state that it reads. */
export interface StateSource {
  readonly memory: ThreadMemory;
  /** The family's slot. */
  readonly slot: number;
  /** The family's id. */
  readonly family: number;
  readonly familyName: string;
  /** The database's file, for errors. */
  readonly path: string;
  /**
   * Changes whenever the state does. Inside an epoch.
   * @throws {ManifoldError} `closed`; `not-found` when the family was deleted.
   */
  stamp(): number;
  /** Reads the state into `state`; returns its stamp. Inside an epoch; throws as {@linkcode stamp}. */
  read(state: FamilyState): number;
  /** Pins the version of a state that was read in the same epoch. */
  pin(state: Pick<FamilyState, "version">): Pin;
  /**
   * For a read that goes on behind a user's code, which may give up what it reads: one more use of the pin if the state is pinned.
   * Without one, the epoch keeps what it reads.
   */
  keep(): Pin | undefined;
  /** Gives a pin back. */
  release(pin: Pin): void;
  /**
   * For whoever holds a pin and goes on reading.
   * @throws {ManifoldError} `closed` when the session has closed.
   */
  checkOpen(): void;
}

/** What both kinds of source are made from. */
export interface SourceParts {
  readonly memory: ThreadMemory;
  readonly slot: number;
  readonly family: number;
  readonly familyName: string;
  readonly path: string;
  /** Whether this thread's session of the database has closed. */
  readonly isClosed: () => boolean;
}

abstract class Source {
  readonly memory: ThreadMemory;
  readonly slot: number;
  readonly family: number;
  readonly familyName: string;
  readonly path: string;
  readonly isClosed: () => boolean;

  constructor(parts: SourceParts) {
    this.memory = parts.memory;
    this.slot = parts.slot;
    this.family = parts.family;
    this.familyName = parts.familyName;
    this.path = parts.path;
    this.isClosed = parts.isClosed;
  }

  release(pin: Pin): void {
    if (!this.isClosed()) this.memory.pins.release(pin);
  }

  checkOpen(): void {
    if (!this.isClosed()) return;
    throw new ManifoldError("closed", `the database ${this.path} is closed; open it again`);
  }
}

/** The state that is published now. */
export class LiveSource extends Source implements StateSource {
  /** {@linkcode FamilySlots.changes} when the family was last seen to be live. */
  #changes = NaN;

  stamp(): number {
    this.checkOpen();
    const { slots } = this.memory;
    const { changes } = slots;
    if (changes !== this.#changes) {
      this.#checkLive();
      this.#changes = changes;
    }
    return slots.publications(this.slot);
  }

  read(state: FamilyState): number {
    this.checkOpen();
    const stamp = this.memory.slots.read(this.slot, state);
    this.#checkLive(); // after reading: only then was it not the state of the slot's next family
    return stamp;
  }

  pin(state: Pick<FamilyState, "version">): Pin {
    return this.memory.pins.take(this.family, state.version, Date.now());
  }

  /** Nothing: it is the epoch that keeps what is read. */
  keep(): undefined {
    return undefined;
  }

  /** Pins the state that is published now. Throws as {@linkcode StateSource.read}; `too-large` without a free pin. */
  snapshot(): PinnedSource {
    return this.pinned()[0];
  }

  /** The same with its stamp. */
  pinned(): [PinnedSource, number] {
    const { epochs } = this.memory;
    const state = newFamilyState();
    epochs.enter();
    try {
      const stamp = this.read(state);
      return [new PinnedSource(this, state, this.pin(state)), stamp];
    } finally {
      epochs.leave();
    }
  }

  #checkLive(): void {
    const { slots } = this.memory;
    if (slots.id(this.slot) === this.family && slots.state(this.slot) === FAMILY_LIVE) return;
    throw new ManifoldError(
      "not-found",
      `the column family "${this.familyName}" of ${this.path} was deleted; ` +
        "get it anew with columnFamily()",
    );
  }
}

/** Whose pins are given back when nobody holds the source any more. */
const abandoned = new FinalizationRegistry<Hold>((hold) => hold.release());

/** A state that stays, also when the family is deleted. Owns one use of its pin. */
export class PinnedSource extends Source implements StateSource {
  readonly state: FamilyState;
  readonly #hold: Hold;

  /** Takes the state over, and the pin, which must be of the state's version. */
  constructor(parts: SourceParts, state: FamilyState, pin: Pin) {
    super(parts);
    this.state = state;
    this.#hold = new Hold({ release: (pin) => release(parts, pin) }, pin);
    abandoned.register(this, this.#hold, this.#hold);
  }

  get disposed(): boolean {
    return this.#hold.released;
  }

  stamp(): number {
    this.checkOpen();
    if (this.#hold.released) {
      throw new ManifoldError(
        "closed",
        `the snapshot of the column family "${this.familyName}" at version ${this.state.version} ` +
          "was disposed of; take a new one",
      );
    }
    return 0;
  }

  read(state: FamilyState): number {
    copyFamilyState(this.state, state);
    return this.stamp();
  }

  /** One more use of the pin: it holds beyond {@linkcode dispose}. */
  pin(_state: FamilyState): Pin {
    return this.memory.pins.share(this.#hold.pin);
  }

  /** One more use of the pin. */
  keep(): Pin {
    return this.memory.pins.share(this.#hold.pin);
  }

  /** Gives the pin back; a second call does nothing. */
  dispose(): void {
    if (this.#hold.released) return;
    abandoned.unregister(this.#hold);
    this.#hold.release();
  }
}

function release(parts: SourceParts, pin: Pin): void {
  if (!parts.isClosed()) parts.memory.pins.release(pin);
}

/** One use of a pin, given back once. */
export class Hold {
  released = false;
  readonly pin: Pin;
  readonly #source: Pick<StateSource, "release">;

  constructor(source: Pick<StateSource, "release">, pin: Pin) {
    this.#source = source;
    this.pin = pin;
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    this.#source.release(this.pin);
  }
}
