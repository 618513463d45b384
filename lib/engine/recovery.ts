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
import { alignRecord, recordParts } from "../log/record.ts";
import { type LogScan, readRecord } from "../log/recovery_scan.ts";
import { NEXT_FAMILY_ID, PUBLISH_LOCK } from "../memory/control.ts";
import { FAMILY_CREATING, FAMILY_GHOST, FAMILY_LIVE } from "../memory/family_slots.ts";
import { SpinLock } from "../memory/spin_lock.ts";
import type { FamilyEngine } from "./family.ts";
import { operationMemory } from "../log/operations.ts";
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
}

/**
 * A worker's part: applies to each of its families everything that the log has for it, as one group.
 * Says whether there was anything.
 *
 * @throws {ManifoldError} `corrupt`, `io`, `disk-full`.
 */
export function replay(
  memory: ThreadMemory,
  openLog: () => LogReader,
  engine: (slot: number) => FamilyEngine,
  options: ReplayOptions,
): boolean {
  const { slots, control, thread } = memory;
  const { path, salt, worker } = options;
  const engines = new Map<number, FamilyEngine>();
  const versions = new Map<number, number>();
  for (const slot of slots.used()) {
    const last = slots.recoverTo(slot);
    if (last === 0 || slots.worker(slot) !== worker) continue;
    const family = engine(slot);
    versions.set(family.id, family.version);
    family.beginGroup(last);
    engines.set(family.id, family);
  }
  if (engines.size === 0) return false;
  const reader = openLog();
  for (let position = options.from; position < options.end;) {
    const record = readRecord(reader, position, salt, undefined);
    if (record === undefined) {
      throw new ManifoldError("io", `${path}: the log changed while it was read, at ${position}`);
    }
    const { header, bytes } = record;
    for (const part of recordParts(bytes, header, path)) {
      const family = engines.get(part.family);
      if (family === undefined) continue;
      const contained = versions.get(part.family)!;
      if (part.version <= contained) continue;
      if (part.version !== contained + 1) {
        throw new ManifoldError(
          "corrupt",
          `${path}: the log makes version ${part.version} of column family "${family.name}" at ` +
            `position ${position}, where ${contained + 1} should follow; restore a backup`,
        );
      }
      versions.set(part.family, part.version);
      try {
        family.apply(operationMemory(bytes), part.from, part.to, null, part.version);
        family.endVersion();
      } catch (cause) {
        if (cause instanceof ManifoldError && cause.code !== "corrupt") throw cause;
        const why = cause instanceof ManifoldError ? `: ${cause.message}` : "";
        throw new ManifoldError(
          "corrupt",
          `${path}: the log's record at position ${position} cannot be applied to column family ` +
            `"${family.name}"${why}; restore a backup`,
          { cause },
        );
      }
    }
    position += alignRecord(header.length);
  }
  for (const family of engines.values()) family.seal();
  const lock = new SpinLock(control.words, PUBLISH_LOCK);
  lock.acquire(thread);
  try {
    for (const family of engines.values()) {
      family.publish();
      if (slots.state(family.slot) !== FAMILY_LIVE) slots.setState(family.slot, FAMILY_LIVE);
    }
  } finally {
    lock.release();
  }
  for (const family of engines.values()) family.afterPublish();
  return true;
}
