/**
 * An open database.
 *
 * @module
 */

import { isKeepBytes } from "../engine/kept_changes.ts";
import { framesOf } from "../engine/thread_memory.ts";
import { ManifoldError } from "../errors.ts";
import { FAMILY_LIVE } from "../memory/family_slots.ts";
import { Pins } from "../memory/pins.ts";
import { compareBytes } from "./bytes_order.ts";
import { isObject } from "./arguments.ts";
import { describe } from "./codecs/describe.ts";
import { Batch } from "./batch.ts";
import { accessOf, ColumnFamily } from "./column_family.ts";
import { FamilyAccess, isEventual, OpenSession } from "./family_access.ts";
import { createFamily, dropFamily, settledFamily } from "./family_lifecycle.ts";
import { checkName } from "./names.ts";
import type { CheckpointSettings, DatabaseHandle, Durability, Session } from "./session.ts";
import { pinDatabase, Snapshot } from "./snapshot.ts";
import { checkCacheBytes } from "./open_options.ts";
import { type DatabaseStats, databaseStats, type FamilyStats, familyStats } from "./stats.ts";
import type { Transaction, TransactionOptions } from "./transaction.ts";
import { runTransaction } from "./transaction_run.ts";
import type { VerifyOptions, VerifyReport } from "./verify/report.ts";
import { verifyDatabase } from "./verify/verify.ts";

/** What an open database is made of: for the rest of the package. */
export let sessionOf: (db: Database) => Session;

/**
 * Options of `columnFamily`.
 *
 * @example
 * ```ts
 * import { type ColumnFamilyOptions, openInMemory } from "@manifold/db";
 *
 * const options: ColumnFamilyOptions = { create: true };
 * await using db = await openInMemory();
 * console.log((await db.columnFamily("users", options)).name);
 * ```
 */
export interface ColumnFamilyOptions {
  /** Whether to make it if it is missing; true when not given. */
  readonly create?: boolean;
}

/**
 * Options of `createColumnFamily`.
 *
 * @example
 * ```ts
 * import { type CreateColumnFamilyOptions, openInMemory } from "@manifold/db";
 *
 * const options: CreateColumnFamilyOptions = { changes: { keepBytes: 64 * 2 ** 20 } };
 * await using db = await openInMemory();
 * const users = await db.createColumnFamily("users", options);
 * console.log(users.stats().changes?.keepBytes); // 67108864
 * ```
 */
export interface CreateColumnFamilyOptions {
  /**
   * Has it keep its changes in the file, for `ColumnFamily.changes`; none when not given. `keepBytes`: how many bytes of
   * tables' names, keys and values, before and after, from 1 to 2^50. When there are more, the oldest versions go, but the
   * newest version of all is always kept.
   */
  readonly changes?: { readonly keepBytes: number };
}

/**
 * What can be changed while a database is open.
 *
 * @example
 * ```ts
 * import { type DatabaseSettings, openInMemory } from "@manifold/db";
 *
 * const settings: DatabaseSettings = { durability: "eventual" };
 * await using db = await openInMemory();
 * db.configure(settings);
 * ```
 */
export interface DatabaseSettings {
  /**
   * Bytes of the cache, for all threads: from 1 MiB to four times of what it was opened with, if that
   * is not above 4 GiB. Memory that was used once stays with the process, also when the cache gets smaller.
   */
  readonly cacheBytes?: number;
  /** When checkpoints are made; what is not given stays. */
  readonly checkpoint?: CheckpointSettings;
  /** When writes of this thread are resolved that do not say. */
  readonly durability?: Durability;
}

/**
 * How far a long operation is.
 *
 * @example
 * ```ts
 * import type { ProgressOptions } from "@manifold/db";
 *
 * const options: ProgressOptions = { onProgress: (done, total) => console.log(done, total) };
 * console.log(typeof options.onProgress);
 * ```
 */
