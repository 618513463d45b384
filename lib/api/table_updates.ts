/**
 * Transactions on one key, for `update`, `setIfAbsent` and `increment` of tables.
 *
 * Invariant: what the caller gives is taken at the call: a later attempt does not see what he does to it
 * since.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { checkCallback } from "./arguments.ts";
import { isPromise } from "./attempt.ts";
import type { Codec } from "./codec.ts";
import { describe } from "./codecs/describe.ts";
import { i32, i64, u32, u64 } from "./codecs/mod.ts";
import { encodeKey } from "./range.ts";
import type { WriteOptions } from "./session.ts";
import { type Table, targetOf } from "./table.ts";
import { runTransaction } from "./transaction_run.ts";

const NUMBERS: readonly unknown[] = [u32, i32];
const BIGINTS: readonly unknown[] = [u64, i64];

/** @see Table.update */
export function updateEntry<K, V>(
  table: Table<K, V>,
  key: K,
  change: (value: V | undefined) => V | undefined,
  options: WriteOptions | undefined,
): Promise<V | undefined> {
  const { access, keyCodec, place } = targetOf(table);
  checkCallback(change, () => `update in ${place}`);
  const own = ownCopy(keyCodec, key);
  return runTransaction([access], (tx) => {
    const t = tx.table(table);
    const next = change(t.get(own));
    if (isPromise(next)) {
      Promise.resolve(next).catch(() => {}); // what becomes of it matters to nobody
      throw new ManifoldError(
        "invalid-argument",
        `update in ${place}: its function returned a promise; use a transaction`,
      );
    }
    if (next === undefined) t.delete(own);
    else t.set(own, next);
    return next;
  }, options);
}

/** @see Table.setIfAbsent */
export function setIfAbsent<K, V>(
  table: Table<K, V>,
  key: K,
  value: V,
  options: WriteOptions | undefined,
): Promise<boolean> {
  const { access, keyCodec, valueCodec } = targetOf(table);
  const own = ownCopy(keyCodec, key);
  const ownValue = ownCopy(valueCodec, value);
  return runTransaction([access], (tx) => {
    const t = tx.table(table);
    if (t.has(own)) return false;
    t.set(own, ownValue);
    return true;
  }, options);
}

/** @see Table.increment */
export function incrementEntry<K, V>(
  table: Table<K, V>,
  key: K,
  by: number | bigint | undefined,
  options: WriteOptions | undefined,
): Promise<V> {
  const { access, keyCodec, valueCodec, place } = targetOf(table);
  const isBig = BIGINTS.includes(valueCodec);
  if (!isBig && !NUMBERS.includes(valueCodec)) {
    throw new ManifoldError(
      "type-mismatch",
      `increment in ${place}: its values are of codec ${valueCodec.name}; use u32, i32, u64 or i64`,
    );
  }
  const add = by ?? (isBig ? 1n : 1);
  if (isBig ? typeof add !== "bigint" : !Number.isSafeInteger(add)) {
    throw new ManifoldError(
      "invalid-argument",
      `increment in ${place}: it is to be increased by ${describe(by)}; give ${
        isBig ? "a bigint" : "an integer"
      }`,
    );
  }
  const own = ownCopy(keyCodec, key);
  return runTransaction([access], (tx) => {
    const t = tx.table(table);
    const before = t.get(own) ?? (isBig ? 0n : 0);
    // The codec refuses what does not fit.
    const next = (before as number) + (add as number) as V;
    t.set(own, next);
    return next;
  }, options);
}

/** What the caller cannot change any more. */
function ownCopy<T>(codec: Codec<T>, value: T): T {
  return typeof value === "object" && value !== null
    ? codec.decode(encodeKey(codec, value))
    : value;
}
