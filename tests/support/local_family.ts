/**
 * Families without threads: the engine that writes and the memory that reads, in one thread, on a
 * file in memory. The two sides are two threads to the shared memory, with epochs and pins of their own.
 *
 * @module
 */

import { LiveSource } from "../../lib/api/state_source.ts";
import { catalogRoot, listTables } from "../../lib/engine/catalog.ts";
import { FamilyEngine } from "../../lib/engine/family.ts";
import {
  encodeOperation,
  OP_DELETE,
  OP_DELETE_RANGE,
  OP_DROP_TABLE,
  OP_OPEN_TABLE,
  OP_SET,
  operationMemory,
  RANGE_HAS_LOWER,
  RANGE_HAS_UPPER,
  RANGE_LOWER_INCLUSIVE,
  RANGE_UPPER_INCLUSIVE,
  TABLE_ALIAS,
} from "../../lib/log/operations.ts";
import { allocateSharedMemory, ThreadMemory } from "../../lib/engine/thread_memory.ts";
import {
  FAMILY_LIVE,
  type FamilyEntry,
  type FamilyState,
  newFamilyEntry,
} from "../../lib/memory/family_slots.ts";
import { FRAME_DIRTY } from "../../lib/memory/frames.ts";
import { Checksum } from "../../lib/storage/checksum.ts";
import type { File } from "../../lib/storage/file.ts";
import { type DirtyFrame, PageWriterOut } from "../../lib/storage/page_writer.ts";
import { WORD_BIRTH_LOW } from "../../lib/tree/page.ts";
import { collectPages } from "./tree_pages.ts";

const META_BYTES = 8192;
const NO_BYTES = new Uint8Array(0);
const utf8 = new TextEncoder();

/** A file that is memory. */
export class MemoryFile implements File {
  readonly path: string;
  bytes: Uint8Array;
  #size: number;

  /** `bytes`: what the file has at first; they are changed by what is written to it. */
  constructor(bytes?: Uint8Array, path = "(in memory)") {
    this.path = path;
    this.bytes = bytes ?? new Uint8Array(1 << 20);
    this.#size = bytes?.length ?? 0;
  }

