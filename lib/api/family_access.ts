/**
 * A column family, and the open database that it is in, as the writing side of the API works with
 * them.
 *
 * @module
 */

import {
  DETAIL_FAMILY_GONE,
  DETAIL_TABLE_GONE,
  FLAG_EVENTUAL,
  REQUEST_TRANSACTION,
  REQUEST_TURN,
} from "../engine/requests.ts";
import { ManifoldError } from "../errors.ts";
import { FAMILY_GHOST } from "../memory/family_slots.ts";
import { asyncContext } from "../runtime/async_context.ts";
import type { Client } from "./client.ts";
import { describe } from "./codecs/describe.ts";
import type { Subscription } from "./event_iterator.ts";
import { FamilyLines } from "./family_lines.ts";
import { Views } from "./family_view.ts";
import { type NamedTable, OperationsWriter } from "./operations_writer.ts";
import { closedError, RequestError } from "./request_error.ts";
import type { Session, WriteOptions } from "./session.ts";
import { LiveSource } from "./state_source.ts";

/** A transaction that is running: what {@linkcode OpenSession.close} has to end. */
export interface Running {
  readonly accesses: readonly FamilyAccess[];
  readonly parent: Running | undefined;
  ended: boolean;
  /** Its place among those that run. */
  place: number;
  /** Ends it as the database closes. */
  cancel(): void;
}

/**
 * The transactions whose functions run. Not a `Set`: one that goes from empty to one element and back makes a new table
 * each time, to which the old one leads, so that what has once become old for the collector keeps all the later ones.
 */
export class RunningFunctions {
  readonly #all: Running[] = [];

  get isEmpty(): boolean {
    return this.#all.length === 0;
  }

  add(running: Running): void {
    running.place = this.#all.push(running) - 1;
  }

  remove({ place }: Running): void {
    const last = this.#all.pop()!;
    if (last.place === place) return;
    this.#all[place] = last;
    last.place = place;
  }

  /** Ends all as the database closes. */
  cancel(): void {
    for (const running of this.#all.slice()) running.cancel();
  }
}

/** The innermost transaction whose function the present code was called from. */
export const runningTransaction = asyncContext<Running>();

/** A session and whether it is still open. */
export class OpenSession {
  readonly session: Session;
  readonly running: RunningFunctions = new RunningFunctions();
  readonly lines: FamilyLines = new FamilyLines();
  /** Iterations over events, which end when the database closes. */
  readonly subscriptions: Set<Subscription> = new Set();
  /** Set when closing begins: nothing new is taken. */
  closed = false;
  /** Tables (family id and table id) whose deletion this thread has asked for and not heard of yet. */
  readonly #leaving = new Set<string>();
  readonly #writers: OperationsWriter[] = [];

  constructor(session: Session) {
    this.session = session;
  }

  /** @throws {ManifoldError} `closed`. */
  check(): void {
    if (this.closed) throw closedError(this.session.path);
  }

  /**
   * The client of a database that can be written.
   * @throws {ManifoldError} `closed`, `read-only`.
   */
  client(): Client {
    this.check();
    const { client, path } = this.session;
    if (client !== undefined) return client;
    throw new ManifoldError(
      "read-only",
      `the database ${path} was opened with readOnly; open it without to write`,
    );
  }

  /**
   * Says that a table's deletion is under way, or no more. What this thread asks for meanwhile comes
   * after it, so it has to name the table: with the id it would be refused and sent again, behind
   * what was asked for later.
   */
  setLeaving(family: number, table: number, leaving: boolean): void {
    if (leaving) this.#leaving.add(`${family}:${table}`);
    else this.#leaving.delete(`${family}:${table}`);
  }

  isLeaving(family: number, table: number): boolean {
    return this.#leaving.size > 0 && this.#leaving.has(`${family}:${table}`);
  }

  /** An empty writer, to be put back. A codec that writes meanwhile gets another. */
  takeWriter(): OperationsWriter {
    return this.#writers.pop() ?? new OperationsWriter(this.session.memory.shared.pageSize);
  }

  putWriter(writer: OperationsWriter): void {
    writer.reset();
    if (this.#writers.length < 4) this.#writers.push(writer);
  }

  /**
   * The flag of a write's durability.
   * @throws {ManifoldError} `invalid-argument` for options that are not such.
   */
  durabilityFlag(options: WriteOptions | undefined): number {
    if (options !== undefined && typeof options !== "object") {
      throw new ManifoldError(
        "invalid-argument",
        `the options of a write are ${describe(options)}; give an object, such as { durability }`,
      );
    }
    const durability = options?.durability ?? this.session.settings.durability;
    return isEventual(durability) ? FLAG_EVENTUAL : 0;
  }
}

/** Checks a durability. */
export function isEventual(durability: unknown): boolean {
  if (durability === "immediate") return false;
  if (durability === "eventual") return true;
  throw new ManifoldError(
    "invalid-argument",
    `durability is ${describe(durability)}; give "immediate" or "eventual"`,
  );
}

export class FamilyAccess {
  readonly open: OpenSession;
  readonly slot: number;
  readonly id: number;
  readonly name: string;
  readonly source: LiveSource;
  readonly views: Views;

