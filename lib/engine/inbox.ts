/**
 * What waits for one worker: requests from its write ring, parts put together again, stashes, and requests
 * that were put aside because their family's turn is somebody else's or because they must be applied
 * alone.
 *
 * Invariants: requests of one thread to one family keep their order; memory of the ring is given back
 * only after the requests that stand in it were answered or copied.
 *
 * @module
 */

import type { Control } from "../memory/control.ts";
import { isAlive } from "../memory/threads.ts";
import {
  ENTRY_ARGUMENT,
  ENTRY_FAMILY,
  ENTRY_HEADER_BYTES,
  ENTRY_KIND,
  ENTRY_PAYLOAD_BYTES,
  ENTRY_REQUEST,
  ENTRY_SLOT,
  ENTRY_THREAD,
  type WriteRing,
} from "../memory/write_ring.ts";
import { type OperationMemory, operationMemory } from "../log/operations.ts";
import type { JointName } from "../memory/joint_words.ts";
import { FLAG_FIRST, FLAG_LAST, FLAG_READS, REQUEST_STASH, REQUEST_UNSTASH } from "./requests.ts";

/** One request. */
export interface Request {
  readonly thread: number;
  readonly session: number;
  readonly request: number;
  readonly kind: number;
  readonly flags: number;
  readonly slot: number;
  readonly family: number;
  readonly argument: number;
  /** Its payload: bytes `from` to `to` of `memory`; in front of it, so many bytes of what it has read. */
  readonly memory: OperationMemory;
  readonly reads: number;
  readonly from: number;
  readonly to: number;
  /** Must be applied as a group of its own. */
  alone: boolean;
  /** There was no memory for its parts: it can only be refused. */
  readonly lost?: boolean;
}

/** A request of which some parts are still to come. */
interface Parts {
  /** Undefined if there is no memory for it. */
  readonly bytes: Uint8Array | undefined;
  length: number;
  readonly thread: number;
  readonly session: number;
  readonly argument: number;
}

export class Inbox {
  readonly #control: Control;
  readonly #ring: WriteRing;
  readonly #memory: OperationMemory;
  readonly #parts = new Map<string, Parts>();
  /** Parts of joint transactions, until their coordinators seek this worker. */
  readonly #stashes = new Map<string, Request>();
  #cursor: number;

  constructor(control: Control, ring: WriteRing) {
    this.#control = control;
    this.#ring = ring;
    this.#memory = { u8: ring.u8, u32: new Uint32Array(ring.u8.buffer) };
    this.#cursor = ring.head;
  }

  /** Whether something is in the ring. */
  get waits(): boolean {
    return this.#ring.waitingBytes > 0;
  }

