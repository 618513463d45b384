/**
 * One attempt at a transaction: running its function, and committing what it did.
 *
 * @module
 */

import {
  DETAIL_CONFLICT,
  DETAIL_FAMILY_GONE,
  DETAIL_TABLE_GONE,
  REQUEST_TRANSACTION,
} from "../engine/requests.ts";
import { ManifoldError } from "../errors.ts";
import { beforeNext, isOneMoment } from "./database_cut.ts";
import { type FamilyAccess, type Running, runningTransaction } from "./family_access.ts";
import { FamilyPart } from "./family_part.ts";
import { type FamilyWrites, isBusy, JointCommit } from "./joint.ts";
import type { Limits } from "./limits.ts";
import { OperationsWriter } from "./operations_writer.ts";
import { closedError, RequestError } from "./request_error.ts";
import { endedError, type Inside, insideOf, Transaction } from "./transaction.ts";
import type { Turn } from "./turn.ts";

/** A transaction that is to be run. */
export interface Job<T> {
  /** Its families, each once; ascending by id. */
  readonly accesses: readonly FamilyAccess[];
  readonly fn: (tx: Transaction) => T | Promise<T>;
  /** Flags of its commit. */
  readonly flags: number;
  readonly limits: Limits | undefined;
  /** The transaction around it, inside whose function it was asked for. */
  readonly parent: Running | undefined;
  /** Calls what it is given as if from where the transaction was asked for; undefined if that is so anyway. */
  readonly within?: <R>(fn: () => R) => R;
  /** For messages. */
  readonly what: () => string;
}

/**
 * Pins the versions of the families that are published at one moment. `notes`: whether what is read there has to be
 * validated.
 */
export function takeParts(accesses: readonly FamilyAccess[], notes: boolean): FamilyPart[] {
  const { memory, path } = accesses[0].open.session;
  const slots = accesses.map(({ slot }) => slot);
  for (let attempt = 0;; attempt++) {
    const parts = takeEach(accesses, notes);
    // Of one family, any version is one.
    if (parts.length === 1) return parts;
    if (isOneMoment(memory, slots, parts.map(({ view }) => view.stamp))) return parts;
    releaseParts(parts);
    beforeNext(attempt, memory.control, path);
  }
}

function takeEach(accesses: readonly FamilyAccess[], notes: boolean): FamilyPart[] {
  const parts: FamilyPart[] = [];
  try {
    for (const access of accesses) parts.push(new FamilyPart(access, notes));
  } catch (error) {
    releaseParts(parts);
    throw error;
  }
  return parts;
}

export function releaseParts(parts: readonly FamilyPart[]): void {
  for (const part of parts) part.release();
}

/**
 * Runs the function of a transaction once; what it gives at once is returned at once. Throws or rejects
 * with what it throws, with `aborted`, with the error of the limits when they end it, and with `closed` when
 * the database is closed meanwhile, which also calls `onClose`.
 */
export function runFunction<T>(
  job: Job<T>,
  parts: readonly FamilyPart[],
  limits: Limits | undefined,
  onClose?: () => void,
): T | Promise<T> {
  const tx = new Transaction(job.accesses, parts);
  const running = new RunningFunction(job, insideOf(tx), limits, onClose);
  let result: T | PromiseLike<T>;
  try {
    const run = (): T | Promise<T> => runningTransaction.run(running, () => job.fn(tx));
    result = job.within === undefined ? run() : job.within(run);
  } catch (error) {
    running.finish();
    throw error;
  }
  if (isPromise(result)) return settled(result, limits, running);
  running.finish();
  limits?.check();
  return result;
}

/**
 * A function that is running. When it has ended, nothing leads from here to what it has read and written: this object
 * lives on in what it has called and nobody awaited, and where it was collected late, all that would with it.
 */
class RunningFunction implements Running {
  readonly accesses: readonly FamilyAccess[];
  readonly parent: Running | undefined;
  ended = false;
  place = 0;
  readonly #limits: Limits | undefined;
  #inside: Inside | undefined;
  #onClose: (() => void) | undefined;

