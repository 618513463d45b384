/**
 * One version of a column family, held.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { MultimapReader, readBelow } from "./multimap_reader.ts";
import type { PinnedSource } from "./state_source.ts";
import { codecsOf, rawTableOf, TableReader } from "./table_reader.ts";

/** The state that a snapshot holds: for the rest of the package. */
export let sourceOf: (snapshot: Snapshot) => PinnedSource;

/**
 * A column family frozen at one version: every read of its tables gives what was there when the snapshot was
 * taken, whatever is written, dropped or deleted since.
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
  readonly #source: PinnedSource;

  static {
    sourceOf = (snapshot) => snapshot.#source;
  }

  /** `ColumnFamily.snapshot()` makes it. */
  constructor(source: PinnedSource) {
    this.#source = source;
  }

  /** The version of the column family: how many groups of transactions it had seen. */
  get version(): number {
    return this.#source.state.version;
  }

  /**
   * A table as it was.
   *
   * @param table A table of the same column family, or of another snapshot of it; otherwise
   * `invalid-argument`. It need not have existed: then it reads as empty.
   * @returns The table's reads on this snapshot. They throw `closed` once it is disposed of;
   * iterators that were begun before go on.
   */
  table<K, V>(table: TableReader<K, V>): TableReader<K, V> {
    const source = this.#source;
    source.stamp();
    const other = rawTableOf(table).source;
    if (other.memory !== source.memory || other.family !== source.family) {
      throw new ManifoldError(
        "invalid-argument",
        `the snapshot is of the column family "${source.familyName}", the table "${table.name}" of ` +
          `"${other.familyName}"${other.memory === source.memory ? "" : " in another database"}; ` +
          "take a snapshot of that family",
      );
    }
    const { key, value } = codecsOf(table);
    return new TableReader(table.name, key, value, source, rawTableOf(table).codecs);
  }

  /**
   * A multimap as it was.
   *
   * @param multimap A multimap of the same column family, or of another snapshot of it; otherwise
   * `invalid-argument`.
   * @returns The multimap's reads on this snapshot, as those of `table`.
   */
  multimap<K, V>(multimap: MultimapReader<K, V>): MultimapReader<K, V> {
    const { layout, table } = readBelow(multimap);
    // That of a transaction is refused there.
    return new MultimapReader(layout, this.table(table as TableReader<Uint8Array, undefined>));
  }

  /** Gives the version back; a second call does nothing. */
  dispose(): void {
    this.#source.dispose();
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.#source.dispose();
  }
}
