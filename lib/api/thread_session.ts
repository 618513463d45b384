/**
 * The {@linkcode Session} of one thread: the host's, or an attached thread's.
 *
 * @module
 */

import type { ThreadMemory } from "../engine/thread_memory.ts";
import { ManifoldError } from "../errors.ts";
import { GroupCommit } from "../log/group_commit.ts";
import { KEEPER_ANSWER } from "../memory/control.ts";
import {
  CLOSED,
  CLOSING,
  databaseState,
  FAILED,
  failure,
  moveState,
  OPEN,
} from "../memory/database_state.ts";
import {
  askForCheckpoint,
  askToLeaveClean,
  checkpointCounts,
  checkpointOutcome,
  keeperAnswers,
  lastCheckpointFailure,
} from "../memory/keeper_state.ts";
import { keepAlive } from "../runtime/keep_alive.ts";
import { Client } from "./client.ts";
import { closedError } from "./request_error.ts";
import type { Host } from "./host.ts";
import { checkCheckpoint } from "./open_options.ts";
import type {
  CheckpointSettings,
  DatabaseHandle,
  Durability,
  Session,
  SessionSettings,
  SessionStats,
} from "./session.ts";

export interface ThreadSessionParts {
  readonly memory: ThreadMemory;
  readonly path: string;
  readonly readOnly: boolean;
  readonly durability: Durability;
  readonly handle: DatabaseHandle;
  readonly logBytes?: number;
  /** Only in the thread that opened the database. */
  readonly host?: Host;
  /** Gives back what the thread has. */
  readonly end: () => Promise<void>;
}

/** How often a waiting thread looks whether the database has failed. */
const LOOK_MS = 100;

export class ThreadSession implements Session {
  readonly memory: ThreadMemory;
  readonly path: string;
  readonly readOnly: boolean;
  readonly settings: SessionSettings;
  readonly client: Client | undefined;
  readonly #parts: ThreadSessionParts;
  readonly #commit: GroupCommit;

  constructor(parts: ThreadSessionParts) {
    this.#parts = parts;
    this.memory = parts.memory;
    this.path = parts.path;
    this.readOnly = parts.readOnly;
    this.settings = { durability: parts.durability };
    this.client = parts.readOnly ? undefined : new Client(parts.memory, parts.path);
    this.#commit = new GroupCommit(parts.memory.control, parts.memory.thread);
  }

  async requestCheckpoint(): Promise<void> {
    const { control } = this.memory;
    if (databaseState(control) === FAILED) throw failure(control, this.path);
    // Until the keeper runs, nothing was written; a database in memory has none.
    if (!this.#commit.hasBegun) return;
    const number = askForCheckpoint(control);
    const release = keepAlive();
    try {
      for (;;) {
        const seen = keeperAnswers(control);
        const outcome = checkpointOutcome(control, number);
        if (outcome === "done") return;
        const state = databaseState(control);
        if (state === FAILED) throw failure(control, this.path);
        if (outcome !== "pending") throw checkpointError(outcome, this.path);
        if (state === CLOSED) throw closedError(this.path);
        await this.#answer(seen);
      }
    } finally {
      release();
    }
  }

  configureCheckpoint(settings: CheckpointSettings): void {
    const { bytes, intervalMs } = checkCheckpoint(settings, this.#parts.logBytes ?? Infinity);
    const commit = this.#commit;
    commit.setCheckpoint(
      bytes ?? commit.checkpointBytes,
      intervalMs ?? commit.checkpointIntervalMs,
    );
  }

  handle(): DatabaseHandle {
    return this.#parts.handle;
  }

  stats(): SessionStats {
    const { done, failed } = checkpointCounts(this.memory.control);
    return {
      logBytes: this.#commit.hasBegun ? this.#commit.capacity : 0,
      logBytesUsed: this.#commit.hasBegun ? this.#commit.usedBytesNow : 0,
      checkpointsDone: done,
      checkpointsFailed: failed,
    };
  }

  /** The thread that opened the database has closed it, or is gone: nothing can be written any more. */
  hostGone(): void {
    moveState(this.memory.control, OPEN, CLOSED);
    moveState(this.memory.control, CLOSING, CLOSED);
  }

  async close(): Promise<void> {
    const { host } = this.#parts;
    let failed: ManifoldError | undefined;
    const release = keepAlive();
    try {
      if (host !== undefined) failed = await this.#closeDatabase(host);
      await this.#parts.end();
    } finally {
      release();
    }
    if (failed !== undefined) throw failed;
  }

  /** The last checkpoint leaves the file clean. Its failure is reported after everything is given back. */
  async #closeDatabase(host: Host): Promise<ManifoldError | undefined> {
    const { control } = this.memory;
    host.startWanted();
    if (!host.keeperStarted) {
      moveState(control, OPEN, CLOSED);
      return undefined;
    }
    // The keeper may be closing it, because a file is gone: that is to be told.
    if (!moveState(control, OPEN, CLOSING) && databaseState(control) !== CLOSING) return undefined;
    askToLeaveClean(control);
    for (;;) {
      const seen = keeperAnswers(control);
      const state = databaseState(control);
      if (state === FAILED) return failure(control, this.path);
      if (state === CLOSED) break;
      await this.#answer(seen);
    }
    const code = lastCheckpointFailure(control);
    return code === undefined ? undefined : checkpointError(code, this.path);
  }

  async #answer(seen: number): Promise<void> {
    const wait = Atomics.waitAsync(this.memory.control.words, KEEPER_ANSWER, seen, LOOK_MS);
    if (wait.async) await wait.value;
  }
}

function checkpointError(code: ManifoldError["code"], path: string): ManifoldError {
  return new ManifoldError(
    code,
    `${path}: the checkpoint could not be made (${code}). Nothing acknowledged is lost: it is in the ` +
      `log, which must stay beside the file. Make room or mend the disk, and open it again`,
  );
}
