/**
 * The tables of `threads_test.ts`, the relation between them, and the check of it.
 *
 * `rows` and `inverse` mirror each other (row → version, version → row), and `counts` says how many
 * rows each thread has: all three change in one batch. The balances in `accounts` move by
 * transactions and keep their sum. `loose` has values without a relation.
 *
 * @module
 */

import { bytes, type Database, type Table, type TableReader, text, u32 } from "../../../mod.ts";
import { checkValue, placeNumber } from "./self_checking.ts";
import { ACCOUNTS, BALANCE } from "./thread_messages.ts";

export const ROWS = placeNumber("rows");
export const LOOSE = placeNumber("loose");

export async function tablesOf(db: Database) {
  const mirror = await db.columnFamily("mirror");
  const bank = await db.columnFamily("bank");
  const loose = await db.columnFamily("loose");
  return {
    mirror,
    bank,
    loose,
    rows: mirror.table("rows", { key: u32, value: bytes }),
    inverse: mirror.table("inverse", { key: text, value: u32 }),
    counts: mirror.table("counts", { key: u32, value: u32 }),
    accounts: bank.table("accounts", { key: u32, value: u32 }),
    values: loose.table("values", { key: u32, value: bytes }),
  };
}

export type Tables = Awaited<ReturnType<typeof tablesOf>>;

/** The key of a row's version in `inverse`: a row's versions are never used twice. */
export function inverseKey(row: number, version: number): string {
  return `${version}/${row}`;
}

type Reader<K, V> = Pick<TableReader<K, V>, "get" | "entries" | "count" | "values">;

/** Checks rows from `from` on, `limit` at the most, in one version of the family. */
export function checkMirror(
  rows: Reader<number, Uint8Array>,
  inverse: Reader<string, number>,
  counts: Reader<number, number>,
  from: number,
  limit: number,
): { checked: number; digest: number } {
  let sum = 0;
  for (const count of counts.values()) sum += count;
  const rowCount = rows.count();
  const inverseCount = inverse.count();
  if (rowCount !== sum || inverseCount !== sum) {
    throw new Error(`${rowCount} rows, ${inverseCount} inverse, ${sum} counted`);
  }
  let checked = 0;
  let digest = sum;
  for (const [row, value] of rows.entries({ gte: from, limit })) {
    const version = checkValue(ROWS, row, value);
    const back = inverse.get(inverseKey(row, version));
    if (back !== row) throw new Error(`row ${row} has version ${version}, its inverse is ${back}`);
    digest = (Math.imul(digest, 31) + version + row) | 0;
    checked++;
  }
  return { checked, digest };
}

export function checkBank(accounts: Reader<number, number>): void {
  let sum = 0;
  let count = 0;
  for (const balance of accounts.values()) {
    sum += balance;
    count++;
  }
  if (count !== ACCOUNTS || sum !== ACCOUNTS * BALANCE) {
    throw new Error(`${count} accounts with ${sum} in all`);
  }
}

/** Everything, in snapshots. Returns each row's version. */
export function checkAll(tables: Tables): Map<number, number> {
  const versions = new Map<number, number>();
  using mirror = tables.mirror.snapshot();
  const rows = mirror.table(tables.rows);
  checkMirror(rows, mirror.table(tables.inverse), mirror.table(tables.counts), 0, Infinity);
  for (const [row, value] of rows.entries()) versions.set(row, checkValue(ROWS, row, value));
  using bank = tables.bank.snapshot();
  checkBank(bank.table(tables.accounts));
  for (const [key, value] of tables.values.entries()) checkValue(LOOSE, key, value);
  return versions;
}

/** Moves money, or does nothing when there is none. */
export function move(
  tables: Tables,
  from: number,
  to: number,
  amount: number,
): Promise<void> {
  const accounts: Table<number, number> = tables.accounts;
  return tables.bank.transaction((tx) => {
    const t = tx.table(accounts);
    const have = t.get(from)!;
    if (have < amount || from === to) return;
    t.set(from, have - amount);
    t.set(to, t.get(to)! + amount);
  });
}
