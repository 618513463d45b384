/**
 * Opening a database: a file, nothing but memory, or one that another thread has open.
 *
 * @module
 */

import { LIFE_BEGUN, lifeOf, recoveryCounts } from "../engine/life.ts";
import { loadDirectory } from "../engine/load_directory.ts";
import { allocateSharedMemory, type SharedMemory, ThreadMemory } from "../engine/thread_memory.ts";
import { ManifoldError } from "../errors.ts";
import { GroupCommit } from "../log/group_commit.ts";
import { logPathOf, LogReader, readLogHeader, readOwnLogHeader } from "../log/log_file.ts";
import { scanLog } from "../log/recovery_scan.ts";
import { INCARNATION, LIFE } from "../memory/control.ts";
import { databaseState, FAILED, failure } from "../memory/database_state.ts";
import { setDescriptor } from "../memory/threads.ts";
import { carveBytesMin, decodeUtf8 } from "../runtime/fast_bytes.ts";
import { pathOf } from "../runtime/paths.ts";
import { runtime } from "../runtime/runtime.ts";
import { hostThreads, type HostToken, joinHost } from "../runtime/threads.ts";
import { keepAlive } from "../runtime/keep_alive.ts";
import { equalBytes } from "../storage/bytes.ts";
import { Checksum } from "../storage/checksum.ts";
import type { Directory } from "../storage/directory.ts";
import type { File } from "../storage/file.ts";
import { MemoryFile } from "../storage/memory_file.ts";
import { firstDataPage, type Meta, readMeta } from "../storage/meta.ts";
import { openData } from "../../workers/worker_data.ts";
import { tuneCodecs } from "./codecs/tuning.ts";
import { createDatabaseFile, readDirectory } from "./create_file.ts";
import { Database } from "./database.ts";
import { Host } from "./host.ts";
import {
  type CheckedOptions,
  checkOptions,
  type InMemoryOptions,
  type OpenOptions,
} from "./open_options.ts";
import type { DatabaseHandle, Durability } from "./session.ts";
import { ThreadSession } from "./thread_session.ts";

/** Bytes of a worker's write queue. */
const RING_BYTES = 8 * 2 ** 20;
/** Pages that the page table has room for at the least. */
const PAGES_MIN = 2 ** 24;
/** A cache can be made four times as large while it is open, up to so many bytes. */
const CACHE_GROWS_TO = 4 * 2 ** 30;
/** Threads that can attach to a database. */
const ATTACHED_MAX = 64;

tuneCodecs({ decodeUtf8, carveBytesMin });

/**
 * Opens the database at `path`, which is made if it is missing. After a crash the log is applied
 * first; that takes about a second for a million small entries. A log that is damaged, missing or not the
 * database's own is refused as `corrupt`, and nothing is touched, unless `acceptLogLoss` says to go on.
 *
 * @param path The path of the database's file, or a `file:` URL. Its log stands beside it, as
 * `<path>-log`, while it is open for writing.
 * @param options See {@linkcode OpenOptions}.
 * @throws {ManifoldError} `invalid-argument`; `not-found` (with `create: false`); `locked` when another
 * process, or this one, has it open; `not-a-database`; `unsupported-version`; `corrupt`;
 * `needs-recovery` (with `readOnly`, after a crash); `permission-denied`; `disk-full`; `io`.
 *
 * @example
 * ```ts no-eval
 * import { open, text } from "@manifold/db";
 *
 * await using db = await open("notes.manifold");
 * const notes = (await db.columnFamily("notes")).table("notes", { key: text, value: text });
 * await notes.set("today", "write the README");
 * ```
 */
export async function open(path: string | URL, options?: OpenOptions): Promise<Database> {
  const checked = checkOptions(options);
  const place = pathOf(path);
  const checksum = await Checksum.create();
  const kind = runtime.kind(place);
  if (kind === undefined) {
    if (!checked.create) {
      throw new ManifoldError(
        "not-found",
        `${place} does not exist; check the path, or open it with create: true`,
      );
    }
    createDatabaseFile(place, checked.pageSize, checksum);
  } else if (kind === "directory") {
    throw new ManifoldError("not-a-database", `${place} is a directory; give the path of a file`);
  }
  const file = runtime.openFile(place, { write: !checked.readOnly, create: false });
  let log: File | undefined;
  try {
    if (!file.lock(!checked.readOnly)) throw lockedError(place);
    const meta = readMeta(file, checksum);
    const directory = readDirectory(file, meta, checksum);
    if (!meta.clean && checked.readOnly) {
      throw new ManifoldError(
        "needs-recovery",
        `${place} was not closed cleanly and has to be recovered first; open it once without readOnly`,
      );
    }
    if (meta.clean) checkNothingFollows(place, meta, checksum);
    if (!checked.readOnly) log = claimLog(place, meta, checksum, checked.acceptLogLoss);
    return await start(place, file, meta, directory, checked, checksum, undefined, log);
  } catch (error) {
    log?.close();
    file.close();
    throw error;
  }
}

