/**
 * Watching a table: what is changed in it, as it is committed.
 *
 * @module
 */

import type { EntryChange } from "../engine/change_record.ts";
import { ManifoldError } from "../errors.ts";
import { isObject } from "./arguments.ts";
import { compareBytes } from "./bytes_order.ts";
import type { Codec } from "./codec.ts";
import { describe } from "./codecs/describe.ts";
import { checkSignal, EventIterator, type EventSource } from "./event_iterator.ts";
import type { FamilyAccess } from "./family_access.ts";
import { FeedReader } from "./feed_reader.ts";
import { type EncodedRange, encodeRange, type Range } from "./range.ts";

/**
 * Options of `watch`.
 *
 * @example
 * ```ts
 * import { openInMemory, type WatchOptions } from "@manifold/db";
 *
 * const options: WatchOptions = { signal: AbortSignal.timeout(10) };
 * await using db = await openInMemory();
 * const table = (await db.columnFamily("shop")).table("stock");
 * for await (const event of table.watch({}, options)) console.log(event);
 * ```
 */
export interface WatchOptions {
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
}

/**
 * A committed change of one entry.
 *
 * @typeParam K The type of the keys.
 * @typeParam V The type of the values.
 *
 * @example
 * ```ts
 * import { openInMemory, type TableChange, text, u32 } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
 * const events = stock.watch();
 * await stock.set("apples", 3);
 * const change = (await events.next()).value as TableChange<string, number>;
 * console.log(change.key, change.previous, change.value); // "apples" undefined 3
 * ```
 */
export interface TableChange<K, V> {
  /** Tells it from a {@linkcode ChangeGap}. */
  readonly gap: false;
  /** The version of the column family that it belongs to: changes of one version are committed together. */
  readonly version: number;
  /** The key. */
  readonly key: K;
  /** The value before; undefined if there was none. */
  readonly previous: V | undefined;
  /** The value after; undefined if the entry was deleted. */
  readonly value: V | undefined;
}

/**
 * Changes that a watch has missed: some of those of the column family in these versions are not told. Whoever
 * keeps something in step with the table reads it anew.
 *
 * @example
 * ```ts
 * import { type ChangeGap, openInMemory, text, u32 } from "@manifold/db";
 *
 * const missed = ({ from, to }: ChangeGap) => console.log(`versions ${from} to ${to}: read it anew`);
 * await using db = await openInMemory();
 * const stock = (await db.columnFamily("shop")).table("stock", { key: text, value: u32 });
 * for await (const event of stock.watch({}, { signal: AbortSignal.timeout(10) })) {
 *   if (event.gap) missed(event);
 *   else console.log(event.key, event.value);
 * }
 * ```
 */
export interface ChangeGap {
  /** Tells it from a {@linkcode TableChange}. */
  readonly gap: true;
  /** The first version of which something may be missing. */
  readonly from: number;
  /** The last one. */
  readonly to: number;
}

/** What `watch` needs of a table. */
export interface WatchedTable<K, V> {
  readonly access: FamilyAccess;
  readonly name: string;
  readonly codecs: string;
  readonly keyCodec: Codec<K>;
  readonly valueCodec: Codec<V>;
}

/** Begins to watch. */
export function watchTable<K, V>(
  table: WatchedTable<K, V>,
  range: Range<K> | undefined,
  options: WatchOptions | undefined,
): AsyncIterableIterator<TableChange<K, V> | ChangeGap> {
  const { access } = table;
  const what = `watch of table "${table.name}"`;
  access.open.check();
  if (options !== undefined && !isObject(options)) {
    throw new ManifoldError(
      "invalid-argument",
      `${what}: the options are ${describe(options)}; give an object, such as { signal }`,
    );
  }
  const signal = options?.signal;
  checkSignal(what, signal);
  const encoded = encodeRange(table.keyCodec, range);
  if (encoded.reverse || encoded.limit !== Infinity || encoded.offset !== 0) {
    throw new ManifoldError(
      "invalid-argument",
      `${what}: it takes no reverse, limit or offset, because changes come as they are made`,
    );
  }
  access.source.stamp(); // throws if it is not there
  return new EventIterator(access.open, new WatchSource(table, encoded), signal);
}

class WatchSource<K, V> implements EventSource<TableChange<K, V> | ChangeGap> {
  readonly words: Int32Array;
  readonly index: number;
  readonly #table: WatchedTable<K, V>;
  readonly #range: EncodedRange;
  readonly #reader: FeedReader;
  /** What the table's changes are labelled with, and the part of it that is the name. */
  readonly #label: Uint8Array;
  readonly #nameBytes: number;

  constructor(table: WatchedTable<K, V>, range: EncodedRange) {
    const { access, name, codecs } = table;
    this.#table = table;
    this.#range = range;
    this.#label = new TextEncoder().encode(`${name}\0${codecs}`);
    this.#nameBytes = this.#label.indexOf(0) + 1;
    this.#reader = new FeedReader(access.open.session.memory, access.slot, access.id);
    this.words = this.#reader.feed.words;
    this.index = this.#reader.feed.wakeIndex;
  }

  take(): TableChange<K, V> | ChangeGap | undefined | null {
    // Before looking for events: those of its last versions are to be told.
    const isGone = this.#table.access.isGone();
    for (;;) {
      const event = this.#reader.next();
      if (event === undefined) return isGone ? null : undefined;
      if (event.kind === "gap") return { gap: true, from: event.from, to: event.to };
      if (event.kind === "table gone") {
        if (this.#isOurs(event.table)) return null;
        continue;
      }
      const { version, change } = event;
      if (this.#isOurs(change.table) && this.#isInRange(change.key)) {
        return decodedChange(this.#table, version, change);
      }
    }
  }

  release(): void {
    this.#reader.release();
  }

  #isOurs(label: Uint8Array): boolean {
    const ours = this.#label;
    for (let i = 0; i < this.#nameBytes; i++) if (label[i] !== ours[i]) return false;
    if (compareBytes(label, ours) === 0) return true;
    throw otherCodecs(this.#table, label);
  }

  #isInRange(key: Uint8Array): boolean {
    const { lower, upper, empty } = this.#range;
    if (empty) return false;
    if (lower !== null) {
      const order = compareBytes(key, lower.key);
      if (order < 0 || (order === 0 && !lower.inclusive)) return false;
    }
    if (upper === null) return true;
    const order = compareBytes(key, upper.key);
    return order < 0 || (order === 0 && upper.inclusive);
  }
}

/** A change as the table's codecs decode it. */
export function decodedChange<K, V>(
  { keyCodec, valueCodec }: Pick<WatchedTable<K, V>, "keyCodec" | "valueCodec">,
  version: number,
  { key, previous, value }: EntryChange,
): TableChange<K, V> {
  return {
    gap: false,
    version,
    key: keyCodec.decode(key),
    previous: previous && valueCodec.decode(previous),
    value: value && valueCodec.decode(value),
  };
}

/** The error for changes of a table of the same name with other codecs. */
export function otherCodecs(
  { name, codecs }: Pick<WatchedTable<never, never>, "name" | "codecs">,
  label: Uint8Array,
): ManifoldError {
  const [, key, value] = new TextDecoder().decode(label).split("\0");
  const [askedKey, askedValue] = codecs.split("\0");
  return new ManifoldError(
    "type-mismatch",
    `changes of the table "${name}" have keys of codec ${key} and values of codec ${value}, not ` +
      `${askedKey} and ${askedValue}: it was made anew; open it with those`,
  );
}
