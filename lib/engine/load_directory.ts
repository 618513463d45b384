/**
 * What a directory says becomes the state of an opened database.
 *
 * @module
 */

import { NEXT_FAMILY_ID } from "../memory/control.ts";
import { FAMILY_LIVE } from "../memory/family_slots.ts";
import type { Directory } from "../storage/directory.ts";
import type { ThreadMemory } from "./thread_memory.ts";

/** Fills the table of extents and the families' slots, which are dealt out to the workers in turn. */
export function loadDirectory(memory: ThreadMemory, directory: Directory): void {
  const { control, slots, extents, rings } = memory;
  Atomics.store(control.words, NEXT_FAMILY_ID, directory.nextFamilyId);
  extents.load(directory.extents, directory.filePages);
  directory.families.forEach(({ id, name, entry }, i) => {
    const slot = slots.take(id, name, i % rings.length, FAMILY_LIVE);
    slots.writeDurable(slot, entry);
    slots.publish(slot, entry);
  });
}
