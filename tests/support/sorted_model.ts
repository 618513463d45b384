/**
 * What a database must be equal to: plain sorted maps, and the values that the model test stores,
 * which are cut out of one block of random bytes so that a large one costs nothing to remember.
 *
 * @module
 */

import { AssertionError } from "./assert.ts";
import { Random } from "./random.ts";

/** Bytes of the block that values are cut out of. */
const POOL_BYTES = 2 ** 20;
const pool = new Random(20260101).bytes(POOL_BYTES);

/** A value: where in the block it begins, and how long it is. */
export interface ModelValue {
  readonly offset: number;
  readonly length: number;
}

/** A value of a random place. */
export function randomValue(random: Random, length: number): ModelValue {
  return { offset: random.int(POOL_BYTES - length), length };
}

/** The bytes of a value; not to be changed. */
export function bytesOf(value: ModelValue): Uint8Array<ArrayBuffer> {
  return pool.subarray(value.offset, value.offset + value.length);
}

/** Whether bytes are the value's. */
export function isValue(actual: Uint8Array | undefined, value: ModelValue | undefined): boolean {
  if (actual === undefined || value === undefined) return actual === value;
  if (actual.length !== value.length) return false;
  const { offset, length } = value;
  for (let i = 0; i < length; i++) if (actual[i] !== pool[offset + i]) return false;
  return true;
}

/** A range over keys of the model. */
export interface ModelRange<K> {
  gte?: K;
  gt?: K;
  lte?: K;
  lt?: K;
  prefix?: string;
  reverse?: boolean;
  limit?: number;
  offset?: number;
}

/** A table as a sorted array of keys and a map. Keys are numbers or strings of ASCII. */
export class ModelTable<K extends string | number> {
  readonly keys: K[];
  readonly values: Map<K, ModelValue>;

  constructor(keys: K[] = [], values: Map<K, ModelValue> = new Map()) {
    this.keys = keys;
    this.values = values;
  }

  clone(): ModelTable<K> {
    return new ModelTable(this.keys.slice(), new Map(this.values));
  }

  /** How many keys are before `key`. */
  rank(key: K): number {
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.keys[middle] < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  set(key: K, value: ModelValue): void {
    if (!this.values.has(key)) this.keys.splice(this.rank(key), 0, key);
    this.values.set(key, value);
  }

  delete(key: K): boolean {
    if (!this.values.delete(key)) return false;
    this.keys.splice(this.rank(key), 1);
    return true;
  }

  deleteRange(range: ModelRange<K>): number {
    const keys = this.select(range);
    for (const key of keys) this.delete(key);
    return keys.length;
  }

  /** The keys that a range gives, in its order. */
  select(range: ModelRange<K> = {}): K[] {
    const { gte, gt, lte, lt, prefix, reverse, limit = Infinity, offset = 0 } = range;
    const keys = this.keys.filter((key) =>
      (gte === undefined || key >= gte) && (gt === undefined || key > gt) &&
      (lte === undefined || key <= lte) && (lt === undefined || key < lt) &&
      (prefix === undefined || String(key).startsWith(prefix))
    );
    if (reverse) keys.reverse();
    return keys.slice(offset, offset + limit);
  }

  /** Fails unless entries are those of `keys`, in this order. */
  checkEntries(entries: readonly [K, Uint8Array][], keys: readonly K[], what: string): void {
    if (entries.length !== keys.length) {
      throw new AssertionError(`${what}: ${entries.length} entries, not ${keys.length}`);
    }
    entries.forEach((entry, i) => this.checkEntry(entry, keys[i], `${what}, entry ${i}`));
  }

  checkEntry(entry: [K, Uint8Array] | undefined, key: K | undefined, what: string): void {
    if (entry === undefined || key === undefined) {
      if (entry === key) return;
      throw new AssertionError(`${what}: ${entry?.[0]}, not ${key}`);
    }
    if (entry[0] !== key) throw new AssertionError(`${what}: key ${entry[0]}, not ${key}`);
    this.checkValue(entry[1], key, what);
  }

  checkValue(actual: Uint8Array | undefined, key: K, what: string): void {
    const expected = this.values.get(key);
    if (isValue(actual, expected)) return;
    throw new AssertionError(
      `${what}: the value of ${JSON.stringify(key)} has ${actual?.length} bytes, or others, ` +
        `where ${expected?.length} should be`,
    );
  }
}
