/**
 * What one writing worker does, as a state machine without threads: take what waits, apply it family
 * by family, put one record together for all, and, once that is durable, publish and answer.
 *
 * A round has two steps, so that the loop around it (workers/writer_worker.ts, or a simulator) can
 * wait between them: {@linkcode Writer.gather} applies; the loop appends the record and waits for
 * durability; {@linkcode Writer.finish} publishes and answers, or {@linkcode Writer.abandon} undoes. A transaction
 * over several families, and perhaps several workers, is a round of its own, {@linkcode Writer.joint}, which
 * joint_commit.ts leads through {@linkcode Writer.applyJoint}.
 *
 * Invariants: nothing is published before it is in the log, nor, if anyone in the round asked for
 * it, before it is synced; all families of a round are published under one hold of the publish lock;
 * a request is answered once; requests to one family are served in the order in which they came.
 *
 * @module
 */

import { type ErrorCode, ManifoldError } from "../errors.ts";
import { RecordBuilder } from "../log/record.ts";
import type { Completions } from "../memory/completions.ts";
import { PUBLISH_LOCK } from "../memory/control.ts";
import {
  FAMILY_CREATING,
  FAMILY_DROPPING,
  FAMILY_FREE,
  FAMILY_GHOST,
  FAMILY_LIVE,
} from "../memory/family_slots.ts";
import { SpinLock } from "../memory/spin_lock.ts";
import type { JointRefusal } from "../memory/joint_words.ts";
import { Statistics } from "../memory/statistics.ts";
import { putU53 } from "../storage/bytes.ts";
import { accepted, type Answer, Answers, refusalFor, refusalOf, refused } from "./answers.ts";
import type { FamilyEngine, FamilyParts } from "./family.ts";
import type { Inbox, Request } from "./inbox.ts";
import { type JointPart, type JointTransaction, readJoint } from "./joint.ts";
import {
  encodeOperation,
  OP_CREATE_FAMILY,
  OP_DROP_FAMILY,
  type OperationMemory,
  operationMemory,
} from "../log/operations.ts";
import {
  DETAIL_BUSY,
  DETAIL_CONFLICT,
  DETAIL_FAMILY_GONE,
  DETAIL_MEMORY,
  DETAIL_TURN_OVER,
  FLAG_EVENTUAL,
  Refusal,
  REQUEST_CREATE,
  REQUEST_DROP,
  REQUEST_JOINT,
  REQUEST_RELEASE,
  REQUEST_TRANSACTION,
  REQUEST_TURN,
} from "./requests.ts";
import { WorkerFamilies, type WorkerFamily } from "./worker_families.ts";

/** Bytes of requests that one round takes at the most. */
const ROUND_BYTES_MAX = 2 * 2 ** 20;

/**
 * Transactions of so many bytes of operations, alone in their round, are written to the log before they are applied, so that
 * the sync goes on meanwhile.
 */
const EARLY_BYTES_MIN = 2 ** 16;

/** How a record gets into the log before its operations are applied. */
export interface EarlyLog {
  /**
   * Writes the writer's record, and has it synced by another thread.
   * @throws {ManifoldError} and it is not in the log; with `failed`, the database has failed.
   */
  write(): void;
  /** Makes the record that was written one that does nothing, durably. */
  void(): void;
}

export interface WriterParts extends FamilyParts {
  readonly completions: Completions;
  readonly inbox: Inbox;
  readonly thread: number;
  /** Transactions with more bytes of operations than this bypass the log. */
  readonly recordBytesMax: number;
  /** The worker's clock, ms. */
  readonly now: () => number;
  /** Undefined if there is no log. */
  readonly earlyLog?: EarlyLog;
}

/** What one family does in a round. */
interface Group {
  readonly family: WorkerFamily;
  readonly requests: Request[];
  readonly answers: Answer[];
  /** Transactions that were accepted. */
  accepted: number;
  /** The slot's state once the group is published, and if it is discarded. */
  becomes: number;
  staysAs: number;
  endsTurn: boolean;
}

const EMPTY = new Uint8Array(0);