/**
 * Opens a new, empty database that is only memory: same behaviour, no file. It is gone when it is
 * closed.
 *
 * @throws {ManifoldError} `invalid-argument`; `too-large` when there is no memory for it.
 *
 * @example
 * ```ts
 * import { json, openInMemory, text } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const cache = (await db.columnFamily("cache")).table("pages", { key: text, value: json<string[]>() });
 * await cache.set("/", ["hello"]);
 * ```
 */
export async function openInMemory(options?: InMemoryOptions): Promise<Database> {
  const checked = checkOptions(options);
  const checksum = await Checksum.create();
  const pieces = MemoryFile.allocate();
  const meta: Meta = {
    uuid: crypto.getRandomValues(new Uint8Array(16)),
    pageSize: checked.pageSize,
    clean: true,
    generation: 1,
    salt: new Uint8Array(8),
    logPosition: 0,
    directoryPage: 0,
    directoryBytes: 0,
    directoryChecksum: new Uint8Array(8),
  };
  const first = firstDataPage(checked.pageSize);
  const directory: Directory = {
    nextFamilyId: 1,
    generation: 1,
    filePages: first,
    families: [],
    extents: [],
  };
  const file = new MemoryFile(pieces);
  return await start(file.path, file, meta, directory, checked, checksum, pieces, undefined);
}

/** What a handle carries. */
interface HandleParts {
  readonly shared: SharedMemory;
  readonly token: HostToken;
  readonly fileIdentity: string | undefined;
  readonly memoryFile: SharedArrayBuffer[] | undefined;
  readonly readOnly: boolean;
  readonly durability: Durability;
}

/**
 * Attaches the calling thread to a database that another thread of the process has open: full reads
 * and writes. Close it in each thread; on Deno a thread that has attached stays alive until it does.
 *
 * @param handle What `db.share()` gave, sent here with `postMessage`.
 * @throws {ManifoldError} `closed` when the database has been closed; `invalid-argument`.
 *
 * @example
 * ```ts
 * import { attach, openInMemory } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * // In a worker thread, that the handle was posted to:
 * await using same = await attach(db.share());
 * console.log(same.columnFamilies());
 * ```
 */
export async function attach(handle: DatabaseHandle): Promise<Database> {
  const parts = handle?.parts as HandleParts | undefined;
  if (parts?.shared === undefined) {
    throw new ManifoldError("invalid-argument", "handle: expected what db.share() returned");
  }
  let session: ThreadSession | undefined;
  const joined = await joinHost(parts.token, () => session?.hostGone());
  try {
    const checksum = await Checksum.create();
    const file = openData(handle.path, parts.fileIdentity, parts.memoryFile, false);
    const memory = new ThreadMemory(parts.shared, file, checksum, joined.slot);
    setDescriptor(memory.control, memory.thread, file.descriptor ?? -1);
    session = new ThreadSession({
      memory,
      path: handle.path,
      readOnly: parts.readOnly,
      durability: parts.durability,
      handle,
      end: () => {
        setDescriptor(memory.control, memory.thread, -1);
        memory.leave();
        joined.leave();
        file.close();
        return Promise.resolve();
      },
    });
    return new Database(session);
  } catch (error) {
    joined.leave();
    throw error;
  }
}

function lockedError(path: string): ManifoldError {
  return new ManifoldError(
    "locked",
    `${path} is open elsewhere: in another process, or in this one, where other threads should ` +
      `use share() and attach()`,
  );
}

/**
 * No thread of an earlier writer may still be able to write: each held a shared lock on the log. After a
 * crash the log must be there and be the right one, unless its loss is accepted.
 */
function claimLog(
  path: string,
  meta: Meta,
  checksum: Checksum,
  acceptLoss: boolean,
): File | undefined {
  const logPath = logPathOf(path);
  const kind = runtime.kind(logPath);
  if (kind !== undefined && kind !== "file") {
    throw new ManifoldError(
      "corrupt",
      `${logPath} is a ${kind}, where the database's log should be; move it away`,
    );
  }
  if (kind === undefined) {
    if (meta.clean || acceptLoss) return undefined;
    throw new ManifoldError(
      "corrupt",
      `${path} was not closed cleanly and its log ${logPath} is missing: commits since the last ` +
        "checkpoint would be lost; put the log back beside the file, restore a backup, or open with " +
        "acceptLogLoss: true to go on without them",
    );
  }
  const log = runtime.openFile(logPath, { write: true, create: false, noFollow: true });
  try {
    if (!log.lock(true)) throw lockedError(path);
    if (!meta.clean && !acceptLoss) readOwnLogHeader(log, meta, checksum);
    return log;
  } catch (error) {
    log.close();
    throw error;
  }
}

