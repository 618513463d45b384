/**
 * A page that is not in memory: a reader loads it while another one evicts, and the page's worker gives its
 * number to a new page.
 *
 * @module
 */

import { type Reclaiming, RetiredPages } from "../../../lib/engine/retired_pages.ts";
import type { ThreadMemory } from "../../../lib/engine/thread_memory.ts";
import { assert } from "../../../lib/errors.ts";
import { FRAME_CLEAN, FRAME_DIRTY } from "../../../lib/memory/frames.ts";
import { newFamilyState } from "../../../lib/memory/family_slots.ts";
import { pauseBriefly } from "../../../lib/memory/waiting.ts";
import { CHECKSUM_BYTES, PAGE_LEAF, WORD_BIRTH_LOW } from "../../../lib/tree/page.ts";
import {
  WORD_INCARNATION,
  WORD_KIND,
  WORD_NUMBER,
  WORD_SLOTS,
  WORD_USED,
} from "../../../lib/tree/page.ts";
import type { Actor, Case } from "../explore.ts";
import { FAMILY, makeWorld, MARK, markOf, member, PAGE_SIZE, plainFrames } from "./world.ts";
import { setMark, SLOT, type World } from "./world.ts";

/** The page that everyone wants, and one that takes its frame. */
const PAGE = 2;
const OTHER = 3;
const INCARNATION = 5;

/** Both pages are in the file, born in version 1 and marked with their number; `limit` frames may hold them. */
function setup(limit: number, { checksum }: Actor): World {
  const world = makeWorld(3, { frames: 4 });
  const { slots, frames } = member(world, 0, checksum);
  frames.resize(limit);
  for (const page of [PAGE, OTHER]) {
    const words = new Uint32Array(world.file, page * PAGE_SIZE, PAGE_SIZE / 4);
    words[WORD_NUMBER] = page;
    words[WORD_BIRTH_LOW] = 1;
    words[WORD_INCARNATION] = INCARNATION;
    // One entry, of an empty key and an empty value.
    words[WORD_KIND] = PAGE_LEAF | (1 << 16);
    words[WORD_USED] = 4;
    words[WORD_SLOTS + 1] = PAGE_SIZE - 4;
    words[MARK] = page;
    const bytes = new Uint8Array(world.file, page * PAGE_SIZE, PAGE_SIZE);
    checksum.put(bytes.subarray(CHECKSUM_BYTES), bytes, 0);
  }
  const state = newFamilyState();
  state.version = state.height = 1;
  slots.publish(SLOT, state);
  return world;
}

/** Pins version 1, if it is not gone, gives the pin back in the middle of an operation, and then reads the page. */
function readOnce(world: World, { checksum, note }: Actor): void {
  const memory = member(world, 1, checksum);
  const { slots, epochs, pins } = memory;
  epochs.enter();
  if (slots.version(SLOT) > 1) {
    epochs.leave();
    note("gone");
    return;
  }
  const pin = pins.take(FAMILY, 1);
  epochs.leave();
  epochs.enter();
  pins.release(pin);
  look(memory, PAGE);
  epochs.leave();
  note("read");
}

/** Reads a page that is in all versions, twice. */
function readTwice(world: World, { checksum, note }: Actor): void {
  const memory = member(world, 2, checksum);
  for (let i = 0; i < 2; i++) {
    memory.epochs.enter();
    look(memory, OTHER);
    memory.epochs.leave();
  }
  note("read");
}

function look(memory: ThreadMemory, page: number): void {
  const frame = memory.store.load(new Uint32Array([page, 1, 0, INCARNATION]), 0, 0);
  assert(markOf(memory, frame) === page, `page ${page} is that of ${markOf(memory, frame)}`);
  memory.slots.publications(SLOT);
  assert(markOf(memory, frame) === page, `page ${page} became that of ${markOf(memory, frame)}`);
}

/** Publishes a version without the page, gives the page back, and makes another one of its number. */
function reuse(world: World, { checksum, note }: Actor): void {
  const memory = member(world, 0, checksum);
  const { slots, epochs, frames, pins } = memory;
  const state = newFamilyState();
  state.version = 2;
  slots.publish(SLOT, state);
  const retired = new RetiredPages();
  retired.retire(PAGE, 1, 1, 2, epochs.tag());
  let free = false;
  const family: Reclaiming = {
    horizon: () => epochs.horizon(),
    pins: () => pins.versionsOf(FAMILY),
    unlink: (page) => void frames.unlink(page),
    hold: (page) => frames.evict(page),
    tag: () => epochs.tag(),
    giveBack: () => void (free = true),
  };
  for (;;) {
    retired.reclaim(family);
    if (free) break;
    pauseBriefly();
  }
  let frame = -1;
  epochs.enter();
  while (frame < 0) {
    // Twice before it waits for others: evicting a frame is a step, too.
    for (let i = 0; i < 2 && frame < 0; i++) {
      epochs.renew();
      frame = frames.take(SLOT, 2);
    }
    if (frame < 0) pauseBriefly();
  }
  setMark(memory, frame, 100);
  frames.publishDirty(frame, PAGE, SLOT);
  epochs.leave();
  note("made");
}

/** Every frame is somewhere, and in one place only. */
function census(memory: ThreadMemory, limit: number): void {
  const { frames, slots } = memory;
  const { free, owned, clean, dirty, limbo } = frames.census();
  assert(owned === 0, `${owned} frames have been lost`);
  assert(free + clean + dirty + limbo === limit, `${free + clean + dirty + limbo} frames`);
  assert(slots.frames(SLOT) === clean + dirty, `${slots.frames(SLOT)} frames are counted`);
  for (let frame = 0; frame < limit; frame++) {
    const kind = frames.kind(frame);
    if (kind !== FRAME_CLEAN && kind !== FRAME_DIRTY) continue;
    const page = frames.pageOf(frame);
    assert(frames.find(page) === frame, `frame ${frame} holds page ${page}, which is elsewhere`);
  }
}

function loading(
  limit: number,
  names: readonly ("reader" | "evictor" | "worker")[],
): Case<World> {
  const run = {
    worker: reuse,
    reader: readOnce,
    evictor: readTwice,
  };
  return {
    setup: (actor) => setup(limit, actor),
    threads: names.map((name) => ({
      name,
      run: (world, actor) => run[name](world, actor),
    })),
    plain: (world) => ({ state: plainFrames(world), rest: [] }),
    check(world, said, { checksum }) {
      for (const name of names) assert(said[name].length === 1, `the ${name} has ended`);
      const memory = member(world, 0, checksum);
      census(memory, limit);
      if (!names.includes("worker")) return;
      const frame = memory.frames.find(PAGE);
      assert(markOf(memory, frame) === 100, "the new page is there");
    },
  };
}

export const readers: Case<World> = loading(1, ["reader", "evictor"]);
export const reader: Case<World> = loading(2, ["reader", "worker"]);
export const evictor: Case<World> = loading(1, ["evictor", "worker"]);
export const three: Case<World> = loading(2, ["reader", "evictor", "worker"]);
