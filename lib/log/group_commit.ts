/**
 * Group commit: all workers append to one log, and one sync serves all that have appended.
 *
 * A worker reserves a place, writes its record there, and says that it is written. When it needs the
 * record durable and nobody is syncing, it becomes the leader: it syncs the file once, for everything
 * written before, moves the durable position and wakes the others; one of those that it did not serve
 * leads next. There is no timer: the next group forms while a sync runs.
 *
 * Positions are floating-point numbers (exact up to 2^53) in the control block, touched only under
 * the log's lock: tail, durable, head (the oldest position that recovery may need), capacity,
 * allocated (the ring is written or zero-filled up to here in its first lap), and how many workers may have a place.
 *
 * Invariants: the durable position is never moved over a place that was reserved but not written; a record
 * is never placed over one that recovery may need; a failed sync is final.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import {
  type Control,
  LOG_DURABLE,
  LOG_LEADER,
  LOG_LOCK,
  LOG_POSITIONS,
  LOG_SPACE,
  WORKERS_MAX,
} from "../memory/control.ts";
import { SpinLock } from "../memory/spin_lock.ts";
import { Statistics } from "../memory/statistics.ts";
import { bumpAndWake } from "../memory/waiting.ts";
import { unpublishedIndex, writingIndex } from "../memory/worker_table.ts";
import type { File } from "../storage/file.ts";
import { LOG_HEADER_BYTES } from "./log_file.ts";
import { alignRecord } from "./record.ts";

const TAIL = LOG_POSITIONS / 2;
const DURABLE = TAIL + 1;
const HEAD = TAIL + 2;
const CAPACITY = TAIL + 3;
const ALLOCATED = TAIL + 4;
const CHECKPOINT_BYTES = TAIL + 5;
const CHECKPOINT_INTERVAL = TAIL + 6;
const RECOVER_END = TAIL + 7;
const FILLING = TAIL + 8;
/** Workers that may have reserved a place: those before this one. */
const WORKERS_SEEN = TAIL + 9;

/** Who fills the ring: a worker (its number and one) with its record, or somebody with zeros ahead of all. */
const FILLING_AHEAD = -1;

/** The ring is zero-filled ahead in steps of so many bytes, so that syncs need not grow the file. */
const FILL_BYTES = 1024 * 1024;
/** A record from here on is written without filling first: it fills its own place. */
const LARGE_RECORD_BYTES = 64 * 1024;

/** No room: wait for a checkpoint. */
export const LOG_IS_FULL = -1;
/** Another thread is filling the ring ahead: wait for it. */
export const LOG_IS_FILLING = -2;
/** The caller must {@linkcode GroupCommit.fill} first. */
export const LOG_WANTS_FILLING = -3;

export class GroupCommit {
  readonly #control: Control;
  readonly #f64: Float64Array;
  readonly #lock: SpinLock;
  readonly #thread: number;
  readonly #statistics: Statistics;

  constructor(control: Control, thread: number) {
    this.#control = control;
    this.#f64 = control.f64;
    this.#lock = new SpinLock(control.words, LOG_LOCK);
    this.#thread = thread;
    this.#statistics = new Statistics(control, thread);
  }

