/**
 * What the suites need of an engine: more than the workloads do of theirs, of fewer engines. A write is
 * over when the disk has it; what is read belongs to the caller unless it says otherwise.
 *
 * @module
 */

import type { Entry } from "../../../support/engine.ts";

/** A walk over entries. */
export interface Walk {
  /** Where it begins, that key included; left out for an end of the table. */
  readonly from?: Uint8Array;
  /** Only keys that begin with this; not together with `from`. */
  readonly prefix?: Uint8Array;
  /** Downwards. */
  readonly reverse?: boolean;
  /** The most entries. */
  readonly limit?: number;
}

/** What the tables of {@linkcode Store.typed} hold: keys and values by the name of their kind. */
export interface Typed {
  readonly text: readonly [key: string, value: string];
  readonly json: readonly [key: string, value: Profile];
  readonly u32: readonly [key: number, value: number];
}

/** A document of about 150 bytes. */
export interface Profile {
  readonly name: string;
  readonly visits: number;
  readonly tags: readonly string[];
  readonly address: { readonly street: string; readonly city: string; readonly zip: string };
}

/** A table whose keys and values the engine encodes. */
export interface TypedTable<Kind extends keyof Typed> {
  /** Loads many entries into the empty table. */
  load(entries: readonly Typed[Kind][]): void | Promise<void>;
  get(key: Typed[Kind][0]): Typed[Kind][1] | undefined;
}

export interface StoreOptions {
  /** Of the engine's own cache; 1 GiB when not given, as the workloads have it. */
  readonly cacheBytes?: number;
}

/** An open database with one table of bytes. */
export interface Store {
  /** Loads many entries in one transaction, in the engine's fastest way. */
  load(entries: readonly Entry[]): void | Promise<void>;
  /** One durable batch. */
  commit(entries: readonly Entry[]): void | Promise<void>;
  /** One durable put. Several callers may await one each at the same time. */
  put(key: Uint8Array, value: Uint8Array): void | Promise<void>;
  /** One durable batch of removals. */
  remove(keys: readonly Uint8Array[]): void | Promise<void>;
  /** Removes all keys from one on and before another in one durable transaction; how many. */
  removeRange(from: Uint8Array, to: Uint8Array): number | Promise<number>;
  get(key: Uint8Array): Uint8Array | undefined;
  getMany(keys: readonly Uint8Array[]): (Uint8Array | undefined)[];
  /** The first byte of a borrowed value; left out where the engine lends none. */
  view?(key: Uint8Array): number;
  /** Gathers entries into an array; the sum of the values' first bytes. */
  range(walk: Walk): number;
  /** Goes over all keys; how many bytes they are. */
  keys(): number;
  /** Goes over all entries by the engine's iterator; how many there are. */
  scan(see: (value: Uint8Array) => void): number;
  /** The same, keys and values borrowed. */
  scanView?(see: (value: Uint8Array) => void): number;
  /** How many keys there are from one on and before another, if the engine need not read them. */
  count?(from: Uint8Array, to: Uint8Array): number;
  /** A table of its own for each kind. */
  typed<Kind extends keyof Typed>(kind: Kind): TypedTable<Kind>;
  /** Brings all there is into the data file; the bytes of the disk that it takes, without those of logs. */
  settle(): number | Promise<number>;
  /** What {@linkcode StoreKind.join} is given in another thread. */
  share(): unknown;
  close(): void | Promise<void>;
}

export interface StoreKind {
  /** Opens the database in a directory, or makes it there. */
  open(dir: string, options: StoreOptions): Promise<Store>;
  /** Opens it in one more thread of a process in which it is open. */
  join(dir: string, shared: unknown): Promise<Store>;
}
