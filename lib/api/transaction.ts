/**
 * Transactions over one column family: a function that reads and writes as if it were alone.
 *
 * For now a transaction takes the family's exclusive turn first, a lease that its worker grants, so
 * that it never has to be run twice.
 *
 * @module
 */

import { REQUEST_RELEASE, REQUEST_TRANSACTION, REQUEST_TURN } from "../engine/requests.ts";
import { ManifoldError } from "../errors.ts";
import type { Client } from "./client.ts";
import { describe } from "./codecs/describe.ts";
import {
  type FamilyAccess,
  NO_OPERATIONS,
  type Running,
  runningTransaction,
} from "./family_access.ts";
import { type Multimap, writeBelow } from "./multimap.ts";
import { OperationsWriter } from "./operations_writer.ts";
import { Overlay } from "./overlay.ts";
import { TransactionTable } from "./overlay_table.ts";
import { closedError } from "./request_error.ts";
import type { WriteOptions } from "./session.ts";
import type { PinnedSource } from "./state_source.ts";
import { type Table, type TableTarget, targetOf } from "./table.ts";
import { rawTableOf } from "./table_reader.ts";
import { TransactionMultimap } from "./transaction_multimap.ts";

/** How long the function of a transaction may take, ms. */
const TURN_MS = 60_000;

/**
 * Options of a transaction.
 *
 * @example
 * ```ts
 * import { openInMemory, type TransactionOptions } from "@manifold/db";
 *
 * const options: TransactionOptions = { durability: "eventual" };
 * await using db = await openInMemory();
 * const family = await db.columnFamily("shop");
 * await family.transaction((tx) => console.log(tx.table(family.table("stock")).count()), options);
 * ```
 */
export interface TransactionOptions extends WriteOptions {
  /** How often the function is run at the most, a positive integer. It is run once for now. */
  readonly maxAttempts?: number;
  /** Not supported yet: `not-supported`. */
  readonly timeoutMs?: number;
  /** Not supported yet: `not-supported`. */
  readonly signal?: AbortSignal;
}

/**
 * A place in a transaction that it can be taken back to. Not supported yet.
 *
 * @example
 * ```ts
 * import type { Savepoint } from "@manifold/db";
 *
 * const none: Savepoint | undefined = undefined;
 * console.log(none);
 * ```
 */
export interface Savepoint {
  /** Counts the savepoints of a transaction. */
  readonly number: number;
}

/** Everything of a transaction that its runner does, out of the user's sight. */
interface Inside {
  readonly overlays: Map<string, { target: TableTarget<unknown, unknown>; overlay: Overlay }>;
  /** Why nothing more may be done; undefined while the function runs. */
  ended: ManifoldError | undefined;
  aborted: ManifoldError | undefined;
}

let insideOf: (tx: Transaction) => Inside;

/**
 * What the function of a transaction works with. It ends with the function: anything later throws `closed`.
 *
 * @example
 * ```ts
 * import { openInMemory, text, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family = await db.columnFamily("bank");
 * const accounts = family.table("accounts", { key: text, value: u32 });
 * await accounts.setMany([["ada", 100], ["grace", 0]]);
 *
 * await family.transaction((tx) => {
 *   const t = tx.table(accounts);
 *   const ada = t.get("ada")!;
 *   if (ada < 30) tx.abort();
 *   t.set("ada", ada - 30);
 *   t.set("grace", t.get("grace")! + 30);
 * });
 * ```
 */
export class Transaction {
  readonly #access: FamilyAccess;
  readonly #source: PinnedSource;
  readonly #inside: Inside = { overlays: new Map(), ended: undefined, aborted: undefined };
  readonly #check = (): void => {
    if (this.#inside.ended !== undefined) throw this.#inside.ended;
  };

  static {
    insideOf = (tx) => tx.#inside;
  }

  /** `ColumnFamily.transaction` makes it. */
  constructor(access: FamilyAccess, source: PinnedSource) {
    this.#access = access;
    this.#source = source;
  }

