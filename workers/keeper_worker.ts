/**
 * The loop of the keeper: recover if the log says so, begin the log's life, then make checkpoints by
 * size, by time, on request, and one last time at close. {@linkcode KeeperLoop.step} is one round of it.
 *
 * Invariant: a log or a data file that does not stand at its path any more gets no more commits: what is
 * acknowledged goes into the data file by a last checkpoint, and the database turns to failed.
 *
 * @module
 */

import { Keeper, mayGoOn } from "../lib/engine/keeper.ts";
import {
  askForLife,
  beginRecoveries,
  LIFE_BEGUN,
  LIFE_DORMANT,
  LIFE_RECOVERING,
  lifeOf,
  recoveriesLeft,
  refuseLife,
  setLife,
  takeLifeAsked,
} from "../lib/engine/life.ts";
import { settleFamilies } from "../lib/engine/recovery.ts";
import type { ThreadMemory } from "../lib/engine/thread_memory.ts";
import { type ErrorCode, ManifoldError } from "../lib/errors.ts";
import { GroupCommit } from "../lib/log/group_commit.ts";
import { damageError } from "../lib/log/log_damage.ts";
import { logPathOf, LogReader, readOwnLogHeader } from "../lib/log/log_file.ts";
import { type LogScan, nothingOf, scanLog } from "../lib/log/recovery_scan.ts";
import { KEEPER_WAKE, LOG_DURABLE, LOG_SPACE } from "../lib/memory/control.ts";
import {
  CLOSED,
  CLOSING,
  databaseState,
  fail,
  FAILED,
  moveState,
  OPEN,
  recordFailure,
} from "../lib/memory/database_state.ts";
import { askToLeaveClean, checkpointIsAsked, shallLeaveClean } from "../lib/memory/keeper_state.ts";
import { bumpAndWake, sleepWhile } from "../lib/memory/waiting.ts";
import {
  allDrained,
  retireIdleWorkers,
  wakeAllWorkers,
  wantWorker,
} from "../lib/memory/worker_table.ts";
import { directoryOf } from "../lib/runtime/paths.ts";
import { collectGarbage, noteGarbage } from "../lib/runtime/garbage.ts";
import { runtime } from "../lib/runtime/runtime.ts";
import { hostState } from "../lib/runtime/threads.ts";
import type { File } from "../lib/storage/file.ts";
import type { WorkerData } from "./worker_data.ts";

/** How long eventual commits may stay unsynced, ms. */
const SYNC_WITHIN_MS = 100;
/** How long an idle keeper sleeps before it looks whether its host still lives, ms. */
const IDLE_MS = 500;
/** How often it looks whether the workers have applied the log, ms. */
const RECOVERY_MS = 100;
/** After a checkpoint failed, the next one by size or time waits so long, ms. */
const RETRY_MS = 1000;
/** How often the keeper looks whether the files still stand at their paths, ms. */
const LOOK_MS = 500;
/** What {@linkcode KeeperLoop.step} says at the end. */
export const ENDED = -1;
/** What a byte of the log leaves to the collector when it is looked through, if records are small. */
const SCAN_GARBAGE = 4;

export class KeeperLoop {
  readonly #data: WorkerData;
  readonly #memory: ThreadMemory;
  readonly #commit: GroupCommit;
  readonly #keeper: Keeper;
  readonly #logPath: string;
  #log: File | undefined;
  /** What names the log's file to the system. */
  #logIdentity: string | undefined;
  /** Whether commits that the log had, or may have had, are given up. */
  #isLossy = false;
  #lastCheckpointAt = performance.now();
  #failedAt = -Infinity;
  #lookedAt = performance.now();
  /** Which file is gone, once one is. */
  #lost: ManifoldError | undefined;

  constructor(data: WorkerData, memory: ThreadMemory) {
    this.#data = data;
    this.#memory = memory;
    this.#commit = new GroupCommit(memory.control, memory.thread);
    this.#keeper = new Keeper(memory, this.#commit, data.meta);
    this.#logPath = logPathOf(data.path);
    if (!data.recover) askForLife(memory.control); // the keeper is started by the first write
  }

  /** Opens the log, or makes it. */
  #openLog(): File {
    if (this.#log !== undefined) return this.#log;
    const path = this.#logPath;
    const kind = runtime.kind(path);
    if (kind !== undefined && kind !== "file") {
      throw new ManifoldError(
        "corrupt",
        `${path} is a ${kind}, where the database's log should be; move it away`,
      );
    }
    const create = !this.#data.recover || this.#data.acceptLogLoss;
    const log = runtime.openFile(path, { write: true, create, noFollow: true });
    try {
      if (!log.lock(false)) throw new ManifoldError("locked", `${path} is locked`);
      this.#logIdentity = runtime.identity(path);
    } catch (error) {
      log.close();
      throw error;
    }
    return this.#log = log;
  }

