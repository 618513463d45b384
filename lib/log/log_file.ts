/**
 * The log file: a header of 4 KiB, then a ring of `capacity` bytes. Positions count bytes from the
 * beginning of the log's life; position p stands at byte 4096 + p mod capacity.
 *
 * | offset | bytes | field of the header |
 * |---|---|---|
 * | 0 | 9 | magic: `maniflg`, 1A, 0A |
 * | 12 | 4 | format version |
 * | 16 | 16 | uuid of the database |
 * | 32 | 8 | salt of this life |
 * | 40 | 8 | capacity |
 * | 48 | 8 | generation when the life began |
 * | 4088 | 8 | checksum of bytes 0 to 4087 |
 *
 * Invariant: a header is durable, and the file's name too, before the meta page that names its salt.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { allocateBytes, COUNT_MAX, equalBytes } from "../storage/bytes.ts";
import type { Checksum } from "../storage/checksum.ts";
import type { File } from "../storage/file.ts";

export const LOG_HEADER_BYTES = 4096;
const LOG_VERSION = 1;
const MAGIC = new Uint8Array([0x6d, 0x61, 0x6e, 0x69, 0x66, 0x6c, 0x67, 0x1a, 0x0a]);
const CHECKSUM_AT = LOG_HEADER_BYTES - 8;

/** The path of a database's log. */
export function logPathOf(path: string): string {
  return `${path}-log`;
}

export interface LogHeader {
  readonly uuid: Uint8Array;
  readonly salt: Uint8Array;
  readonly capacity: number;
  readonly generation: number;
}

