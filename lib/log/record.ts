/**
 * Records of the log: what one group of one worker has done, for one or more families.
 *
 * A record begins at a multiple of 64 bytes and has a header of 64:
 *
 * | offset | bytes | field |
 * |---|---|---|
 * | 0 | 4 | magic `MREC` |
 * | 4 | 4 | bytes of the record, header included, without the padding behind it |
 * | 8 | 8 | position of the record in the log |
 * | 16 | 8 | salt of the log's life |
 * | 24 | 8 | generation of the newest checkpoint when it was written |
 * | 32 | 8 | position up to which the log was known durable when it was written |
 * | 40 | 4 | parts |
 * | 48 | 8 | checksum: XXH64 of the record with this field zero |
 *
 * A part has a header of 16 bytes: family id, bytes of its operations (u32 each), version that it
 * makes (u53); then the operations (lib/log/operations.ts).
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { ID_MAX } from "../memory/family_slots.ts";
import { allocateBytes, COUNT_MAX, getU53, putU53 } from "../storage/bytes.ts";
import { type Checksum, CHECKSUM_BYTES } from "../storage/checksum.ts";

export const RECORD_ALIGNMENT = 64;
export const RECORD_HEADER_BYTES = 64;
export const PART_HEADER_BYTES = 16;

/** The first word of a record. */
export const RECORD_MAGIC = 0x4345524d;
const CHECKSUM_AT = 48;

export function alignRecord(bytes: number): number {
  return Math.ceil(bytes / RECORD_ALIGNMENT) * RECORD_ALIGNMENT;
}

/** What a record's header says besides its own place. */
export interface RecordLife {
  readonly salt: Uint8Array;
  readonly generation: number;
  readonly durable: number;
}

/** Puts a record together in memory that is used again. */
export class RecordBuilder {
  #u8 = new Uint8Array(65536);
  #view = new DataView(this.#u8.buffer);
  #length = RECORD_HEADER_BYTES;
  #parts = 0;
  #partAt = 0;

  /** Bytes so far. */
  get length(): number {
    return this.#length;
  }

  get parts(): number {
    return this.#parts;
  }

