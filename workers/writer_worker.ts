/**
 * The loop of a writing worker: wait, let the writer apply what waits, append its record, wait until
 * it is durable, have it published. {@linkcode WriterLoop.step} is one round of it, so that a test can
 * drive it together with the keeper's in one thread.
 *
 * Invariants: a worker that waits for room in the log or for a checkpoint goes on handing its
 * families over, because that checkpoint may wait for it; every sleep has a time-out.
 *
 * @module
 */

import { Inbox } from "../lib/engine/inbox.ts";
import { JointCoordinator, JointParticipant } from "../lib/engine/joint_commit.ts";
import {
  askForLife,
  LIFE_DORMANT,
  LIFE_RECOVERING,
  lifeOf,
  lifeRefusal,
  recoveryDone,
} from "../lib/engine/life.ts";
import { replay } from "../lib/engine/recovery.ts";
import type { ThreadMemory } from "../lib/engine/thread_memory.ts";
import { type EarlyLog, Writer } from "../lib/engine/writer.ts";
import { type ErrorCode, ManifoldError } from "../lib/errors.ts";
import { GroupCommit, LOG_IS_FULL, LOG_WANTS_FILLING } from "../lib/log/group_commit.ts";
import { logPathOf, LogReader, readLogHeader, writeAtPosition } from "../lib/log/log_file.ts";
import type { RecordLife } from "../lib/log/record.ts";
import {
  DEATHS,
  KEEPER_ANSWER,
  KEEPER_WAKE,
  LOG_DURABLE,
  LOG_SPACE,
} from "../lib/memory/control.ts";
import {
  CLOSED,
  CLOSING,
  databaseState,
  FAILED,
  hasFailure,
} from "../lib/memory/database_state.ts";
import {
  askForCheckpoint,
  checkpointBegun,
  checkpointOutcome,
  checkpointRuns,
  durableGeneration,
  keeperAnswers,
} from "../lib/memory/keeper_state.ts";
import { bumpAndWake, sleepWhile, spinWhile } from "../lib/memory/waiting.ts";
import {
  setWorkerState,
  WORKER_DRAINED,
  WORKER_ENDED,
  WORKER_RUNNING,
  workerWakeIndex,
} from "../lib/memory/worker_table.ts";
import { noteGarbage } from "../lib/runtime/garbage.ts";
import { runtime } from "../lib/runtime/runtime.ts";
import { hostState } from "../lib/runtime/threads.ts";
import type { File } from "../lib/storage/file.ts";
import type { WorkerData } from "./worker_data.ts";

/**
 * How long a worker looks for the next request before it sleeps: about what falling asleep and waking costs, so that one
 * caller's next transaction, whose function runs meanwhile, still finds it awake; ms.
 */
const SPIN_MS = 0.12;
/** How long an idle worker sleeps before it looks whether its host still lives, ms. */
const IDLE_MS = 500;
/** How often it looks for the life of the log that it has asked for, and for the end of a recovery, ms. */
const LIFE_MS = 10;
/** What {@linkcode WriterLoop.step} says at the end. */
export const ENDED = -1;
/** What stands where there is no record. */
const NO_RECORD = new Uint8Array(64);
/** What a round leaves to the collector at least, and for each page that had to be read, about; bytes. */
const ROUND_GARBAGE_BYTES = 4096;
const PAGE_GARBAGE_BYTES = 1024;
/** What a byte of the log leaves when it is replayed, if records are small. */
const REPLAY_GARBAGE = 4;

export class WriterLoop {
  readonly #data: WorkerData;
  readonly #memory: ThreadMemory;
  readonly #commit: GroupCommit;
  readonly #inbox: Inbox;
  readonly #writer: Writer;
  readonly #coordinator: JointCoordinator;
  readonly #participant: JointParticipant;
  readonly #salt = new Uint8Array(8);
  readonly #now = (): number => performance.now();
  /** Pages that were read when garbage was noted last. */
  #misses = 0;
  /** Undefined while records cannot be appended, and when the database is in memory. */
  #log: File | undefined;
  /** Where the record of the round begins in the log, how long it is, and where the next one begins. */
  #position = 0;
  #length = 0;
  #end = 0;
  readonly #earlyLog: EarlyLog = { write: () => this.#writeEarly(), void: () => this.#void() };
  /** Since how many refusals this worker waits for the log's life. */
  #askedForLife: number | undefined;
  #replayed = false;
  #drained = false;
  #deaths: number;