  /** Begins a life of the log: empty, `allocated` bytes of the ring are in the file already. */
  begin(capacity: number, allocated: number): void {
    this.#locked(() => {
      const f64 = this.#f64;
      f64[TAIL] = f64[DURABLE] = f64[HEAD] = 0;
      f64[CAPACITY] = capacity;
      f64[ALLOCATED] = allocated >= capacity ? Infinity : allocated;
      f64[FILLING] = f64[WORKERS_SEEN] = 0;
      for (let worker = 0; worker < WORKERS_MAX; worker++) {
        f64[writingIndex(worker)] = f64[unpublishedIndex(worker)] = -1;
      }
    });
  }

  /** Where the records end that a recovery applies. */
  get recoverEnd(): number {
    return this.#f64[RECOVER_END];
  }

  setRecoverEnd(position: number): void {
    this.#f64[RECOVER_END] = position;
  }

  /** Bytes of log after which a checkpoint is due, and ms. */
  get checkpointBytes(): number {
    return this.#f64[CHECKPOINT_BYTES];
  }

  get checkpointIntervalMs(): number {
    return this.#f64[CHECKPOINT_INTERVAL];
  }

  setCheckpoint(bytes: number, intervalMs: number): void {
    this.#f64[CHECKPOINT_BYTES] = bytes;
    this.#f64[CHECKPOINT_INTERVAL] = intervalMs;
  }

  /** Whether the log's life has begun: there are a log and a keeper. */
  get hasBegun(): boolean {
    return this.#f64[CAPACITY] > 0;
  }

  get capacity(): number {
    return this.#f64[CAPACITY];
  }

  /**
   * A place for a record of `bytes`; or one of the reasons above, below zero. The caller then says
   * {@linkcode written} or {@linkcode cancel}.
   */
  reserve(worker: number, bytes: number): number {
    const size = alignRecord(bytes);
    return this.#locked(() => {
      const f64 = this.#f64;
      const tail = f64[TAIL];
      if (tail + size - f64[HEAD] > f64[CAPACITY]) return LOG_IS_FULL;
      if (tail + size > f64[ALLOCATED]) {
        if (f64[FILLING] !== 0) return LOG_IS_FILLING;
        if (size < LARGE_RECORD_BYTES && f64[ALLOCATED] < f64[CAPACITY]) {
          return LOG_WANTS_FILLING;
        }
        // It fills its place itself. Nobody comes behind it before that has worked: where the disk
        // is full, the place can be given back.
        f64[FILLING] = worker + 1;
      }
      if (f64[WORKERS_SEEN] <= worker) f64[WORKERS_SEEN] = worker + 1;
      f64[writingIndex(worker)] = tail;
      if (f64[unpublishedIndex(worker)] < 0) f64[unpublishedIndex(worker)] = tail;
      f64[TAIL] = tail + size;
      return tail;
    });
  }

  /**
   * Fills the next piece of the ring with zeros, if nobody else does. Nobody can reserve in it
   * meanwhile.
   */
  fill(file: File): void {
    const capacity = this.#f64[CAPACITY];
    const from = this.#locked(() => {
      const allocated = this.#f64[ALLOCATED];
      if (this.#f64[FILLING] !== 0 || allocated >= capacity) return -1;
      this.#f64[FILLING] = FILLING_AHEAD;
      return allocated;
    });
    if (from < 0) return;
    const to = Math.min(capacity, from + FILL_BYTES);
    let filled = from;
    try {
      file.write(LOG_HEADER_BYTES + from, new Uint8Array(to - from));
      filled = to;
    } finally {
      this.#locked(() => this.#filled(filled));
      bumpAndWake(this.#control.words, LOG_SPACE);
    }
  }

  /** The ring is in the file up to here, and nobody fills it. */
  #filled(to: number): void {
    this.#f64[ALLOCATED] = to >= this.#f64[CAPACITY] ? Infinity : to;
    this.#f64[FILLING] = 0;
  }

  /** The worker's record is in the file. */
  written(worker: number): void {
    const filled = this.#locked(() => {
      const f64 = this.#f64;
      f64[writingIndex(worker)] = -1;
      if (f64[FILLING] !== worker + 1) return false;
      this.#filled(f64[TAIL]);
      return true;
    });
    if (filled) bumpAndWake(this.#control.words, LOG_SPACE);
    bumpAndWake(this.#control.words, LOG_DURABLE);
  }

  /**
   * Whether everything before `end` is in the file: a record is of no use to a recovery that meets a
   * gap before it.
   */
  isWritten(end: number): boolean {
    return this.#locked(() => this.#writtenUpTo() >= end);
  }

  /**
   * Takes a reservation back whose record could not be written; false if another record was placed behind
   * it meanwhile, which cannot be where the ring was being filled: not for want of room, that is.
   */
  cancel(worker: number, position: number, bytes: number): boolean {
    const cancelled = this.#locked(() => {
      const f64 = this.#f64;
      if (f64[TAIL] !== position + alignRecord(bytes)) return false;
      f64[TAIL] = position;
      f64[writingIndex(worker)] = -1;
      f64[unpublishedIndex(worker)] = -1;
      if (f64[FILLING] === worker + 1) f64[FILLING] = 0;
      return true;
    });
    if (cancelled) bumpAndWake(this.#control.words, LOG_SPACE);
    return cancelled;
  }

  /**
   * What the worker has appended is published, which is said under the publish lock; or it was made a record that does
   * nothing.
   */
  published(worker: number): void {
    this.#locked(() => {
      this.#f64[unpublishedIndex(worker)] = -1;
    });
  }

  /** The word that changes when the durable position moves. */
  get durableWord(): number {
    return Atomics.load(this.#control.words, LOG_DURABLE);
  }

  /** The word that changes when room is made. */
  get spaceWord(): number {
    return Atomics.load(this.#control.words, LOG_SPACE);
  }

  get durable(): number {
    return this.#locked(() => this.#f64[DURABLE]);
  }

  get tail(): number {
    return this.#locked(() => this.#f64[TAIL]);
  }

  /** The same as {@linkcode usedBytes}, about, for a thread that must not wait for the lock. */
  get usedBytesNow(): number {
    return Math.max(0, this.#f64[TAIL] - this.#f64[HEAD]);
  }

  /** Bytes of the ring that recovery may need. */
  get usedBytes(): number {
    return this.#locked(() => this.#f64[TAIL] - this.#f64[HEAD]);
  }

  /** Where recovery must begin if every published state is kept: under the publish lock. */
  recoverFrom(): number {
    return this.#locked(() => {
      const f64 = this.#f64;
      let from = f64[TAIL];
      for (let worker = 0; worker < f64[WORKERS_SEEN]; worker++) {
        const at = f64[unpublishedIndex(worker)];
        if (at >= 0 && at < from) from = at;
      }
      return from;
    });
  }

  /** A durable checkpoint makes everything before `position` unnecessary. */
  freeUpTo(position: number): void {
    this.#locked(() => {
      this.#f64[HEAD] = Math.max(this.#f64[HEAD], position);
    });
    bumpAndWake(this.#control.words, LOG_SPACE);
  }

  /**
   * Takes the lead if the log is not durable up to `end`, all before `end` is written, and nobody
   * leads. The caller then must {@linkcode lead}.
   */
  tryLead(end: number): "durable" | "wait" | "lead" {
    return this.#locked(() => {
      // Nothing stands behind the tail, though something may have: a place can be taken back.
      const due = Math.min(end, this.#f64[TAIL]);
      if (this.#f64[DURABLE] >= due) return "durable";
      const words = this.#control.words;
      if (Atomics.load(words, LOG_LEADER) !== 0 || this.#writtenUpTo() < due) return "wait";
      Atomics.store(words, LOG_LEADER, this.#thread + 1);
      return "lead";
    });
  }

  /**
   * Takes the lead, whatever is durable, unless somebody leads: what stood in the log has been changed. The caller
   * then must {@linkcode lead}.
   */
  tryLeadAgain(): boolean {
    return this.#locked(() => {
      const words = this.#control.words;
      if (Atomics.load(words, LOG_LEADER) !== 0) return false;
      Atomics.store(words, LOG_LEADER, this.#thread + 1);
      return true;
    });
  }

  /**
   * Syncs once for all, and steps down.
   * @throws {ManifoldError} what the sync threw: the outcome of all commits in flight is unknown.
   */
  lead(file: File): void {
    const upTo = this.#locked(() => this.#writtenUpTo());
    const begun = performance.now();
    try {
      file.sync();
    } catch (cause) {
      // The lead is never given up: a later sync could succeed without what this one has lost.
      throw new ManifoldError(
        "failed",
        `${file.path} could not be synced: whether the commits in flight are durable is unknown`,
        { cause },
      );
    }
    this.#statistics.sync(performance.now() - begun);
    this.#locked(() => {
      this.#f64[DURABLE] = upTo;
    });
    Atomics.store(this.#control.words, LOG_LEADER, 0);
    // All are woken, so that one whose record came too late for this sync leads the next.
    bumpAndWake(this.#control.words, LOG_DURABLE);
  }

  /** The place of a worker that ended in the middle of writing stays a gap. */
  #writtenUpTo(): number {
    const f64 = this.#f64;
    let upTo = f64[TAIL];
    for (let worker = 0; worker < f64[WORKERS_SEEN]; worker++) {
      const at = f64[writingIndex(worker)];
      if (at >= 0 && at < upTo) upTo = at;
    }
    return upTo;
  }

  #locked<T>(work: () => T): T {
    this.#lock.acquire(this.#thread);
    try {
      return work();
    } finally {
      this.#lock.release();
    }
  }
}
