/**
 * The write queue of one worker: a ring of bytes in shared memory, many producers, one consumer.
 *
 * Sixteen control words: head, tail (cursors in bytes, wrapping at 2^32), lock, space (bumped when
 * the head moves), then the entries. An entry is 32 bytes of header and its payload, padded to 32:
 *
 * | word | what |
 * |---|---|
 * | 0 | state: 1 reserved, 2 ready, 3 void; above it, in bits 8 and up, bytes of the entry in the ring |
 * | 1 | thread (8 bits) and its session (24 bits) |
 * | 2 | request |
 * | 3 | kind (8 bits) and flags |
 * | 4 | family slot |
 * | 5 | family id |
 * | 6 | bytes of the payload |
 * | 7 | argument (see lib/engine/requests.ts) |
 *
 * Invariants: reserving writes the thread's name before the tail moves, so that what a dead thread
 * left can be made void by name; an entry never wraps (a void one fills the rest of the ring); the
 * consumer takes entries in order and stops at one that is still reserved.
 *
 * @module
 */

import { SpinLock } from "./spin_lock.ts";
import { bumpAndWake } from "./waiting.ts";

const HEAD = 0;
const TAIL = 1;
const LOCK = 2;
const SPACE = 3;
const CONTROL_BYTES = 64;

export const ENTRY_HEADER_BYTES = 32;
const ALIGNMENT = 32;

const RESERVED = 1;
const READY = 2;
const VOID = 3;
const STATE_MASK = 255;
const STATE_BITS = 8;

/** What a producer says of an entry. */
export interface EntryHeader {
  thread: number;
  session: number;
  request: number;
  kind: number;
  flags: number;
  slot: number;
  family: number;
  payloadBytes: number;
  argument: number;
}

/** Header words of an entry, as offsets from its first word. */
export const ENTRY_THREAD = 1;
export const ENTRY_REQUEST = 2;
export const ENTRY_KIND = 3;
export const ENTRY_SLOT = 4;
export const ENTRY_FAMILY = 5;
export const ENTRY_PAYLOAD_BYTES = 6;
export const ENTRY_ARGUMENT = 7;

export class WriteRing {
  static allocate(bytes: number): SharedArrayBuffer {
    return new SharedArrayBuffer(CONTROL_BYTES + bytes);
  }

  /** Bytes of the ring; a power of two. */
  readonly capacity: number;
  readonly words: Int32Array;
  readonly u8: Uint8Array;
  readonly #lock: SpinLock;

  constructor(buffer: SharedArrayBuffer) {
    this.capacity = buffer.byteLength - CONTROL_BYTES;
    this.words = new Int32Array(buffer);
    this.u8 = new Uint8Array(buffer);
    this.#lock = new SpinLock(this.words, LOCK);
  }

  /** The longest payload that goes into one entry, in bytes; more is sent in parts. */
  get payloadBytesMax(): number {
    return (this.capacity >> 2) - ENTRY_HEADER_BYTES;
  }

  /** The word that is bumped whenever entries were taken out. */
  get spaceIndex(): number {
    return SPACE;
  }

  /**
   * Appends an entry; false if there is no room, or if a thread that may have died is just making
   * some: try again later. `payload` is copied. The caller wakes the worker.
   */
  push(header: EntryHeader, payload: Uint8Array): boolean {
    const at = this.#reserve(header.thread, ENTRY_HEADER_BYTES + payload.length);
    if (at < 0) return false;
    const words = this.words;
    const word = at >> 2;
    words[word + ENTRY_THREAD] = header.thread | (header.session << 8);
    words[word + ENTRY_REQUEST] = header.request;
    words[word + ENTRY_KIND] = header.kind | (header.flags << 8);
    words[word + ENTRY_SLOT] = header.slot;
    words[word + ENTRY_FAMILY] = header.family;
    words[word + ENTRY_PAYLOAD_BYTES] = payload.length;
    words[word + ENTRY_ARGUMENT] = header.argument;
    this.u8.set(payload, at + ENTRY_HEADER_BYTES);
    const state = Atomics.load(words, word);
    Atomics.store(words, word, (state & ~STATE_MASK) | READY);
    return true;
  }

