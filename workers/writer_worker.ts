/**
 * The loop of a writing worker: wait, let the writer apply what waits, append its record, wait until
 * it is durable, have it published.
 *
 * Invariants: a worker that waits for room in the log or for a checkpoint goes on handing its
 * families over, because that checkpoint may wait for it; every sleep has a time-out.
 *
 * @module
 */

import { Inbox } from "../lib/engine/inbox.ts";
import {
  awaitLifeAfter,
  LIFE_DORMANT,
  LIFE_RECOVERING,
  lifeOf,
  recoveryDone,
} from "../lib/engine/life.ts";
import { replay } from "../lib/engine/recovery.ts";
import type { ThreadMemory } from "../lib/engine/thread_memory.ts";
import { Writer } from "../lib/engine/writer.ts";
import { type ErrorCode, ManifoldError } from "../lib/errors.ts";
import { GroupCommit, LOG_IS_FULL, LOG_WANTS_FILLING } from "../lib/log/group_commit.ts";
import { logPathOf, LogReader, readLogHeader, writeAtPosition } from "../lib/log/log_file.ts";
import {
  DEATHS,
  KEEPER_ANSWER,
  KEEPER_WAKE,
  LOG_DURABLE,
  LOG_SPACE,
} from "../lib/memory/control.ts";
import { CLOSED, CLOSING, databaseState, FAILED } from "../lib/memory/database_state.ts";
import {
  askForCheckpoint,
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
import { runtime } from "../lib/runtime/runtime.ts";
import { hostState } from "../lib/runtime/threads.ts";
import type { File } from "../lib/storage/file.ts";
import { joinMemory, type WorkerData } from "./worker_data.ts";

/** How long a worker looks for the next request before it sleeps: about what falling asleep and waking costs, ms. */
const SPIN_MS = 0.03;
/** How long an idle worker sleeps before it looks whether its host still lives, ms. */
const IDLE_MS = 500;

export async function runWriter(data: WorkerData): Promise<void> {
  const memory = await joinMemory(data);
  const { control } = memory;
  setWorkerState(control, data.worker, WORKER_RUNNING);
  const loop = new WriterLoop(data, memory);
  try {
    if (loop.start()) await loop.run();
  } finally {
    loop.close();
    setWorkerState(control, data.worker, WORKER_ENDED);
  }
}

class WriterLoop {
  readonly #data: WorkerData;
  readonly #memory: ThreadMemory;
  readonly #commit: GroupCommit;
  readonly #inbox: Inbox;
  readonly #writer: Writer;
  readonly #salt = new Uint8Array(8);
  readonly #now = (): number => performance.now();
  /** Undefined when the database is in memory. */
  #log: File | undefined;

  constructor(data: WorkerData, memory: ThreadMemory) {
    this.#data = data;
    this.#memory = memory;
    this.#commit = new GroupCommit(memory.control, memory.thread);
    this.#inbox = new Inbox(memory.control, memory.rings[data.worker]);
    this.#writer = new Writer({
      control: memory.control,
      slots: memory.slots,
      extents: memory.extents,
      epochs: memory.epochs,
      pins: memory.pins,
      store: memory.store,
      completions: memory.completions,
      thread: memory.thread,
      inbox: this.#inbox,
      recordBytesMax: data.memoryFile === undefined ? data.logBytes / 4 : Infinity,
      now: this.#now,
    });
  }

  /** Waits until records may be appended; replays the log first if there is a recovery. */
  start(): boolean {
    const { control, checksum } = this.#memory;
    if (this.#data.memoryFile !== undefined) return true;
    if (!awaitLifeAfter(control, LIFE_DORMANT)) return false;
    if (lifeOf(control) === LIFE_RECOVERING) {
      this.#replay();
      if (!this.#serveUntilBegun()) return false;
    }
    const path = logPathOf(this.#data.path);
    this.#log = runtime.openFile(path, { write: true, create: false, noFollow: true });
    if (!this.#log.lock(false)) {
      throw new ManifoldError("locked", `${path} is locked by another process`);
    }
    this.#salt.set(readLogHeader(this.#log, checksum).salt);
    return true;
  }

  async run(): Promise<void> {
    const { control } = this.#memory;
    const { words } = control;
    const wake = workerWakeIndex(this.#data.worker);
    let deaths = Atomics.load(words, DEATHS);
    for (;;) {
      const seen = Atomics.load(words, wake);
      const state = databaseState(control);
      if (state === CLOSED || state === FAILED) return;
      this.#handOver();
      if (Atomics.load(words, DEATHS) !== deaths) {
        deaths = Atomics.load(words, DEATHS);
        this.#inbox.dropDead();
      }
      const leaseEnds = this.#writer.expireTurns();
      if (this.#writer.gather()) {
        this.#commitRound();
        continue;
      }
      if (state === CLOSING && !this.#writer.closed) {
        this.#writer.closed = true;
        setWorkerState(control, this.#data.worker, WORKER_DRAINED);
        bumpAndWake(words, KEEPER_WAKE);
      }
      // Now, while the callers are busy with the answers.
      while (Atomics.load(words, wake) === seen && this.#writer.reclaim());
      if (!spinWhile(words, wake, seen, SPIN_MS, this.#now)) continue;
      const ms = Math.min(IDLE_MS, Math.max(1, leaseEnds - performance.now()));
      sleepWhile(words, wake, seen, ms);
      if (Atomics.load(words, wake) === seen && await hostState(this.#data.host) !== "open") return;
    }
  }

  close(): void {
    this.#writer.close();
    this.#memory.leave();
    this.#log?.close();
    this.#memory.file.close();
  }

  #handOver(): void {
    if (this.#writer.handOver()) bumpAndWake(this.#memory.control.words, KEEPER_WAKE);
  }

  #failed(): boolean {
    return databaseState(this.#memory.control) === FAILED;
  }

  #commitRound(): void {
    const writer = this.#writer;
    if (writer.bypass) {
      this.#bypass();
    } else if (writer.record.parts === 0 || this.#log === undefined) {
      writer.finish(() => {});
    } else {
      this.#append(this.#log);
    }
  }

  #append(log: File): void {
    const { checksum } = this.#memory;
    const writer = this.#writer;
    const commit = this.#commit;
    const { worker } = this.#data;
    const length = writer.record.length;
    const position = this.#reserve(log, length);
    if (typeof position !== "number") {
      writer.abandon(position);
      return;
    }
    const record = writer.record.finish(
      position,
      {
        salt: this.#salt,
        generation: durableGeneration(this.#memory.control),
        durable: commit.durable,
      },
      checksum,
    );
    try {
      writeAtPosition(log, commit.capacity, position, record);
    } catch (error) {
      if (!(error instanceof ManifoldError) || !commit.cancel(worker, position, length)) {
        throw error;
      }
      writer.abandon(error.code);
      return;
    }
    commit.written(worker);
    const end = position + record.length;
    if (!(writer.needsSync ? this.#awaitDurable(log, end) : this.#awaitWritten(end))) {
      writer.abandon("failed");
      return;
    }
    writer.finish(() => commit.published(worker));
    if (commit.usedBytes > commit.checkpointBytes && !checkpointRuns(this.#memory.control)) {
      bumpAndWake(this.#memory.control.words, KEEPER_WAKE);
    }
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
        asked ??= askForCheckpoint(control);
        const outcome = checkpointOutcome(control, asked);
        if (outcome === "done") asked = undefined;
        else if (outcome !== "pending") return outcome;
        this.#handOver();
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
  #bypass(): void {
    const { control, slots } = this.#memory;
    const writer = this.#writer;
    const [slot] = writer.sealedSlots;
    if (slot === undefined) {
      writer.finish(() => {});
      return;
    }
    slots.setPrivateVersion(slot, slots.version(slot) + 1);
    const number = askForCheckpoint(control);
    for (;;) {
      const seen = keeperAnswers(control);
      this.#handOver();
      const outcome = checkpointOutcome(control, number);
      if (outcome === "done") {
        writer.finish(() => slots.setPrivateVersion(slot, -1));
        return;
      }
      if (outcome !== "pending" || this.#failed()) {
        slots.setPrivateVersion(slot, -1);
        writer.abandon(outcome === "pending" ? "failed" : outcome as ErrorCode);
        return;
      }
      sleepWhile(control.words, KEEPER_ANSWER, seen, 5);
    }
  }

  #replay(): void {
    const { checksum } = this.#memory;
    const { meta, path, worker } = this.#data;
    const logPath = logPathOf(path);
    const log = runtime.openFile(logPath, { write: false, create: false, noFollow: true });
    let applied: boolean;
    try {
      const { capacity } = readLogHeader(log, checksum);
      applied = replay(
        this.#memory,
        new LogReader(log, capacity),
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
      log.close();
    }
    recoveryDone(this.#memory.control, applied);
  }

  /** Serves the checkpoint that ends the recovery. */
  #serveUntilBegun(): boolean {
    const { control } = this.#memory;
    const { words } = control;
    const wake = workerWakeIndex(this.#data.worker);
    while (lifeOf(control) === LIFE_RECOVERING) {
      const seen = Atomics.load(words, wake);
      if (this.#failed()) return false;
      this.#handOver();
      sleepWhile(words, wake, seen, 10);
    }
    return !this.#failed();
  }
}