  read(offset: number, memory: Uint8Array, from = 0, length = memory.length - from): number {
    const count = Math.max(0, Math.min(length, this.#size - offset));
    memory.set(this.bytes.subarray(offset, offset + count), from);
    return count;
  }

  write(offset: number, memory: Uint8Array, from = 0, length = memory.length - from): void {
    this.#reach(offset + length);
    this.bytes.set(memory.subarray(from, from + length), offset);
  }

  #reach(size: number): void {
    if (size > this.bytes.length) {
      const larger = new Uint8Array(Math.max(size, this.bytes.length * 2));
      larger.set(this.bytes.subarray(0, this.#size));
      this.bytes = larger;
    }
    this.#size = Math.max(this.#size, size);
  }

  size(): number {
    return this.#size;
  }

  truncate(length: number): void {
    this.#reach(length);
    this.bytes.fill(0, length);
    this.#size = length;
  }

  sync(): void {}
  lock(): boolean {
    return true;
  }
  unlock(): void {}
  close(): void {}
}

/** Operations of one transaction. */
export class Operations {
  readonly #parts: Uint8Array[] = [];
  #opened = 0;

  /** Opens a table by name; the result stands for it in this transaction. */
  open(name: string, codecs = "bytes\0bytes"): number {
    this.#parts.push(encodeOperation(OP_OPEN_TABLE, 0, utf8.encode(name), utf8.encode(codecs)));
    return (TABLE_ALIAS + this.#opened++) >>> 0;
  }

  set(table: number, key: Uint8Array, value: Uint8Array): this {
    this.#parts.push(encodeOperation(OP_SET, table, key, value));
    return this;
  }

  delete(table: number, key: Uint8Array): this {
    this.#parts.push(encodeOperation(OP_DELETE, table, key, NO_BYTES));
    return this;
  }

  deleteRange(
    table: number,
    lower: { key: Uint8Array; inclusive: boolean } | null,
    upper: { key: Uint8Array; inclusive: boolean } | null,
  ): this {
    const bytes = encodeOperation(
      OP_DELETE_RANGE,
      table,
      lower?.key ?? NO_BYTES,
      upper?.key ?? NO_BYTES,
    );
    bytes[1] = (lower === null ? 0 : RANGE_HAS_LOWER) | (upper === null ? 0 : RANGE_HAS_UPPER) |
      (lower?.inclusive ? RANGE_LOWER_INCLUSIVE : 0) |
      (upper?.inclusive ? RANGE_UPPER_INCLUSIVE : 0);
    this.#parts.push(bytes);
    return this;
  }

  drop(id: number, name: string): this {
    this.#parts.push(encodeOperation(OP_DROP_TABLE, id, utf8.encode(name), NO_BYTES));
    return this;
  }

  take(): Uint8Array {
    const bytes = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}

export interface LocalOptions {
  pageSize?: number;
  cacheBytes?: number;
  pagesMax?: number;
}

/** The shared memory of a database, with one side that writes and one that reads. */
export class LocalDatabase {
  readonly file = new MemoryFile();
  readonly writer: ThreadMemory;
  readonly reader: ThreadMemory;
  closed = false;

  private constructor(options: LocalOptions, checksum: Checksum) {
    const pageSize = options.pageSize ?? 4096;
    const shared = allocateSharedMemory({
      pageSize,
      cacheBytes: options.cacheBytes ?? 4 * 2 ** 20,
      pagesMax: options.pagesMax ?? 65536,
      workers: 1,
      ringBytes: 65536,
    });
    this.writer = new ThreadMemory(shared, this.file, checksum);
    this.reader = new ThreadMemory(shared, this.file, checksum);
    this.writer.extents.load([], Math.ceil(META_BYTES / pageSize));
  }

  static async create(options: LocalOptions = {}): Promise<LocalDatabase> {
    return new LocalDatabase(options, await Checksum.create());
  }

  /** What a crash right after a checkpoint leaves: the file and the extents, in a memory of their own. */
  async copyOfFile(options: LocalOptions): Promise<LocalDatabase> {
    const copy = await LocalDatabase.create(options);
    copy.file.write(0, this.file.bytes.subarray(0, this.file.size()));
    const { extents } = this.writer;
    copy.writer.extents.load(extents.list(), extents.filePages);
    return copy;
  }

  /** Writes all dirty pages that are published. */
  writeDirtyPages(): void {
    const { frames, store, epochs, slots, arena } = this.writer;
    const dirty: DirtyFrame[] = [];
    for (let frame = 0; frame < frames.count; frame++) {
      if (frames.kind(frame) === FRAME_DIRTY) dirty.push({ page: frames.pageOf(frame), frame });
    }
    new PageWriterOut(store, epochs).write(dirty, (frame) => {
      const at = (arena.base(frame) >> 2) + WORD_BIRTH_LOW;
      return arena.chunk(frame).u32[at] <= slots.version(frames.familyOf(frame));
    });
  }

  family(name: string): LocalFamily {
    return new LocalFamily(this, name);
  }
}

/** A family, its engine and the source that reads its present state. */
export class LocalFamily {
  readonly database: LocalDatabase;
  readonly slot: number;
  readonly engine: FamilyEngine;
  readonly source: LiveSource;

  #checkpoints = 0;

  /** `durable`: what a checkpoint has kept of the family, and its id. */
  constructor(database: LocalDatabase, name: string, durable?: { id: number; entry: FamilyEntry }) {
    this.database = database;
    const { writer, reader } = database;
    const { slots } = writer;
    const id = durable?.id ?? slots.nextId() + 1;
    this.slot = slots.take(id, name, 0, FAMILY_LIVE);
    if (durable !== undefined) {
      slots.publish(this.slot, durable.entry);
      slots.writeDurable(this.slot, durable.entry);
    }
    this.engine = new FamilyEngine(writer, this.slot);
    this.source = new LiveSource({
      memory: reader,
      slot: this.slot,
      family: id,
      familyName: name,
      path: database.file.path,
      isClosed: () => database.closed,
    });
  }

  static async create(options: LocalOptions = {}): Promise<LocalFamily> {
    return (await LocalDatabase.create(options)).family("local");
  }

  /** Begins a group, applies transactions to it and leaves it open; returns the entries removed or replaced. */
  apply(...transactions: Operations[]): number {
    this.engine.beginGroup();
    let removed = 0;
    for (const transaction of transactions) {
      const bytes = transaction.take();
      removed += this.engine.apply(operationMemory(bytes), 0, bytes.length, null);
    }
    return removed;
  }

  /** One group of transactions, published; returns the entries removed or replaced. */
  commit(...transactions: Operations[]): number {
    const removed = this.apply(...transactions);
    this.engine.seal();
    this.engine.publish();
    this.engine.afterPublish();
    return removed;
  }

  /** One group with one transaction on one table. */
  write(
    table: string,
    write: (operations: Operations, table: number) => void,
    codecs?: string,
  ): number {
    const operations = new Operations();
    write(operations, operations.open(table, codecs));
    return this.commit(operations);
  }

  /** Sets many entries, in groups of a thousand. */
  fill(table: string, entries: Iterable<readonly [Uint8Array, Uint8Array]>): void {
    let operations = new Operations();
    let alias = operations.open(table);
    let count = 0;
    for (const [key, value] of entries) {
      operations.set(alias, key, value);
      if (++count % 1000 > 0) continue;
      this.commit(operations);
      operations = new Operations();
      alias = operations.open(table);
    }
    this.commit(operations);
  }

  /** A checkpoint of the family; `between` may publish one more version before it is handed over. */
  checkpoint(between?: () => void): FamilyEntry {
    const { slots } = this.database.writer;
    slots.setCheckpointVersion(this.slot, slots.version(this.slot));
    between?.();
    this.engine.handOver(++this.#checkpoints);
    const entry = newFamilyEntry();
    slots.readHandedOver(this.slot, entry);
    this.database.writeDirtyPages();
    slots.writeDurable(this.slot, entry);
    slots.setCheckpointVersion(this.slot, -1);
    return entry;
  }

  /** Gives back every page that can be. */
  reclaim(): void {
    for (let i = 0; i < 4; i++) this.engine.reclaim();
  }

  /** Pages that a state refers to, each once, overflow extents included. Throws on one met twice. */
  reachablePages(state: FamilyState): Set<number> {
    const { store, epochs } = this.database.reader;
    store.family = this.slot;
    store.familyName = "local";
    const pages = new Set<number>();
    epochs.enter();
    try {
      if (state.height > 0) collectPages(store, catalogRoot(state), pages);
      for (const { entry } of listTables(store, state)) {
        if (entry.root.height > 0) collectPages(store, entry.root, pages);
      }
    } finally {
      epochs.leave();
    }
    return pages;
  }
}
