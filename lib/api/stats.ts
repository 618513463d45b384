/**
 * Figures of column families and databases.
 *
 * @module
 */

import { newFamilyState } from "../memory/family_slots.ts";
import { Pins } from "../memory/pins.ts";
import { countThreads } from "../memory/threads.ts";
import { type KeptChangesStats, keptChangesStats } from "./changes.ts";
import type { FamilyAccess, OpenSession } from "./family_access.ts";

/**
 * Figures of a column family, as `ColumnFamily.stats` gives them.
 *
 * @example
 * ```ts
 * import { type FamilyStats, openInMemory } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const stats: FamilyStats = (await db.columnFamily("shop")).stats();
 * console.log(stats.tables); // 0
 * ```
 */
export interface FamilyStats {
  /** Its name. */
  readonly name: string;
  /** How many groups of transactions it has seen. */
  readonly version: number;
  /** Tables. */
  readonly tables: number;
  /** Frames of the cache that hold its pages, about. */
  readonly frames: number;
  /**
   * Pages of the file that its newest version does not use, and that are still held: by the last checkpoint,
   * or by snapshots, transactions and iterators. When it keeps growing, somebody holds an old version.
   */
  readonly retiredPages: number;
  /** What it keeps of its changes; undefined if it keeps none. */
  readonly changes: KeptChangesStats | undefined;
}

/**
 * Figures of the cache: a frame holds one page.
 *
 * @example
 * ```ts
 * import { type CacheStats, openInMemory } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const cache: CacheStats = db.stats().cache;
 * console.log(`${cache.free} of ${cache.frames} frames are free`);
 * ```
 */
export interface CacheStats {
  /** Bytes of all frames. */
  readonly bytes: number;
  /** All frames. */
  readonly frames: number;
  /** Frames that hold nothing. */
  readonly free: number;
  /** Frames that a thread is filling, or has in its own hands. */
  readonly owned: number;
  /** Frames with a page as it is in the file. */
  readonly clean: number;
  /** Frames with a page that is still to be written. */
  readonly dirty: number;
  /** Frames that some reader may still be looking at; free soon. */
  readonly limbo: number;
  /** How often a page had to make room for another one since the database was opened. */
  readonly evictions: number;
}

/**
 * A version that somebody holds, by a snapshot, a transaction or an iterator: the pages of that version, and
 * of later ones, cannot be used anew meanwhile.
 *
 * @example
 * ```ts
 * import { type HeldVersion, openInMemory } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * using snapshot = (await db.columnFamily("shop")).snapshot();
 * const held: HeldVersion = db.stats().oldestPin!;
 * console.log(held.family, held.version === snapshot.version); // "shop" true
 * ```
 */
export interface HeldVersion {
  /** The column family. */
  readonly family: string;
  /** The version. */
  readonly version: number;
  /** The number of the thread that holds it, among those that use the database; 0 opened it. */
  readonly thread: number;
  /** For how long, in ms. */
  readonly ageMs: number;
}

/**
 * Figures of a database, as `Database.stats` gives them. They are collected while others go on, and
 * need not fit together exactly.
 *
 * @example
 * ```ts
 * import { type DatabaseStats, openInMemory } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const stats: DatabaseStats = db.stats();
 * console.log(`${stats.families.length} column families, ${stats.pins} versions held`);
 * ```
 */
export interface DatabaseStats {
  /** The column families, sorted by the bytes of their names. */
  readonly families: readonly FamilyStats[];
  /** The cache. */
  readonly cache: CacheStats;
  /** Bytes that the log has room for; 0 while there is none. */
  readonly logBytes: number;
  /** Bytes of it that a recovery would have to read. */
  readonly logBytesUsed: number;
  /** Threads that use the database, its workers included. */
  readonly threads: number;
  /** Versions that snapshots, transactions and iterators hold. */
  readonly pins: number;
  /** The one of them that is held longest; undefined if none is. */
  readonly oldestPin: HeldVersion | undefined;
  /** Checkpoints since the database was opened: how many succeeded, and how many did not. */
  readonly checkpoints: { readonly done: number; readonly failed: number };
}

/** @throws {ManifoldError} as {@linkcode StateSource.read}. */
export function familyStats(access: FamilyAccess): FamilyStats {
  const { slots, epochs } = access.open.session.memory;
  const state = newFamilyState();
  epochs.enter();
  try {
    access.source.read(state);
  } finally {
    epochs.leave();
  }
  const changes = keptChangesStats(access);
  return {
    name: access.name,
    version: state.version,
    tables: state.tables - (changes === undefined ? 0 : 1),
    frames: slots.frames(access.slot),
    retiredPages: slots.retiredPages(access.slot),
    changes,
  };
}

/** Figures of the whole, for the given families. */
export function databaseStats(open: OpenSession, families: FamilyStats[]): DatabaseStats {
  const { session } = open;
  const { control, frames, shared } = session.memory;
  const { logBytes, logBytesUsed, checkpointsDone, checkpointsFailed } = session.stats();
  return {
    families,
    cache: {
      bytes: frames.limit * shared.pageSize,
      frames: frames.limit,
      ...frames.census(),
      evictions: frames.evictions,
    },
    logBytes,
    logBytesUsed,
    threads: countThreads(control),
    pins: Pins.count(control),
    oldestPin: oldestPin(open),
    checkpoints: { done: checkpointsDone, failed: checkpointsFailed },
  };
}

function oldestPin(open: OpenSession): HeldVersion | undefined {
  const { control, slots } = open.session.memory;
  const oldest = Pins.oldest(control);
  if (oldest === undefined) return undefined;
  const { family, version, thread, since } = oldest;
  const slot = slots.findId(family);
  return {
    family: slot < 0 ? "" : slots.name(slot),
    version,
    thread,
    ageMs: Math.max(0, Date.now() - since),
  };
}
