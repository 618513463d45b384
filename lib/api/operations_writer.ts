/**
 * The caller's side of operations (lib/log/operations.ts): typed keys and values into the bytes of
 * a transaction.
 *
 * Invariants: an operation is there whole or not at all, whatever a codec throws; the bytes are a
 * multiple of 4 long; a chunk that is finished never moves or changes, except for the table ids that
 * {@linkcode OperationsWriter.reopen} rewrites.
 *
 * @module
 */

import {
  align4,
  OP_DELETE,
  OP_DELETE_RANGE,
  OP_DROP_TABLE,
  OP_HEADER_BYTES,
  OP_OPEN_TABLE,
  OP_SET,
  operationMemory,
  OperationReader,
  putOperationHeader,
  RANGE_HAS_LOWER,
  RANGE_HAS_UPPER,
  RANGE_LOWER_INCLUSIVE,
  RANGE_UPPER_INCLUSIVE,
  TABLE_ALIAS,
} from "../log/operations.ts";
import {
  READ_KEY,
  READ_RANGE,
  READ_ROOT_WORDS,
  READ_TABLE,
  READS_HEAD_BYTES,
} from "../engine/reads.ts";
import { ManifoldError } from "../errors.ts";
import { VALUE_BYTES_MAX } from "../storage/overflow.ts";
import { keyBytesMax } from "../tree/page.ts";
import type { TreeRoot } from "../tree/root.ts";
import type { Codec } from "./codec.ts";
import { append, ByteWriter } from "./codec_writer.ts";
import { encodeWith } from "./encode.ts";
import type { KeyBound } from "./range.ts";

/** What a chunk has room for, bytes: memory that is doubled again and again ends here. */
const CHUNK_CAPACITY = 16 * 2 ** 20;
/** A chunk is finished when it is this long, before it would have to grow; bytes. */
const CHUNK_BYTES = CHUNK_CAPACITY - 2 ** 16;
/** Longer operations are handed over with their memory instead of being copied again; bytes. */
const HANDED_OVER_BYTES = 2 ** 18;

const FIRST_BYTES = 1024;

/** What operations need to know of a table. */
export interface TableShape<K, V> {
  readonly name: string;
  readonly keyCodec: Codec<K>;
  readonly valueCodec: Codec<V>;
}

/** A table by its id, to be opened by name instead. */
export interface NamedTable {
  readonly id: number;
  readonly name: string;
  /** Names of the codecs, joined by a NUL. */
  readonly codecs: string;
}

/** A place between two operations. */
export interface OperationsMark {
  readonly chunks: number;
  readonly bytes: number;
  readonly aliases: number;
}

/** Collects the operations of one transaction. */
export class OperationsWriter {
  readonly #keyBytesMax: number;
  #out = new ByteWriter(FIRST_BYTES);
  #chunks: Uint8Array[] = [];
  /** The memory of the last chunk, which {@linkcode OperationsWriter.reset} may use again. */
  #lent: ByteWriter | undefined;
  #chunkBytes = 0;
  #readBytes = 0;
  #aliases = 0;
  /** Whether a codec is at work: an operation in the middle of another one would be lost in it. */
  #encoding = false;

  constructor(pageSize: number) {
    this.#keyBytesMax = keyBytesMax(pageSize);
  }

  /** Bytes of them that say what was read. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /** Bytes of all operations. */
  get byteLength(): number {
    return this.#chunkBytes + this.#out.length;
  }

