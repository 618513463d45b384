/**
 * The options of `open` and `openInMemory`, and their checks.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { LOG_BYTES_MAX, LOG_BYTES_MIN, LOG_BYTES_STEP } from "../log/log_file.ts";
import { WORKERS_MAX } from "../memory/control.ts";
import { runtime } from "../runtime/runtime.ts";
import type { WorkerHandle } from "../runtime/workers.ts";
import { PAGE_SIZE_MAX, PAGE_SIZE_MIN } from "../tree/page.ts";
import { describe } from "./codecs/describe.ts";
import type { CheckpointSettings, Durability } from "./session.ts";

/**
 * How far the recovery of a database has come.
 *
 * @example
 * ```ts
 * import { open, type RecoveryProgress } from "@manifold/db";
 *
 * const onProgress = (progress: RecoveryProgress) => {
 *   console.log(`${progress.done} of ${progress.total} column families recovered`);
 * };
 * console.log(typeof open, typeof onProgress);
 * ```
 */
export interface RecoveryProgress {
  /** Workers that have applied their part of the log. */
  readonly done: number;
  /** Workers that have a part; 0 while the log is still being read. */
  readonly total: number;
}

/**
 * Starts a worker thread that runs the module at `url` (the package's `./worker` entry) with `data` as
 * its `workerData` of `node:worker_threads`. For bundlers, which move that module.
 *
 * @example
 * ```ts
 * import type { SpawnWorker } from "@manifold/db";
 * import { Worker } from "node:worker_threads";
 *
 * const spawnWorker: SpawnWorker = (url, data) => {
 *   const worker = new Worker(url, { workerData: data });
 *   return {
 *     onError: (callback) => void worker.on("error", callback),
 *     onExit: (callback) => void worker.on("exit", callback),
 *     unref: () => worker.unref(),
 *     terminate: async () => void await worker.terminate(),
 *   };
 * };
 * console.log(typeof spawnWorker);
 * ```
 */
export type SpawnWorker = (url: URL, data: unknown) => WorkerHandle;

/**
 * Options of `openInMemory`.
 *
 * @example
 * ```ts
 * import { openInMemory } from "@manifold/db";
 *
 * await using db = await openInMemory({ cacheBytes: 64 * 2 ** 20 });
 * console.log(db.columnFamilies());
 * ```
 */
export interface InMemoryOptions {
  /** Bytes of a page: a power of two from 4 KiB to 64 KiB. Default: 8 KiB. */
  readonly pageSize?: number;
  /** Bytes of the cache: 1 MiB to 64 GiB, at least 64 pages all the same. Default: 256 MiB. */
  readonly cacheBytes?: number;
  /** Writing workers: 1 to 256. Default: the larger of 4 and the machine's threads. */
  readonly maxWorkers?: number;
  /** Starts the workers. Default: `node:worker_threads` on the package's own module. */
  readonly spawnWorker?: SpawnWorker;
}

/**
 * Options of `open`.
 *
 * @example
 * ```ts
 * import { open, type OpenOptions } from "@manifold/db";
 *
 * const options: OpenOptions = { create: true, durability: "eventual", cacheBytes: 64 * 2 ** 20 };
 * console.log(typeof open, options);
 * ```
 */
export interface OpenOptions extends InMemoryOptions {
  /** Open for reading only: nothing is written, several processes can. Default: false. */
  readonly readOnly?: boolean;
  /** Make the file when it is missing. Default: true (false with `readOnly`). */
  readonly create?: boolean;
  /** Bytes of a page of a new file: a power of two from 4 KiB to 64 KiB. Default: 8 KiB. */
  readonly pageSize?: number;
  /** Bytes of the log: 256 KiB to 4 GiB, rounded up to 4 KiB. Default: 64 MiB. */
  readonly logBytes?: number;
  /**
   * When checkpoints are made: `bytes` of log (64 KiB to `logBytes`, default: half of it) or
   * `intervalMs` (10 to 2^31 - 1, default: 60,000), whichever comes first.
   */
  readonly checkpoint?: CheckpointSettings;
  /**
   * Open also when commits that were acknowledged are lost: of a log with damage in its middle, what
   * comes before the damage is applied; of one that is missing or another database's, nothing, and the database is as at its
   * last checkpoint. The log that is given up is kept as `<path>-log-lost`. **Everything behind the
   * damage, or since the checkpoint, is gone from the database once it is open**: copy file and log first, and look for a backup. Nothing
   * changes for a database that needs no recovery or whose log is sound; with `readOnly` it has no
   * effect, and damage of the file itself stays `corrupt`. Default: false, which refuses such a
   * database as `corrupt` and does not touch it.
   */
  readonly acceptLogLoss?: boolean;
  /** When a write resolves, unless it says otherwise. Default: `"immediate"`. */
  readonly durability?: Durability;
  /** Called while a recovery goes on. */
  readonly onProgress?: (progress: RecoveryProgress) => void;
}

