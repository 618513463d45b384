/**
 * The commit of a transaction over families of several workers, as two state machines without threads: the
 * coordinator's side and the participants'. None of their steps waits: the loop around them
 * (workers/writer_worker.ts) sleeps between them, and hands families over to checkpoints meanwhile.
 *
 * The thread that asks sends the participants their parts first, as stashes; the coordinator, the worker of the
 * lowest number, gets its own part, and with it the request, when all stashes are in their workers' queues.
 * It seeks the participants one after the other, ascending. One that is sought joins between two rounds, when it
 * has the stash and has served what came before it. It applies its part, prepares its families' new states,
 * and votes by offering its part of the record, or by refusing. If all agree, the coordinator writes one record, and, when
 * that is durable, publishes all families under one hold of the publish lock; then everybody goes on.
 *
 * Invariants: all is published, or nothing; who has joined serves nobody else until it hears the outcome.
 *
 * No cycle of waits: whoever takes part in a joint transaction and waits, waits for the joining of a worker with a
 * higher number than all that take part yet, or for steps of those that have joined, which wait for nobody else. A
 * worker that is sought and has not joined either has work that ends, or takes part in another joint transaction
 * that in turn waits for a still higher number; the highest never waits. What came before a stash in its queue waits
 * for nothing that the stash's transaction holds: a family that is somebody's turn is refused, not waited for, and a
 * thread asks nothing of a family before its own joint transaction over that family is decided (lib/api/joint.ts).
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import type { Control } from "../memory/control.ts";
import { hasFailure } from "../memory/database_state.ts";
import type { FamilySlots } from "../memory/family_slots.ts";
import {
  type JointRefusal,
  type JointWords,
  STEP_DISCARDED,
  STEP_FREE,
  STEP_OFFERED,
  STEP_PUBLISHED,
  STEP_REFUSED,
  STEP_TAKEN,
} from "../memory/joint_words.ts";
import { isAlive } from "../memory/threads.ts";
import { wantWorker, WORKER_DRAINED, WORKER_ENDED, workerState } from "../memory/worker_table.ts";
import type { Inbox } from "./inbox.ts";
import { type JointTransaction, readJoint } from "./joint.ts";
import { DETAIL_MEMORY } from "./requests.ts";
import type { Writer } from "./writer.ts";

export interface JointCommitParts {
  readonly control: Control;
  readonly slots: FamilySlots;
  readonly words: JointWords;
  readonly inbox: Inbox;
  readonly writer: Writer;
  /** The number of this worker. */
  readonly worker: number;
}

/** The side of the worker that writes the record. */
export class JointCoordinator {
  readonly #parts: JointCommitParts;
  #transaction: JointTransaction | undefined;
  #seeking = false;
  #applied = false;
  /** How many participants have joined, and how many of them have voted. */
  #joined = 0;
  #voted = 0;
  #refusal: JointRefusal | undefined;

  constructor(parts: JointCommitParts) {
    this.#parts = parts;
  }

  /** Whether a transaction is under way. */
  get isBusy(): boolean {
    return this.#transaction !== undefined;
  }

  begin(transaction: JointTransaction): void {
    this.#transaction = transaction;
    this.#seeking = this.#applied = false;
    this.#joined = this.#voted = 0;
    this.#refusal = undefined;
  }

