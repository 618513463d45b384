/**
 * Operations: what a transaction does, as bytes. The caller encodes them, the worker applies them
 * and copies them into the log, recovery reads them from there.
 *
 * An operation is three words (little-endian), key, value, zeros up to a multiple of 4:
 *
 * | word | what |
 * |---|---|
 * | 0 | kind (8 bits), flags (8 bits), bytes of the key (16 bits) |
 * | 1 | table id; or, with the top bit set, the number of an `open table` operation before it |
 * | 2 | bytes of the value |
 *
 * | kind | key | value |
 * |---|---|---|
 * | 1 set | key | value |
 * | 2 delete | key | |
 * | 3 delete range | lower bound | upper bound; flags say which are there and inclusive |
 * | 4 open table | name | codec names, joined by a NUL; queue only: makes the table if it is missing |
 * | 5 create table | name | codec names; log only |
 * | 6 drop table | name | |
 * | 7 create family | bytes of changes that it keeps (u53), or nothing | name; log only |
 * | 8 drop family | | log only |
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";

export const OP_SET = 1;
export const OP_DELETE = 2;
export const OP_DELETE_RANGE = 3;
export const OP_OPEN_TABLE = 4;
export const OP_CREATE_TABLE = 5;
export const OP_DROP_TABLE = 6;
export const OP_CREATE_FAMILY = 7;
export const OP_DROP_FAMILY = 8;

export const OP_HEADER_BYTES = 12;

/** Set in a table id that is the number of an `open table` operation of the same transaction. */
export const TABLE_ALIAS = 0x80000000;

// Flags of a range delete.
export const RANGE_HAS_LOWER = 1;
export const RANGE_HAS_UPPER = 2;
export const RANGE_LOWER_INCLUSIVE = 4;
export const RANGE_UPPER_INCLUSIVE = 8;

/** Memory that holds operations: the same bytes seen twice. */
export interface OperationMemory {
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
}

/** Sees memory whose bytes begin at a multiple of 4 of their buffer. */
export function operationMemory(bytes: Uint8Array): OperationMemory {
  return { u8: bytes, u32: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2) };
}

/** One operation after another; allocates nothing. */
export class OperationReader {
  kind = 0;
  flags = 0;
  /** Word index of the table id, so that it can be rewritten. */
  tableWord = 0;
  table = 0;
  keyOffset = 0;
  keyLength = 0;
  valueOffset = 0;
  valueLength = 0;
  /** First byte of the operation, and the first behind it. */
  start = 0;
  end = 0;
  memory: OperationMemory = { u8: new Uint8Array(0), u32: new Uint32Array(0) };
  #limit = 0;

  /** Begins at byte `from`, a multiple of 4, and ends at `to`. */
  begin(memory: OperationMemory, from: number, to: number): void {
    this.memory = memory;
    this.end = from;
    this.#limit = to;
  }

  /**
   * Moves to the next operation; false at the end.
   * @throws {ManifoldError} `corrupt` when lengths lead beyond the end.
   */
  next(): boolean {
    const start = this.end;
    if (start === this.#limit) return false;
    if (start + OP_HEADER_BYTES <= this.#limit) {
      const { u32 } = this.memory;
      const word = start >> 2;
      const head = u32[word];
      this.start = start;
      this.kind = head & 255;
      this.flags = (head >>> 8) & 255;
      this.keyLength = head >>> 16;
      this.tableWord = word + 1;
      this.table = u32[word + 1];
      this.valueLength = u32[word + 2];
      this.keyOffset = start + OP_HEADER_BYTES;
      this.valueOffset = this.keyOffset + this.keyLength;
      this.end = align4(this.valueOffset + this.valueLength);
      if (this.end <= this.#limit && this.kind >= OP_SET && this.kind <= OP_DROP_FAMILY) {
        return true;
      }
    }
    throw new ManifoldError("corrupt", `an operation at byte ${start} is damaged`);
  }

  key(): Uint8Array {
    return this.memory.u8.slice(this.keyOffset, this.keyOffset + this.keyLength);
  }

  value(): Uint8Array {
    return this.memory.u8.slice(this.valueOffset, this.valueOffset + this.valueLength);
  }
}

export function align4(length: number): number {
  return Math.ceil(length / 4) * 4;
}

/** Writes the header of an operation. */
export function putOperationHeader(
  u8: Uint8Array,
  at: number,
  kind: number,
  flags: number,
  keyLength: number,
  table: number,
  valueLength: number,
): void {
  u8[at] = kind;
  u8[at + 1] = flags;
  u8[at + 2] = keyLength;
  u8[at + 3] = keyLength >>> 8;
  putU32(u8, at + 4, table);
  putU32(u8, at + 8, valueLength);
}

function putU32(u8: Uint8Array, at: number, value: number): void {
  u8[at] = value;
  u8[at + 1] = value >>> 8;
  u8[at + 2] = value >>> 16;
  u8[at + 3] = value >>> 24;
}

/** One whole operation, for the rare kinds. */
export function encodeOperation(
  kind: number,
  table: number,
  key: Uint8Array,
  value: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(align4(OP_HEADER_BYTES + key.length + value.length));
  putOperationHeader(bytes, 0, kind, 0, key.length, table, value.length);
  bytes.set(key, OP_HEADER_BYTES);
  bytes.set(value, OP_HEADER_BYTES + key.length);
  return bytes;
}