export function encodeLogHeader(header: LogHeader, checksum: Checksum): Uint8Array {
  const bytes = new Uint8Array(LOG_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(12, LOG_VERSION, true);
  bytes.set(header.uuid, 16);
  bytes.set(header.salt, 32);
  view.setFloat64(40, header.capacity, true);
  view.setFloat64(48, header.generation, true);
  checksum.put(bytes.subarray(0, CHECKSUM_AT), bytes, CHECKSUM_AT);
  return bytes;
}

/** Bounds of a ring, bytes; a ring is a multiple of {@linkcode LOG_BYTES_STEP}. */
export const LOG_BYTES_MIN = 2 ** 18;
export const LOG_BYTES_MAX = 2 ** 32;
export const LOG_BYTES_STEP = 4096;

/** @throws {ManifoldError} `corrupt`, `unsupported-version`. */
export function readLogHeader(file: File, checksum: Checksum): LogHeader {
  const bytes = new Uint8Array(LOG_HEADER_BYTES);
  const count = file.read(0, bytes);
  const known = count === LOG_HEADER_BYTES && MAGIC.every((byte, i) => bytes[i] === byte);
  if (!known || !checksum.matches(bytes, CHECKSUM_AT, bytes.subarray(0, CHECKSUM_AT))) {
    throw new ManifoldError(
      "corrupt",
      `${file.path} is not the log of a Manifold database, or its header is damaged; ` +
        "put the right log back beside the database, or open with acceptLogLoss: true to go on from " +
        "the last checkpoint without it",
    );
  }
  const view = new DataView(bytes.buffer);
  const version = view.getUint32(12, true);
  if (version !== LOG_VERSION) {
    throw new ManifoldError(
      "unsupported-version",
      `${file.path} has log version ${version}; open the database with the release that wrote it`,
    );
  }
  const capacity = view.getFloat64(40, true);
  const generation = view.getFloat64(48, true);
  if (
    !(capacity >= LOG_BYTES_MIN && capacity <= LOG_BYTES_MAX) || capacity % LOG_BYTES_STEP !== 0 ||
    !Number.isInteger(generation) || generation < 0 || generation > COUNT_MAX
  ) {
    throw new ManifoldError(
      "corrupt",
      `${file.path} says an impossible capacity (${capacity}) or generation (${generation}); ` +
        "put the right log back beside the database",
    );
  }
  return {
    uuid: bytes.slice(16, 32),
    salt: bytes.slice(32, 40),
    capacity,
    generation,
  };
}

/**
 * The header of the log that a meta page counts on.
 * @throws {ManifoldError} `corrupt` also when it is another log; `unsupported-version`.
 */
export function readOwnLogHeader(
  file: File,
  meta: { readonly uuid: Uint8Array; readonly salt: Uint8Array },
  checksum: Checksum,
): LogHeader {
  const header = readLogHeader(file, checksum);
  if (equalBytes(header.uuid, meta.uuid) && equalBytes(header.salt, meta.salt)) return header;
  throw new ManifoldError(
    "corrupt",
    `${file.path} is the log of another database, or of another time; put the right log back, or ` +
      "open with acceptLogLoss: true to go on from the last checkpoint without it",
  );
}

/** Writes bytes at a position of the ring. */
export function writeAtPosition(
  file: File,
  capacity: number,
  position: number,
  bytes: Uint8Array,
): void {
  const at = position % capacity;
  const first = Math.min(bytes.length, capacity - at);
  file.write(LOG_HEADER_BYTES + at, bytes, 0, first);
  if (first < bytes.length) file.write(LOG_HEADER_BYTES, bytes, first);
}

const WINDOW_BYTES = 1024 * 1024;

/** Reads the ring in order, with few system calls. What it returns is valid until the next read. */
export class LogReader {
  readonly #file: File;
  readonly capacity: number;
  /** Called before the memory is used anew that holds what was returned: all of that is valid until then. */
  onMove: () => void = () => {};
  #window: Uint8Array = new Uint8Array(WINDOW_BYTES);
  #from = 0;
  #length = 0;
  #end = Infinity;
  readonly #onRead: (bytes: number) => void;
  /** Bytes of the ring that the file has. */
  readonly #there: number;

  /** `onRead` is told of each read of the file, before what it has read is looked at. */
  constructor(file: File, capacity: number, onRead: (bytes: number) => void = () => {}) {
    this.#file = file;
    this.capacity = capacity;
    this.#onRead = onRead;
    this.#there = Math.min(capacity, file.size() - LOG_HEADER_BYTES);
  }

  /**
   * Has reads take so much at once from now on, or all of the ring if that is less; but nothing behind a position that is
   * not asked for.
   *
   * @throws {ManifoldError} `too-large`
   */
  widen(bytes: number, end: number): void {
    this.onMove();
    this.#window = allocateBytes(Math.min(bytes, this.capacity), "a part of a log");
    this.#length = 0;
    this.#end = end;
  }

  /** Whether the file has a stretch of the ring; what it has not was never written. */
  holds(position: number, length: number): boolean {
    const at = position % this.capacity;
    return at + length <= this.capacity
      ? at + length <= this.#there
      : this.#there === this.capacity;
  }

  /** `length` bytes at a position, at most the capacity; zeros where the file was never written. */
  read(position: number, length: number): Uint8Array {
    if (position < this.#from || position + length > this.#from + this.#length) {
      this.onMove();
      if (length > this.#window.length) this.#window = allocateBytes(length, "a part of a log");
      this.#from = position;
      const ahead = Math.max(length, this.#end - position);
      this.#length = this.#fill(position, Math.min(this.#window.length, this.capacity, ahead));
      this.#onRead(this.#length);
    }
    const at = position - this.#from;
    return this.#window.subarray(at, Math.min(at + length, this.#length));
  }

  /**
   * The first of the positions from `from` to `to`, `step` apart (both multiples of it), where `word`
   * stands; -1 if it stands at none.
   */
  findWord(word: number, from: number, to: number, step: number): number {
    for (let position = from; position <= to;) {
      const length = Math.min(WINDOW_BYTES, to + step - position, this.capacity);
      const bytes = this.read(position, length);
      const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
      for (let i = 0; i < words.length; i += step >> 2) {
        if (words[i] === word) return position + i * 4;
      }
      position += length;
    }
    return -1;
  }

  #fill(position: number, length: number): number {
    const at = position % this.capacity;
    const first = Math.min(length, this.capacity - at);
    this.#readInto(at, 0, first);
    if (first < length) this.#readInto(0, first, length);
    return length;
  }

  /** Where the ring's file was never written, zeros are read; but not in the middle of it. */
  #readInto(at: number, from: number, to: number): void {
    const offset = LOG_HEADER_BYTES + at;
    const end = from + this.#file.read(offset, this.#window, from, to - from);
    if (end === to) return;
    if (offset + end - from < this.#file.size()) {
      throw new ManifoldError(
        "io",
        `${this.#file.path}: only ${end - from} of ${
          to - from
        } bytes at ${offset} could be read; ` +
          "check the disk, and open it again",
      );
    }
    this.#window.fill(0, end, to);
  }
}
