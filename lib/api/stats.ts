/**
 * Figures of column families and databases.
 *
 * @module
 */

import { newFamilyState } from "../memory/family_slots.ts";
import { Pins } from "../memory/pins.ts";
import { readStatistics } from "../memory/statistics.ts";
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
 * How many groups were of one size. What waits for a column family is committed together, as one group: one record of
 * the log and, unless all of it is `eventual`, one wait for a sync.
 *
 * @example
 * ```ts
 * import { type GroupSize, openInMemory, text, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
 * await Promise.all(["apples", "pears", "plums"].map((name) => stock.set(name, 1)));
 * const sizes: readonly GroupSize[] = db.stats().groupSizes;
 * for (const { upTo, groups } of sizes) console.log(`${groups} of up to ${upTo} transactions`);
 * ```
 */
export interface GroupSize {
  /** The most transactions that such a group has: a power of two. It has more than half of that. */
  readonly upTo: number;
  /** How many such groups there were. */
  readonly groups: number;
}

/**
 * How many durations were measured, and how they are spread. They are kept in buckets: a percentile is right within
 * 3.2 % or 0.5 µs, whichever is more; `max` is exact. All are 0 when there are none.
 *
 * @example
 * ```ts
 * import { type Durations, openInMemory, text, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
 * await stock.set("apples", 3);
 * const { count, p50, p99 }: Durations = db.stats().commitMs;
 * console.log(`${count} commits, half of them within ${p50} ms, 99 % within ${p99} ms`);
 * ```
 */
export interface Durations {
  /** How many. */
  readonly count: number;
  /** Half of them took at most so long, ms. */
  readonly p50: number;
  /** 95 % of them took at most so long, ms. */
  readonly p95: number;
  /** 99 % of them took at most so long, ms. */
  readonly p99: number;
  /** The longest, ms; one above 2147 s counts as that in the percentiles. */
  readonly max: number;
}

/**
 * Figures of a database, as `Database.stats` gives them. They are collected while others go on, and
 * need not fit together exactly. What is counted is of all threads together, since the database was opened.
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
  /**
   * Transactions, batches and single writes that were answered as committed. A transaction that has written nothing is not
   * among them; a write that found nothing to change, such as the deletion of an absent key, is.
   */
  readonly commits: number;
  /** Attempts of transactions that were refused, because what they had read has changed. */
  readonly conflicts: number;
  /** How often the function of a transaction was run once more. */
  readonly retries: number;
  /**
   * Transactions that ended without a try to commit them, or with none left: their function threw or called `abort()`, their
   * `timeoutMs` was over, their `signal` was aborted.
   */
  readonly aborts: number;
  /**
   * How many transactions were committed together, the sizes in ascending order up to the largest. The more callers
   * write at once, the larger the groups, and the fewer syncs a commit costs. Transactions that have met a conflict and
   * were run one on top of the other count as one here, and in `commitMs`.
   */
  readonly groupSizes: readonly GroupSize[];
  /** How long the syncs of the log took, by which commits become durable; none in memory. */
  readonly syncMs: Durations;
  /**
   * How long commits took, from their submission to their answer in the thread that asked. That includes the wait for
   * those before them, for room and for the sync, and not the run of a transaction's function.
   */
  readonly commitMs: Durations;
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
  const { commits, conflicts, retries, aborts, groups, syncs, latencies } = readStatistics(control);
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
    commits,
    conflicts,
    retries,
    aborts,
    groupSizes: groups.map((count, i) => ({ upTo: 2 ** i, groups: count })),
    syncMs: syncs,
    commitMs: latencies,
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
