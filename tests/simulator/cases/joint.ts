/**
 * Joint transactions: workers that coordinate and join them wait in no circle, and nobody sees a part.
 *
 * What a worker does is what the loop in workers/writer_worker.ts does, without a log.
 *
 * @module
 */

import { readCut } from "../../../lib/api/database_cut.ts";
import { Inbox } from "../../../lib/engine/inbox.ts";
import { encodeJointHead, encodeJointPart } from "../../../lib/engine/joint.ts";
import { JointCoordinator, JointParticipant } from "../../../lib/engine/joint_commit.ts";
import {
  FLAG_FIRST,
  FLAG_LAST,
  REQUEST_JOINT,
  REQUEST_STASH,
} from "../../../lib/engine/requests.ts";
import { Writer } from "../../../lib/engine/writer.ts";
import { assert } from "../../../lib/errors.ts";
import { encodeOperation, OP_OPEN_TABLE } from "../../../lib/log/operations.ts";
import { newFamilyState } from "../../../lib/memory/family_slots.ts";
import { sleepWhile } from "../../../lib/memory/waiting.ts";
import {
  setWorkerState,
  WORKER_RUNNING,
  workerWakeIndex,
} from "../../../lib/memory/worker_table.ts";
import type { Actor, Case } from "../explore.ts";
import { FAMILY, makeWorld, member, plainFrames, type World } from "./world.ts";

/** In an exploration no time passes. */
const SLEEP_MS = 5;

/** Bytes of the part of one family: it makes a table. */
function partOf(slot: number, name: number): Uint8Array[] {
  const codecs = new TextEncoder().encode("a\0b");
  const operation = encodeOperation(OP_OPEN_TABLE, 0, new Uint8Array([name]), codecs);
  const part = { slot, family: FAMILY + slot, token: 0, flags: 0 };
  return [encodeJointPart(part, operation.length), operation];
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** A family for each worker, and transactions over some of them, named by their workers, ascending. */
function world(
  threads: number,
  workers: number,
  transactions: readonly (readonly number[])[],
): (actor: Actor) => World {
  return ({ checksum }) => {
    const made = makeWorld(threads, { frames: 32, families: workers, workers, ringBytes: 1024 });
    const { slots, rings, thread, session, control } = member(made, threads - 1, checksum);
    const family = newFamilyState();
    family.version = 1;
    for (let worker = 0; worker < workers; worker++) {
      slots.publish(worker, family);
      setWorkerState(control, worker, WORKER_RUNNING);
    }
    transactions.forEach((members, request) => {
      const [coordinator, ...others] = members;
      const push = (worker: number, kind: number, head: Uint8Array): void => {
        const payload = joined([head, ...partOf(worker, request + 1)]);
        const pushed = rings[worker].push({
          thread,
          session,
          request,
          kind,
          flags: FLAG_FIRST | FLAG_LAST,
          slot: worker,
          family: FAMILY + worker,
          payloadBytes: payload.length,
          argument: 0,
        }, payload);
        assert(pushed, "the ring has room");
      };
      for (const other of others) push(other, REQUEST_STASH, encodeJointHead(0, [], []));
      push(coordinator, REQUEST_JOINT, encodeJointHead(0, others, others));
    });
    return made;
  };
}

/** A worker that has a part in so many transactions. */
function work(worker: number, count: number, shared: World, { checksum, note }: Actor): void {
  const memory = member(shared, worker, checksum);
  const { control, slots } = memory;
  const inbox = new Inbox(control, memory.rings[worker]);
  const writer = new Writer({ ...memory, inbox, recordBytesMax: Infinity, now: () => 0 });
  const parts = { control, slots, words: memory.joint, inbox, writer, worker };
  const coordinator = new JointCoordinator(parts);
  const participant = new JointParticipant(parts);
  const wake = workerWakeIndex(worker);
  let left = count;
  for (;;) {
    const seen = Atomics.load(control.words, wake);
    if (coordinator.isBusy) {
      const outcome = coordinator.step();
      if (outcome !== "waits") {
        assert(outcome === "agreed", "nobody has a reason to refuse");
        const changed = coordinator.changedSlots;
        writer.finishJoint(changed, () => {});
        coordinator.end(true);
        note(changed.length);
        left--;
        continue;
      }
    } else {
      const step = participant.step();
      if (step === "moved") {
        if (memory.joint.step(worker) === 0) left--;
        continue;
      }
      if (step === "idle") {
        if (left === 0) return;
        if (writer.gather()) {
          if (writer.joint !== undefined) coordinator.begin(writer.joint);
          continue;
        }
      }
    }
    sleepWhile(control.words, wake, seen, SLEEP_MS);
  }
}

/** Each two of three workers have a transaction, so that each waits for the others. */
export const triangle: Case<World> = {
  setup: world(4, 3, [[0, 1], [1, 2], [0, 2]]),
  threads: [0, 1, 2].map((worker) => ({
    name: `worker ${worker}`,
    run: (shared: World, actor: Actor) => work(worker, 2, shared, actor),
  })),
  plain: (shared) => ({ state: plainFrames(shared), rest: rings(shared) }),
  check(shared, said, { checksum }) {
    const { slots } = member(shared, 3, checksum);
    const versions = [0, 1, 2].map((slot) => slots.version(slot)).join();
    assert(versions === "3,3,3", `the versions are ${versions}`);
    assert(Object.values(said).flat().join() === "2,2,2", "each transaction changes two families");
  },
};

/** Two workers publish together while somebody takes a snapshot of the database. */
export const cut: Case<World> = {
  setup: world(3, 2, [[0, 1]]),
  threads: [
    ...[0, 1].map((worker) => ({
      name: `worker ${worker}`,
      run: (shared: World, actor: Actor) => work(worker, 1, shared, actor),
    })),
    {
      name: "reader",
      run(shared, { checksum, note }) {
        const memory = member(shared, 2, checksum);
        memory.epochs.enter();
        const versions = readCut(memory, "").map(({ state }) => state.version);
        memory.epochs.leave();
        note(versions.join(" and "));
      },
    },
  ],
  plain: (shared) => ({ state: plainFrames(shared), rest: rings(shared) }),
  check(_, { reader }) {
    const [versions] = reader;
    assert(versions === "1 and 1" || versions === "2 and 2", `the snapshot has ${versions}`);
  },
};

function rings({ memory }: World): Int32Array[] {
  return memory.rings.map((ring) => new Int32Array(ring));
}