  close(): void {
    this.#memory.leave();
    this.#log?.close();
    this.#memory.file.close();
  }

  /** Has the families' workers apply the log. A log that is refused was only read, like the file. */
  #recover(): void {
    const { control } = this.#memory;
    const { shared } = this.#data;
    const log = this.#openLog();
    const { scan, capacity } = this.#scan(log);
    this.#isLossy = scan.damage !== undefined;
    // What the log has may only be in the system's cache. If this process is killed before its last meta page is
    // durable, the next one finds that page, shows what it leads to, and a power cut takes it back to the log.
    this.#keeper.sync(log);
    this.#keeper.rewriteMeta();
    const busy = settleFamilies(this.#memory, scan, shared.rings.length, this.#data.path);
    this.#commit.begin(capacity, capacity);
    this.#commit.setRecoverEnd(scan.end);
    for (const worker of busy) wantWorker(control, worker);
    beginRecoveries(control, busy.size);
    setLife(control, LIFE_RECOVERING);
  }

  /** What the log has; with its loss accepted, what can be read of it. */
  #scan(log: File): { scan: LogScan; capacity: number } {
    const { checksum, slots } = this.#memory;
    const { meta, acceptLogLoss, logBytes } = this.#data;
    let capacity: number;
    try {
      capacity = readOwnLogHeader(log, meta, checksum).capacity;
    } catch (error) {
      if (!acceptLogLoss || !(error instanceof ManifoldError) || error.code === "io") throw error;
      return { scan: nothingOf(meta.logPosition, error.message), capacity: logBytes };
    }
    const slotOf = (family: number): number => slots.findId(family);
    const reader = new LogReader(
      log,
      capacity,
      (bytes) => noteGarbage(bytes * SCAN_GARBAGE),
    );
    const scan = scanLog(reader, meta.logPosition, {
      path: this.#logPath,
      salt: meta.salt,
      generation: meta.generation,
      checksum,
      contained: (family) => slotOf(family) < 0 ? undefined : slots.version(slotOf(family)),
    });
    if (scan.damage !== undefined && !acceptLogLoss) {
      const nameOf = (family: number) =>
        slotOf(family) < 0 ? undefined : slots.name(slotOf(family));
      throw damageError(this.#logPath, scan, scan.damage, nameOf);
    }
    return { scan, capacity };
  }

  /**
   * Keeps a log that was given up, under another name: it may hold what somebody can still read, or
   * be another database's. The checkpoint that does without it is durable.
   */
  #setLogAside(): void {
    const path = this.#logPath;
    if (this.#openLog().size() === 0) return;
    let aside = `${path}-lost`;
    for (let n = 2; runtime.kind(aside) !== undefined; n++) aside = `${path}-lost-${n}`;
    runtime.rename(path, aside);
    this.#log!.close();
    this.#log = undefined;
  }