  clear(): void {
    this.#length = RECORD_HEADER_BYTES;
    this.#parts = 0;
    // Memory of an unusually large record is not kept.
    if (this.#u8.length > KEPT_BYTES_MAX) this.#replaceMemory(new Uint8Array(65536));
  }

  beginPart(family: number, version: number): void {
    this.#partAt = this.#length;
    this.#room(PART_HEADER_BYTES);
    this.#view.setUint32(this.#partAt, family, true);
    putU53(this.#view, this.#partAt + 8, version);
    this.#parts++;
  }

  /** Bytes of the operations of the part so far. */
  get partBytes(): number {
    return this.#length - this.#partAt - PART_HEADER_BYTES;
  }

  /** Copies operations; returns where they stand now. */
  append(source: Uint8Array, from: number, to: number): number {
    const at = this.#length;
    this.#room(to - from);
    this.#u8.set(source.subarray(from, to), at);
    return at;
  }

  /** Rewrites the table id of the operation at `at`. */
  setTable(at: number, table: number): void {
    this.#view.setUint32(at + 4, table, true);
  }

  /** Takes the part in the making back. */
  dropPart(): void {
    this.#length = this.#partAt;
    this.#parts--;
  }

  endPart(): void {
    this.#view.setUint32(this.#partAt + 4, this.partBytes, true);
  }

  /** The parts so far, for another worker's record. Valid until the next change. */
  get body(): Uint8Array {
    return this.#u8.subarray(RECORD_HEADER_BYTES, this.#length);
  }

  /** Says that so many parts of another record were appended. */
  addParts(count: number): void {
    this.#parts += count;
  }

  /** The finished record for its place, padded to the alignment. */
  finish(position: number, life: RecordLife, checksum: Checksum): Uint8Array {
    const length = this.#length;
    const padded = alignRecord(length);
    this.#room(padded - length);
    this.#length = length;
    this.#u8.fill(0, length, padded);
    this.#putHeader(position, life, checksum);
    return this.#u8.subarray(0, padded);
  }

  /**
   * The header that makes a record of `length` bytes, which {@linkcode finish} has made last, one without parts, at the same
   * place. The bytes behind it stay.
   */
  voidHeader(position: number, length: number, life: RecordLife, checksum: Checksum): Uint8Array {
    this.#length = length;
    this.#parts = 0;
    this.#putHeader(position, life, checksum);
    const header = this.#u8.slice(0, RECORD_HEADER_BYTES);
    this.clear();
    return header;
  }

  #putHeader(position: number, life: RecordLife, checksum: Checksum): void {
    const view = this.#view;
    const length = this.#length;
    this.#u8.fill(0, 0, RECORD_HEADER_BYTES);
    view.setUint32(0, RECORD_MAGIC, true);
    view.setUint32(4, length, true);
    putU53(view, 8, position);
    this.#u8.set(life.salt, 16);
    putU53(view, 24, life.generation);
    putU53(view, 32, life.durable);
    view.setUint32(40, this.#parts, true);
    checksum.put(this.#u8.subarray(0, length), this.#u8, CHECKSUM_AT);
  }

  #room(bytes: number): void {
    this.#length += bytes;
    if (this.#length <= this.#u8.length) return;
    const larger = allocateBytes(Math.max(this.#length, this.#u8.length * 2), "a record");
    larger.set(this.#u8.subarray(0, this.#length - bytes));
    this.#replaceMemory(larger);
  }

  #replaceMemory(memory: Uint8Array<ArrayBuffer>): void {
    this.#u8 = memory;
    this.#view = new DataView(memory.buffer);
  }
}

const KEPT_BYTES_MAX = 4 * 2 ** 20;

/** What the header of a record says. */
export interface RecordHeader {
  length: number;
  position: number;
  generation: number;
  durable: number;
  parts: number;
}

/**
 * Reads a header that should stand at `position`; undefined if it is not one of this life.
 */
export function readRecordHeader(
  bytes: Uint8Array,
  position: number,
  salt: Uint8Array,
): RecordHeader | undefined {
  if (bytes.length < RECORD_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_HEADER_BYTES);
  if (view.getUint32(0, true) !== RECORD_MAGIC) return undefined;
  if (getU53(view, 8) !== position) return undefined;
  for (let i = 0; i < salt.length; i++) if (bytes[16 + i] !== salt[i]) return undefined;
  return {
    length: view.getUint32(4, true),
    position,
    generation: getU53(view, 24),
    durable: getU53(view, 32),
    parts: view.getUint32(40, true),
  };
}

const ZERO_SUM = new Uint8Array(CHECKSUM_BYTES);

/** Whether the checksum of a whole record is right. */
export function recordVerifies(bytes: Uint8Array, checksum: Checksum): boolean {
  return checksum.matches(
    bytes,
    CHECKSUM_AT,
    bytes.subarray(0, CHECKSUM_AT),
    ZERO_SUM,
    bytes.subarray(CHECKSUM_AT + CHECKSUM_BYTES),
  );
}

/** One part of a record. */
export interface RecordPart {
  readonly family: number;
  readonly version: number;
  /** Byte offsets of the operations. */
  readonly from: number;
  readonly to: number;
}

/**
 * The parts of a record of the log at `path` that verified, which begins at `start` of `bytes`, a multiple of 4.
 * @throws {ManifoldError} `corrupt`
 */
export function recordParts(
  bytes: Uint8Array,
  header: RecordHeader,
  path: string,
  start = 0,
): RecordPart[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: RecordPart[] = [];
  const end = start + header.length;
  let at = start + RECORD_HEADER_BYTES;
  for (let i = 0; i < header.parts; i++) {
    const from = at + PART_HEADER_BYTES;
    const to = from <= end ? from + view.getUint32(at + 4, true) : Infinity;
    const bad = to > end || to % 4 !== 0;
    const family = bad ? 0 : view.getUint32(at, true);
    const version = bad ? 0 : getU53(view, at + 8);
    if (family === 0 || family > ID_MAX || version === 0 || version > COUNT_MAX) {
      throw new ManifoldError(
        "corrupt",
        `${path}: part ${i} of the log's record at position ${header.position} is none; restore a backup`,
      );
    }
    parts.push({ family, version, from, to });
    at = to;
  }
  return parts;
}
