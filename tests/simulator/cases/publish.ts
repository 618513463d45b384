/**
 * Publishing: a reader never sees a mixture of two states, and the keeper pins all families as they were
 * at one moment.
 *
 * @module
 */

import { Inbox } from "../../../lib/engine/inbox.ts";
import { Keeper } from "../../../lib/engine/keeper.ts";
import { FLAG_FIRST, FLAG_LAST, REQUEST_TRANSACTION } from "../../../lib/engine/requests.ts";
import { Writer } from "../../../lib/engine/writer.ts";
import { assert } from "../../../lib/errors.ts";
import { GroupCommit } from "../../../lib/log/group_commit.ts";
import { encodeOperation, OP_OPEN_TABLE } from "../../../lib/log/operations.ts";
import { newFamilyState } from "../../../lib/memory/family_slots.ts";
import type { Meta } from "../../../lib/storage/meta.ts";
import type { Actor, Case } from "../explore.ts";
import { FAMILY, makeWorld, member, plainFrames, SLOT, type World } from "./world.ts";

/** So many that the block of version 1 is written for the second time. */
const VERSIONS = 9;

function setup({ checksum }: Actor): World {
  const world = makeWorld(2, { frames: 4 });
  publish(world, checksum, 1, 1);
  return world;
}

/** All parts of the state of a version say which one it is. */
function publish(world: World, checksum: Actor["checksum"], from: number, to: number): void {
  const { slots } = member(world, 0, checksum);
  const state = newFamilyState();
  for (let version = from; version <= to; version++) {
    state.version =
      state.height =
      state.tables =
      state.nextTableId =
        version;
    state.root.fill(version);
    slots.publish(SLOT, state);
  }
}

function read(world: World, { checksum, note }: Actor): void {
  const { slots } = member(world, 1, checksum);
  const state = newFamilyState();
  slots.read(SLOT, state);
  const { version, root, height, tables, nextTableId } = state;
  for (const part of [...root, height, tables, nextTableId]) {
    assert(part === version, `version ${version} has a part of version ${part}`);
  }
  note(version);
}

/** Versions that are published one after the other, and a reader. */
export const state: Case<World> = {
  setup,
  threads: [
    { name: "worker", run: (world, { checksum }) => publish(world, checksum, 2, VERSIONS) },
    { name: "reader", run: (world, actor) => read(world, actor) },
  ],
  plain: () => ({ state: [], rest: [] }),
  check(_, { reader }) {
    assert(reader.length === 1, "the reader has read");
  },
};

/** The same with a reader that asks for the version only. */
export const version: Case<World> = {
  ...state,
  threads: [
    state.threads[0],
    {
      name: "reader",
      run(world, { checksum, note }) {
        const { slots } = member(world, 1, checksum);
        const before = slots.version(SLOT);
        const after = slots.version(SLOT);
        assert(before <= after, `version ${after} after ${before}`);
        note(after);
      },
    },
  ],
};

/** Two families in version 1, and a transaction for each of them that makes version 2. */
function twoFamilies({ checksum }: Actor): World {
  const world = makeWorld(2, { frames: 32, families: 2, ringBytes: 512 });
  const { slots, rings, thread, session } = member(world, 0, checksum);
  const family = newFamilyState();
  family.version = 1;
  const name = new Uint8Array([1]);
  const payload = encodeOperation(OP_OPEN_TABLE, 0, name, new TextEncoder().encode("bytes\0bytes"));
  for (let slot = 0; slot < 2; slot++) {
    slots.publish(slot, family);
    const pushed = rings[0].push({
      thread,
      session,
      request: slot,
      kind: REQUEST_TRANSACTION,
      flags: FLAG_FIRST | FLAG_LAST,
      slot,
      family: FAMILY + slot,
      payloadBytes: payload.length,
      argument: 0,
    }, payload);
    assert(pushed, "the ring has room");
  }
  return world;
}

/** The keeper pins both families while their worker publishes one round. */
export const cut: Case<World> = {
  setup: twoFamilies,
  threads: [
    {
      name: "worker",
      run(world, { checksum, note }) {
        const memory = member(world, 0, checksum);
        const inbox = new Inbox(memory.control, memory.rings[0]);
        const writer = new Writer({
          ...memory,
          inbox,
          recordBytesMax: Infinity,
          now: () => 0,
        });
        assert(writer.gather(), "requests wait");
        note(`${writer.sealedSlots.length} groups`);
        writer.finish(() => {});
      },
    },
    {
      name: "keeper",
      run(world, { checksum, note }) {
        const memory = member(world, 1, checksum);
        const commit = new GroupCommit(memory.control, memory.thread);
        const keeper = new Keeper(memory, commit, { generation: 1 } as Meta);
        const { pinned } = keeper.begin();
        note(pinned.map(({ version }) => version).join(" and "));
      },
    },
  ],
  plain: (world) => ({ state: plainFrames(world), rest: [new Int32Array(world.memory.rings[0])] }),
  check(_, { worker, keeper }) {
    assert(worker[0] === "2 groups", `the worker made ${worker[0]}`);
    const [versions] = keeper;
    assert(versions === "1 and 1" || versions === "2 and 2", `pinned were ${versions}`);
  },
};
