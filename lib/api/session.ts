/**
 * What an open database is made of in one thread: what `open`, `openInMemory` and `attach` give to
 * {@linkcode Database}.
 *
 * @module
 */

import type { ThreadMemory } from "../engine/thread_memory.ts";
import type { Client } from "./client.ts";

/**
 * When a write is resolved.
 *
 * - `"immediate"`: when it is synced to the disk. It survives a crash of the machine.
 * - `"eventual"`: when it is in the log file; the next sync covers it. It survives a crash of the
 *   process, perhaps not of the machine; the order with immediate writes is kept.
 *
 * @example
 * ```ts
 * import { type Durability, openInMemory, text } from "@manifold/db";
 *
 * const durability: Durability = "eventual";
 * await using db = await openInMemory();
 * const log = (await db.columnFamily("log")).table("lines", { key: text, value: text });
 * await log.set("1", "started", { durability });
 * ```
 */
export type Durability = "immediate" | "eventual";

/**
 * How a write is done.
 *
 * @example
 * ```ts
 * import { openInMemory, text, type WriteOptions } from "@manifold/db";
 *
 * const options: WriteOptions = { durability: "eventual" };
 * await using db = await openInMemory();
 * const log = (await db.columnFamily("log")).table("lines", { key: text, value: text });
 * await log.set("1", "started", options);
 * ```
 */
export interface WriteOptions {
  /** When the write is resolved; what the database is configured for when not given. */
  readonly durability?: Durability;
}

/**
 * What another thread of the process needs to use the same open database: the result of
 * `Database.share`, to be sent there with `postMessage` and given to `attach`.
 *
 * @example
 * ```ts
 * import { type DatabaseHandle, openInMemory } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const handle: DatabaseHandle = db.share();
 * console.log(handle.path);
 * ```
 */
export interface DatabaseHandle {
  /** Where the database is. */
  readonly path: string;
  /** The shared memory and what else `attach` needs; not for other use. */
  readonly parts: unknown;
}

/** What of a session can be changed while it is open. */
export interface SessionSettings {
  durability: Durability;
}

/**
 * When checkpoints are made: whichever comes first.
 *
 * @example
 * ```ts
 * import { type CheckpointSettings, openInMemory } from "@manifold/db";
 *
 * const checkpoint: CheckpointSettings = { intervalMs: 10_000 };
 * await using db = await openInMemory();
 * db.configure({ checkpoint });
 * ```
 */
export interface CheckpointSettings {
  /** Bytes of log after which one is made. */
  readonly bytes?: number;
  /** Milliseconds after which one is made, if there is anything to do. */
  readonly intervalMs?: number;
}

/** Figures that the session knows. */
export interface SessionStats {
  readonly logBytes: number;
  readonly logBytesUsed: number;
  readonly checkpointsDone: number;
  readonly checkpointsFailed: number;
}

/** One thread's part of an open database. */
export interface Session {
  readonly memory: ThreadMemory;
  /** Where the database is, for messages too. */
  readonly path: string;
  readonly readOnly: boolean;
  readonly settings: SessionSettings;
  /** Undefined when the database is opened for reading only. */
  readonly client: Client | undefined;
  /** Makes a checkpoint, or has one made, of all that is published; resolves when it is durable. */
  requestCheckpoint(): Promise<void>;
  /** Takes effect for the whole database; the values are checked. */
  configureCheckpoint(settings: CheckpointSettings): void;
  handle(): DatabaseHandle;
  stats(): SessionStats;
  /** Called once, when the client is idle and this thread holds no pin any more. */
  close(): Promise<void>;
}
