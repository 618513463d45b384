/**
 * The loop of the keeper: recover if the log says so, begin the log's life, then make checkpoints by
 * size, by time, on request, and one last time at close.
 *
 * @module
 */

import { Keeper } from "../lib/engine/keeper.ts";
import {
  beginRecoveries,
  LIFE_BEGUN,
  LIFE_RECOVERING,
  recoveriesLeft,
  setLife,
} from "../lib/engine/life.ts";
import { settleFamilies } from "../lib/engine/recovery.ts";
import type { ThreadMemory } from "../lib/engine/thread_memory.ts";
import { type ErrorCode, ManifoldError } from "../lib/errors.ts";
import { GroupCommit } from "../lib/log/group_commit.ts";
import { logPathOf, LogReader, readLogHeader } from "../lib/log/log_file.ts";
import { scanLog } from "../lib/log/recovery_scan.ts";
import { KEEPER_WAKE, LOG_DURABLE, LOG_SPACE } from "../lib/memory/control.ts";
import { CLOSED, CLOSING, databaseState, FAILED, moveState } from "../lib/memory/database_state.ts";
import { checkpointIsAsked, shallLeaveClean } from "../lib/memory/keeper_state.ts";
import { bumpAndWake, sleepWhile } from "../lib/memory/waiting.ts";
import {
  allDrained,
  countStarted,
  retireIdleWorkers,
  wakeAllWorkers,
  wantWorker,
} from "../lib/memory/worker_table.ts";
import { directoryOf } from "../lib/runtime/paths.ts";
import { runtime } from "../lib/runtime/runtime.ts";
import { hostState } from "../lib/runtime/threads.ts";
import type { File } from "../lib/storage/file.ts";
import { joinMemory, type WorkerData } from "./worker_data.ts";

/** How long eventual commits may stay unsynced, ms. */
const SYNC_WITHIN_MS = 100;
/** How long an idle keeper sleeps before it looks whether its host still lives, ms. */
const IDLE_MS = 500;
/** After a checkpoint failed, the next one by size or time waits so long, ms. */
const RETRY_MS = 1000;

export async function runKeeper(data: WorkerData): Promise<void> {
  const memory = await joinMemory(data);
  const logPath = logPathOf(data.path);
  const kind = runtime.kind(logPath);
  if (kind !== undefined && kind !== "file") {
    throw new ManifoldError(
      "corrupt",
      `${logPath} is a ${kind}, where the database's log should be; move it away`,
    );
  }
  const log = runtime.openFile(logPath, { write: true, create: !data.recover, noFollow: true });
  const loop = new KeeperLoop(data, memory, log);
  try {
    if (!log.lock(false)) throw new ManifoldError("locked", `${logPath} is locked`);
    if (data.recover) loop.recover();
    loop.begin();
    await loop.run();
  } finally {
    memory.leave();
    log.close();
    memory.file.close();
  }
}

class KeeperLoop {
  readonly #data: WorkerData;
  readonly #memory: ThreadMemory;
  readonly #commit: GroupCommit;
  readonly #keeper: Keeper;
  readonly #log: File;
  readonly #logPath: string;

  constructor(data: WorkerData, memory: ThreadMemory, log: File) {
    this.#data = data;
    this.#memory = memory;
    this.#commit = new GroupCommit(memory.control, memory.thread);
    this.#keeper = new Keeper(memory, this.#commit, data.meta);
    this.#log = log;
    this.#logPath = logPathOf(data.path);
  }