  /** Goes on as far as it can. `agreed`: the writer's record has all parts, and all states are prepared. */
  step(): "waits" | "agreed" | JointRefusal {
    if (!this.#gatherWorkers() || !this.#gatherVotes()) return "waits";
    return this.#refusal ?? "agreed";
  }

  /** False while a worker is still to join. */
  #gatherWorkers(): boolean {
    const { words, worker: own, writer } = this.#parts;
    const transaction = this.#transaction!;
    const { workers } = transaction;
    for (;;) {
      const isDue = this.#joined < workers.length && this.#refusal === undefined;
      if (isDue && !this.#seeking) this.#seek(workers[this.#joined], transaction);
      if (!this.#applied) {
        // While the first one wakes up.
        this.#applied = true;
        this.#refusal ??= writer.applyJoint(transaction);
      }
      if (!this.#seeking) {
        if (this.#joined === workers.length || this.#refusal !== undefined) return true;
        continue;
      }
      if (!words.hasJoined(own)) return false;
      this.#seeking = false;
      this.#joined++;
    }
  }

  #seek(worker: number, { request }: JointTransaction): void {
    const { control, words, worker: own } = this.#parts;
    wantWorker(control, worker);
    const state = workerState(control, worker);
    if (state === WORKER_DRAINED || state === WORKER_ENDED) {
      // The database is being closed, and the worker may never have been started; or it has died.
      const hasFailed = state === WORKER_ENDED || hasFailure(control);
      this.#refusal = { code: hasFailed ? "failed" : "closed", detail: 0, result: 0 };
      return;
    }
    this.#seeking = true;
    words.seek(own, worker, request);
  }

  /** False while somebody is still to vote, or to hand over the rest of its part. */
  #gatherVotes(): boolean {
    const { words, writer } = this.#parts;
    const { workers } = this.#transaction!;
    for (; this.#voted < this.#joined; this.#voted++) {
      const worker = workers[this.#voted];
      const step = words.step(worker);
      if (step === STEP_REFUSED) {
        this.#refusal ??= words.refusal(worker);
        continue;
      }
      if (step !== STEP_OFFERED) return false;
      if (this.#refusal !== undefined) continue;
      const { bytes, left, parts } = words.offered(worker);
      try {
        writer.record.append(bytes, 0, bytes.length);
      } catch (error) {
        if (!(error instanceof ManifoldError)) throw error;
        this.#refusal = { code: error.code, detail: DETAIL_MEMORY, result: 0 };
        continue;
      }
      if (left > 0) {
        words.makeStep(worker, STEP_TAKEN, worker);
        return false;
      }
      writer.record.addParts(parts);
    }
    return true;
  }

  /** The slots of all families that the transaction changes. */
  get changedSlots(): number[] {
    const { slots, writer } = this.#parts;
    const others = this.#transaction!.otherSlots.filter((slot) => slots.isPrepared(slot));
    return [...writer.sealedSlots, ...others];
  }

  /** The outcome: all of it is published, or nothing. */
  end(isPublished: boolean): void {
    const { words } = this.#parts;
    const step = isPublished ? STEP_PUBLISHED : STEP_DISCARDED;
    for (const worker of this.#transaction!.workers.slice(0, this.#joined)) {
      words.makeStep(worker, step, worker);
    }
    this.#transaction = undefined;
  }
}

/** The side of the others. */
export class JointParticipant {
  readonly #parts: JointCommitParts;
  /** Who coordinates the transaction that it has joined, -1 for none. */
  #coordinator = -1;
  /** Where the next piece of its part of the record begins. */
  #offered = 0;

  constructor(parts: JointCommitParts) {
    this.#parts = parts;
  }

  /**
   * Between two rounds: joins what it is sought for, or goes on with what it has joined. `idle`: it has
   * not joined anything.
   */
  step(): "idle" | "waits" | "moved" {
    if (this.#coordinator < 0) return this.#join() ? "moved" : "idle";
    const { words, worker, writer } = this.#parts;
    const step = words.step(worker);
    if (step === STEP_TAKEN) {
      this.#offer();
      return "moved";
    }
    if (step !== STEP_PUBLISHED && step !== STEP_DISCARDED) return "waits";
    if (step === STEP_PUBLISHED) writer.settleJoined();
    else writer.discardJoined();
    this.#coordinator = -1;
    words.makeStep(worker, STEP_FREE, worker);
    return "moved";
  }

  #join(): boolean {
    const { control, words, worker, writer, inbox } = this.#parts;
    for (const coordinator of words.seekers(worker)) {
      const name = words.nameOf(coordinator);
      if (writer.hasPutAside) return false;
      const isThere = inbox.hasStash(name);
      // The stash of a thread that has died may have been dropped, or never be seen.
      if (!isThere && isAlive(control, name.thread, name.session)) continue;
      words.join(worker, coordinator);
      this.#coordinator = coordinator;
      this.#offered = 0;
      const stash = inbox.takeStash(name);
      const refusal: JointRefusal | undefined = stash === undefined
        ? { code: "aborted", detail: 0, result: 0 }
        : stash.lost
        ? { code: "too-large", detail: DETAIL_MEMORY, result: 0 }
        : writer.applyJoint(readJoint(stash));
      if (refusal === undefined) this.#offer();
      else words.refuse(worker, coordinator, refusal);
      return true;
    }
    return false;
  }

  #offer(): void {
    const { words, worker, writer } = this.#parts;
    const { record } = writer;
    this.#offered = words.offer(
      worker,
      this.#coordinator,
      record.body,
      this.#offered,
      record.parts,
    );
  }
}