export class Writer {
  readonly record = new RecordBuilder();
  readonly #parts: WriterParts;
  readonly #families: WorkerFamilies;
  readonly #answers: Answers;
  readonly #publishLock: SpinLock;
  readonly #statistics: Statistics;
  /** Requests that wait for a later round whatever turns there are, copied out of the ring. */
  #pending: Request[] = [];
  #sealed: Group[] = [];
  /** The group of the family that is being served. */
  #group: Group | undefined;
  /** Whether somebody in the round asked to wait for the sync. */
  needsSync = false;
  /** Whether the round is one transaction that bypasses the log. */
  bypass = false;
  /** Whether the round is one request. */
  #isSole = false;
  /** Whether the record of the round is in the log already. */
  isLogged = false;
  /** The joint transaction that is this round, and of which nothing is applied yet. */
  joint: JointTransaction | undefined;
  /** Set when nothing can be written: everything is refused with this code. */
  refusal: ErrorCode | undefined;

  constructor(parts: WriterParts) {
    this.#parts = parts;
    this.#families = new WorkerFamilies(parts);
    this.#answers = new Answers(parts);
    this.#publishLock = new SpinLock(parts.control.words, PUBLISH_LOCK);
    this.#statistics = new Statistics(parts.control, parts.thread);
  }

  /** The engine of a family; made when the worker meets it first. */
  engine(slot: number): FamilyEngine {
    return this.#families.get(slot).engine;
  }

  /** Hands every family over that the checkpoint in progress waits for; says whether any was. */
  handOver(): boolean {
    return this.#families.handOver();
  }

  /**
   * Gives pages back that nobody needs any more, and has frames ready for the next group; when there is nothing else to do.
   * Says whether there is more.
   */
  reclaim(): boolean {
    const { store, epochs } = this.#parts;
    const more = this.#families.reclaim();
    store.restock(epochs);
    return more;
  }

  /** Ends turns whose time is over; when the next lease ends, ms of the worker's clock. */
  expireTurns(): number {
    return this.#families.expireTurns(this.#parts.now());
  }

