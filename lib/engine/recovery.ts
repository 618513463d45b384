/**
 * Recovery: what a log says becomes pages again. The keeper decides what every family in the log is
 * (known, new, deleted); then each worker applies the records of its families, in parallel with the
 * others.
 *
 * Invariants: a record of a version that a family contains already is skipped, and otherwise its version
 * must be the next one; the log is only read; recovery can be interrupted and repeated at any point.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import type { LogReader } from "../log/log_file.ts";
import { type OperationMemory, operationMemory } from "../log/operations.ts";
import { alignRecord, readRecordHeader, type RecordHeader, recordParts } from "../log/record.ts";
import { type LogScan, readRecord } from "../log/recovery_scan.ts";
import { NEXT_FAMILY_ID, PUBLISH_LOCK } from "../memory/control.ts";
import { FAMILY_CREATING, FAMILY_GHOST, FAMILY_LIVE } from "../memory/family_slots.ts";
import { SpinLock } from "../memory/spin_lock.ts";
import type { FamilyEngine } from "./family.ts";
import type { ThreadMemory } from "./thread_memory.ts";

/**
 * The keeper's part: takes slots for families that the log makes, gives up those that it deletes, and
 * says in the slots what the log has. Returns the workers that have something to apply.
 *
 * @throws {ManifoldError} `corrupt`.
 */
export function settleFamilies(
  memory: ThreadMemory,
  scan: LogScan,
  workers: number,
  path: string,
): Set<number> {
  const { slots, control, thread } = memory;
  const busy = new Set<number>();
  slots.lock.acquire(thread);
  try {
    for (const [id, inLog] of scan.families) {
      if (Atomics.load(control.words, NEXT_FAMILY_ID) <= id) {
        Atomics.store(control.words, NEXT_FAMILY_ID, id + 1);
      }
      let slot = slots.findId(id);
      if (inLog.dropped) {
        // Its space is free once the checkpoint that ends the recovery, without it, is durable.
        if (slot >= 0) slots.setState(slot, FAMILY_GHOST);
        continue;
      }
      if (slot < 0) {
        if (inLog.name === undefined) {
          throw new ManifoldError(
            "corrupt",
            `${path}: the log has changes of family ${id}, which the file does not know; restore a backup`,
          );
        }
        if (slots.find(inLog.name) >= 0) {
          throw new ManifoldError(
            "corrupt",
            `${path}: the log makes a second column family "${inLog.name}"; restore a backup`,
          );
        }
        slot = slots.take(id, inLog.name, id % workers, FAMILY_CREATING);
      }
      if (inLog.last <= slots.version(slot)) continue;
      slots.setRecoverTo(slot, inLog.last);
      busy.add(slots.worker(slot));
    }
  } finally {
    slots.lock.release();
  }
  return busy;
}

export interface ReplayOptions {
  readonly path: string;
  readonly salt: Uint8Array;
  readonly worker: number;
  /** The positions between which the keeper has found records. */
  readonly from: number;
  readonly end: number;
  /** Bytes of the log that are in memory at once, if not as many as usual. */
  readonly pieceBytes?: number;
}

/**
 * So much of the log a worker has in memory at once, in bytes: the writes in it are applied in the order of their keys.
 */
const PIECE_BYTES = 16 * 2 ** 20;
/** Of so many families writes wait at once. */
const WAITING_FAMILIES_MAX = 256;

/**
 * A worker's part: applies to each of its families everything that the log has for it, as one group.
 * Says whether there was anything.
 *
 * @throws {ManifoldError} `corrupt`, `io`, `disk-full`, `too-large`.
 */
export function replay(
  memory: ThreadMemory,
  openLog: () => LogReader,
  engine: (slot: number) => FamilyEngine,
  options: ReplayOptions,
): boolean {
  const { slots } = memory;
  const families: FamilyEngine[] = [];
  for (const slot of slots.used()) {
    if (slots.recoverTo(slot) === 0 || slots.worker(slot) !== options.worker) continue;
    families.push(engine(slot));
  }
  if (families.length === 0) return false;
  for (const family of families) family.beginReplay(slots.recoverTo(family.slot));
  new Replay(families, openLog(), options).run();
  for (const family of families) family.seal();
  publishAll(memory, families);
  for (const family of families) family.afterPublish();
  return true;
}

function publishAll({ slots, control, thread }: ThreadMemory, families: FamilyEngine[]): void {
  const lock = new SpinLock(control.words, PUBLISH_LOCK);
  lock.acquire(thread);
  try {
    for (const family of families) {
      family.publish();
      if (slots.state(family.slot) !== FAMILY_LIVE) slots.setState(family.slot, FAMILY_LIVE);
    }
  } finally {
    lock.release();
  }
}

