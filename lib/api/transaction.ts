/**
 * What the function of a transaction is given: the tables as it sees them, savepoints, the way out.
 * How it is run is in transaction_run.ts.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import type { FamilyAccess } from "./family_access.ts";
import type { FamilyPart, SavedPart } from "./family_part.ts";
import { type Multimap, writeBelow } from "./multimap.ts";
import { TransactionTable } from "./overlay_table.ts";
import type { WriteOptions } from "./session.ts";
import { type Table, type TableTarget, targetOf } from "./table.ts";
import { TransactionMultimap } from "./transaction_multimap.ts";

/**
 * Options of a transaction.
 *
 * @example
 * ```ts
 * import { openInMemory, type TransactionOptions } from "@manifold/db";
 *
 * const options: TransactionOptions = { durability: "eventual", timeoutMs: 1000 };
 * await using db = await openInMemory();
 * const family = await db.columnFamily("shop");
 * await family.transaction((tx) => console.log(tx.table(family.table("stock")).count()), options);
 * ```
 */
export interface TransactionOptions extends WriteOptions {
  /**
   * How often the function is run at the most, a positive integer; 10 when not given. The last time nobody
   * else can change the column family meanwhile, so that it cannot be in vain; with 1, the first time is the last.
   */
  readonly maxAttempts?: number;
  /**
   * How long it may take until it is committed, all attempts together, milliseconds from 1 to 2^31 - 1; then it
   * rejects with `timeout`, and nothing is applied. Without it, only the last attempt is limited, to a minute.
   */
  readonly timeoutMs?: number;
  /** Ends it with `aborted` when it is aborted before the commit; nothing is applied then. */
  readonly signal?: AbortSignal;
}

/**
 * A place in a transaction that it can be taken back to: see `Transaction.savepoint`.
 *
 * @example
 * ```ts
 * import { openInMemory, type Savepoint } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family = await db.columnFamily("shop");
 * await family.transaction((tx) => {
 *   const before: Savepoint = tx.savepoint();
 *   tx.rollback(before);
 * });
 * ```
 */
export interface Savepoint {
  /** Counts the savepoints of a transaction, from 1 on. */
  readonly number: number;
}

/** Everything of a transaction that its runner does, out of the user's sight. */
export interface Inside {
  /** None any more once the function has ended: whoever keeps the transaction keeps nothing else. */
  parts: readonly FamilyPart[];
  /** Makes the error that says why nothing more may be done; undefined while the function runs. */
  ended: (() => ManifoldError) | undefined;
  aborted: ManifoldError | undefined;
}

/** For the rest of the package. */
export let insideOf: (tx: Transaction) => Inside;

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
  readonly #savepoints: { savepoint: Savepoint; saved: readonly SavedPart[] }[] = [];
  readonly #accesses: readonly FamilyAccess[];
  readonly #inside: Inside;
  #savepointsMade = 0;
  readonly #check = (): void => {
    if (this.#inside.ended !== undefined) throw this.#inside.ended();
  };

  static {
    insideOf = (tx) => tx.#inside;
  }

  /** `ColumnFamily.transaction` makes it. */
  constructor(accesses: readonly FamilyAccess[], parts: readonly FamilyPart[]) {
    this.#accesses = accesses;
    this.#inside = { parts, ended: undefined, aborted: undefined };
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
    const part = this.#inside.parts.find(({ access }) => target.access.isSame(access));
    if (part === undefined) {
      throw new ManifoldError(
        "invalid-argument",
        `tx.table: table "${table.name}" belongs to ${target.access.place}, the transaction to ` +
          `${placeOf(this.#accesses)}; use a table of the same column family and database`,
      );
    }
    const overlay = part.overlay(target as unknown as TableTarget<unknown, unknown>);
    return new TransactionTable(target, overlay, this.#check);
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
      `a transaction of ${placeOf(this.#accesses)} was aborted${text === "" ? "" : `: ${text}`}`,
      reason === undefined ? undefined : { cause: reason },
    );
    this.#inside.aborted = error;
    this.#inside.ended = () => endedError(this.#accesses);
    throw error;
  }

  /**
   * Marks what the transaction has written so far, to be able to come back to it with `rollback()`.
   * Any number of savepoints can be made, one after the other. Costs little, however much was written.
   *
   * @returns The mark.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const family = await db.columnFamily("shop");
   * const stock = family.table("stock", { key: text, value: u32 });
   * await family.transaction((tx) => {
   *   const t = tx.table(stock);
   *   t.set("apples", 3);
   *   const before = tx.savepoint();
   *   t.set("pears", 7);
   *   tx.rollback(before);
   * });
   * console.log(stock.entries().toArray()); // [["apples", 3]]
   * ```
   */
  savepoint(): Savepoint {
    this.#check();
    const savepoint: Savepoint = { number: ++this.#savepointsMade };
    this.#savepoints.push({ savepoint, saved: this.#inside.parts.map((part) => part.save()) });
    return savepoint;
  }

  /**
   * Takes back everything that was written since a savepoint, in all tables. The savepoint stays and can be
   * come back to again; those made after it end. Iterators that were made before go on as they were.
   *
   * Throws `invalid-argument` for a savepoint of another transaction, or one that has ended.
   *
   * @param savepoint What `savepoint()` gave.
   */
  rollback(savepoint: Savepoint): void {
    this.#check();
    const at = this.#savepoints.findIndex((one) => one.savepoint === savepoint);
    if (at < 0) {
      throw new ManifoldError(
        "invalid-argument",
        `tx.rollback in a transaction of ${
          placeOf(this.#accesses)
        }: what it is given is no savepoint of ` +
          "this transaction, or one made after a savepoint that it was taken back to since",
      );
    }
    this.#savepoints.length = at + 1;
    const { saved } = this.#savepoints[at];
    for (const [index, part] of this.#inside.parts.entries()) part.restore(saved[index]);
  }
}

/** The families of a transaction, for messages. */
export function placeOf(accesses: readonly FamilyAccess[]): string {
  return accesses.map(({ place }) => place).join(" and ");
}

/** The error for everything that is asked of a transaction after its end. */
export function endedError(accesses: readonly FamilyAccess[]): ManifoldError {
  return new ManifoldError(
    "closed",
    `a transaction of ${
      placeOf(accesses)
    } has ended; what belongs to it is used inside its function ` +
      "only, so await everything there",
  );
}