  constructor(
    { accesses, parent }: Job<unknown>,
    inside: Inside,
    limits: Limits | undefined,
    onClose: (() => void) | undefined,
  ) {
    this.accesses = accesses;
    this.parent = parent;
    this.#limits = limits;
    this.#inside = inside;
    this.#onClose = onClose;
    accesses[0].open.running.add(this);
  }

  cancel(): void {
    const error = closedError(this.accesses[0].open.session.path);
    this.#inside!.aborted = error;
    this.#inside!.ended = () => error;
    this.ended = true;
    this.#onClose?.();
  }

  /** Throws if it was aborted, or ended by the close. */
  finish(): void {
    const inside = this.#inside!;
    this.#inside = this.#onClose = undefined;
    inside.ended ??= endOf(this.accesses, this.#limits?.error);
    inside.parts = [];
    this.accesses[0].open.running.remove(this);
    this.ended = true;
    if (inside.aborted !== undefined) throw inside.aborted;
  }
}

function endOf(accesses: readonly FamilyAccess[], stopped: ManifoldError | undefined) {
  return () => stopped ?? endedError(accesses);
}

async function settled<T>(
  result: PromiseLike<T>,
  limits: Limits | undefined,
  running: RunningFunction,
): Promise<T> {
  let value: T;
  try {
    value = await (limits === undefined ? result : limits.race(result));
  } catch (error) {
    running.finish();
    throw error;
  }
  running.finish();
  limits?.check();
  return value;
}

/**
 * Has what a transaction did applied, if that is something; undefined if it was not. `turns`: those of the families, if
 * it holds them; they are used then.
 */
export function commit<T>(
  job: Job<T>,
  parts: readonly FamilyPart[],
  turns: readonly Turn[],
  flags: number = job.flags,
): Promise<number> | undefined {
  if (!parts.some((part) => part.hasWrites)) return undefined;
  if (parts.length > 1) return commitJointly(job, parts, turns, flags);
  const [part] = parts;
  const { access } = part;
  const client = access.open.client();
  const writer = access.open.takeWriter();
  try {
    const reads = part.encode(writer);
    part.forget();
    const token = turns.length === 0 ? 0 : turns[0].use();
    return access.submit(
      client,
      REQUEST_TRANSACTION,
      flags | reads,
      token,
      writer.take(false),
      job.what,
      token !== 0,
    );
  } finally {
    access.open.putWriter(writer);
  }
}

/** The same for several families; those of which nothing was read or written have no part in it. */
async function commitJointly<T>(
  job: Job<T>,
  parts: readonly FamilyPart[],
  turns: readonly Turn[],
  flags: number,
): Promise<number> {
  const { open } = parts[0].access;
  const client = open.client();
  const writes: FamilyWrites[] = [];
  const tokens = new Map<number, number>();
  for (const [i, part] of parts.entries()) {
    const { access } = part;
    const writer = new OperationsWriter(open.session.memory.shared.pageSize);
    const reads = part.encode(writer);
    part.forget();
    if (writer.byteLength === 0) continue;
    writes.push({ access, writer, named: [], flags: reads });
    if (turns.length > 0) tokens.set(access.id, turns[i].use());
  }
  if (writes.length === 1) {
    const [{ access, writer, flags: reads }] = writes;
    const token = tokens.get(access.id) ?? 0;
    const sent = writer.take(true);
    const kind = REQUEST_TRANSACTION;
    return await access.submit(client, kind, flags | reads!, token, sent, job.what, token !== 0);
  }
  await new JointCommit(open, client, flags, writes, job.what, tokens).run();
  return 0;
}

/** Whether a commit was refused because of what others have done: the function has to be run again. */
export function isOutdated(error: unknown): boolean {
  return isBusy(error) || error instanceof RequestError &&
      (error.detail === DETAIL_CONFLICT || error.detail === DETAIL_TABLE_GONE);
}

/** Whether nothing can be committed any more. */
export function isGone(error: unknown): boolean {
  return error instanceof ManifoldError && (error.code === "failed" || error.code === "closed") ||
    error instanceof RequestError && error.detail === DETAIL_FAMILY_GONE;
}

/** Whether it has to be awaited. */
export function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === "object" && value !== null &&
    typeof (value as { then?: unknown }).then === "function";
}