  constructor(open: OpenSession, slot: number, id: number, name: string) {
    this.open = open;
    this.slot = slot;
    this.id = id;
    this.name = name;
    this.source = new LiveSource({
      memory: open.session.memory,
      slot,
      family: id,
      familyName: name,
      path: open.session.path,
      isClosed: () => open.closed,
    });
    this.views = new Views(this.source);
  }

  /** Whether the family was deleted for good: while that is under way, it can fail. */
  isGone(): boolean {
    const { slots } = this.open.session.memory;
    return slots.id(this.slot) !== this.id || slots.state(this.slot) === FAMILY_GHOST;
  }

  isSame(other: FamilyAccess): boolean {
    return this.open === other.open && this.id === other.id;
  }

  /**
   * The client, for code that may wait for the family.
   *
   * @param what What is to be done, for messages.
   * @throws {ManifoldError} `closed`, `read-only`; `invalid-argument` inside the function of one of the
   * family's own transactions, which it would wait for forever.
   */
  writingClient(what: () => string): Client {
    if (!this.open.running.isEmpty) {
      for (let at = runningTransaction.get(); at !== undefined; at = at.parent) {
        if (at.ended || !at.accesses.some((access) => access.isSame(this))) continue;
        throw new ManifoldError(
          "invalid-argument",
          `${what()}: inside a transaction of the same column family it would wait for that ` +
            "transaction's end; use the table that tx.table() gives",
        );
      }
    }
    return this.open.client();
  }

  /**
   * Sends a request to the family's worker, behind this thread's joint transactions over the family. An urgent
   * one overtakes them: the end of a turn can be what they wait for. So does one for a turn, whose holder may
   * have another already: who wants turns waits for them before the first (`lines.passed`).
   */
  submit(
    client: Client,
    kind: number,
    flags: number,
    argument: number,
    operations: { payload: Uint8Array | readonly Uint8Array[]; kept: boolean },
    what: () => string,
    urgent: boolean = false,
  ): Promise<number> {
    const { lines, session } = this.open;
    // A caller's code may have closed the database since he called: only what was asked for before is still sent.
    if (this.open.closed && !urgent) return Promise.reject(closedError(session.path));
    const waits = !urgent && kind !== REQUEST_TURN && lines.waits(this.id);
    const { payload } = operations;
    const isLent = waits && !operations.kept && payload instanceof Uint8Array;
    const request = {
      slot: this.slot,
      family: this.id,
      kind,
      flags,
      argument,
      payload: isLent ? payload.slice() : payload,
      kept: operations.kept,
      urgent,
      describe: () => `${what()}, database ${session.path}`,
    };
    return waits ? lines.send(this.id, () => client.submit(request)) : client.submit(request);
  }

  /**
   * Has a transaction applied; resolves with how many entries it removed or replaced. When one of its tables was deleted, and
   * perhaps made anew, it is sent once more with the tables by name.
   *
   * @param writer Its operations; not to be changed before the end.
   * @param tables The tables that the operations call by their ids.
   */
  async apply(
    client: Client,
    flags: number,
    writer: OperationsWriter,
    tables: readonly NamedTable[],
    what: () => string,
  ): Promise<number> {
    if (tables.every(({ id }) => !this.open.isLeaving(this.id, id))) {
      try {
        return await this.submit(client, REQUEST_TRANSACTION, flags, 0, writer.take(true), what);
      } catch (error) {
        if (!isTableGone(error) || tables.length === 0) throw error;
      }
    }
    writer.reopen(tables);
    return await this.submit(client, REQUEST_TRANSACTION, flags, 0, writer.take(true), what);
  }

  /** `column family "shop"` */
  get place(): string {
    return `column family "${this.name}"`;
  }
}

/** Whether a request was refused because its family is not there any more. */
export function isFamilyGone(error: unknown): boolean {
  return error instanceof RequestError && error.detail === DETAIL_FAMILY_GONE;
}

/** Whether a request was refused because a table's id is no longer in the family. */
export function isTableGone(error: unknown): boolean {
  return error instanceof RequestError && error.detail === DETAIL_TABLE_GONE;
}

/** No operations. */
export const NO_OPERATIONS: { payload: Uint8Array; kept: boolean } = {
  payload: new Uint8Array(0),
  kept: true,
};
