/**
 * The changes that a column family keeps.
 *
 * @module
 */

import { findKeptTable } from "../engine/catalog.ts";
import {
  keepBytesOf,
  type KeptChange,
  type KeptPosition,
  keptState,
  readKeptChanges,
} from "../engine/kept_changes.ts";
import { ManifoldError } from "../errors.ts";
import { newFamilyState } from "../memory/family_slots.ts";
import { isObject } from "./arguments.ts";
import { describe } from "./codecs/describe.ts";
import { checkSignal, EventIterator, type EventSource } from "./event_iterator.ts";
import type { FamilyAccess } from "./family_access.ts";
import { type Table, targetOf } from "./table.ts";
import { decodedChange, otherCodecs, type TableChange } from "./watch.ts";

/** Bytes of changes that are read at once, if one is not longer. */
const BATCH_BYTES = 65536;

/**
 * Options of `changes`.
 *
 * @example
 * ```ts
 * import { type ChangesOptions, openInMemory, text, u32 } from "@manifold/db";
 *
 * const options: ChangesOptions = { since: 0, signal: AbortSignal.timeout(10) };
 * await using db = await openInMemory();
 * const family = await db.createColumnFamily("shop", { changes: { keepBytes: 2 ** 20 } });
 * await family.table("stock", { key: text, value: u32 }).set("apples", 3);
 * for await (const change of family.changes(options)) console.log(change.version, change.table);
 * ```
 */
export interface ChangesOptions {
  /**
   * The version whose changes, and those before, are known already: an integer from 0 on. The version that is
   * published now when not given.
   */
  readonly since?: number;
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
}

/**
 * A change that a column family has kept, as bytes; `in` decodes it.
 *
 * @example
 * ```ts
 * import { type Change, openInMemory, text, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family = await db.createColumnFamily("shop", { changes: { keepBytes: 2 ** 20 } });
 * const stock = family.table("stock", { key: text, value: u32 });
 * await stock.set("apples", 3);
 * for await (const change of family.changes({ since: 0 })) {
 *   const kept: Change = change;
 *   console.log(kept.in(stock)?.value); // 3
 *   if (change.last) break; // all of this version is known: it can be the next `since`
 * }
 * ```
 */
export class Change {
  /** The version of the column family that it belongs to: changes of one version are committed together. */
  readonly version: number;
  /**
   * Whether it is the last one of its version. Whoever has taken in all up to here can continue with
   * `changes({ since: version })`.
   */
  readonly last: boolean;
  /** The name of the table. */
  readonly table: string;
  /** The key, encoded. */
  readonly key: Uint8Array;
  /** The value before, encoded; undefined if there was none. */
  readonly previous: Uint8Array | undefined;
  /** The value after, encoded; undefined if the entry was deleted. */
  readonly value: Uint8Array | undefined;
  readonly #label: Uint8Array;
  readonly #family: number;

  /** `ColumnFamily.changes` makes it. */
  constructor(change: KeptChange, family: number) {
    this.version = change.version;
    this.last = change.last;
    this.key = change.key;
    this.previous = change.previous;
    this.value = change.value;
    this.#label = change.table;
    this.#family = family;
    this.table = new TextDecoder("utf-8", { ignoreBOM: true })
      .decode(change.table.subarray(0, change.table.indexOf(0)));
  }

