/**
 * The versions that a check works on: of every family the one that the durable checkpoint has, and the
 * published one.
 *
 * Invariant: the checkpoint's version was the durable one after its pin could be seen. Whoever gives
 * pages back looks at the durable version first and at pins afterwards, so he saw one of them.
 *
 * @module
 */

import type { ThreadMemory } from "../../engine/thread_memory.ts";
import {
  FAMILY_LIVE,
  type FamilyEntry,
  type FamilyState,
  newFamilyEntry,
  newFamilyState,
} from "../../memory/family_slots.ts";
import type { Pin } from "../../memory/pins.ts";

/** A family with both of its versions pinned. */
export interface PinnedFamily {
  readonly slot: number;
  readonly id: number;
  readonly name: string;
  readonly published: FamilyState;
  /** What the durable checkpoint has of it; undefined if it has nothing. */
  readonly checkpoint: FamilyEntry | undefined;
  readonly pins: readonly Pin[];
}

/**
 * Pins the families that there are now.
 * @throws {ManifoldError} `too-large` when there are no pins left.
 */
export function pinFamilies(memory: ThreadMemory): PinnedFamily[] {
  const families: PinnedFamily[] = [];
  try {
    for (const slot of memory.slots.used()) {
      const family = pinFamily(memory, slot);
      if (family !== undefined) families.push(family);
    }
    return families;
  } catch (error) {
    releaseFamilies(memory, families);
    throw error;
  }
}

export function releaseFamilies(memory: ThreadMemory, families: readonly PinnedFamily[]): void {
  for (const { pins } of families) for (const pin of pins) memory.pins.release(pin);
}

function pinFamily(memory: ThreadMemory, slot: number): PinnedFamily | undefined {
  const { slots, epochs, pins } = memory;
  const published = newFamilyState();
  epochs.enter();
  try {
    const id = slots.id(slot);
    const name = slots.name(slot);
    slots.read(slot, published);
    // After reading: a family that is live inside the epoch keeps its pages until the epoch is over.
    if (slots.id(slot) !== id || slots.state(slot) !== FAMILY_LIVE) return undefined;
    const taken = [pins.take(id, published.version)];
    try {
      for (;;) {
        const entry = durableEntry(memory, slot);
        if (entry.version === 0) {
          return { slot, id, name, published, checkpoint: undefined, pins: taken };
        }
        const pin = pins.take(id, entry.version);
        if (slots.durableVersion(slot) === entry.version) {
          return { slot, id, name, published, checkpoint: entry, pins: [...taken, pin] };
        }
        pins.release(pin);
      }
    } catch (error) {
      for (const pin of taken) pins.release(pin);
      throw error;
    }
  } finally {
    epochs.leave();
  }
}

/** The entry of the durable checkpoint, whole. */
function durableEntry(memory: ThreadMemory, slot: number): FamilyEntry {
  const { slots } = memory;
  const entry = newFamilyEntry();
  const again = newFamilyEntry();
  for (;;) {
    // Its version is the first that is written of an entry, and the durable version comes last.
    const version = slots.durableVersion(slot);
    slots.readDurable(slot, entry);
    slots.readDurable(slot, again);
    if (entry.version === version && again.version === version) return entry;
  }
}