/** All options, checked and complete. */
export interface CheckedOptions {
  readonly readOnly: boolean;
  readonly create: boolean;
  readonly pageSize: number;
  readonly cacheBytes: number;
  readonly logBytes: number;
  readonly checkpointBytes: number;
  readonly intervalMs: number;
  readonly durability: Durability;
  readonly acceptLogLoss: boolean;
  readonly maxWorkers: number;
  readonly onProgress: ((progress: RecoveryProgress) => void) | undefined;
  readonly spawnWorker: SpawnWorker | undefined;
}

const KNOWN = new Set([
  "readOnly",
  "create",
  "pageSize",
  "cacheBytes",
  "logBytes",
  "checkpoint",
  "durability",
  "acceptLogLoss",
  "maxWorkers",
  "onProgress",
  "spawnWorker",
]);

const MIB = 2 ** 20;

/** @throws {ManifoldError} `invalid-argument`, naming the option and its range. */
export function checkOptions(options: OpenOptions = {}): CheckedOptions {
  if (typeof options !== "object" || options === null) {
    throw invalid("options", options, "an object");
  }
  for (const name of Object.keys(options)) {
    if (!KNOWN.has(name)) throw invalid(`options.${name}`, "given", "no such option");
  }
  const readOnly = flag("readOnly", options.readOnly, false);
  const pageSize = integer("pageSize", options.pageSize, 8192, PAGE_SIZE_MIN, PAGE_SIZE_MAX);
  if ((pageSize & (pageSize - 1)) !== 0) {
    throw invalid("pageSize", pageSize, "a power of two from 4096 to 65536 bytes");
  }
  const logBytes = Math.ceil(
    integer("logBytes", options.logBytes, 64 * MIB, LOG_BYTES_MIN, LOG_BYTES_MAX) / LOG_BYTES_STEP,
  ) * LOG_BYTES_STEP;
  const checkpoint = checkCheckpoint(options.checkpoint, logBytes);
  const { durability = "immediate", onProgress, spawnWorker } = options;
  if (durability !== "immediate" && durability !== "eventual") {
    throw invalid("durability", durability, `"immediate" or "eventual"`);
  }
  for (const [name, value] of Object.entries({ onProgress, spawnWorker })) {
    if (value !== undefined && typeof value !== "function") {
      throw invalid(name, value, "a function");
    }
  }
  return {
    readOnly,
    create: flag("create", options.create, !readOnly) && !readOnly,
    pageSize,
    cacheBytes: integer("cacheBytes", options.cacheBytes, 256 * MIB, MIB, 65536 * MIB),
    logBytes,
    checkpointBytes: checkpoint.bytes ?? Math.floor(logBytes / 2),
    intervalMs: checkpoint.intervalMs ?? 60_000,
    durability,
    acceptLogLoss: flag("acceptLogLoss", options.acceptLogLoss, false),
    maxWorkers: integer(
      "maxWorkers",
      options.maxWorkers,
      Math.min(WORKERS_MAX, Math.max(4, runtime.hardwareConcurrency)),
      1,
      WORKERS_MAX,
    ),
    onProgress,
    spawnWorker,
  };
}

/** @throws {ManifoldError} `invalid-argument` */
export function checkCacheBytes(cacheBytes: unknown, most: number): void {
  integer("cacheBytes", cacheBytes, 0, MIB, most);
}

/** @throws {ManifoldError} `invalid-argument` */
export function checkCheckpoint(
  settings: CheckpointSettings | undefined,
  logBytes: number,
): CheckpointSettings {
  if (settings === undefined) return {};
  if (typeof settings !== "object" || settings === null) {
    throw invalid("checkpoint", settings, "an object with bytes or intervalMs");
  }
  const { bytes, intervalMs } = settings;
  return {
    bytes: bytes === undefined
      ? undefined
      : integer("checkpoint.bytes", bytes, 0, Math.min(65536, logBytes), logBytes),
    intervalMs: intervalMs === undefined
      ? undefined
      : integer("checkpoint.intervalMs", intervalMs, 0, 10, 2 ** 31 - 1),
  };
}

function flag(name: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== "boolean") throw invalid(name, value, "true or false");
  return value;
}

function integer(
  name: string,
  value: unknown,
  otherwise: number,
  least: number,
  most: number,
): number {
  if (value === undefined) return otherwise;
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    throw invalid(name, value, `a whole number from ${least} to ${most}`);
  }
  return value;
}

function invalid(name: string, value: unknown, expected: string): ManifoldError {
  return new ManifoldError(
    "invalid-argument",
    `${name} is ${describe(value)}; give ${expected}`,
  );
}
