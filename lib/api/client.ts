/**
 * How one thread asks the writing workers of an open database and hears from them.
 *
 * Invariants: requests of this thread to one worker go into its ring in the order of their submission, except
 * urgent ones (the ends of turns), which overtake what waits here; at most {@linkcode COMPLETIONS_MAX}
 * requests are under way, and {@linkcode URGENT_RESERVE} of them are kept for urgent ones, because
 * the end of a turn can be what all others wait for; every request is settled exactly once; no wait
 * is without a time-out. A request with stashes goes into its worker's ring when they are in theirs.
 *
 * @module
 */

import {
  FLAG_FIRST,
  FLAG_LAST,
  REQUEST_JOINT,
  REQUEST_STASH,
  REQUEST_TRANSACTION,
  REQUEST_UNSTASH,
} from "../engine/requests.ts";
import type { ThreadMemory } from "../engine/thread_memory.ts";
import { ManifoldError } from "../errors.ts";
import { type Completion, COMPLETIONS_MAX } from "../memory/completions.ts";
import {
  CLOSED,
  databaseState,
  FAILED,
  failure,
  hasFailure,
  OPEN,
} from "../memory/database_state.ts";
import { Statistics } from "../memory/statistics.ts";
import { wakeWorker, wantWorker } from "../memory/worker_table.ts";
import type { EntryHeader } from "../memory/write_ring.ts";
import { noteGarbage } from "../runtime/garbage.ts";
import { keepAlive } from "../runtime/keep_alive.ts";
import { pollWhile } from "../runtime/polling.ts";
import { runtime } from "../runtime/runtime.ts";
import { putU53 } from "../storage/bytes.ts";
import { Patience, PATIENCE_MS } from "./patience.ts";
import { closedError, requestError } from "./request_error.ts";

/** Requests under way that only urgent ones may use. */
export const URGENT_RESERVE = 1024;

/** What a request leaves to the collector beside its payload, about; bytes. */
const REQUEST_GARBAGE_BYTES = 1024;

/** How often a thread that waits for completions looks whether the database has failed. */
const COMPLETION_WAIT_MS = 200;
/** How often a thread that waits for room in a ring looks again. */
const SPACE_WAIT_MS = 50;

/** A request's number: session (8 bits), generation (11 bits), index of the pending entry (13 bits). */
const INDEX_BITS = 13;
const INDEX_MASK = COMPLETIONS_MAX - 1;
const GENERATION_MASK = 0x7ff;

const WHOLE = FLAG_FIRST | FLAG_LAST;
/** What the first part of a transaction in parts begins with: the bytes of all its operations. */
const LENGTH_BYTES = 8;

/** What a caller asks of a family's worker (lib/engine/requests.ts). */
export interface ClientRequest {
  readonly slot: number;
  readonly family: number;
  readonly kind: number;
  readonly flags: number;
  readonly argument: number;
  /** Copied before {@linkcode Client.submit} returns, unless it is `kept`. */
  readonly payload: Uint8Array | readonly Uint8Array[];
  /** Nobody changes the payload any more: it need not be copied when it has to wait. */
  readonly kept?: boolean;
  /** Goes before all that waits. */
  readonly urgent?: boolean;
  /** What other workers need for it (lib/engine/joint.ts); only with a `kept` payload. */
  readonly stashes?: readonly Stash[];
  /** What is asked and of whom, for messages: `set in table "users" of column family "shop"`. */
  readonly describe: () => string;
}

/** The part of a joint transaction that another worker has in it. */
export interface Stash {
  readonly worker: number;
  readonly payload: readonly Uint8Array[];
}

/** A request that is under way or waits for its turn to be sent. */
interface Pending {
  /** The full number once it is under way, -1 before. */
  number: number;
  generation: number;
  resolve: (result: number) => void;
  reject: (error: unknown) => void;
  describe: () => string;
  /** Workers that have stashes for it. */
  stashedAt: readonly number[];
}

/** A request that waits for its turn to be sent. */
interface Ticket {
  readonly request: ClientRequest;
  readonly resolve: (result: number) => void;
  readonly reject: (error: unknown) => void;
  /** Its number once it is under way, -1 before. */
  number: number;
  /** Stashes that are to be sent before it. */
  stashesLeft: number;
}

/** What is still to be put into a worker's ring. */
interface Unsent {
  readonly ticket: Ticket;
  readonly kind: number;
  /** The payload, cut into pieces that fit an entry each. */
  readonly parts: readonly Uint8Array[];
  next: number;
}