/** Applies the log to families, a piece of it after the other. */
class Replay {
  readonly #families = new Map<number, FamilyEngine>();
  readonly #versions = new Map<number, number>();
  /** Those of which writes may wait, all in the piece. */
  readonly #waiting = new Set<FamilyEngine>();
  readonly #reader: LogReader;
  readonly #options: ReplayOptions;
  /** The piece of the log, and the position where its memory begins. */
  #piece: OperationMemory = operationMemory(new Uint8Array(0));
  #pieceFrom = 0;

  constructor(families: readonly FamilyEngine[], reader: LogReader, options: ReplayOptions) {
    for (const family of families) {
      this.#families.set(family.id, family);
      this.#versions.set(family.id, family.version);
    }
    this.#reader = reader;
    this.#options = options;
  }

  /** @throws {ManifoldError} */
  run(): void {
    const { path, salt, from, end, pieceBytes = PIECE_BYTES } = this.#options;
    const reader = this.#reader;
    reader.widen(Math.min(pieceBytes, end - from), end);
    reader.onMove = () => this.#applyGathered();
    for (let position = from; position < end;) {
      const record = readRecord(reader, position, salt, undefined);
      if (record === undefined) {
        throw new ManifoldError("io", `${path}: the log changed while it was read, at ${position}`);
      }
      const { header, bytes } = record;
      this.#usePiece(bytes, position);
      this.#apply(header, bytes.byteOffset);
      position += alignRecord(header.length);
    }
    this.#applyGathered();
  }

  /** Sees all of the memory that a record, at a position, was read to. */
  #usePiece({ buffer, byteOffset }: Uint8Array, position: number): void {
    if (this.#piece.u8.buffer !== buffer) this.#piece = operationMemory(new Uint8Array(buffer));
    this.#pieceFrom = position - byteOffset;
  }

  /** Applies a record that begins at `start` of the piece. */
  #apply(header: RecordHeader, start: number): void {
    const { path } = this.#options;
    const { position } = header;
    for (const part of recordParts(this.#piece.u8, header, path, start)) {
      const family = this.#families.get(part.family);
      if (family === undefined) continue;
      const contained = this.#versions.get(part.family)!;
      if (part.version <= contained) continue;
      if (part.version !== contained + 1) {
        throw new ManifoldError(
          "corrupt",
          `${path}: the log makes version ${part.version} of column family "${family.name}" at ` +
            `position ${position}, where ${contained + 1} should follow; restore a backup`,
        );
      }
      this.#versions.set(part.family, part.version);
      this.#wait(family);
      try {
        family.apply(this.#piece, part.from, part.to, null, part.version);
        family.endVersion();
      } catch (cause) {
        throw this.#failure(family, position, cause);
      }
    }
  }

  /** Writes of the family may wait from now on: not of too many, for each needs memory. */
  #wait(family: FamilyEngine): void {
    if (this.#waiting.has(family)) return;
    if (this.#waiting.size === WAITING_FAMILIES_MAX) this.#applyGathered();
    this.#waiting.add(family);
  }

  /** Applies the writes that wait, before the piece gives way to the next. */
  #applyGathered(): void {
    for (const family of this.#waiting) {
      try {
        family.applyGathered(this.#piece);
      } catch (cause) {
        throw this.#failure(family, this.#pieceFrom, cause);
      }
    }
    this.#waiting.clear();
  }

  /** What to throw when a record at a position, or one before of which a write has waited, could not be applied. */
  #failure(family: FamilyEngine, position: number, cause: unknown): ManifoldError {
    if (cause instanceof ManifoldError && cause.code !== "corrupt") return cause;
    const at = family.failedAt < 0 ? position : this.#recordOf(family.failedAt);
    const why = cause instanceof ManifoldError ? `: ${cause.message}` : "";
    return new ManifoldError(
      "corrupt",
      `${this.#options.path}: the log's record at position ${at} cannot be applied to column family ` +
        `"${family.name}"${why}; restore a backup`,
      { cause },
    );
  }

  /** The position of the record that holds a byte of the piece. */
  #recordOf(at: number): number {
    const { salt } = this.#options;
    const { u8 } = this.#piece;
    let position = this.#pieceFrom; // a piece begins with a record
    for (;;) {
      const start = position - this.#pieceFrom;
      const header = readRecordHeader(u8.subarray(start), position, salt);
      if (header === undefined || start + header.length > at) return position;
      position += alignRecord(header.length);
    }
  }
}