  /** Byte offset of a new entry in `u8`, or -1. */
  #reserve(thread: number, bytes: number): number {
    const words = this.words;
    const size = (bytes + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (!this.#lock.tryAcquire(thread)) return -1;
    try {
      const head = Atomics.load(words, HEAD);
      let tail = Atomics.load(words, TAIL);
      let offset = tail & (this.capacity - 1);
      const rest = this.capacity - offset;
      const filler = rest < size ? rest : 0;
      if (((tail - head) >>> 0) + filler + size > this.capacity) return -1;
      if (filler > 0) {
        Atomics.store(words, (CONTROL_BYTES + offset) >> 2, (filler << STATE_BITS) | VOID);
        tail = (tail + filler) | 0;
        offset = 0;
      }
      const word = (CONTROL_BYTES + offset) >> 2;
      words[word + ENTRY_THREAD] = thread;
      Atomics.store(words, word, (size << STATE_BITS) | RESERVED);
      Atomics.store(words, TAIL, (tail + size) | 0);
      return CONTROL_BYTES + offset;
    } finally {
      this.#lock.release();
    }
  }

  /** The cursor of the first entry that was not taken out. Only the consumer. */
  get head(): number {
    return Atomics.load(this.words, HEAD);
  }

  /**
   * From `cursor` on, the byte offset in `u8` of the first ready entry, -1 if there is none yet; moves on
   * over void entries. `next` then is the cursor behind the entry. Only the consumer.
   */
  peek(cursor: number): number {
    const words = this.words;
    const tail = Atomics.load(words, TAIL);
    while (cursor !== tail) {
      const offset = CONTROL_BYTES + (cursor & (this.capacity - 1));
      const state = Atomics.load(words, offset >> 2);
      const size = state >>> STATE_BITS;
      this.next = (cursor + size) | 0;
      if ((state & STATE_MASK) === READY) return offset;
      if ((state & STATE_MASK) === RESERVED) return -1;
      cursor = this.next;
      this.skipped = cursor;
    }
    return -1;
  }

  /** Set by {@linkcode peek}: the cursor behind the entry found. */
  next = 0;
  /** Set by {@linkcode peek}: the cursor behind the last void entry passed. */
  skipped = 0;

  /** Gives the memory up to `cursor` back to the producers. Only the consumer. */
  release(cursor: number): void {
    if (cursor === Atomics.load(this.words, HEAD)) return;
    Atomics.store(this.words, HEAD, cursor);
    bumpAndWake(this.words, SPACE);
  }

  /** Bytes that wait in the ring. */
  get waitingBytes(): number {
    return (Atomics.load(this.words, TAIL) - Atomics.load(this.words, HEAD)) >>> 0;
  }

  /**
   * Makes void what a thread, known to be dead, has reserved and will never finish. False if another
   * thread, which may be dead too, holds the ring: to be called again.
   */
  releaseOf(dead: number, thread: number): boolean {
    const words = this.words;
    this.#lock.releaseOf(dead);
    if (!this.#lock.tryAcquire(thread)) return false;
    try {
      let cursor = Atomics.load(words, HEAD);
      const tail = Atomics.load(words, TAIL);
      while (cursor !== tail) {
        const word = (CONTROL_BYTES + (cursor & (this.capacity - 1))) >> 2;
        const state = Atomics.load(words, word);
        if ((state & STATE_MASK) === RESERVED && (words[word + ENTRY_THREAD] & 255) === dead) {
          Atomics.store(words, word, (state & ~STATE_MASK) | VOID);
        }
        cursor = (cursor + (state >>> STATE_BITS)) | 0;
      }
      return true;
    } finally {
      this.#lock.release();
    }
  }
}