  /**
   * Takes what waits and applies it; false if nothing did. Afterwards {@linkcode record} has parts to
   * append (or {@linkcode bypass} is set), or has none because all was refused.
   */
  gather(): boolean {
    const { inbox } = this.#parts;
    this.record.clear();
    this.needsSync = false;
    this.bypass = false;
    this.isLogged = false;
    this.joint = undefined;
    const requests = this.#families.takeWaiting();
    requests.push(...this.#pending.splice(0));
    const stashed = requests.length === 0 && inbox.take(this.#roundBytesMax, requests);
    if (requests.length === 0) {
      inbox.release(); // there may have been parts, which are copied
      return stashed; // somebody may wait for that
    }
    if (this.refusal !== undefined) {
      for (const request of requests) {
        this.#giveUpMaking(request);
        this.#answers.refuse(request, this.refusal, 0);
      }
      return true;
    }
    const count = this.#countForRound(requests);
    if (requests[0].kind === REQUEST_JOINT) {
      this.#putAside(requests.slice(1));
      if (requests[0].lost) this.#answers.refuse(requests[0], "too-large", DETAIL_MEMORY);
      else this.joint = readJoint(requests[0]);
      return true;
    }
    this.#isSole = count === 1;
    const bySlot = new Map<number, Request[]>();
    for (let i = 0; i < count; i++) {
      const list = bySlot.get(requests[i].slot);
      if (list === undefined) bySlot.set(requests[i].slot, [requests[i]]);
      else list.push(requests[i]);
    }
    for (const [slot, list] of bySlot) this.#serve(slot, list);
    this.#putAside(requests.slice(count)); // behind what a failed group has put back
    return true;
  }

  /**
   * How many of the requests make this round: one that must be alone is a round of its own, and the
   * record of all must fit the log.
   */
  #countForRound(requests: readonly Request[]): number {
    let bytes = 0;
    for (let i = 0; i < requests.length; i++) {
      const request = requests[i];
      bytes += request.to - request.from;
      const alone = request.alone || request.kind === REQUEST_JOINT || this.#bypasses(request);
      if (i > 0 && (alone || bytes > 2 * this.#roundBytesMax)) return i;
      if (alone) return 1;
    }
    return requests.length;
  }

  get #roundBytesMax(): number {
    return Math.min(ROUND_BYTES_MAX, this.#parts.recordBytesMax / 2);
  }

  #bypasses(request: Request): boolean {
    return request.kind === REQUEST_TRANSACTION &&
      request.to - request.from > this.#parts.recordBytesMax;
  }

  #putAside(requests: readonly Request[], alone?: boolean): void {
    const { inbox } = this.#parts;
    for (const request of requests) {
      this.#pending.push(inbox.keep(request, alone ?? request.alone));
    }
  }

  /** Serves requests of one family in order. */
  #serve(slot: number, requests: readonly Request[]): void {
    const { slots, inbox } = this.#parts;
    const state = slots.state(slot);
    const writable = state === FAMILY_LIVE || state === FAMILY_CREATING;
    let family: WorkerFamily | undefined;
    let i = 0;
    for (; i < requests.length; i++) {
      const request = requests[i];
      const dropped = this.#group?.becomes === FAMILY_GHOST;
      if (!writable || dropped || request.family !== slots.id(slot)) {
        this.#answers.refuse(request, "not-found", DETAIL_FAMILY_GONE);
        continue;
      }
      try {
        family ??= this.#families.get(slot);
      } catch (error) {
        this.#giveUpMaking(request);
        this.#answers.refuseFor(request, error);
        continue;
      }
      const { turns } = family;
      const owns = request.argument !== 0 && request.kind !== REQUEST_TURN;
      if (!owns && (turns.held || turns.waiting.length > 0)) {
        turns.waiting.push(inbox.keep(request, request.alone));
        continue;
      }
      if (request.lost) {
        this.#answers.refuse(request, "too-large", DETAIL_MEMORY);
        if (owns && turns.matches(request.argument)) turns.end();
        continue;
      }
      if (this.#standsAlone(request)) break;
      try {
        this.#serveOne(family, request);
      } catch (error) {
        this.#undo(request, error);
        this.#putAside(requests.slice(i + 1));
        return;
      }
    }
    this.#seal();
    this.#putAside(requests.slice(i)); // behind the group, if sealing it has failed
  }

  /**
   * The making and the deletion of a family are the only operation of their version, so that a
   * recovery finds them without reading all operations: nothing joins them. A turn is granted when
   * what came before it is sealed: a group that fails is put back, and must not meet the turn then.
   */
  #standsAlone(request: Request): boolean {
    const group = this.#group;
    if (group === undefined) return false;
    return request.kind === REQUEST_DROP || request.kind === REQUEST_TURN ||
      group.becomes === FAMILY_LIVE && group.staysAs === FAMILY_FREE;
  }