  /**
   * The change as a table's codecs decode it; undefined if it is of another table.
   *
   * Throws `type-mismatch` when it is of an earlier table of the same name that had other codecs,
   * `invalid-argument` for what is not a table, and what the codecs throw.
   *
   * @param table A table of the column family.
   *
   * @example
   * ```ts
   * import { openInMemory, text, u32 } from "@manifold/db";
   *
   * await using db = await openInMemory();
   * const family = await db.createColumnFamily("shop", { changes: { keepBytes: 2 ** 20 } });
   * const stock = family.table("stock", { key: text, value: u32 });
   * const changes = family.changes();
   * await stock.set("apples", 3);
   * const { value: change } = await changes.next();
   * console.log(change.in(stock).key, change.in(family.table("prices"))); // "apples" undefined
   * ```
   */
  in<K, V>(table: Table<K, V>): TableChange<K, V> | undefined {
    const target = targetOf(table);
    if (target.name !== this.table || target.access.id !== this.#family) return undefined;
    const codecs = new TextDecoder().decode(this.#label.subarray(this.#label.indexOf(0) + 1));
    if (codecs !== target.codecs) throw otherCodecs(target, this.#label);
    return decodedChange(target, this.version, {
      table: this.#label,
      key: this.key.slice(),
      previous: this.previous?.slice(),
      value: this.value?.slice(),
    });
  }
}

/**
 * What a column family keeps of its changes, as `ColumnFamily.stats` says.
 *
 * @example
 * ```ts
 * import { type KeptChangesStats, openInMemory } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const family = await db.createColumnFamily("shop", { changes: { keepBytes: 2 ** 20 } });
 * const kept: KeptChangesStats = family.stats().changes!;
 * for await (const change of family.changes({ since: kept.since, signal: AbortSignal.timeout(10) })) {
 *   console.log(change.version);
 * }
 * ```
 */
export interface KeptChangesStats {
  /** Bytes that it was made to keep. */
  readonly keepBytes: number;
  /** Bytes that are kept now. */
  readonly bytes: number;
  /** The least `since` that `changes` can continue from now. */
  readonly since: number;
}

/**
 * What a family keeps of its changes; undefined if it keeps none.
 * @throws {ManifoldError} as {@linkcode StateSource.read}.
 */
export function keptChangesStats(access: FamilyAccess): KeptChangesStats | undefined {
  const { store, epochs } = access.source.memory;
  const state = newFamilyState();
  epochs.enter();
  try {
    access.source.read(state);
    store.family = access.slot;
    store.familyName = access.name;
    const table = findKeptTable(store, state);
    if (table === undefined) return undefined;
    return { keepBytes: keepBytesOf(table.codecs), ...keptState(store, table.root) };
  } finally {
    epochs.leave();
  }
}

/** Begins to read the changes that a family keeps. */
export function familyChanges(
  access: FamilyAccess,
  options: ChangesOptions | undefined,
): AsyncIterableIterator<Change> {
  const what = `changes() of ${access.place}`;
  access.open.check();
  if (options !== undefined && !isObject(options)) {
    throw new ManifoldError(
      "invalid-argument",
      `${what}: the options are ${describe(options)}; give an object, such as { since }`,
    );
  }
  const { since, signal } = options ?? {};
  checkSignal(what, signal);
  if (since !== undefined && !(Number.isSafeInteger(since) && since >= 0)) {
    throw new ManifoldError(
      "invalid-argument",
      `${what}: since is ${describe(since)}; give the version of a change, or 0`,
    );
  }
  const kept = keptChangesStats(access);
  if (kept === undefined) {
    throw new ManifoldError(
      "not-supported",
      `${what}: it keeps none; make it with createColumnFamily("${access.name}", ` +
        "{ changes: { keepBytes } }), or watch its tables",
    );
  }
  const published = access.open.session.memory.slots.version(access.slot);
  const after = since ?? published;
  if (after > published) {
    throw new ManifoldError(
      "not-found",
      `${what}: there is no version ${after}, the newest one is ${published}; if there was, it was ` +
        "lost by a crash before it was durable: read the tables anew",
    );
  }
  if (after < kept.since) throw noLongerKept(what, after, kept.since);
  return new EventIterator(access.open, new KeptSource(access, after), signal);
}

class KeptSource implements EventSource<Change> {
  readonly words: Int32Array;
  readonly index: number;
  readonly #access: FamilyAccess;
  readonly #position: KeptPosition;
  #batch: KeptChange[] = [];
  #next = 0;

  constructor(access: FamilyAccess, since: number) {
    const { slots } = access.open.session.memory;
    this.#access = access;
    this.#position = { version: since + 1, index: 0, count: 0 };
    this.words = slots.words;
    this.index = slots.publicationsIndex(access.slot);
  }

  take(): Change | undefined | null {
    if (this.#next === this.#batch.length) {
      this.#next = 0;
      this.#batch = [];
      if (this.#access.isGone()) return null;
      this.#batch = this.#read();
      if (this.#batch.length === 0) return undefined;
    }
    return new Change(this.#batch[this.#next++], this.#access.id);
  }

  release(): void {
    this.#batch = [];
    this.#next = 0;
  }

  /** What comes next, of the version that is published now. */
  #read(): KeptChange[] {
    const { source, slot, name, place } = this.#access;
    const { store, epochs } = source.memory;
    const state = newFamilyState();
    epochs.enter();
    try {
      try {
        source.read(state);
      } catch (error) {
        // It is being deleted; that can fail.
        if (error instanceof ManifoldError && error.code === "not-found") return [];
        throw error;
      }
      store.family = slot;
      store.familyName = name;
      const pager = store;
      const { root } = findKeptTable(store, state)!;
      const { since } = keptState(store, root);
      const after = this.#position.version - 1;
      if (after < since) throw noLongerKept(`changes() of ${place}`, after, since);
      return readKeptChanges({ pager, root, values: store }, this.#position, BATCH_BYTES);
    } finally {
      epochs.leave();
    }
  }
}

function noLongerKept(what: string, after: number, since: number): ManifoldError {
  return new ManifoldError(
    "not-found",
    `${what}: changes after version ${after} are not all kept any more, the oldest version that is kept ` +
      `is ${since + 1}; read the tables anew and continue from then on`,
  );
}
