/**
 * One version of a column family, or of all, held.
 *
 * @module
 */

import type { ThreadMemory } from "../engine/thread_memory.ts";
import { ManifoldError } from "../errors.ts";
import { readCut } from "./database_cut.ts";
import type { OpenSession } from "./family_access.ts";
import { PinnedSource, type StateSource } from "./state_source.ts";
import { codecsOf, rawTableOf, TableReader } from "./table_reader.ts";

/** The state that a snapshot of one family holds: for the rest of the package. */
export let sourceOf: (snapshot: Snapshot) => PinnedSource;

/** The families of a database, pinned as they were at one moment. */
export interface PinnedDatabase {
  readonly memory: ThreadMemory;
  readonly sources: readonly PinnedSource[];
}

export function pinDatabase(open: OpenSession): PinnedDatabase {
  open.check();
  const { memory, path } = open.session;
  const { epochs, pins } = memory;
  const sources: PinnedSource[] = [];
  epochs.enter();
  try {
    for (const { slot, family, name, state } of readCut(memory, path)) {
      const pin = pins.take(family, state.version, Date.now());
      const isClosed = (): boolean => open.closed;
      const parts = { memory, slot, family, familyName: name, path, isClosed };
      sources.push(new PinnedSource(parts, state, pin));
    }
  } catch (error) {
    for (const source of sources) source.dispose();
    throw error;
  } finally {
    epochs.leave();
  }
  return { memory, sources };
}

/**
 * A column family frozen at one version, or all column families of a database frozen at one moment: every read
 * of their tables gives what was there when the snapshot was taken, whatever is written, dropped or deleted since.
 * `ColumnFamily.snapshot` and `Database.snapshot` make it.
 *
 * While it is held, the pages of its version stay in the file. `using`, or `dispose()`, gives them
 * back; the garbage collector does too, some time after nobody holds the snapshot or a table of it.
 *
 * @example
 * ```ts
 * import { openInMemory, text, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family = await db.columnFamily("shop");
 * const stock = family.table("stock", { key: text, value: u32 });
 * await stock.set("apples", 3);
 *
 * using snapshot = family.snapshot();
 * await stock.set("apples", 4);
 * console.log(snapshot.table(stock).get("apples")); // 3
 * ```
 */
export class Snapshot implements Disposable {
  /** By id of the family. */
  readonly #sources: ReadonlyMap<number, PinnedSource>;
  readonly #memory: ThreadMemory;
  /** The only family's name; undefined if it is of a database. */
  readonly #only: string | undefined;

  static {
    sourceOf = (snapshot) => [...snapshot.#sources.values()][0];
  }

  /** Column families and databases make it. */
  constructor(pinned: PinnedSource | PinnedDatabase) {
    const isOfFamily = pinned instanceof PinnedSource;
    const sources = isOfFamily ? [pinned] : pinned.sources;
    this.#sources = new Map(sources.map((source) => [source.family, source]));
    this.#memory = pinned.memory;
    this.#only = isOfFamily ? pinned.familyName : undefined;
  }

  /**
   * The version of the column family: how many groups of transactions it had seen. Of a database: the
   * sum over its column families.
   */
  get version(): number {
    let version = 0;
    for (const { state } of this.#sources.values()) version += state.version;
    return version;
  }

  /**
   * A table as it was.
   *
   * @param table A table of the same column family or database, or of another snapshot of it; otherwise
   * `invalid-argument`. It need not have existed: then it reads as empty. Of a database, `not-found` if the
   * column family did not exist.
   * @returns The table's reads on this snapshot. They throw `closed` once it is disposed of;
   * iterators that were begun before go on.
   */
  table<K, V>(table: TableReader<K, V>): TableReader<K, V> {
    const other = rawTableOf(table).source;
    const { key, value } = codecsOf(table);
    const source = this.#sourceOf(other, table.name);
    source.stamp();
    return new TableReader(table.name, key, value, source, rawTableOf(table).codecs);
  }

  #sourceOf(other: StateSource, table: string): PinnedSource {
    const isSame = other.memory === this.#memory;
    const source = isSame ? this.#sources.get(other.family) : undefined;
    if (source !== undefined) return source;
    const { familyName } = other;
    if (isSame && this.#only === undefined) {
      throw new ManifoldError(
        "not-found",
        `the column family "${familyName}" of table "${table}" was not there when the snapshot of the ` +
          "database was taken; take a new one",
      );
    }
    const of = this.#only === undefined ? "a database" : `the column family "${this.#only}"`;
    throw new ManifoldError(
      "invalid-argument",
      `the snapshot is of ${of}, the table "${table}" of "${familyName}"` +
        `${isSame ? "" : " in another database"}; take a snapshot of that family`,
    );
  }

  /** Gives the versions back; a second call does nothing. */
  dispose(): void {
    for (const source of this.#sources.values()) source.dispose();
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