/** What waits for room in one worker's ring. */
interface Outbox {
  readonly urgent: Fifo<Unsent>;
  readonly normal: Fifo<Unsent>;
  waitsForSpace: boolean;
}

/** A queue whose front is cheap to take. */
class Fifo<T> {
  #items: T[] = [];
  #head = 0;

  get first(): T | undefined {
    return this.#items[this.#head];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): void {
    this.#items[this.#head++] = undefined as T;
    if (this.#head < 1024 && this.#head < this.#items.length) return;
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }

  takeAll(): T[] {
    const rest = this.#items.slice(this.#head);
    this.#items = [];
    this.#head = 0;
    return rest;
  }
}

/**
 * Requests that are pushed before workers are woken, at the most. With twice as many, 64 callers and their worker wait
 * for each other; with half as many nobody is faster.
 */
const UNANNOUNCED_MAX = 32;

/** Sends a thread's requests and receives their completions. */
export class Client {
  /** Where this thread counts. */
  readonly statistics: Statistics;
  readonly #memory: ThreadMemory;
  readonly #path: string;
  readonly #patience: Patience;
  readonly #tailIndex: number;
  readonly #numberBase: number;
  readonly #outboxes = new Map<number, Outbox>();
  readonly #pending: (Pending | undefined)[] = [];
  readonly #freeIndices: number[] = [];
  readonly #workersToWake: number[] = [];
  /** Requests that were pushed since workers were woken. */
  #unannounced = 0;
  readonly #completion: Completion = { request: 0, status: 0, detail: 0, result: 0 };
  readonly #header: EntryHeader;
  readonly #wake = (): void => this.#wakeWorkers();
  /** Entries of `#pending` that are in use. */
  #underWay = 0;
  /** Requests that were submitted and are not settled. */
  #unsettled = 0;
  /** When the newest completions were received, ms. */
  #receivedAt = 0;
  #cursor: number;
  #listening = false;
  #closed = false;
  #whenIdle: (() => void)[] = [];

