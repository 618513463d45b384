/**
 * A database opened from bytes, without files or threads: the same steps as `open` takes, in one thread,
 * so that thousands of damaged files can be opened in a second. One piece of shared memory serves them all.
 *
 * @module
 */

import { readDirectory } from "../../lib/api/create_file.ts";
import { RawEntries } from "../../lib/api/raw_entries.ts";
import { RawTable } from "../../lib/api/raw_reads.ts";
import type { EncodedRange } from "../../lib/api/range.ts";
import { LiveSource } from "../../lib/api/state_source.ts";
import { listTables } from "../../lib/engine/catalog.ts";
import { FamilyEngine } from "../../lib/engine/family.ts";
import { loadDirectory } from "../../lib/engine/load_directory.ts";
import { replay, settleFamilies } from "../../lib/engine/recovery.ts";
import {
  allocateSharedMemory,
  type SharedMemory,
  ThreadMemory,
} from "../../lib/engine/thread_memory.ts";
import { ManifoldError } from "../../lib/errors.ts";
import { damageError } from "../../lib/log/log_damage.ts";
import { LogReader, readOwnLogHeader } from "../../lib/log/log_file.ts";
import { operationMemory } from "../../lib/log/operations.ts";
import { nothingOf, scanLog } from "../../lib/log/recovery_scan.ts";
import { FRAMES_LIMIT, GLOBAL_EPOCH, INCARNATION } from "../../lib/memory/control.ts";
import { FAMILIES_MAX, newFamilyState } from "../../lib/memory/family_slots.ts";
import type { Checksum } from "../../lib/storage/checksum.ts";
import type { File } from "../../lib/storage/file.ts";
import { readMeta } from "../../lib/storage/meta.ts";
import { MemoryFile, type Operations } from "./local_family.ts";

/** The path that errors name. */
export const BYTES_PATH = "(bytes)";
const LOG_PATH = `${BYTES_PATH}-log`;
const FRAMES = 256;
const PAGES_MAX = 65536;
/** Families that a file opened here has at the most, beside those that it is refused for. */
const SLOTS = 32;
const SLOT_BYTES = 1024;

export const WHOLE: EncodedRange = {
  lower: null,
  upper: null,
  reverse: false,
  limit: Infinity,
  offset: 0,
  empty: false,
};

export interface BytesOptions {
  readonly readOnly?: boolean;
  readonly log?: Uint8Array;
  readonly acceptLogLoss?: boolean;
  /** Stands for the file that the bytes are. */
  readonly file?: File;
}

/** Opens bytes one after another: an opening ends when the next begins. */
export class BytesOpener {
  readonly checksum: Checksum;
  readonly pageSize: number;
  readonly #shared: SharedMemory;

  constructor(checksum: Checksum, pageSize: number) {
    this.checksum = checksum;
    this.pageSize = pageSize;
    this.#shared = allocateSharedMemory({
      pageSize,
      cacheBytes: FRAMES * pageSize,
      pagesMax: PAGES_MAX,
      workers: 1,
      ringBytes: 65536,
    });
  }

  /** @throws {ManifoldError} as `open` does. */
  open(bytes: Uint8Array, options: BytesOptions = {}): OpenedBytes {
    const { readOnly = false, log, acceptLogLoss = false } = options;
    const file = options.file ?? new MemoryFile(readOnly ? bytes : bytes.slice(), BYTES_PATH);
    const { checksum } = this;
    const meta = readMeta(file, checksum);
    const directory = readDirectory(file, meta, checksum);
    if (meta.pageSize !== this.pageSize) {
      throw new ManifoldError("corrupt", `pages of ${meta.pageSize} bytes are not opened here`);
    }
    if (readOnly && !meta.clean) throw new ManifoldError("needs-recovery", BYTES_PATH);
    if (!meta.clean && log === undefined && !acceptLogLoss) {
      throw new ManifoldError("corrupt", `${LOG_PATH} is missing`);
    }
    const opened = new OpenedBytes(this.#fresh(file));
    loadDirectory(opened.memory, directory);
    if (!meta.clean) opened.recover(meta, log, acceptLogLoss);
    return opened;
  }

  /** The shared memory as it was when it was allocated, but for what is written before it is read. */
  #fresh(file: File): ThreadMemory {
    const { control, families, frames } = this.#shared;
    new Uint8Array(control).fill(0);
    new Uint8Array(families).fill(0, 0, SLOTS * SLOT_BYTES);
    new Uint8Array(families).fill(0, (FAMILIES_MAX - 1) * SLOT_BYTES);
    for (const buffer of Object.values(frames)) new Uint8Array(buffer).fill(0);
    const words = new Int32Array(control);
    Atomics.store(words, GLOBAL_EPOCH, 1);
    Atomics.store(words, FRAMES_LIMIT, FRAMES);
    Atomics.store(words, INCARNATION, 0x5eed);
    return new ThreadMemory(this.#shared, file, this.checksum);
  }
}