  /**
   * Takes requests out until there are no more, or their payloads exceed `bytesMax`. Says whether there
   * were stashes among them, which are not put `into` the others.
   */
  take(bytesMax: number, into: Request[]): boolean {
    const ring = this.#ring;
    let bytes = 0;
    let stashed = false;
    while (bytes < bytesMax) {
      ring.skipped = this.#cursor;
      const at = ring.peek(this.#cursor);
      if (at < 0) {
        this.#cursor = ring.skipped;
        return stashed;
      }
      const request = this.#read(at);
      this.#cursor = ring.next;
      if (request === undefined) continue;
      if (this.#stash(request)) {
        stashed = true;
        continue;
      }
      into.push(request);
      bytes += request.to - request.from;
      // A transaction that came in parts stands alone: it is large.
      if (request.memory !== this.#memory) return stashed;
    }
    return stashed;
  }

  /** Keeps a stash, or forgets one; false if the request is neither. */
  #stash(request: Request): boolean {
    const { kind, thread, session } = request;
    if (kind === REQUEST_UNSTASH) {
      this.#stashes.delete(keyOf(request));
      return true;
    }
    if (kind !== REQUEST_STASH) return false;
    // What a dead thread has asked for is dropped once, when its death is told: not before this was read, perhaps.
    if (isAlive(this.#control, thread, session)) {
      this.#stashes.set(keyOf(request), this.keep(request, true));
    }
    return true;
  }

  hasStash(name: JointName): boolean {
    return this.#stashes.has(keyOf(name));
  }

  takeStash(name: JointName): Request | undefined {
    const key = keyOf(name);
    const stash = this.#stashes.get(key);
    this.#stashes.delete(key);
    return stash;
  }

  /** All that was taken out has been answered or copied. */
  release(): void {
    this.#ring.release(this.#cursor);
  }

  /** A copy that outlives the ring's memory. */
  keep(request: Request, alone: boolean): Request {
    if (request.memory !== this.#memory) return { ...request, alone };
    const { reads, from, to } = request;
    const bytes = new Uint8Array(reads + to - from);
    bytes.set(request.memory.u8.subarray(from - reads, to));
    return { ...request, memory: operationMemory(bytes), from: reads, to: bytes.length, alone };
  }

  /** Forgets parts and stashes of threads that are dead. */
  dropDead(): void {
    for (const unfinished of [this.#parts, this.#stashes]) {
      for (const [key, { thread, session }] of unfinished) {
        if (!isAlive(this.#control, thread, session)) unfinished.delete(key);
      }
    }
  }

  #read(at: number): Request | undefined {
    const { words } = this.#ring;
    const word = at >> 2;
    const who = words[word + ENTRY_THREAD] >>> 0;
    const kind = words[word + ENTRY_KIND];
    const from = at + ENTRY_HEADER_BYTES;
    const request: Request = {
      thread: who & 255,
      session: who >>> 8,
      request: words[word + ENTRY_REQUEST] >>> 0,
      kind: kind & 255,
      flags: kind >>> 8,
      slot: words[word + ENTRY_SLOT],
      family: words[word + ENTRY_FAMILY],
      argument: words[word + ENTRY_ARGUMENT],
      memory: this.#memory,
      reads: 0,
      from,
      to: from + words[word + ENTRY_PAYLOAD_BYTES],
      alone: false,
    };
    const whole = FLAG_FIRST | FLAG_LAST;
    return (request.flags & whole) === whole ? behindReads(request) : this.#join(request);
  }

  /** Adds a part; the whole request when it was the last. */
  #join(part: Request): Request | undefined {
    const key = keyOf(part);
    let { from } = part;
    if (part.flags & FLAG_FIRST) {
      const { u32 } = part.memory;
      const total = u32[from >> 2] + u32[(from >> 2) + 1] * 2 ** 32;
      from += 8;
      this.#parts.set(key, {
        bytes: allocate(total),
        length: 0,
        thread: part.thread,
        session: part.session,
        argument: part.argument,
      });
    }
    const parts = this.#parts.get(key);
    if (parts === undefined) return undefined; // its thread died and was forgotten
    parts.bytes?.set(part.memory.u8.subarray(from, part.to), parts.length);
    parts.length += part.to - from;
    if (!(part.flags & FLAG_LAST)) return undefined;
    this.#parts.delete(key);
    const { bytes, argument } = parts;
    if (bytes === undefined) return { ...part, argument, lost: true };
    const memory = operationMemory(bytes);
    return behindReads({ ...part, argument, memory, from: 0, to: parts.length });
  }
}

function keyOf({ thread, session, request }: JointName): string {
  return `${thread}:${session}:${request}`;
}

/** Has the payload of a transaction begin behind what it has read. */
function behindReads(request: Request): Request {
  if (!(request.flags & FLAG_READS)) return request;
  const reads = request.memory.u32[request.from >> 2];
  return { ...request, reads, from: request.from + reads };
}

function allocate(bytes: number): Uint8Array | undefined {
  try {
    return new Uint8Array(bytes);
  } catch {
    return undefined; // the request says so
  }
}