/**
 * A clean meta page beside a log that was begun after it, and has records: the newer meta page, which said
 * that the log counts, cannot be read. Without records the newer one was never finished, and nothing is lost.
 */
function checkNothingFollows(path: string, meta: Meta, checksum: Checksum): void {
  const logPath = logPathOf(path);
  if (runtime.kind(logPath) !== "file") return;
  const log = runtime.openFile(logPath, { write: false, create: false, noFollow: true });
  try {
    let header;
    try {
      header = readLogHeader(log, checksum);
    } catch (error) {
      // The header of a log that is about to be begun anew may be torn.
      if (error instanceof ManifoldError && error.code !== "io") return;
      throw error;
    }
    const { uuid, salt, capacity, generation } = header;
    const follows = generation >= meta.generation && equalBytes(uuid, meta.uuid);
    if (!follows) return;
    const options = { path: logPath, salt, checksum, generation: Infinity };
    const { records, damage } = scanLog(new LogReader(log, capacity), 0, options);
    if (records === 0 && damage === undefined) return;
    throw new ManifoldError(
      "corrupt",
      `${path}: the log ${logPath} has commits that came after meta page ${meta.generation}, the ` +
        "newest that can be read; the one after it is damaged. Restore a backup",
    );
  } finally {
    log.close();
  }
}

async function start(
  path: string,
  file: File,
  meta: Meta,
  directory: Directory,
  options: CheckedOptions,
  checksum: Checksum,
  memoryFile: SharedArrayBuffer[] | undefined,
  log: File | undefined,
): Promise<Database> {
  const { pageSize } = meta;
  let shared: SharedMemory;
  try {
    shared = allocateSharedMemory({
      pageSize,
      cacheBytes: options.cacheBytes,
      cacheBytesMax: Math.max(options.cacheBytes, Math.min(options.cacheBytes * 4, CACHE_GROWS_TO)),
      pagesMax: Math.max(PAGES_MIN, directory.filePages * 4),
      workers: options.maxWorkers,
      ringBytes: RING_BYTES,
    });
  } catch (cause) {
    throw new ManifoldError(
      "too-large",
      `no memory for a cache of ${options.cacheBytes} bytes; open with a smaller cacheBytes`,
      { cause },
    );
  }
  const memory = new ThreadMemory(shared, file, checksum);
  const { control } = memory;
  const seed = new Uint32Array(1);
  crypto.getRandomValues(seed);
  Atomics.store(control.words, INCARNATION, seed[0] | 0);
  loadDirectory(memory, directory);
  const fileIdentity = memoryFile === undefined ? runtime.identity(path) : undefined;
  const commit = new GroupCommit(control, memory.thread);
  commit.setCheckpoint(options.checkpointBytes, options.intervalMs);
  const databaseId = crypto.randomUUID();
  const threads = await hostThreads(databaseId, { slots: ATTACHED_MAX, reserved: 0 });
  const host = new Host(memory, threads, {
    shared,
    host: threads.token,
    path,
    fileIdentity,
    memoryFile,
    meta,
    logBytes: options.logBytes,
    acceptLogLoss: options.acceptLogLoss,
  }, options.spawnWorker);
  const parts: HandleParts = {
    shared,
    token: threads.token,
    fileIdentity,
    memoryFile,
    readOnly: options.readOnly,
    durability: options.durability,
  };
  const finish = async () => {
    await host.stop(10_000);
    memory.leave();
    file.close();
  };
  // The lock on the log passes from here to the workers; the lock on the file stays.
  log?.close();
  if (!meta.clean && !options.readOnly) {
    try {
      host.startRecovery(directory.families.length);
      await recovered(memory, path, options);
    } catch (error) {
      await finish();
      throw error;
    }
  }
  return new Database(
    new ThreadSession({
      memory,
      path,
      readOnly: options.readOnly,
      durability: options.durability,
      handle: { path, parts },
      logBytes: options.logBytes,
      host,
      end: finish,
    }),
  );
}

/** Waits until the recovery is over and its checkpoint durable. */
async function recovered(
  memory: ThreadMemory,
  path: string,
  options: CheckedOptions,
): Promise<void> {
  const { control } = memory;
  const release = keepAlive();
  try {
    while (lifeOf(control) !== LIFE_BEGUN) {
      if (databaseState(control) === FAILED) {
        const failed = failure(control, path);
        throw failed.cause instanceof ManifoldError ? failed.cause : failed;
      }
      options.onProgress?.(recoveryCounts(control));
      const wait = Atomics.waitAsync(control.words, LIFE, lifeOf(control), 20);
      if (wait.async) await wait.value;
    }
    options.onProgress?.(recoveryCounts(control));
  } finally {
    release();
  }
}