  /**
   * A table as the transaction sees it, its own writes included.
   *
   * Throws `invalid-argument` for a table of another column family; `type-mismatch` when the table
   * was made with other codecs; `closed` after the end.
   *
   * @param table A table of the transaction's column family.
   * @returns Its reads and writes.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const family = await db.columnFamily("shop");
   * const stock = family.table("stock", { key: text, value: u32 });
   * const sold = await family.transaction((tx) => tx.table(stock).deleteRange({ lt: "b" }));
   * console.log(sold); // 0
   * ```
   */
  table<K, V>(table: Table<K, V>): TransactionTable<K, V> {
    this.#check();
    const target = targetOf(table);
    if (!target.access.isSame(this.#access)) {
      throw new ManifoldError(
        "invalid-argument",
        `tx.table: table "${table.name}" belongs to ${target.access.place}, the transaction to ` +
          `${this.#access.place}; use a table of the same column family and database`,
      );
    }
    return new TransactionTable(target, this.#overlay(table, target), this.#check);
  }

  /**
   * A multimap as the transaction sees it, its own writes included. Throws as `table` does.
   *
   * @param multimap A multimap of the transaction's column family.
   * @returns Its reads and writes.
   */
  multimap<K, V>(multimap: Multimap<K, V>): TransactionMultimap<K, V> {
    const { layout, table } = writeBelow(multimap);
    return new TransactionMultimap(layout, this.table(table));
  }

  #overlay<K, V>(table: Table<K, V>, target: TableTarget<K, V>): Overlay {
    const { overlays } = this.#inside;
    const known = overlays.get(target.name);
    if (known === undefined) {
      const base = rawTableOf(table).on(this.#source);
      base.resolve(); // throws when the codecs are others
      const overlay = new Overlay(base);
      overlays.set(target.name, {
        target: target as unknown as TableTarget<unknown, unknown>,
        overlay,
      });
      return overlay;
    }
    if (known.target.codecs === target.codecs) return known.overlay;
    throw new ManifoldError(
      "type-mismatch",
      `tx.table: table "${target.name}" is in the transaction with the codecs ` +
        `${known.target.codecs.replace("\0", " and ")}, not ${
          target.codecs.replace("\0", " and ")
        }`,
    );
  }

  /**
   * Ends the transaction without any effect. Throws, so that the function ends here; whether it catches that
   * or not, the transaction rejects with `aborted`.
   *
   * @param reason Why, for the error's message and as its `cause`.
   *
   * @example
   * ```ts
   * import { ManifoldError, openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const family = await db.columnFamily("shop");
   * try {
   *   await family.transaction((tx) => tx.abort("changed my mind"));
   * } catch (error) {
   *   if (!(error instanceof ManifoldError) || error.code !== "aborted") throw error;
   * }
   * ```
   */
  abort(reason?: unknown): never {
    this.#check();
    const text = reason instanceof Error
      ? reason.message
      : typeof reason === "string"
      ? reason
      : "";
    const error = new ManifoldError(
      "aborted",
      `a transaction of ${this.#access.place} was aborted${text === "" ? "" : `: ${text}`}`,
      reason === undefined ? undefined : { cause: reason },
    );
    this.#inside.aborted = error;
    this.#inside.ended = endedError(this.#access);
    throw error;
  }

  /** Not supported yet: throws `not-supported`. */
  savepoint(): Savepoint {
    this.#check();
    throw notSupported("savepoint()");
  }

  /**
   * Not supported yet: throws `not-supported`.
   *
   * @param _savepoint What `savepoint()` gave.
   */
  rollback(_savepoint: Savepoint): void {
    this.#check();
    throw notSupported("rollback()");
  }
}

/** Runs a transaction over one family. */
export async function runTransaction<T>(
  access: FamilyAccess,
  fn: (tx: Transaction) => T | Promise<T>,
  options: TransactionOptions | undefined,
): Promise<T> {
  if (typeof fn !== "function") {
    throw new ManifoldError(
      "invalid-argument",
      `transaction of ${access.place}: it is given ${describe(fn)}; give a function`,
    );
  }
  checkOptions(options);
  const flags = access.open.durabilityFlag(options);
  const what = (): string => `transaction of ${access.place}`;
  const client = access.writingClient(what);
  const token = await access.submit(client, REQUEST_TURN, 0, TURN_MS, NO_OPERATIONS, what);
  const release = (): void => {
    // It fails only together with the database, which ends the turn, too.
    access.submit(client, REQUEST_RELEASE, 0, token, NO_OPERATIONS, what, true).catch(() => {});
  };
  let source: PinnedSource;
  try {
    source = access.source.snapshot();
  } catch (error) {
    release();
    throw error;
  }
  const tx = new Transaction(access, source);
  const inside = insideOf(tx);
  const running: Running = {
    access,
    parent: runningTransaction.get(),
    ended: false,
    cancel() {
      inside.ended = inside.aborted = closedError(access.open.session.path);
      running.ended = true;
      release();
    },
  };
  access.open.running.add(running);
  let commit: OperationsWriter | undefined;
  let result: T;
  try {
    result = await runningTransaction.run(running, () => fn(tx));
    if (inside.aborted !== undefined) throw inside.aborted;
    commit = operationsOf(access, inside);
  } catch (error) {
    client.statistics.abort();
    throw error;
  } finally {
    inside.ended ??= endedError(access);
    access.open.running.delete(running);
    if (commit === undefined && !running.ended) release();
    running.ended = true;
    source.dispose();
  }
  if (commit !== undefined) await apply(access, client, flags, token, commit, what);
  return result;
}

async function apply(
  access: FamilyAccess,
  client: Client,
  flags: number,
  token: number,
  operations: OperationsWriter,
  what: () => string,
): Promise<void> {
  const sent = operations.take(true);
  await access.submit(client, REQUEST_TRANSACTION, flags, token, sent, what, true);
}

/** The effect of all writes; undefined when there is none. */
function operationsOf(access: FamilyAccess, inside: Inside): OperationsWriter | undefined {
  const writer = new OperationsWriter(access.open.session.memory.shared.pageSize);
  for (const { target, overlay } of inside.overlays.values()) {
    if (overlay.isEmpty) continue;
    const id = overlay.base.resolve()?.id;
    // Where there is no table, only a new entry is a reason to make one.
    if (id === undefined && !overlay.sets) continue;
    overlay.encode(writer, id ?? writer.openTable(target.name, target.codecs));
  }
  return writer.byteLength === 0 ? undefined : writer;
}

function checkOptions(options: TransactionOptions | undefined): void {
  const { maxAttempts, timeoutMs, signal } = options ?? {};
  if (maxAttempts !== undefined && !(Number.isSafeInteger(maxAttempts) && maxAttempts > 0)) {
    throw new ManifoldError(
      "invalid-argument",
      `maxAttempts is ${describe(maxAttempts)}; give a positive integer`,
    );
  }
  if (timeoutMs !== undefined) throw notSupported("timeoutMs");
  if (signal !== undefined) throw notSupported("signal");
}

function endedError(access: FamilyAccess): ManifoldError {
  return new ManifoldError(
    "closed",
    `a transaction of ${access.place} has ended; what belongs to it is used inside its function ` +
      "only, so await everything there",
  );
}

function notSupported(what: string): ManifoldError {
  return new ManifoldError("not-supported", `transactions have no ${what} yet; leave it out`);
}
