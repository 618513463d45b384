/**
 * What a workload needs of an engine. Each engine does it the fastest way that it documents as safe:
 * when `load`, `put`, `commit` or `remove` is over, the disk has it.
 *
 * @module
 */

export type Entry = readonly [key: Uint8Array, value: Uint8Array];

export interface Engine {
  /** Loads many entries into an empty table. */
  load(entries: readonly Entry[]): void | Promise<void>;
  /** One durable put. Several callers may await one each at the same time. */
  put(key: Uint8Array, value: Uint8Array): void | Promise<void>;
  /** One durable and atomic batch. */
  commit(entries: readonly Entry[]): void | Promise<void>;
  /** One durable and atomic batch of removals. */
  remove(keys: readonly Uint8Array[]): void | Promise<void>;
  /** Makes a second table of counters: values of eight bytes. */
  loadCounters?(keys: readonly Uint8Array[]): void | Promise<void>;
  /**
   * One durable transaction that reads a counter, adds one to it and writes it back; what it is then.
   * Several callers may await one each at the same time.
   */
  addOne?(key: Uint8Array): number | Promise<number>;
  /** The same in one transaction over two tables of counters, which are in one column family or in two. */
  addOneToTwo?(key: Uint8Array, families: 1 | 2): Promise<number>;
  /** The first byte of the value, read as bytes that belong to the caller. */
  get(key: Uint8Array): number | Promise<number>;
  /** The same where the bytes may be borrowed; left out where the engine has no such read. */
  view?(key: Uint8Array): number;
  /** How many entries a scan of ten from `key` on gives, all of them read. */
  range10(key: Uint8Array): number | Promise<number>;
  /** Reads every entry, keys and values that belong to the caller; how many there are. */
  scan(): number | Promise<number>;
  /** The same where keys and values may be borrowed. */
  scanView?(): number;
  /** How many entries there are from one key on and before another, if the engine need not read them. */
  countRange?(from: Uint8Array, to: Uint8Array): number;
  close(): void | Promise<void>;
}

interface KindBase {
  readonly name: string;
  /** How its column is headed. */
  readonly title: string;
  /** What it was asked for, for whoever reads the numbers. */
  readonly settings: string;
  /** It does 1/shrink of the work: an engine that is tens of times slower. */
  readonly shrink: number;
  readonly runtimes: readonly ("deno" | "bun")[];
}

/** An engine that `runner.ts` opens. */
export interface ModuleKind extends KindBase {
  open(dir: string): Promise<Engine>;
}

/** An engine in a program of its own, which takes and prints what `runner.ts` does. */
export interface ProgramKind extends KindBase {
  /** Where the program is; it is built if need be. */
  program(): string;
}

export type EngineKind = ModuleKind | ProgramKind;

export const COUNTER_BYTES = 8;

/** Adds one to a counter; what it is then. */
export function addOneTo(value: Uint8Array): number {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const number = view.getFloat64(0) + 1;
  view.setFloat64(0, number);
  return number;
}