  constructor(memory: ThreadMemory, path: string) {
    this.statistics = new Statistics(memory.control, memory.thread);
    this.#memory = memory;
    this.#path = path;
    this.#patience = new Patience(
      memory.control,
      memory.rings.length,
      runtime.hardwareConcurrency,
    );
    this.#tailIndex = memory.completions.tailIndex(memory.thread);
    this.#numberBase = (memory.session & 0xff) * 2 ** 24;
    this.#cursor = Atomics.load(memory.completions.words, this.#tailIndex);
    this.#header = {
      thread: memory.thread,
      session: memory.session,
      request: 0,
      kind: 0,
      flags: 0,
      slot: 0,
      family: 0,
      payloadBytes: 0,
      argument: 0,
    };
  }

  /** Requests that were submitted and are not settled. */
  get unsettled(): number {
    return this.#unsettled;
  }

  /**
   * Sends a request; resolves with the completion's result.
   *
   * Rejects with a {@linkcode ManifoldError} of the completion's code, with `failed` when the
   * database fails meanwhile (the outcome is unknown then), with `closed` after {@linkcode close}.
   */
  submit(request: ClientRequest): Promise<number> {
    const refused = this.#refusal(request);
    if (refused !== undefined) return Promise.reject(refused);
    return new Promise<number>((resolve, reject) => {
      this.#unsettled++;
      try {
        this.#send(request, this.#measured(request, resolve), reject);
      } catch (cause) {
        this.#unsettled--;
        reject(noMemory(cause, request));
        return;
      }
      if (!this.#listening) this.#listen();
    });
  }

  /** What settles a request, and counts it if it is a commit, from now on. */
  #measured(
    { kind }: ClientRequest,
    resolve: (result: number) => void,
  ): (result: number) => void {
    if (kind !== REQUEST_TRANSACTION && kind !== REQUEST_JOINT) return resolve;
    const submittedAt = performance.now();
    return (result) => {
      this.statistics.commit(this.#receivedAt - submittedAt);
      resolve(result);
    };
  }

  /**
   * Waits until all that was submitted is settled; whatever comes later is refused as `closed`. Urgent
   * requests are taken until then: what is under way may wait for a turn that they end.
   */
  close(): Promise<void> {
    this.#closed = true;
    if (this.#unsettled === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  #refusal(request: ClientRequest): ManifoldError | undefined {
    if (this.#closed && (this.#unsettled === 0 || request.urgent !== true)) {
      return closedError(this.#path);
    }
    const { control } = this.#memory;
    const state = databaseState(control);
    if (state === OPEN) return undefined;
    return hasFailure(control) ? failure(control, this.#path) : closedError(this.#path);
  }

  #send(
    request: ClientRequest,
    resolve: (result: number) => void,
    reject: (error: unknown) => void,
  ): void {
    const worker = this.#memory.slots.worker(request.slot);
    const outbox = this.#outboxes.get(worker);
    const { payload } = request;
    noteGarbage(REQUEST_GARBAGE_BYTES + bytesOf(payload));
    const ring = this.#memory.rings[worker];
    if (request.stashes !== undefined && request.stashes.length > 0) {
      this.#sendStashes(request.stashes, ticketOf(request, resolve, reject));
      return;
    }
    const isSmall = payload instanceof Uint8Array && payload.length <= ring.payloadBytesMax;
    const nothingWaits = outbox === undefined ||
      (outbox.normal.first === undefined && outbox.urgent.first === undefined);
    if (isSmall && nothingWaits && this.#mayGo(request)) {
      const number = this.#take(resolve, reject, request);
      if (this.#push(worker, request, request.kind, number, request.flags | WHOLE, payload)) return;
      this.#giveBack(number & INDEX_MASK);
    }
    this.#enqueue(worker, ticketOf(request, resolve, reject), request.kind, payload);
    this.#pump(worker);
  }

  #sendStashes(stashes: readonly Stash[], ticket: Ticket): void {
    ticket.stashesLeft = stashes.length;
    for (const { worker, payload } of stashes) {
      this.#enqueue(worker, ticket, REQUEST_STASH, payload);
    }
    for (const { worker } of stashes) this.#pump(worker);
  }

  #mayGo(request: ClientRequest): boolean {
    const limit = request.urgent === true ? COMPLETIONS_MAX : COMPLETIONS_MAX - URGENT_RESERVE;
    return this.#underWay < limit;
  }

  #enqueue(
    worker: number,
    ticket: Ticket,
    kind: number,
    payload: ClientRequest["payload"],
  ): void {
    let outbox = this.#outboxes.get(worker);
    if (outbox === undefined) {
      outbox = { urgent: new Fifo(), normal: new Fifo(), waitsForSpace: false };
      this.#outboxes.set(worker, outbox);
    }
    const { urgent, kept } = ticket.request;
    const parts = partsOf(payload, kept, this.#memory.rings[worker].payloadBytesMax);
    const unsent: Unsent = { ticket, kind, parts, next: 0 };
    (urgent === true ? outbox.urgent : outbox.normal).push(unsent);
  }

  /** Puts what waits for a worker into its ring, as far as there is room. */
  #pump(worker: number): void {
    const outbox = this.#outboxes.get(worker);
    if (outbox === undefined || outbox.waitsForSpace) return;
    const ring = this.#memory.rings[worker];
    for (;;) {
      const queue = outbox.urgent.first !== undefined ? outbox.urgent : outbox.normal;
      const unsent = queue.first;
      if (unsent === undefined) return;
      const { parts, ticket, kind } = unsent;
      const { request } = ticket;
      if (ticket.number < 0) {
        // Completions make this go on.
        if (!this.#mayGo(request)) return;
        ticket.number = this.#take(ticket.resolve, ticket.reject, request);
      }
      while (unsent.next < parts.length) {
        const flags = request.flags | (unsent.next === 0 ? FLAG_FIRST : 0) |
          (unsent.next === parts.length - 1 ? FLAG_LAST : 0);
        // Read before the attempt, so that room made in between is not missed.
        const space = Atomics.load(ring.words, ring.spaceIndex);
        if (!this.#push(worker, request, kind, ticket.number, flags, parts[unsent.next])) {
          this.#awaitSpace(worker, outbox, space);
          return;
        }
        unsent.next++;
      }
      queue.shift();
      if (kind === REQUEST_STASH && --ticket.stashesLeft === 0) {
        // Never before: its worker may wait for those that have the stashes, and must find them there.
        const coordinator = this.#memory.slots.worker(request.slot);
        this.#enqueue(coordinator, ticket, request.kind, request.payload);
        this.#pump(coordinator);
      }
    }
  }

  #awaitSpace(worker: number, outbox: Outbox, seen: number): void {
    outbox.waitsForSpace = true;
    const { words, spaceIndex } = this.#memory.rings[worker];
    const again = (): void => {
      outbox.waitsForSpace = false;
      this.#pump(worker);
    };
    const wait = Atomics.waitAsync(words, spaceIndex, seen, SPACE_WAIT_MS);
    if (wait.async) wait.value.then(again);
    else queueMicrotask(again);
  }

  /** Puts one entry into the ring of a worker and sees to it that the worker is woken. */
  #push(
    worker: number,
    request: ClientRequest,
    kind: number,
    number: number,
    flags: number,
    payload: Uint8Array,
  ): boolean {
    const header = this.#header;
    header.request = number;
    header.kind = kind;
    header.flags = flags;
    header.slot = request.slot;
    header.family = request.family;
    header.argument = request.argument;
    if (!this.#memory.rings[worker].push(header, payload)) return false;
    // One wake for all that is pushed before the present turn of the event loop goes on, unless that is so much
    // that the worker had better begin meanwhile.
    if (!this.#workersToWake.includes(worker)) {
      if (this.#workersToWake.length === 0) queueMicrotask(this.#wake);
      this.#workersToWake.push(worker);
    }
    if (++this.#unannounced >= UNANNOUNCED_MAX) this.#wakeWorkers();
    return true;
  }

  #wakeWorkers(): void {
    const { control } = this.#memory;
    for (const worker of this.#workersToWake) {
      wantWorker(control, worker);
      wakeWorker(control, worker);
    }
    this.#workersToWake.length = 0;
    this.#unannounced = 0;
  }

  /** Makes a request one that is under way; returns its number. */
  #take(
    resolve: (result: number) => void,
    reject: (error: unknown) => void,
    { describe, stashes }: ClientRequest,
  ): number {
    const index = this.#freeIndices.pop() ?? this.#pending.length;
    const stashedAt = stashes === undefined ? NOWHERE : stashes.map(({ worker }) => worker);
    let pending = this.#pending[index];
    if (pending === undefined) {
      pending = { number: -1, generation: 0, resolve, reject, describe, stashedAt };
      this.#pending[index] = pending;
    } else {
      pending.generation = (pending.generation + 1) & GENERATION_MASK;
      pending.resolve = resolve;
      pending.reject = reject;
      pending.describe = describe;
      pending.stashedAt = stashedAt;
    }
    pending.number = this.#numberBase + pending.generation * 2 ** INDEX_BITS + index;
    this.#underWay++;
    return pending.number;
  }

  #giveBack(index: number): void {
    const pending = this.#pending[index]!;
    pending.number = -1;
    pending.resolve = pending.reject = ignore;
    pending.describe = nothing;
    this.#freeIndices.push(index);
    this.#underWay--;
  }

  /** Receives completions while anything is unsettled. */
  async #listen(): Promise<void> {
    this.#listening = true;
    const { control } = this.#memory;
    const release = keepAlive();
    while (this.#unsettled > 0) {
      this.#receive();
      if (databaseState(control) === FAILED) {
        // What was answered before the failure keeps its answer.
        this.#receive();
        this.#rejectAll(failure(control, this.#path));
      } else if (databaseState(control) === CLOSED) {
        this.#receive();
        this.#rejectAll(closedError(this.#path));
      }
      if (this.#unsettled === 0) break;
      await this.#awaitCompletions();
    }
    release();
    this.#listening = false;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  /** Waits until there are completions, or for a while. */
  async #awaitCompletions(): Promise<void> {
    // With more under way, the worker is awake anyway, and this thread has better things to do.
    if (this.#unsettled > 1) return await this.#sleep();
    const patience = this.#patience;
    const begun = performance.now();
    if (patience.looks()) {
      const { words } = this.#memory.completions;
      const answered = await pollWhile(words, this.#tailIndex, this.#cursor, PATIENCE_MS);
      if (!answered) await this.#sleep();
      patience.looked(performance.now() - begun);
    } else {
      await this.#sleep();
      patience.slept(performance.now() - begun);
    }
  }

  async #sleep(): Promise<void> {
    const { words } = this.#memory.completions;
    const wait = Atomics.waitAsync(words, this.#tailIndex, this.#cursor, COMPLETION_WAIT_MS);
    if (wait.async) await wait.value;
  }

  /** Settles all requests whose completions have arrived. */
  #receive(): void {
    const { completions } = this.#memory;
    const tail = Atomics.load(completions.words, this.#tailIndex);
    if (tail === this.#cursor) return;
    this.#receivedAt = performance.now();
    const completion = this.#completion;
    while (this.#cursor !== tail) {
      completions.read(this.#memory.thread, this.#cursor, completion);
      this.#cursor = (this.#cursor + 1) | 0;
      const index = completion.request & INDEX_MASK;
      const pending = this.#pending[index];
      if (pending === undefined || pending.number !== completion.request) continue;
      const { resolve, reject, describe, stashedAt } = pending;
      this.#giveBack(index);
      this.#unsettled--;
      if (completion.status === 0) {
        resolve(completion.result);
        continue;
      }
      for (const worker of stashedAt) this.#unstash(worker, completion.request);
      reject(this.#errorOf(completion, describe()));
    }
    for (const worker of this.#outboxes.keys()) this.#pump(worker);
  }

  #errorOf(completion: Completion, what: string): ManifoldError {
    const { control, arena } = this.#memory;
    const error = requestError(completion, what, arena.pageSize);
    // The completion has no room for the cause.
    return error.code === "failed" && hasFailure(control) ? failure(control, this.#path) : error;
  }

  /** A worker may have the stash of a refused request yet, which nobody will seek it for. */
  #unstash(worker: number, number: number): void {
    const request: ClientRequest = {
      slot: 0,
      family: 0,
      kind: REQUEST_UNSTASH,
      flags: 0,
      argument: 0,
      payload: NO_PAYLOAD,
      kept: true,
      describe: nothing,
    };
    const ticket = { ...ticketOf(request, ignore, ignore), number };
    this.#enqueue(worker, ticket, REQUEST_UNSTASH, NO_PAYLOAD);
  }

  /** Nothing of what was submitted will be answered any more. */
  #rejectAll(error: ManifoldError): void {
    for (const outbox of this.#outboxes.values()) {
      for (const queue of [outbox.urgent, outbox.normal]) {
        for (const { ticket } of queue.takeAll()) {
          if (ticket.number >= 0) continue; // it is among the pending
          ticket.number = 0; // as if it were: another of its stashes may wait, too
          this.#unsettled--;
          ticket.reject(error);
        }
      }
    }
    for (let index = 0; index < this.#pending.length; index++) {
      const pending = this.#pending[index]!;
      if (pending.number < 0) continue;
      const { reject } = pending;
      this.#giveBack(index);
      this.#unsettled--;
      reject(error);
    }
  }
}

/** What has to wait is copied, and there may be no memory for that. */
function noMemory(cause: unknown, request: ClientRequest): unknown {
  if (!(cause instanceof RangeError)) return cause;
  return new ManifoldError(
    "too-large",
    `${request.describe()}: there is no memory for so much at once; write it in smaller pieces`,
    { cause },
  );
}

const NOWHERE: readonly number[] = [];
const NO_PAYLOAD = new Uint8Array(0);

function ignore(): void {}

function nothing(): string {
  return "";
}

function bytesOf(payload: ClientRequest["payload"]): number {
  if (payload instanceof Uint8Array) return payload.length;
  let total = 0;
  for (const piece of payload) total += piece.length;
  return total;
}

function ticketOf(
  request: ClientRequest,
  resolve: (result: number) => void,
  reject: (error: unknown) => void,
): Ticket {
  return { request, resolve, reject, number: -1, stashesLeft: 0 };
}

/** Cuts a payload into entries; what has to wait is copied unless it is kept. */
function partsOf(
  payload: ClientRequest["payload"],
  kept: boolean | undefined,
  bytesMax: number,
): Uint8Array[] {
  const pieces = payload instanceof Uint8Array ? [payload] : payload;
  const total = bytesOf(payload);
  if (total <= bytesMax) {
    const whole = kept === true && pieces.length === 1 ? pieces[0] : joined(pieces, total);
    return [whole];
  }
  const length = new Uint8Array(LENGTH_BYTES);
  const view = new DataView(length.buffer);
  putU53(view, 0, total);
  const parts: Uint8Array[] = [length];
  for (const piece of pieces) {
    const stays = kept === true ? piece : piece.slice();
    for (let from = 0; from < stays.length; from += bytesMax) {
      parts.push(stays.subarray(from, from + bytesMax));
    }
  }
  return parts;
}

function joined(pieces: readonly Uint8Array[], total: number): Uint8Array {
  const whole = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