  #begin(): void {
    // A process that was killed may have left a clean meta page in the system's cache alone. The log's
    // new header is the end of what the page before it needs.
    if (!this.#data.recover) this.#keeper.rewriteMeta();
    this.#keeper.beginLife(this.#openLog(), this.#data.logBytes, () => {
      runtime.syncDirectory(directoryOf(this.#logPath));
    });
    setLife(this.#memory.control, LIFE_BEGUN);
  }

  async run(): Promise<void> {
    const { words } = this.#memory.control;
    for (;;) {
      const seen = Atomics.load(words, KEEPER_WAKE);
      const ms = this.step();
      if (ms === ENDED) return;
      if (ms === 0) continue;
      sleepWhile(words, KEEPER_WAKE, seen, ms);
      if (
        Atomics.load(words, KEEPER_WAKE) === seen && await hostState(this.#data.host) !== "open"
      ) {
        return;
      }
    }
  }

  /**
   * Does what there is to do. Returns how long it may sleep on its wake word, as it was before, in ms; 0 if
   * there may be more to do; {@linkcode ENDED}.
   */
  step(): number {
    const { control } = this.#memory;
    const state = databaseState(control);
    if (state === FAILED || state === CLOSED) return ENDED;
    const life = lifeOf(control);
    if (life === LIFE_DORMANT) return this.#stepDormant(state);
    if (life === LIFE_RECOVERING) {
      if (recoveriesLeft(control) > 0) return RECOVERY_MS;
      this.#checkpoint(true);
      if (this.#isLossy) this.#setLogAside();
      this.#begin();
      return 0;
    }
    const commit = this.#commit;
    const now = performance.now();
    this.#keeper.buryGhosts();
    this.#lookForFiles(state, now);
    const asked = checkpointIsAsked(control);
    const used = commit.usedBytes;
    const untilRetry = RETRY_MS - (now - this.#failedAt);
    const untilDue = commit.checkpointIntervalMs - (now - this.#lastCheckpointAt);
    const untilTimed = Math.max(untilDue, untilRetry);
    const byTime = used > 0 && untilTimed <= 0;
    const bySize = used > commit.checkpointBytes && untilRetry <= 0;
    const closing = state === CLOSING && shallLeaveClean(control);
    if (closing) retireIdleWorkers(control);
    if (closing && allDrained(control)) return this.#end();
    if (asked || byTime || bySize) {
      if (this.#tryCheckpoint(false) === undefined) this.#lastCheckpointAt = now;
      else this.#failedAt = now;
      return 0;
    }
    if (commit.durable < commit.tail) this.#syncLog(commit.tail, false);
    const pause = commit.durable < commit.tail ? SYNC_WITHIN_MS : IDLE_MS;
    return Math.max(1, Math.min(pause, used > 0 ? untilTimed : IDLE_MS));
  }

  /** Before the first write: a recovery, or the log's life when a worker asks for it. */
  #stepDormant(state: number): number {
    const { control } = this.#memory;
    if (this.#data.recover) {
      this.#recover();
      return 0;
    }
    if (state === CLOSING && shallLeaveClean(control)) {
      retireIdleWorkers(control);
      if (!allDrained(control)) return IDLE_MS;
      if (this.#log !== undefined) this.#removeLog(this.#log);
      moveState(control, CLOSING, CLOSED);
      return ENDED;
    }
    if (!takeLifeAsked(control)) return IDLE_MS;
    try {
      this.#begin();
    } catch (error) {
      // Only what a later attempt may find otherwise; the rest is told in full.
      if (!(error instanceof ManifoldError) || !["disk-full", "io"].includes(error.code)) {
        throw error;
      }
      refuseLife(control, error.code);
    }
    return 0;
  }

  /** The last checkpoint. */
  #end(): number {
    const { control } = this.#memory;
    const failure = this.#tryCheckpoint(true);
    if (failure === undefined) this.#removeLog(this.#log!);
    if (this.#lost !== undefined) fail(control, this.#lost);
    else moveState(control, CLOSING, CLOSED);
    return ENDED;
  }

  /**
   * A commit in a file that has no name is lost with the process. So nothing is written any more, and
   * what was acknowledged goes into the data file, which may still have a name, by a last checkpoint.
   */
  #lookForFiles(state: number, now: number): void {
    const { path, fileIdentity } = this.#data;
    if (state !== OPEN || now - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = now;
    const lost = this.#isAt(path, fileIdentity)
      ? this.#isAt(this.#logPath, this.#logIdentity) ? undefined : this.#logPath
      : path;
    if (lost === undefined) return;
    const { control } = this.#memory;
    this.#lost = new ManifoldError(
      "failed",
      `${lost} was moved, removed or replaced while the database was open, so no more commits are ` +
        "taken. What was acknowledged has been written to the data file, unless that file itself was removed: " +
        "it can be read until the database is closed; copy it before",
    );
    recordFailure(control, this.#lost);
    askToLeaveClean(control);
    moveState(control, OPEN, CLOSING);
  }

  #isAt(path: string, identity: string | undefined): boolean {
    try {
      return runtime.identity(path) === identity;
    } catch (error) {
      // What cannot be looked at for now, because of a directory's permissions perhaps, may be there.
      if (error instanceof ManifoldError) return true;
      throw error;
    }
  }

  /** Makes a checkpoint; returns the code with which it failed, if another may be tried. */
  #tryCheckpoint(clean: boolean): ErrorCode | undefined {
    try {
      this.#checkpoint(clean);
      return undefined;
    } catch (error) {
      if (mayGoOn(error)) return error.code;
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
      // Behind a final error the checkpoint may be in the file: what it has pinned stays so, and whoever waits for it hears
      // that the database has failed. Nobody may use its pages anew between the two.
      if (mayGoOn(error)) keeper.fail(checkpoint, error.code);
      throw error;
    }
    collectGarbage();
  }

  /** Makes the log durable up to `end`; if not `wait`ing, only if nobody else is at it. */
  #syncLog(end: number, wait: boolean): void {
    const { words } = this.#memory.control;
    const commit = this.#commit;
    for (;;) {
      const seen = commit.durableWord;
      const role = commit.tryLead(end);
      if (role === "durable") return;
      if (role === "lead") commit.lead(this.#log!);
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
  #removeLog(log: File): void {
    const isThere = this.#isAt(this.#logPath, this.#logIdentity);
    log.close();
    if (!isThere) return;
    try {
      runtime.remove(this.#logPath);
      runtime.syncDirectory(directoryOf(this.#logPath));
    } catch (error) {
      // The file says that it does not need the log; the next opening takes what is left of it over.
      if (!(error instanceof ManifoldError)) throw error;
    }
  }
}