  #serveOne(family: WorkerFamily, request: Request): void {
    const { turns, engine } = family;
    switch (request.kind) {
      case REQUEST_TURN:
        this.#answers.accept(request, turns.grant(request, this.#parts.now()));
        return;
      case REQUEST_RELEASE:
        if (turns.matches(request.argument)) turns.end();
        this.#answers.accept(request, 0);
        return;
      case REQUEST_CREATE:
        this.#create(family, request);
        return;
      case REQUEST_DROP:
        this.#joinGroup(family, request).becomes = FAMILY_GHOST;
        this.#parts.slots.setState(engine.slot, FAMILY_DROPPING);
        this.#lifecycle(OP_DROP_FAMILY, request);
        return;
      case REQUEST_TRANSACTION:
        if (request.argument !== 0 && !turns.matches(request.argument)) {
          this.#answers.refuse(request, "timeout", DETAIL_TURN_OVER);
        } else {
          this.#transact(family, request);
        }
    }
  }

  #transact(family: WorkerFamily, request: Request): void {
    const group = this.#joinGroup(family, request);
    if (request.argument !== 0) group.endsTurn = true;
    this.bypass = this.#bypasses(request);
    const { memory, reads, from, to, flags } = request;
    try {
      if (reads > 0) this.#checkReads(family.engine, request, memory, from - reads, from);
      if (this.#isForEarlyLog(family.engine, request)) this.#logEarly(memory, from, to);
      const sink = this.bypass || this.isLogged ? null : this.record;
      const result = family.engine.apply(memory, from, to, sink);
      group.answers.push(accepted(request, result));
      group.accepted++;
      if (!(flags & FLAG_EVENTUAL)) this.needsSync = true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.bypass = false;
      group.answers.push(refused(request, error.code, error.detail));
    }
  }

  /**
   * Whether the record is worth writing before the transaction is applied, and will be what the transaction is now.
   *
   * @throws {Refusal} as {@linkcode FamilyEngine.apply}.
   */
  #isForEarlyLog(engine: FamilyEngine, { memory, from, to, flags }: Request): boolean {
    return this.#isSole && !this.bypass && to - from >= EARLY_BYTES_MIN &&
      !(flags & FLAG_EVENTUAL) && this.#parts.earlyLog !== undefined &&
      !engine.check(memory, from, to);
  }

  #logEarly(memory: OperationMemory, from: number, to: number): void {
    this.record.append(memory.u8, from, to);
    this.record.endPart();
    this.#parts.earlyLog!.write();
    this.isLogged = true;
  }

  /** @throws {Refusal} unless what the transaction has read is the same now. Inside a group. */
  #checkReads(
    engine: FamilyEngine,
    request: Request,
    memory: OperationMemory,
    from: number,
    to: number,
  ): void {
    // The thread lives, so its pin has kept the pages until now; and no page is given back inside a group.
    if (!this.#answers.lives(request)) throw new Refusal("conflict", DETAIL_CONFLICT);
    engine.checkReads(memory, from, to);
  }

  /** The second request to make a family, which the host sends when the first may have died, does nothing. */
  #create(family: WorkerFamily, request: Request): void {
    if (this.#parts.slots.state(family.engine.slot) === FAMILY_LIVE) {
      this.#answers.accept(request, 0);
      return;
    }
    const group = this.#joinGroup(family, request);
    group.becomes = FAMILY_LIVE;
    group.staysAs = FAMILY_FREE;
    this.#lifecycle(OP_CREATE_FAMILY, request);
  }

  #lifecycle(kind: number, request: Request): void {
    const name = request.memory.u8.subarray(request.from, request.to);
    const { engine } = this.#group!.family;
    const operation = encodeOperation(kind, 0, this.#keepBytes(kind, engine.slot), name);
    engine.apply(operationMemory(operation), 0, operation.length, this.record);
    this.#group!.answers.push(accepted(request, 0));
    this.needsSync = true;
  }

  /** What the operation that makes a family says of the changes that it keeps: nothing if it keeps none. */
  #keepBytes(kind: number, slot: number): Uint8Array {
    const keepBytes = this.#parts.slots.keepBytes(slot);
    if (kind !== OP_CREATE_FAMILY || keepBytes === 0) return EMPTY;
    const bytes = new Uint8Array(8);
    putU53(new DataView(bytes.buffer), 0, keepBytes);
    return bytes;
  }

  /** The group of the family that is being served. */
  #begin(family: WorkerFamily): Group {
    if (this.#group === undefined) {
      family.engine.beginGroup();
      this.record.beginPart(family.engine.id, family.engine.version + 1);
      const state = this.#parts.slots.state(family.engine.slot);
      this.#group = {
        family,
        requests: [],
        answers: [],
        accepted: 0,
        becomes: state,
        staysAs: state,
        endsTurn: false,
      };
    }
    return this.#group;
  }

  /** The group that a request joins. */
  #joinGroup(family: WorkerFamily, request: Request): Group {
    const group = this.#begin(family);
    group.requests.push(request);
    return group;
  }

  #seal(): void {
    const group = this.#group;
    if (group === undefined) return;
    if (this.#dropIfEmpty(group)) return;
    try {
      this.#sealGroup(group);
    } catch (error) {
      this.#undo(undefined, error);
    }
  }

  /** Whether all of the group was refused, or changed nothing that the log would have to know. */
  #dropIfEmpty(group: Group): boolean {
    if (this.record.partBytes > 0 || this.bypass) return false;
    this.#dropGroup(group);
    this.#answers.add(group.answers);
    if (group.endsTurn) group.family.turns.end();
    return true;
  }

  /** @throws {ManifoldError} and the group must be discarded. */
  #sealGroup(group: Group): void {
    group.family.engine.seal();
    this.record.endPart();
    this.#sealed.push(group);
    this.#group = undefined;
  }

  #dropGroup(group: Group): void {
    group.family.engine.discard();
    this.record.dropPart();
    this.#group = undefined;
    const { slots } = this.#parts;
    const { slot } = group.family.engine;
    if (slots.state(slot) !== group.staysAs) slots.setState(slot, group.staysAs);
  }

  /**
   * Something failed in the middle, though not the database: the group is discarded. If the request was alone in it, it is
   * refused; else all are tried again, each alone, so that the failure meets only its cause.
   */
  #undo(request: Request | undefined, error: unknown): void {
    if (!(error instanceof ManifoldError) || error.code === "failed") throw error;
    const group = this.#group;
    if (group === undefined) { // it could not even be begun
      if (request !== undefined) this.#answers.refuseFor(request, error);
      return;
    }
    this.#dropGroup(group);
    this.bypass = false;
    if (this.isLogged) this.#parts.earlyLog!.void();
    this.isLogged = false;
    if (group.requests.length === 1) {
      this.#answers.refuseFor(request ?? group.requests[0], error);
      if (group.endsTurn) group.family.turns.end();
    } else {
      this.#putAside(group.requests, true);
    }
  }

  /** Whether requests wait for the next round that need no other room than that. */
  get hasPutAside(): boolean {
    return this.#pending.length > 0 || this.#families.hasWaiting;
  }

  /**
   * Applies the parts of a joint transaction that are of this worker's families, all or none, as a round of its
   * own. Undefined when their states are prepared to be published, or why they are not.
   */
  applyJoint({ bytes, memory, parts, request }: JointTransaction): JointRefusal | undefined {
    this.record.clear();
    this.bypass = bytes > this.#parts.recordBytesMax;
    this.needsSync = !(request.flags & FLAG_EVENTUAL);
    let why = this.refusal === undefined ? undefined : refusalOf(this.refusal, 0);
    for (const part of parts) why ??= this.#applyPart(request, memory, part);
    if (why !== undefined) {
      this.#discardRound();
      return why;
    }
    return undefined;
  }

  #applyPart(
    request: Request,
    memory: OperationMemory,
    part: JointPart,
  ): JointRefusal | undefined {
    const { slots } = this.#parts;
    const { slot, token, reads, from, to } = part;
    if (slots.state(slot) !== FAMILY_LIVE || slots.id(slot) !== part.family) {
      return refusalOf("not-found", DETAIL_FAMILY_GONE);
    }
    try {
      const family = this.#families.get(slot);
      const { turns, engine } = family;
      // Never to be waited for: who has the turn may wait for what others in this transaction hold.
      const isBusy = token === 0 && (turns.held || turns.waiting.length > 0);
      if (isBusy) return refusalOf("conflict", DETAIL_BUSY);
      if (token !== 0 && !turns.matches(token)) return refusalOf("timeout", DETAIL_TURN_OVER);
      const group = this.#begin(family);
      group.endsTurn = token !== 0;
      if (reads > 0) this.#checkReads(engine, request, memory, from - reads, from);
      engine.apply(memory, from, to, this.bypass ? null : this.record);
      if (this.#dropIfEmpty(group)) return undefined;
      this.#sealGroup(group);
      engine.prepare();
      return undefined;
    } catch (error) {
      return refusalFor(error);
    }
  }

  /** Publishes a joint transaction's families, those of other workers too, and answers. `onPublish` runs under the lock. */
  finishJoint(slots: readonly number[], onPublish: () => void): void {
    const { thread } = this.#parts;
    if (slots.length > 0) {
      this.#publishLock.acquire(thread);
      try {
        for (const slot of slots) this.#parts.slots.publishPrepared(slot);
        onPublish();
      } finally {
        this.#publishLock.release();
      }
      this.#statistics.group(1);
    }
    this.#answers.accept(this.joint!.request, 0);
    this.#afterPublish();
  }

  /** The coordinator has published what this worker has applied for it. */
  settleJoined(): void {
    this.#afterPublish();
  }

  /** The coordinator gives the transaction up. */
  discardJoined(): void {
    this.#discardRound();
  }

  /** Undoes the joint transaction of this round and answers it. */
  refuseJoint({ code, detail, result }: JointRefusal): void {
    this.#discardRound();
    this.#answers.refuse(this.joint!.request, code, detail, result);
    this.#answers.send();
  }

  /** Publishes what the round has made and answers everyone. `onPublish` runs under the lock. */
  finish(onPublish: () => void): void {
    const { slots, thread } = this.#parts;
    if (this.#sealed.length > 0) {
      this.#publishLock.acquire(thread);
      try {
        for (const { family, becomes } of this.#sealed) {
          family.engine.publish();
          // Together with the state, so that a checkpoint sees both or neither.
          const { slot } = family.engine;
          if (slots.state(slot) !== becomes) slots.setState(slot, becomes);
        }
        onPublish();
      } finally {
        this.#publishLock.release();
      }
    }
    this.#afterPublish();
  }

  /** Answers first: what the families have to do yet is nobody's business. */
  #afterPublish(): void {
    const sealed = this.#sealed;
    this.#sealed = [];
    for (const { accepted, answers } of sealed) {
      if (accepted > 0) this.#statistics.group(accepted);
      this.#answers.add(answers);
    }
    this.#answers.send();
    for (const group of sealed) {
      const { engine, turns } = group.family;
      engine.afterPublish();
      if (group.endsTurn) turns.end();
      if (group.becomes === FAMILY_GHOST) {
        this.#pending.push(...this.#families.forget(group.family));
      }
    }
  }

  /** Says which versions a checkpoint shall include although they are not published: of all these families, or of none. */
  announce(changed: readonly number[]): void {
    const { slots, thread } = this.#parts;
    this.#publishLock.acquire(thread);
    try {
      for (const slot of changed) slots.setPrivateVersion(slot, slots.version(slot) + 1);
    } finally {
      this.#publishLock.release();
    }
  }

  /**
   * The checkpoint that the families' private versions waited for has failed: takes the versions back, unless
   * another one has pinned them meanwhile, or has made them durable.
   */
  withdraw(changed: readonly number[]): "withdrawn" | "pinned" | "durable" {
    const { slots, thread } = this.#parts;
    this.#publishLock.acquire(thread);
    try {
      // In this order: a checkpoint that ends makes each version durable before it gives its pin up.
      for (const slot of changed) {
        const version = slots.privateVersion(slot);
        if (slots.checkpointVersion(slot) === version) return "pinned";
      }
      const [slot] = changed;
      if (slots.durableVersion(slot) === slots.privateVersion(slot)) return "durable";
      for (const slot of changed) slots.setPrivateVersion(slot, -1);
      return "withdrawn";
    } finally {
      this.#publishLock.release();
    }
  }

  /** Undoes the round and answers everyone with a failure. */
  abandon(code: ErrorCode): void {
    for (const group of this.#sealed) {
      for (const request of group.requests) this.#answers.refuse(request, code, 0);
    }
    this.#discardRound();
    this.#answers.send();
  }

  /** Discards all groups of the round. */
  #discardRound(): void {
    const groups = this.#group === undefined ? this.#sealed : [...this.#sealed, this.#group];
    for (const group of groups) {
      this.#dropGroup(group);
      if (group.endsTurn) group.family.turns.end();
    }
    this.#sealed = [];
    this.record.clear();
    this.bypass = false;
  }

  /** The families that this round changes. */
  get sealedSlots(): number[] {
    return this.#sealed.map((group) => group.family.engine.slot);
  }

  /** A request that no group has begun to serve is refused: the family that it would make is none. */
  #giveUpMaking({ kind, slot, family }: Request): void {
    const { slots } = this.#parts;
    const isMaking = kind === REQUEST_CREATE && slots.id(slot) === family &&
      slots.state(slot) === FAMILY_CREATING;
    if (isMaking) slots.setState(slot, FAMILY_FREE);
  }

  /** The worker ends. */
  close(): void {
    this.#families.close();
  }
}
