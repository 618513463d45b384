/** SQLite as it comes with the runtime: `node:sqlite` on Deno, `bun:sqlite` on Bun. @module */

import { thisRuntime } from "../../tests/support/child.ts";

export type SqliteValue = Uint8Array | string | number;

/** What the two have in common. */
export interface Statement<Row> {
  run(...values: SqliteValue[]): { changes: number | bigint };
  get(...values: SqliteValue[]): Row | undefined;
  all(...values: SqliteValue[]): Row[];
  iterate(...values: SqliteValue[]): Iterable<Row>;
}

export interface Sqlite {
  exec(sql: string): unknown;
  prepare<Row = unknown>(sql: string): Statement<Row>;
  close(): void;
}

export async function openSqlite(path: string): Promise<Sqlite> {
  // Not literals: each of the two is unknown to the other runtime's type-checker.
  const [name, type] = thisRuntime === "bun"
    ? ["bun:sqlite", "Database"]
    : ["node:sqlite", "DatabaseSync"];
  const module = await import(name);
  return new module[type](path) as Sqlite;
}