  constructor(data: WorkerData, memory: ThreadMemory) {
    this.#data = data;
    this.#memory = memory;
    this.#deaths = Atomics.load(memory.control.words, DEATHS);
    setWorkerState(memory.control, data.worker, WORKER_RUNNING);
    this.#commit = new GroupCommit(memory.control, memory.thread);
    this.#inbox = new Inbox(memory.control, memory.rings[data.worker]);
    this.#writer = new Writer({
      control: memory.control,
      slots: memory.slots,
      extents: memory.extents,
      epochs: memory.epochs,
      pins: memory.pins,
      store: memory.store,
      feeds: memory.feeds,
      completions: memory.completions,
      thread: memory.thread,
      inbox: this.#inbox,
      recordBytesMax: data.memoryFile === undefined ? data.logBytes / 4 : Infinity,
      now: this.#now,
      earlyLog: data.memoryFile === undefined ? this.#earlyLog : undefined,
    });
    const joint = {
      control: memory.control,
      slots: memory.slots,
      words: memory.joint,
      inbox: this.#inbox,
      writer: this.#writer,
      worker: data.worker,
    };
    this.#coordinator = new JointCoordinator(joint);
    this.#participant = new JointParticipant(joint);
  }

  async run(): Promise<void> {
    const { words } = this.#memory.control;
    const wake = workerWakeIndex(this.#data.worker);
    for (;;) {
      const seen = Atomics.load(words, wake);
      const ms = this.step(seen);
      if (ms === ENDED) return;
      if (ms === 0 || !spinWhile(words, wake, seen, SPIN_MS, this.#now)) continue;
      sleepWhile(words, wake, seen, ms);
      if (Atomics.load(words, wake) === seen && await hostState(this.#data.host) !== "open") return;
    }
  }

  /**
   * Does what there is to do. Returns how long it may sleep on its wake word, which was `seen` before, in
   * ms; 0 if there may be more to do; {@linkcode ENDED}.
   */
  step(seen: number): number {
    const { control } = this.#memory;
    const { words } = control;
    const state = databaseState(control);
    if (state === CLOSED || state === FAILED) return ENDED;
    const notYet = this.#prepare(state);
    if (notYet !== undefined) return notYet;
    this.handOver();
    const deaths = Atomics.load(words, DEATHS);
    if (deaths !== this.#deaths && this.#inbox.dropDead()) this.#deaths = deaths;
    if (this.#coordinator.isBusy) return this.#coordinate();
    const joined = this.#participant.step();
    if (joined !== "idle") return joined === "waits" ? IDLE_MS : 0;
    const leaseEnds = this.#writer.expireTurns();
    if (this.#writer.gather()) {
      if (this.#writer.joint !== undefined) {
        this.#coordinator.begin(this.#writer.joint);
        return this.#coordinate();
      }
      this.#commitRound();
      this.#noteGarbage(ROUND_GARBAGE_BYTES + this.#writer.record.length);
      return 0;
    }
    if (state === CLOSING && !this.#drained) {
      this.#drained = true;
      this.#writer.refusal = hasFailure(control) ? "failed" : "closed";
      setWorkerState(control, this.#data.worker, WORKER_DRAINED);
      bumpAndWake(words, KEEPER_WAKE);
    }
    // Now, while the callers are busy with the answers.
    const wake = workerWakeIndex(this.#data.worker);
    while (Atomics.load(words, wake) === seen && this.#writer.reclaim());
    while (Atomics.load(words, wake) === seen && this.#memory.store.touchAhead());
    return Math.min(IDLE_MS, Math.max(1, leaseEnds - performance.now()));
  }

  /** Gets ready to append; how long to sleep while it cannot, in ms. */
  #prepare(state: number): number | undefined {
    if (this.#log !== undefined || this.#data.memoryFile !== undefined) return undefined;
    const life = lifeOf(this.#memory.control);
    if (life === LIFE_DORMANT) return this.#awaitLife(state);
    if (life === LIFE_RECOVERING) {
      if (!this.#replayed) this.#replay();
      this.#replayed = true;
      this.handOver(); // for the checkpoint that ends the recovery
      return LIFE_MS;
    }
    this.#log = this.#openLog();
    return undefined;
  }

  /** Asks for the log's life when there is something to write; refuses that if it cannot begin. */
  #awaitLife(state: number): number | undefined {
    const { control } = this.#memory;
    if (state === CLOSING) {
      this.#writer.refusal = "closed";
      return undefined;
    }
    if (!this.#inbox.waits) return IDLE_MS;
    this.#askedForLife ??= askForLife(control);
    const code = lifeRefusal(control, this.#askedForLife);
    if (code === undefined) return LIFE_MS;
    this.#askedForLife = undefined;
    this.#writer.refusal = code;
    while (this.#writer.gather()) this.#writer.finish(() => {});
    this.#writer.refusal = undefined;
    return 0;
  }

  #openLog(): File {
    const path = logPathOf(this.#data.path);
    const log = runtime.openFile(path, { write: true, create: false, noFollow: true });
    try {
      if (!log.lock(false)) {
        throw new ManifoldError("locked", `${path} is locked by another process`);
      }
      this.#salt.set(readLogHeader(log, this.#memory.checksum).salt);
      return log;
    } catch (error) {
      log.close();
      throw error;
    }
  }

  close(): void {
    this.#writer.close();
    this.#memory.leave();
    this.#log?.close();
    this.#memory.file.close();
    setWorkerState(this.#memory.control, this.#data.worker, WORKER_ENDED);
  }

  /** To be called while the worker waits for a checkpoint, which may wait for it. */
  handOver(): void {
    if (this.#writer.handOver()) bumpAndWake(this.#memory.control.words, KEEPER_WAKE);
  }

  /** To be called before the worker waits for a checkpoint: that may wait for workers who wait for frames. */
  #giveFramesBack(): void {
    const { stock, frames } = this.#memory.store;
    for (const frame of stock.splice(0)) frames.giveBack(frame);
  }

  /** Notes so many bytes, and what the reading of pages has left since. */
  #noteGarbage(bytes: number): void {
    const { misses } = this.#memory.store;
    const pages = misses - this.#misses;
    this.#misses = misses;
    noteGarbage(bytes + pages * PAGE_GARBAGE_BYTES);
  }

  #failed(): boolean {
    return databaseState(this.#memory.control) === FAILED;
  }

  #commitRound(): void {
    const writer = this.#writer;
    const slots = writer.sealedSlots;
    const code = this.#makeDurable(slots);
    if (code === undefined) writer.finish(() => this.#onPublish(slots));
    else writer.abandon(code);
    this.#wakeKeeperIfDue();
  }

  /** Goes on with a transaction over several families; how long it may sleep then, in ms. */
  #coordinate(): number {
    const writer = this.#writer;
    const coordinator = this.#coordinator;
    const outcome = coordinator.step();
    if (outcome === "waits") return IDLE_MS;
    if (outcome !== "agreed") {
      writer.refuseJoint(outcome);
      coordinator.end(false);
      return 0;
    }
    const slots = coordinator.changedSlots;
    const code = this.#makeDurable(slots);
    if (code === undefined) writer.finishJoint(slots, () => this.#onPublish(slots));
    else writer.refuseJoint({ code, detail: 0, result: 0 });
    coordinator.end(code === undefined);
    this.#wakeKeeperIfDue();
    this.#noteGarbage(ROUND_GARBAGE_BYTES + writer.record.length);
    return 0;
  }

  /** Has the round on the disk, as far as anybody asked for that; the code with which it has to be given up. */
  #makeDurable(slots: readonly number[]): ErrorCode | undefined {
    const writer = this.#writer;
    if (writer.bypass) return slots.length === 0 ? undefined : this.#bypass(slots);
    if (writer.record.parts === 0 || this.#log === undefined) return undefined;
    if (!writer.isLogged) {
      const code = this.#write(this.#log);
      if (code !== undefined) return code;
    }
    const isThere = writer.needsSync
      ? this.#awaitDurable(this.#log, this.#end)
      : this.#awaitWritten(this.#end);
    return isThere ? undefined : "failed";
  }

  /** Under the publish lock. */
  #onPublish(slots: readonly number[]): void {
    if (this.#writer.bypass) {
      for (const slot of slots) this.#memory.slots.setPrivateVersion(slot, -1);
    } else if (this.#log !== undefined) {
      this.#commit.published(this.#data.worker);
    }
  }

  #wakeKeeperIfDue(): void {
    const commit = this.#commit;
    const { control } = this.#memory;
    const isDue = this.#log !== undefined && commit.usedBytes > commit.checkpointBytes;
    if (isDue && !checkpointRuns(control)) bumpAndWake(control.words, KEEPER_WAKE);
  }

  /** The keeper syncs while this worker goes on; it may be busy, then this worker syncs later as always. */
  #writeEarly(): void {
    const code = this.#write(this.#log!);
    if (code !== undefined) throw new ManifoldError(code, "the log cannot be written");
    bumpAndWake(this.#memory.control.words, KEEPER_WAKE);
  }

  /** The record cannot be taken back: others may stand behind it, and it may be durable. */
  #void(): void {
    const log = this.#log!;
    const commit = this.#commit;
    const { record } = this.#writer;
    const length = this.#length;
    const header = record.voidHeader(this.#position, length, this.#life(), this.#memory.checksum);
    writeAtPosition(log, commit.capacity, this.#position, header);
    for (;;) {
      const seen = commit.durableWord;
      if (commit.tryLeadAgain()) break;
      if (this.#failed()) throw new ManifoldError("failed", "another worker has failed");
      sleepWhile(this.#memory.control.words, LOG_DURABLE, seen, 5);
    }
    commit.lead(log);
    commit.published(this.#data.worker);
  }

  #life(): RecordLife {
    return {
      salt: this.#salt,
      generation: durableGeneration(this.#memory.control),
      durable: this.#commit.durable,
    };
  }

  /**
   * Writes the round's record; the code with which the round has to be given up.
   * @throws {ManifoldError} `failed` if there is a gap in the log now, which no record behind it survives.
   */
  #write(log: File): ErrorCode | undefined {
    const { checksum } = this.#memory;
    const writer = this.#writer;
    const commit = this.#commit;
    const { worker } = this.#data;
    const length = writer.record.length;
    const position = this.#reserve(log, length);
    if (typeof position !== "number") return position;
    const record = writer.record.finish(position, this.#life(), checksum);
    try {
      writeAtPosition(log, commit.capacity, position, record);
    } catch (error) {
      if (!(error instanceof ManifoldError)) throw error;
      if (this.#takeBack(log, position, length)) return error.code;
      throw new ManifoldError(
        "failed",
        `a record could not be written, and others stand behind it in the log: ${error.message}`,
        { cause: error },
      );
    }
    commit.written(worker);
    this.#position = position;
    this.#length = length;
    this.#end = position + record.length;
    return undefined;
  }

  /** Takes back the place of a record that could not be written; false if that cannot be. */
  #takeBack(log: File, position: number, length: number): boolean {
    const commit = this.#commit;
    try {
      // It may be there all the same, and a recovery must not find what was refused.
      writeAtPosition(log, commit.capacity, position, NO_RECORD);
    } catch (error) {
      // Without room for the head of the record, there is none.
      if (!(error instanceof ManifoldError) || error.code !== "disk-full") return false;
    }
    return commit.cancel(this.#data.worker, position, length);
  }

  /** A place in the log; or the code with which the round has to be given up. */
  #reserve(log: File, bytes: number): number | ErrorCode {
    const commit = this.#commit;
    const { control } = this.#memory;
    let asked: number | undefined;
    for (;;) {
      if (this.#failed()) return "failed";
      const space = commit.spaceWord;
      const position = commit.reserve(this.#data.worker, bytes);
      if (position >= 0) return position;
      if (position === LOG_WANTS_FILLING) {
        try {
          commit.fill(log);
        } catch (error) {
          if (error instanceof ManifoldError) return error.code;
          throw error;
        }
        continue;
      }
      if (position === LOG_IS_FULL) {
        // Only a checkpoint makes room; if it cannot be made, waiting for it has no end.
        this.#giveFramesBack();
        asked ??= askForCheckpoint(control);
        const outcome = checkpointOutcome(control, asked);
        if (outcome === "done") asked = undefined;
        else if (outcome !== "pending") return outcome;
        this.handOver();
      }
      sleepWhile(control.words, LOG_SPACE, space, 20);
    }
  }

  /**
   * A crash of the process must not lose what is published: nothing before it may be missing. False
   * if the database failed meanwhile.
   */
  #awaitWritten(end: number): boolean {
    for (;;) {
      const seen = this.#commit.durableWord;
      if (this.#commit.isWritten(end)) return true;
      if (this.#failed()) return false;
      sleepWhile(this.#memory.control.words, LOG_DURABLE, seen, 5);
    }
  }

  /** False if the database failed meanwhile. */
  #awaitDurable(log: File, end: number): boolean {
    const commit = this.#commit;
    const { words } = this.#memory.control;
    for (;;) {
      const seen = commit.durableWord;
      switch (commit.tryLead(end)) {
        case "durable":
          return true;
        case "lead":
          commit.lead(log);
          break;
        case "wait":
          if (this.#failed()) return false;
          sleepWhile(words, LOG_DURABLE, seen, 5);
      }
    }
  }

  /** A transaction too large for the log becomes durable by a checkpoint that includes it. */
  #bypass(slots: readonly number[]): ErrorCode | undefined {
    const { control } = this.#memory;
    const writer = this.#writer;
    writer.announce(slots);
    this.#giveFramesBack();
    let number = askForCheckpoint(control);
    for (;;) {
      const seen = keeperAnswers(control);
      this.handOver();
      const outcome = checkpointOutcome(control, number);
      if (outcome === "done") break;
      if (outcome === "pending") {
        // A checkpoint may have pinned the versions, and go on: their pages have to stay where they are.
        if (this.#failed()) throw new ManifoldError("failed", "another worker has failed");
        sleepWhile(control.words, KEEPER_ANSWER, seen, 5);
        continue;
      }
      const fate = writer.withdraw(slots);
      if (fate === "durable") break;
      if (fate === "withdrawn") return outcome;
      // A checkpoint that has begun since the failed one has the versions, too: it decides.
      number = checkpointBegun(control);
    }
    return undefined;
  }

  #replay(): void {
    const { checksum } = this.#memory;
    const { meta, path, worker } = this.#data;
    const logPath = logPathOf(path);
    let log: File | undefined;
    const openLog = (): LogReader => {
      log = runtime.openFile(logPath, { write: false, create: false, noFollow: true });
      const { capacity } = readLogHeader(log, checksum);
      return new LogReader(log, capacity, (bytes) => this.#noteGarbage(bytes * REPLAY_GARBAGE));
    };
    let applied: boolean;
    try {
      applied = replay(
        this.#memory,
        openLog,
        (slot) => this.#writer.engine(slot),
        {
          path: logPath,
          salt: meta.salt,
          from: meta.logPosition,
          end: this.#commit.recoverEnd,
          worker,
        },
      );
    } finally {
      log?.close();
    }
    if (applied) recoveryDone(this.#memory.control);
  }
}
