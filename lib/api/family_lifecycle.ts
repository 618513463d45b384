/**
 * Making and deleting column families, from any thread.
 *
 * Invariant: who takes a slot sends the request that makes the family; others who want the name wait
 * until the slot is live or free.
 *
 * @module
 */

import { REQUEST_CREATE, REQUEST_DROP } from "../engine/requests.ts";
import type { ManifoldError } from "../errors.ts";
import { CLOSED, databaseState, FAILED, failure } from "../memory/database_state.ts";
import { FAMILY_CREATING, FAMILY_LIVE, type FamilySlots } from "../memory/family_slots.ts";
import { keepAlive } from "../runtime/keep_alive.ts";
import { FamilyAccess, isFamilyGone, NO_OPERATIONS, type OpenSession } from "./family_access.ts";
import { closedError } from "./request_error.ts";

/** How often a thread that waits for a slot looks whether the database has failed. */
const STATE_WAIT_MS = 200;

/** The slot of the live family of that name, once nobody is making or deleting it; -1 if there is none. */
export async function settledFamily(open: OpenSession, name: string): Promise<number> {
  const { memory, path } = open.session;
  const { slots, control } = memory;
  let release: (() => void) | undefined;
  try {
    for (;;) {
      open.check();
      const slot = slots.find(name);
      if (slot < 0) return -1;
      const state = slots.state(slot);
      // Looked up again: the slot may have gone to another family in between.
      if (state === FAMILY_LIVE && slots.find(name) === slot) return slot;
      const database = databaseState(control);
      if (database === FAILED) throw failed(open, failure(control, path));
      // Nobody finishes it any more.
      if (database === CLOSED) throw closedError(path);
      release ??= keepAlive();
      const wait = Atomics.waitAsync(slots.words, slots.stateIndex(slot), state, STATE_WAIT_MS);
      if (wait.async) await wait.value;
    }
  } finally {
    release?.();
  }
}

function failed(open: OpenSession, error: ManifoldError): ManifoldError {
  open.check();
  return error;
}

/**
 * Makes a family that keeps so many bytes of its changes, 0 for none; -1 if somebody else has taken the name
 * meanwhile.
 */
export async function createFamily(
  open: OpenSession,
  name: string,
  keepBytes = 0,
): Promise<number> {
  const client = open.client();
  const { memory, path } = open.session;
  const { control, slots, thread } = memory;
  if (databaseState(control) === FAILED) throw failure(control, path);
  let slot = -1;
  let id = 0;
  const release = keepAlive();
  try {
    await slots.lock.holding(thread, () => {
      open.check(); // it may have been closed meanwhile
      if (slots.find(name) >= 0) return;
      id = slots.nextId();
      const worker = leastLoaded(slots, memory.rings.length);
      slot = slots.take(id, name, worker, FAMILY_CREATING, keepBytes);
    });
  } finally {
    release();
  }
  if (slot < 0) return -1;
  const access = new FamilyAccess(open, slot, id, name);
  const operations = { payload: new TextEncoder().encode(name), kept: true };
  try {
    await access.submit(client, REQUEST_CREATE, 0, 0, operations, () => `making ${access.place}`);
    return slot;
  } catch (error) {
    if (!isFamilyGone(error)) throw error;
    // When a thread dies, the host asks for all families in the making, in case that it was to ask. What it
    // asked for was refused before we were heard: again, then.
    return createFamily(open, name, keepBytes);
  }
}

/** The worker that writes the fewest families. */
function leastLoaded(slots: FamilySlots, workers: number): number {
  const families = new Array<number>(workers).fill(0);
  for (const slot of slots.used()) families[slots.worker(slot)]++;
  return families.indexOf(Math.min(...families));
}

/** Deletes a family; `not-found` when somebody else did before. */
export async function dropFamily(access: FamilyAccess): Promise<void> {
  const what = (): string => `deleting ${access.place}`;
  const client = access.writingClient(what);
  await access.submit(client, REQUEST_DROP, 0, 0, NO_OPERATIONS, what);
}