  /** @throws {ManifoldError} `invalid-argument` when called by a codec that is encoding for this writer. */
  checkIdle(): void {
    if (!this.#encoding) return;
    throw new ManifoldError(
      "invalid-argument",
      "a codec, or what it called, uses the batch that it is encoding for; write to another batch there",
    );
  }

  /** Forgets all operations. What {@linkcode take} lent ends here; what it gave away stays. */
  reset(): void {
    // Of the memory that is here, the largest serves the next operations. Collectors see late how much
    // hangs on a typed array: a loop that took new memory each time would grow the process.
    if (this.#lent !== undefined && this.#lent.bytes.length > this.#out.bytes.length) {
      this.#out = this.#lent;
    }
    this.#lent = undefined;
    this.#out.reset();
    this.#chunks = [];
    this.#chunkBytes = 0;
    this.#readBytes = 0;
    this.#aliases = 0;
  }

  /**
   * Sets an entry of the table `id`.
   * @throws {ManifoldError} `too-large`, and what the codecs throw.
   */
  set<K, V>(id: number, table: TableShape<K, V>, key: K, value: V): void {
    this.checkIdle();
    this.#encoding = true;
    const at = this.#out.length;
    try {
      const out = this.#out;
      const keyAt = out.reserve(OP_HEADER_BYTES) + OP_HEADER_BYTES;
      encodeWith(table.keyCodec, key, out);
      const keyLength = out.length - keyAt;
      this.#checkKey(keyLength, table.name);
      encodeWith(table.valueCodec, value, out);
      const valueLength = out.length - keyAt - keyLength;
      checkValue(valueLength, table.name);
      this.#finish(at, OP_SET, 0, keyLength, id, valueLength);
      this.#encoding = false;
    } catch (error) {
      this.#encoding = false;
      this.#startOver(at);
      if (!this.#makeRoom(at, error)) throw error;
      this.set(id, table, key, value);
    }
  }

  /** Sets an entry whose key and value are encoded. */
  setEncoded(id: number, key: Uint8Array, value: Uint8Array): void {
    this.#put(OP_SET, 0, id, key, value);
  }

  /**
   * Deletes an entry of the table `id`.
   * @throws {ManifoldError} `too-large`, and what the codec throws.
   */
  delete<K>(id: number, table: TableShape<K, unknown>, key: K): void {
    this.checkIdle();
    this.#encoding = true;
    const at = this.#out.length;
    try {
      const out = this.#out;
      const keyAt = out.reserve(OP_HEADER_BYTES) + OP_HEADER_BYTES;
      encodeWith(table.keyCodec, key, out);
      const keyLength = out.length - keyAt;
      this.#checkKey(keyLength, table.name);
      this.#finish(at, OP_DELETE, 0, keyLength, id, 0);
    } catch (error) {
      this.#startOver(at);
      throw error;
    } finally {
      this.#encoding = false;
    }
  }

  deleteEncoded(id: number, key: Uint8Array): void {
    this.#put(OP_DELETE, 0, id, key, NO_BYTES);
  }

  /** Deletes the entries between two bounds (null: none). */
  deleteRange(id: number, lower: KeyBound | null, upper: KeyBound | null): void {
    this.#putRange(OP_DELETE_RANGE, id, lower, upper);
  }

  #putRange(kind: number, id: number, lower: KeyBound | null, upper: KeyBound | null): void {
    // No key is longer than the longest, so that a longer bound is as good as its beginning.
    const from = lower === null ? null : this.#clamp(lower, false);
    const to = upper === null ? null : this.#clamp(upper, true);
    const flags = (from === null ? 0 : RANGE_HAS_LOWER) |
      (from?.inclusive ? RANGE_LOWER_INCLUSIVE : 0) |
      (to === null ? 0 : RANGE_HAS_UPPER) |
      (to?.inclusive ? RANGE_UPPER_INCLUSIVE : 0);
    this.#put(kind, flags, id, from?.key ?? NO_BYTES, to?.key ?? NO_BYTES);
  }

  /** Opens a table by name, making it if it is missing; returns what later operations call it. */
  openTable(name: string, codecs: string): number {
    this.#put(OP_OPEN_TABLE, 0, 0, encoder.encode(name), encoder.encode(codecs));
    return (TABLE_ALIAS | this.#aliases++) >>> 0;
  }

  dropTable(id: number, name: string): void {
    this.#put(OP_DROP_TABLE, 0, id, encoder.encode(name), NO_BYTES);
  }

  /** Begins what stands in front of all operations: what was read (lib/engine/reads.ts). */
  beginReads(): void {
    this.#out.reserve(READS_HEAD_BYTES);
  }

  /** The reads that follow are of this table: its id (0 if there is none), name (UTF-8), and the root that was read. */
  readTable(id: number, name: Uint8Array, root: TreeRoot): void {
    rootWords.set(root.ref);
    rootWords[READ_ROOT_WORDS - 1] = root.height;
    this.#put(READ_TABLE, 0, id, rootBytes, name);
  }

  readKey(key: Uint8Array): void {
    // There can be no entry of a longer one, ever.
    if (key.length <= this.#keyBytesMax) this.#put(READ_KEY, 0, 0, key, NO_BYTES);
  }

  readRange(lower: KeyBound | null, upper: KeyBound | null): void {
    this.#putRange(READ_RANGE, 0, lower, upper);
  }

  /** Says how long the reads are: operations follow. */
  endReads(): void {
    this.#readBytes = this.byteLength;
    const first = this.#chunks[0] ?? this.#out.bytes;
    const length = this.byteLength;
    for (let i = 0; i < READS_HEAD_BYTES; i++) first[i] = length >>> (i * 8);
  }

  /**
   * The operations, for {@linkcode Client.submit}. With `lend` their memory is lent, and nobody
   * calls {@linkcode reset} before the request is settled; otherwise it is given away, or, of few
   * operations, valid until the next change.
   */
  take(lend: boolean): { payload: Uint8Array | readonly Uint8Array[]; kept: boolean } {
    if (!lend && this.#chunks.length === 0 && this.#out.length <= HANDED_OVER_BYTES) {
      return { payload: this.#out.view(), kept: false };
    }
    this.#seal();
    if (!lend) this.#lent = undefined;
    return { payload: this.#chunks.length === 1 ? this.#chunks[0] : this.#chunks, kept: true };
  }

  /**
   * Makes all operations name these tables by name instead of by id: for another attempt after some
   * table was deleted and perhaps made anew.
   */
  reopen(tables: readonly NamedTable[]): void {
    this.#seal();
    const aliases = new Map<number, number>();
    const chunks = this.#chunks;
    this.#chunks = [];
    for (const [index, { id, name, codecs }] of tables.entries()) {
      aliases.set(id, (TABLE_ALIAS | index) >>> 0);
      this.#put(OP_OPEN_TABLE, 0, 0, encoder.encode(name), encoder.encode(codecs));
    }
    this.#seal();
    const reader = new OperationReader();
    for (const chunk of chunks) {
      const memory = operationMemory(chunk);
      reader.begin(memory, 0, chunk.length);
      while (reader.next()) {
        const { table, tableWord } = reader;
        if (table >= TABLE_ALIAS) memory.u32[tableWord] = table + tables.length;
        else memory.u32[tableWord] = aliases.get(table) ?? table;
      }
    }
    this.#chunks.push(...chunks);
    this.#aliases += tables.length;
  }

  #put(kind: number, flags: number, id: number, key: Uint8Array, value: Uint8Array): void {
    this.checkIdle();
    if (this.#out.length > 0 && value.length > CHUNK_BYTES) this.#seal();
    const out = this.#out;
    const at = out.reserve(OP_HEADER_BYTES);
    append(out, key);
    append(out, value);
    this.#finish(at, kind, flags, key.length, id, value.length);
  }

  /** Writes the header of the operation that begins at `at`, and the zeros behind it. */
  #finish(
    at: number,
    kind: number,
    flags: number,
    keyLength: number,
    id: number,
    valueLength: number,
  ): void {
    const out = this.#out;
    const padding = align4(out.length) - out.length;
    if (padding > 0) {
      const end = out.reserve(padding);
      out.bytes.fill(0, end, end + padding);
    }
    putOperationHeader(out.bytes, at, kind, flags, keyLength, id, valueLength);
    // After one chunk, more is likely to come.
    if (out.length >= CHUNK_BYTES) this.#seal(CHUNK_CAPACITY);
  }

  /** How much there is, for {@linkcode rollback}. */
  mark(): OperationsMark {
    return { chunks: this.#chunks.length, bytes: this.#out.length, aliases: this.#aliases };
  }

  /** Takes back what was added since the mark. */
  rollback(mark: OperationsMark): void {
    if (this.#chunks.length > mark.chunks) {
      const [chunk] = this.#chunks.splice(mark.chunks);
      this.#out = new ByteWriter(Math.max(FIRST_BYTES, mark.bytes));
      append(this.#out, chunk.subarray(0, mark.bytes));
      this.#chunkBytes = this.#chunks.reduce((sum, { length }) => sum + length, 0);
    } else this.#startOver(mark.bytes);
    this.#aliases = mark.aliases;
  }

  /** Drops what a codec that has failed wrote; it may still have the writer, so there is a new one. */
  #startOver(at: number): void {
    const kept = this.#out.view().subarray(0, at);
    this.#out = new ByteWriter(Math.max(FIRST_BYTES, at));
    append(this.#out, kept);
  }

  /** Finishes the chunk in the making; the next one has room for so many bytes at first. */
  #seal(capacity: number = FIRST_BYTES): void {
    if (this.#out.length === 0) return;
    const chunk = this.#out.view();
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length;
    this.#lent = this.#out;
    this.#out = new ByteWriter(capacity);
  }

  /** Whether it is worth another attempt: the value alone may fit where it did not behind others. */
  #makeRoom(at: number, error: unknown): boolean {
    // Behind less than this the longest value fits (see WRITER_BYTES_MAX).
    if (at < 2 ** 15 || !(error instanceof ManifoldError) || error.code !== "too-large") {
      return false;
    }
    this.#seal();
    return true;
  }

  #checkKey(length: number, table: string): void {
    if (length <= this.#keyBytesMax) return;
    throw new ManifoldError(
      "too-large",
      `table "${table}": a key of ${length} bytes is longer than ${this.#keyBytesMax}, a ` +
        "quarter of the page size; shorten it",
    );
  }

  #clamp(bound: KeyBound, isUpper: boolean): KeyBound {
    if (bound.key.length <= this.#keyBytesMax) return bound;
    return { key: bound.key.subarray(0, this.#keyBytesMax), inclusive: isUpper };
  }
}

const NO_BYTES = new Uint8Array(0);
const rootWords = new Uint32Array(READ_ROOT_WORDS);
const rootBytes = new Uint8Array(rootWords.buffer);
const encoder = new TextEncoder();

/** Throws unless a value's encoding is of a length that can be stored. */
export function checkValue(length: number, table: string): void {
  if (length <= VALUE_BYTES_MAX) return;
  throw new ManifoldError(
    "too-large",
    `table "${table}": a value of ${length} bytes is longer than 1 GiB; split it`,
  );
}