  /** Applies the log through the families' workers, and makes the result durable. */
  recover(): void {
    const { control, checksum } = this.#memory;
    const { meta, shared } = this.#data;
    this.#keeper.rewriteMeta();
    const { capacity } = readLogHeader(this.#log, checksum);
    const scan = scanLog(new LogReader(this.#log, capacity), meta.logPosition, {
      path: this.#logPath,
      salt: meta.salt,
      generation: meta.generation,
      checksum,
    });
    const busy = settleFamilies(this.#memory, scan, shared.rings.length, this.#data.path);
    this.#commit.begin(capacity, capacity);
    this.#commit.setRecoverEnd(scan.end);
    for (const worker of busy) wantWorker(control, worker);
    beginRecoveries(control, countStarted(control), busy.size);
    setLife(control, LIFE_RECOVERING);
    for (;;) {
      const seen = Atomics.load(control.words, KEEPER_WAKE);
      if (recoveriesLeft(control) === 0) break;
      this.#checkNotFailed();
      sleepWhile(control.words, KEEPER_WAKE, seen, 100);
    }
    this.#checkpoint(true);
  }

  begin(): void {
    const salt = crypto.getRandomValues(new Uint8Array(8));
    this.#keeper.beginLife(this.#log, this.#data.logBytes, salt, () => {
      runtime.syncDirectory(directoryOf(this.#logPath));
    });
    setLife(this.#memory.control, LIFE_BEGUN);
  }

  async run(): Promise<void> {
    const { control } = this.#memory;
    const { words } = control;
    const commit = this.#commit;
    let lastCheckpointAt = performance.now();
    let lastTail = -1;
    let failedAt = -Infinity;
    for (;;) {
      const seen = Atomics.load(words, KEEPER_WAKE);
      const state = databaseState(control);
      if (state === FAILED || state === CLOSED) return;
      this.#keeper.buryGhosts();
      const now = performance.now();
      const asked = checkpointIsAsked(control);
      const changed = commit.tail !== lastTail;
      const byTime = changed && now - lastCheckpointAt >= commit.checkpointIntervalMs;
      const bySize = commit.usedBytes > commit.checkpointBytes;
      const mayRetry = now - failedAt >= RETRY_MS;
      const closing = state === CLOSING && shallLeaveClean(control);
      if (closing) retireIdleWorkers(control);
      const last = closing && allDrained(control);
      if (asked || last || ((byTime || bySize) && mayRetry)) {
        const failure = this.#tryCheckpoint(last);
        if (last) {
          if (failure === undefined) this.#removeLog();
          moveState(control, CLOSING, CLOSED);
          return;
        }
        if (failure !== undefined) failedAt = now;
        lastTail = commit.recoverFrom();
        lastCheckpointAt = now;
        continue;
      }
      if (commit.durable < commit.tail) this.#syncLog(commit.tail, false);
      const pause = commit.durable < commit.tail ? SYNC_WITHIN_MS : IDLE_MS;
      const untilDue = changed ? commit.checkpointIntervalMs - (now - lastCheckpointAt) : 1000;
      sleepWhile(words, KEEPER_WAKE, seen, Math.max(1, Math.min(pause, untilDue)));
      if (
        Atomics.load(words, KEEPER_WAKE) === seen && await hostState(this.#data.host) !== "open"
      ) {
        return;
      }
    }
  }

  /** Makes a checkpoint; returns the code with which it failed, if another may be tried. */
  #tryCheckpoint(clean: boolean): ErrorCode | undefined {
    try {
      this.#checkpoint(clean);
      return undefined;
    } catch (error) {
      if (error instanceof ManifoldError && error.code !== "failed") return error.code;
      throw error;
    }
  }

  #checkpoint(clean: boolean): void {
    const { control } = this.#memory;
    const keeper = this.#keeper;
    const checkpoint = keeper.begin();
    try {
      wakeAllWorkers(control);
      bumpAndWake(control.words, LOG_SPACE);
      for (;;) {
        const seen = Atomics.load(control.words, KEEPER_WAKE);
        if (keeper.isHandedOver(checkpoint)) break;
        this.#checkNotFailed();
        sleepWhile(control.words, KEEPER_WAKE, seen, 50);
      }
      keeper.writePages(checkpoint);
      this.#syncLog(checkpoint.logEnd, true);
      keeper.end(checkpoint, clean);
    } catch (error) {
      keeper.fail(checkpoint, error instanceof ManifoldError ? error.code : "failed");
      throw error;
    }
  }

  /** Makes the log durable up to `end`; if not `wait`ing, only if nobody else is at it. */
  #syncLog(end: number, wait: boolean): void {
    const { words } = this.#memory.control;
    const commit = this.#commit;
    for (;;) {
      const seen = commit.durableWord;
      const role = commit.tryLead(end);
      if (role === "durable") return;
      if (role === "lead") commit.lead(this.#log);
      else if (!wait) return;
      else {
        this.#checkNotFailed();
        sleepWhile(words, LOG_DURABLE, seen, 5);
      }
    }
  }

  #checkNotFailed(): void {
    if (databaseState(this.#memory.control) === FAILED) {
      throw new ManifoldError("failed", "another worker has failed");
    }
  }

  /** A clean database needs no log. */
  #removeLog(): void {
    this.#log.close();
    runtime.remove(this.#logPath);
    runtime.syncDirectory(directoryOf(this.#logPath));
  }
}
