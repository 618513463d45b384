/**
 * A reader holds a version while the family's worker publishes the next ones, gives the old one's page
 * back and uses its number and its frame for something else.
 *
 * @module
 */

import { LiveSource } from "../../../lib/api/state_source.ts";
import type { ThreadMemory } from "../../../lib/engine/thread_memory.ts";
import { assert } from "../../../lib/errors.ts";
import { PUBLISH_LOCK } from "../../../lib/memory/control.ts";
import { type FamilyState, newFamilyState } from "../../../lib/memory/family_slots.ts";
import { SpinLock } from "../../../lib/memory/spin_lock.ts";
import { PAGE_LEAF } from "../../../lib/tree/page.ts";
import type { Actor, Case } from "../explore.ts";
import { FAMILY, makeWorld, markOf, member, pagerOf, plainFrames, setMark } from "./world.ts";
import { SLOT, type World } from "./world.ts";

const WORKER = 0;
const READER = 1;

/** Version 1: one page, which says 1. */
function setup({ checksum }: Actor): World {
  // In multiples of four, as the hints are looked at in words.
  const world = makeWorld(2, { frames: 4 });
  const memory = member(world, WORKER, checksum);
  const pager = pagerOf(memory, 0);
  const state = newFamilyState();
  memory.epochs.enter();
  pager.begin(1);
  pager.reserve(1);
  setMark(memory, pager.create(PAGE_LEAF, 0, state.root, 0), 1);
  state.version = state.height = 1;
  memory.slots.publish(SLOT, state);
  pager.published();
  memory.epochs.leave();
  pager.close();
  return world;
}

function work(versions: number, world: World, { checksum }: Actor): void {
  const memory = member(world, WORKER, checksum);
  const { slots, epochs, control } = memory;
  const pager = pagerOf(memory, 1);
  const state = newFamilyState();
  slots.read(SLOT, state);
  const lock = new SpinLock(control.words, PUBLISH_LOCK);
  for (let version = 2; version < 2 + versions; version++) {
    epochs.enter();
    pager.begin(version);
    pager.reserve(1);
    setMark(memory, pager.edit(state.root, 0, 0), version);
    epochs.leave();
    state.version = version;
    lock.acquire(WORKER);
    slots.publish(SLOT, state);
    lock.release();
    pager.published();
    while (pager.reclaim());
  }
}

/** Reads the page of a version and looks at it for a while. */
function look(memory: ThreadMemory, state: FamilyState, meanwhile: () => void): void {
  const { store, epochs, slots } = memory;
  epochs.enter();
  try {
    const frame = store.load(state.root, 0, 0);
    const found = markOf(memory, frame);
    assert(found === state.version, `version ${state.version} has the page of ${found}`);
    meanwhile();
    slots.publications(SLOT);
    const later = markOf(memory, frame);
    assert(later === found, `the page of version ${found} became that of ${later} in an epoch`);
  } finally {
    epochs.leave();
  }
}

function liveSource(memory: ThreadMemory): LiveSource {
  return new LiveSource({
    memory,
    slot: SLOT,
    family: FAMILY,
    familyName: "a",
    path: "(case)",
    isClosed: () => false,
  });
}

/** Takes a snapshot and reads it; the last time, it is given back in the middle. */
function readPinned(world: World, { checksum, note }: Actor): void {
  const memory = member(world, READER, checksum);
  const snapshot = liveSource(memory).snapshot();
  note(snapshot.state.version);
  look(memory, snapshot.state, () => snapshot.dispose());
}

/** Reads what is published, in an epoch and without a pin. */
function readLive(world: World, { checksum, note }: Actor): void {
  const memory = member(world, READER, checksum);
  const state = newFamilyState();
  memory.epochs.enter();
  try {
    liveSource(memory).read(state);
    note(state.version);
    look(memory, state, () => {});
  } finally {
    memory.epochs.leave();
  }
}

function reading(versions: number, read: (world: World, actor: Actor) => void): Case<World> {
  return {
    setup,
    threads: [
      { name: "reader", run: (world, actor) => read(world, actor) },
      { name: "worker", run: (world, actor) => work(versions, world, actor) },
    ],
    plain: (world) => ({ state: plainFrames(world), rest: [] }),
    check(_, { reader }) {
      assert(reader.length === 1, "the reader has read");
    },
  };
}

export const pinned: Case<World> = reading(2, readPinned);
export const live: Case<World> = reading(2, readLive);
/** Longer: the page's number is used a second time. */
export const pinnedLonger: Case<World> = reading(4, readPinned);