export interface ProgressOptions {
  /** Is called from time to time with how many pages are done, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * An open database, in the thread that opened it or one that attached to it. Made by `open`,
 * `openInMemory` and `attach`. `await using` closes it.
 *
 * Everything but `path` and `close` throws or rejects with `closed` once it is closed.
 *
 * @example
 * ```ts
 * import { type Database, openInMemory, text } from "@manifold/db";
 *
 * await using db: Database = await openInMemory();
 * const users = await db.columnFamily("users");
 * await users.table("names", { key: text, value: text }).set("ada", "Ada Lovelace");
 * console.log(db.columnFamilies()); // ["users"]
 * ```
 */
export class Database implements AsyncDisposable {
  readonly #open: OpenSession;
  readonly #families = new Map<number, { access: FamilyAccess; family: ColumnFamily }>();
  #closing: Promise<void> | undefined;

  static {
    sessionOf = (db) => db.#open.session;
  }

  /** `open`, `openInMemory` and `attach` make it. */
  constructor(session: Session) {
    this.#open = new OpenSession(session);
  }

  /** Where it is: the path that it was opened with, resolved. */
  get path(): string {
    return this.#open.session.path;
  }

  /**
   * A column family; made if it is missing, which takes a durable write.
   *
   * Rejects with `not-found` when it is missing and `create` is false; with `read-only` when it is missing and
   * the database is; with `invalid-argument` for a name that is not 1 to 255 bytes of UTF-8 without
   * NUL; with `too-large` when there are as many as a database can have (8191); with `disk-full` or
   * `io`; with `failed` after a failed sync.
   *
   * @param name Its name.
   * @param options `create`: whether to make it if it is missing.
   *
   * @example
   * ```ts
   * import { openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const users = await db.columnFamily("users");
   * console.log(users === await db.columnFamily("users", { create: false })); // true
   * ```
   */
  async columnFamily(name: string, options?: ColumnFamilyOptions): Promise<ColumnFamily> {
    this.#open.check();
    checkName("column family", name);
    const create = options?.create ?? true;
    if (typeof create !== "boolean") {
      throw new ManifoldError("invalid-argument", `create is ${describe(create)}; give a boolean`);
    }
    for (;;) {
      const slot = await settledFamily(this.#open, name);
      if (slot >= 0) return this.#family(slot, name);
      if (!create) throw this.#noSuchFamily(name);
      const made = await createFamily(this.#open, name);
      if (made >= 0) return this.#family(made, name);
    }
  }

  /**
   * Makes a column family.
   *
   * Rejects with `already-exists` when there is one of that name; else as `columnFamily`.
   *
   * @param name Its name.
   * @param options `changes`: whether it keeps its changes.
   *
   * @example
   * ```ts
   * import { openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const users = await db.createColumnFamily("users");
   * console.log(users.name);
   * ```
   */
  async createColumnFamily(
    name: string,
    options?: CreateColumnFamilyOptions,
  ): Promise<ColumnFamily> {
    this.#open.check();
    checkName("column family", name);
    const keepBytes = checkKeepBytes(options);
    const slot = await settledFamily(this.#open, name);
    const made = slot >= 0 ? -1 : await createFamily(this.#open, name, keepBytes);
    if (made >= 0) return this.#family(made, name);
    throw new ManifoldError(
      "already-exists",
      `createColumnFamily: ${this.path} has a column family "${name}"; use columnFamily("${name}")`,
    );
  }

  /**
   * Deletes a column family with all its tables; resolves when that is durable. Snapshots of it can
   * still be read, its objects throw `not-found`.
   *
   * Rejects with `not-found` when there is none of that name, and as the writes of a `Table` do.
   *
   * @param name Its name.
   *
   * @example
   * ```ts
   * import { openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * await db.columnFamily("users");
   * await db.deleteColumnFamily("users");
   * console.log(db.columnFamilies()); // []
   * ```
   */
  async deleteColumnFamily(name: string): Promise<void> {
    this.#open.check();
    checkName("column family", name);
    this.#open.client();
    const slot = await settledFamily(this.#open, name);
    if (slot < 0) throw this.#noSuchFamily(name);
    const { access } = this.#entry(slot, name);
    await dropFamily(access);
    this.#families.delete(slot);
  }

  /**
   * The names of the column families, sorted by their bytes.
   *
   * @example
   * ```ts
   * import { openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * await db.columnFamily("b");
   * await db.columnFamily("a");
   * console.log(db.columnFamilies()); // ["a", "b"]
   * ```
   */
  columnFamilies(): string[] {
    this.#open.check();
    return this.#live().map(({ name }) => name);
  }

  #live(): { slot: number; name: string }[] {
    const { slots } = this.#open.session.memory;
    const encoder = new TextEncoder();
    return slots.used()
      .filter((slot) => slots.state(slot) === FAMILY_LIVE)
      .map((slot) => ({ slot, name: slots.name(slot) }))
      .map((family) => ({ ...family, bytes: encoder.encode(family.name) }))
      .sort((a, b) => compareBytes(a.bytes, b.bytes));
  }

  #family(slot: number, name: string): ColumnFamily {
    return this.#entry(slot, name).family;
  }

  #entry(slot: number, name: string): { access: FamilyAccess; family: ColumnFamily } {
    this.#open.check();
    const id = this.#open.session.memory.slots.id(slot);
    const known = this.#families.get(slot);
    if (known?.access.id === id) return known;
    const access = new FamilyAccess(this.#open, slot, id, name);
    const entry = { access, family: new ColumnFamily(access) };
    this.#families.set(slot, entry);
    return entry;
  }

  #noSuchFamily(name: string): ManifoldError {
    return new ManifoldError(
      "not-found",
      `${this.path} has no column family "${name}"; see columnFamilies()`,
    );
  }

  /**
   * Runs a function that reads and writes tables of several column families as if nothing else did (serializable); what
   * it wrote is applied at once when it has ended, all of it or nothing, in every crash too. What it reads is of one
   * moment of all of them.
   *
   * Otherwise as `ColumnFamily.transaction`: it may be run more than once, the last time under the exclusive turns of all
   * the column families. Transactions never wait for each other in a circle, in whatever order they name them.
   *
   * Rejects as `ColumnFamily.transaction` does; with `invalid-argument` also for what are no column families of this
   * database.
   *
   * @typeParam T What the function returns.
   * @param families The column families that it may read and write; at least one.
   * @param fn Is given the transaction. It may be async, and may be run more than once.
   * @param options `durability`, `maxAttempts`, `timeoutMs`, `signal`.
   * @returns What `fn` returns, when the writes are durable.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const shop = await db.columnFamily("shop");
   * const sales = await db.columnFamily("sales");
   * const stock = shop.table("stock", { key: text, value: u32 });
   * const orders = sales.table("orders", { key: u32, value: text });
   * await stock.set("apples", 3);
   * await db.transaction([shop, sales], (tx) => {
   *   const left = tx.table(stock).get("apples")!;
   *   if (left === 0) tx.abort("sold out");
   *   tx.table(stock).set("apples", left - 1);
   *   tx.table(orders).set(1, "an apple");
   * });
   * ```
   */
  async transaction<T>(
    families: readonly ColumnFamily[],
    fn: (tx: Transaction) => T | Promise<T>,
    options?: TransactionOptions,
  ): Promise<T> {
    this.#open.check();
    return await runTransaction(this.#accessesOf(families), fn, options);
  }

  /** Each once, ascending by id. */
  #accessesOf(families: readonly ColumnFamily[]): FamilyAccess[] {
    if (!Array.isArray(families) || families.length === 0) {
      throw new ManifoldError(
        "invalid-argument",
        `transaction: the column families are ${describe(families)}; give an array of at least one`,
      );
    }
    const accesses = new Map<number, FamilyAccess>();
    for (const family of families) {
      const access = accessOf(family);
      if (access.open !== this.#open) {
        throw new ManifoldError(
          "invalid-argument",
          `transaction: ${access.place} is of another open database; use this one's`,
        );
      }
      accesses.set(access.id, access);
    }
    return [...accesses.values()].sort((a, b) => a.id - b.id);
  }

  /**
   * Freezes all column families as they are at one moment: of every transaction and batch it has all or
   * nothing, whatever column families they change, and everything that was acknowledged before. A column family
   * that is deleted later stays in it; one that is made later is not. Dispose of it.
   *
   * Throws `too-large` when too many versions are held already (8192, one for each column family).
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
   * const orders = (await db.columnFamily("orders")).table("orders", { key: u32, value: text });
   * using snapshot = db.snapshot();
   * await db.batch().set(stock, "apples", 2).set(orders, 1, "an apple").commit();
   * console.log(snapshot.table(stock).count(), snapshot.table(orders).count()); // 0 0
   * ```
   */
  snapshot(): Snapshot {
    return new Snapshot(pinDatabase(this.#open));
  }

  /**
   * An empty batch of writes to tables of any column families: all or nothing, in every crash and for every
   * `snapshot()` of the database. One that has to do with one column family only costs no more than a batch of
   * that family.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
   * const orders = (await db.columnFamily("orders")).table("orders", { key: u32, value: text });
   * await db.batch().set(stock, "apples", 2).set(orders, 1, "an apple").commit();
   * ```
   */
  batch(): Batch {
    return new Batch(this.#open);
  }

  /**
   * Checks the database for damage while it is in use: every page that the last checkpoint refers to, on the
   * disk, and what was changed since, in memory. It looks at checksums, page numbers, references, the order
   * and the number of keys, overflow values, catalogs, meta pages and directory, and whether each page is
   * owned once. Nothing is written, and what is in the cache stays there; pages that become free meanwhile
   * wait for its end.
   *
   * Damage is in the report and not an error. Rejects with `aborted` when its signal says so, with
   * `closed` when the database is closed meanwhile, with `failed` when it has failed in the middle of a checkpoint, so
   * that what the file says is not what is in use, and with `invalid-argument`.
   *
   * @param options `onProgress`, `signal`.
   * @returns What was checked and found.
   *
   * @example
   * ```ts
   * import { openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const { ok, findings } = await db.verify();
   * if (!ok) for (const { kind, message } of findings) console.error(kind, message);
   * ```
   */
  async verify(options?: VerifyOptions): Promise<VerifyReport> {
    this.#open.check();
    return await verifyDatabase(this.#open, options);
  }

  /**
   * Not supported yet. Rejects with `not-supported`.
   *
   * @param _options `onProgress`.
   */
  compact(_options?: ProgressOptions): Promise<void> {
    return this.#notSupported("compact()", "free pages are used again by later writes");
  }

  /**
   * Not supported yet. Rejects with `not-supported`.
   *
   * @param _path Where to.
   * @param _options `onProgress`.
   */
  backup(_path: string | URL, _options?: ProgressOptions): Promise<void> {
    return this.#notSupported("backup()", "copy the closed file");
  }

  // deno-lint-ignore require-await -- so that a closed database rejects
  async #notSupported(what: string, instead: string): Promise<never> {
    this.#open.check();
    throw notSupported(what, instead);
  }

  /**
   * Writes everything that is published by now into the database's file, so that a recovery would not need
   * the log for it; resolves when that is durable.
   *
   * Rejects with `read-only`; with `disk-full` or `io`, and the log keeps what it has; with `failed`
   * after a failed sync.
   *
   * @example
   * ```ts
   * import { openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * await db.checkpoint();
   * ```
   */
  async checkpoint(): Promise<void> {
    this.#open.client();
    await this.#open.session.requestCheckpoint();
  }

  /**
   * Figures of the database.
   *
   * @example
   * ```ts
   * import { openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const { cache } = db.stats();
   * console.log(`${cache.dirty} pages of ${cache.frames} are to be written`);
   * ```
   */
  stats(): DatabaseStats {
    this.#open.check();
    const families: FamilyStats[] = [];
    for (const { slot, name } of this.#live()) {
      try {
        families.push(familyStats(this.#entry(slot, name).access));
      } catch (error) {
        // Deleted in between.
        if (!(error instanceof ManifoldError) || error.code !== "not-found") throw error;
      }
    }
    return databaseStats(this.#open, families);
  }

  /**
   * Changes settings. `invalid-argument` for a value out of its bounds, and nothing is changed then.
   *
   * @param settings What is not given stays as it is. `cacheBytes` and `checkpoint` are for all threads,
   * `durability` for this one.
   *
   * @example
   * ```ts
   * import { openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * db.configure({ durability: "eventual", checkpoint: { intervalMs: 10_000 } });
   * ```
   */
  configure(settings: DatabaseSettings): void {
    this.#open.check();
    if (typeof settings !== "object" || settings === null) {
      throw new ManifoldError(
        "invalid-argument",
        `configure: the settings are ${describe(settings)}; give an object`,
      );
    }
    for (const name of Object.keys(settings)) {
      if (!["cacheBytes", "checkpoint", "durability"].includes(name)) {
        throw new ManifoldError(
          "invalid-argument",
          `configure: ${
            JSON.stringify(name)
          } cannot be changed; give cacheBytes, checkpoint or durability`,
        );
      }
    }
    const { cacheBytes, checkpoint, durability } = settings;
    const { frames, shared } = this.#open.session.memory;
    const cacheBytesMax = frames.count * shared.pageSize;
    if (cacheBytes !== undefined) checkCacheBytes(cacheBytes, cacheBytesMax);
    if (durability !== undefined) isEventual(durability);
    if (checkpoint !== undefined) this.#open.session.configureCheckpoint(checkpoint);
    if (cacheBytes !== undefined) frames.resize(framesOf(cacheBytes, shared.pageSize));
    if (durability !== undefined) this.#open.session.settings.durability = durability;
  }

  /**
   * What another thread of the process needs to use the database, too: send it there with `postMessage` and
   * give it to `attach`.
   *
   * @example
   * ```ts
   * import { attach, openInMemory } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * await using same = await attach(db.share());
   * console.log(same.path === db.path); // true
   * ```
   */
  share(): DatabaseHandle {
    this.#open.check();
    return this.#open.session.handle();
  }

  /**
   * Closes the database in this thread: takes nothing new, waits for the writes that are under way, ends
   * running transactions without effect (they reject with `closed`), and gives everything back. In the thread that
   * opened it, closes it for all threads. Snapshots and iterators of this thread end. A second call
   * returns the first one's promise.
   *
   * Rejects with `disk-full`, `io` or `failed` when the last checkpoint could not be made: everything is
   * given back nevertheless, and nothing durable is lost, the next opening recovers it from the log.
   *
   * @example
   * ```ts
   * import { openInMemory } from "@manifold/db";
   *
   * const db = await openInMemory();
   * await db.close();
   * ```
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    const open = this.#open;
    const { session } = open;
    open.closed = true;
    open.running.cancel();
    for (const subscription of [...open.subscriptions]) subscription.end();
    await open.lines.idle(); // what was asked for is sent
    await session.client?.close();
    // From here on nobody gives a pin of this thread back himself.
    Pins.releaseOf(session.memory.control, session.memory.thread);
    this.#families.clear();
    await session.close();
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** How many bytes of its changes a family is to keep: 0 for none. */
function checkKeepBytes(options: CreateColumnFamilyOptions | undefined): number {
  if (options !== undefined && !isObject(options)) {
    throw new ManifoldError(
      "invalid-argument",
      `createColumnFamily: the options are ${
        describe(options)
      }; give an object, such as { changes }`,
    );
  }
  const changes = options?.changes;
  if (changes === undefined) return 0;
  const keepBytes = isObject(changes) ? changes.keepBytes : changes;
  if (isKeepBytes(keepBytes)) return keepBytes;
  throw new ManifoldError(
    "invalid-argument",
    `changes.keepBytes is ${describe(keepBytes)}; give an integer from 1 to 2^50`,
  );
}

function notSupported(what: string, instead: string): ManifoldError {
  return new ManifoldError("not-supported", `there is no ${what} yet; ${instead}`);
}