export class OpenedBytes {
  readonly memory: ThreadMemory;
  readonly #engines = new Map<number, FamilyEngine>();

  constructor(memory: ThreadMemory) {
    this.memory = memory;
  }

  /** As the keeper and a worker do it, but for the checkpoint that ends it. */
  recover(
    meta: { uuid: Uint8Array; salt: Uint8Array; generation: number; logPosition: number },
    logBytes: Uint8Array | undefined,
    acceptLogLoss: boolean,
  ): void {
    const { checksum, slots } = this.memory;
    const log = new MemoryFile(logBytes ?? new Uint8Array(0), LOG_PATH);
    let scan = nothingOf(meta.logPosition, "");
    let reader: LogReader | undefined;
    try {
      reader = new LogReader(log, readOwnLogHeader(log, meta, checksum).capacity);
    } catch (error) {
      if (!acceptLogLoss) throw error;
    }
    if (reader !== undefined) {
      const known = (family: number) => slots.findId(family) >= 0;
      scan = scanLog(reader, meta.logPosition, {
        path: LOG_PATH,
        salt: meta.salt,
        generation: meta.generation,
        checksum,
        contained: (id) => known(id) ? slots.version(slots.findId(id)) : undefined,
      });
      if (scan.damage !== undefined && !acceptLogLoss) {
        const nameOf = (id: number) => known(id) ? slots.name(slots.findId(id)) : undefined;
        throw damageError(LOG_PATH, scan, scan.damage, nameOf);
      }
    }
    settleFamilies(this.memory, scan, 1, LOG_PATH);
    replay(this.memory, () => reader!, (slot) => this.engine(slot), {
      path: LOG_PATH,
      salt: meta.salt,
      worker: 0,
      from: meta.logPosition,
      end: scan.end,
    });
  }

  /** Names of the families. */
  families(): string[] {
    const { slots } = this.memory;
    return slots.used().map((slot) => slots.name(slot)).filter((name) => slots.find(name) >= 0);
  }

  /** Reads the allocator image and the catalog, as the family's worker does when it meets the family. */
  engine(slot: number): FamilyEngine {
    let engine = this.#engines.get(slot);
    if (engine === undefined) {
      engine = new FamilyEngine(this.memory, slot);
      this.#engines.set(slot, engine);
    }
    return engine;
  }

  /** Applies a transaction to a family and discards it: what it meets is read and changed, what is published not. */
  attempt(family: string, operations: Operations): void {
    const engine = this.engine(this.memory.slots.find(family));
    engine.beginGroup();
    try {
      const bytes = operations.take();
      engine.apply(operationMemory(bytes), 0, bytes.length, null);
      engine.seal();
    } finally {
      engine.discard();
    }
  }

  /** Applies a transaction and publishes it. */
  commit(family: string, operations: Operations): void {
    const engine = this.engine(this.memory.slots.find(family));
    engine.beginGroup();
    const bytes = operations.take();
    try {
      engine.apply(operationMemory(bytes), 0, bytes.length, null);
      engine.seal();
    } catch (error) {
      engine.discard();
      throw error;
    }
    engine.publish();
    engine.afterPublish();
  }

  tables(family: string): string[] {
    const { slots, store, epochs } = this.memory;
    const state = newFamilyState();
    slots.read(slots.find(family), state);
    store.familyName = family;
    epochs.enter();
    try {
      return listTables(store, state).map(({ name }) => name);
    } finally {
      epochs.leave();
    }
  }

  table(family: string, table: string, codecs = "text\0bytes"): RawTable {
    const { slots } = this.memory;
    const slot = slots.find(family);
    const source = new LiveSource({
      memory: this.memory,
      slot,
      family: slots.id(slot),
      familyName: family,
      path: BYTES_PATH,
      isClosed: () => false,
    });
    return new RawTable(source, table, codecs);
  }
}

/** All entries of a table in one direction, until there are no more or one cannot be read. */
export function* entriesOf(
  table: RawTable,
  reverse: boolean,
): Generator<[Uint8Array, Uint8Array]> {
  const entries = new RawEntries(table, { ...WHOLE, reverse }, true);
  try {
    while (entries.advance()) yield [entries.key(), entries.value()];
  } finally {
    entries.close();
  }
}
