/**
 * What a worker of the database is started with, and what all workers do first.
 *
 * @module
 */

import { ManifoldError } from "../lib/errors.ts";
import type { Meta } from "../lib/storage/meta.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import type { File } from "../lib/storage/file.ts";
import { MemoryFile } from "../lib/storage/memory_file.ts";
import { type SharedMemory, ThreadMemory } from "../lib/engine/thread_memory.ts";
import { runtime } from "../lib/runtime/runtime.ts";
import type { HostToken } from "../lib/runtime/threads.ts";

export interface WorkerData {
  readonly role: "writer" | "keeper";
  /** Number of a writer. */
  readonly worker: number;
  readonly shared: SharedMemory;
  readonly host: HostToken;
  readonly path: string;
  /** What names the data file to the system; undefined for a database in memory. */
  readonly fileIdentity: string | undefined;
  /** The memory of a database that has no file. */
  readonly memoryFile?: SharedArrayBuffer[];
  /** The meta page that the database was opened with. */
  readonly meta: Meta;
  readonly logBytes: number;
  /** Whether a recovery may go on without what a damaged or missing log had. */
  readonly acceptLogLoss: boolean;
  /** Whether the log has to be applied first. */
  readonly recover: boolean;
}

/**
 * Opens the thread's own handle of the data file, which must be the very one that the database was opened
 * with.
 *
 * @throws {ManifoldError} `failed` when another one has come into its place.
 */
export function openData(
  path: string,
  identity: string | undefined,
  memoryFile: readonly SharedArrayBuffer[] | undefined,
  write: boolean,
): File {
  if (memoryFile !== undefined) return new MemoryFile(memoryFile);
  const file = runtime.openFile(path, { write, create: false });
  if (runtime.identity(path) === identity) return file;
  file.close();
  throw new ManifoldError(
    "failed",
    `${path} was replaced by another file while the database was open; close the database and open it again`,
  );
}

/** Joins the database's shared memory. */
export async function joinMemory(data: WorkerData): Promise<ThreadMemory> {
  const checksum = await Checksum.create();
  const file = openData(data.path, data.fileIdentity, data.memoryFile, true);
  return new ThreadMemory(data.shared, file, checksum);
}
