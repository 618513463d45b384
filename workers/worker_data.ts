/**
 * What a worker of the database is started with, and what all workers do first.
 *
 * @module
 */

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
  /** The memory of a database that has no file. */
  readonly memoryFile?: SharedArrayBuffer[];
  /** The meta page that the database was opened with. */
  readonly meta: Meta;
  readonly logBytes: number;
  /** Whether the log has to be applied first. */
  readonly recover: boolean;
}

/** Opens the thread's own handle of the data file. */
export function openData(
  path: string,
  memoryFile: readonly SharedArrayBuffer[] | undefined,
  write: boolean,
): File {
  return memoryFile === undefined
    ? runtime.openFile(path, { write, create: false })
    : new MemoryFile(memoryFile);
}

/** Joins the database's shared memory. */
export async function joinMemory(data: WorkerData): Promise<ThreadMemory> {
  const checksum = await Checksum.create();
  return new ThreadMemory(data.shared, openData(data.path, data.memoryFile, true), checksum);
}
