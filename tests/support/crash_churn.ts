/**
 * Families that come and go, for the crash runs: step by step, family k is made, filled, and the one
 * two before it deleted. Which there must be after each step is known.
 *
 * @module
 */

import { bytes, type Database, type Table, u32 } from "../../mod.ts";
import { checkValue, makeValue, placeNumber } from "./workers/self_checking.ts";

const ROWS = 40;
const PREFIX = "churn-";
const STEPS = 3;

export class CrashChurn {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async #table(k: number): Promise<Table<number, Uint8Array>> {
    return (await this.#db.columnFamily(PREFIX + k)).table("t", { key: u32, value: bytes });
  }

  async #step(step: number): Promise<void> {
    const k = Math.floor(step / STEPS);
    const place = placeNumber(PREFIX + k);
    if (step % STEPS === 0) {
      await this.#db.createColumnFamily(PREFIX + k);
    } else if (step % STEPS === 1) {
      await (await this.#table(k)).setMany(
        Array.from({ length: ROWS }, (_, row): [number, Uint8Array] => [
          row,
          makeValue(place, row, k, row === 7 ? 30_000 : 200),
        ]),
      );
    } else if (k > 2) await this.#db.deleteColumnFamily(PREFIX + (k - 2));
  }

  /** Takes steps from `first` on until `isOver`. */
  async stepOn(
    first: number,
    acknowledged: (step: number) => void,
    isOver: () => boolean,
  ): Promise<void> {
    for (let step = first; !isOver(); step++) {
      await this.#step(step);
      acknowledged(step);
    }
  }

  /** The last step, 0 if there was none. Throws unless everything is as it was after that step. */
  async verify(): Promise<number> {
    const there = this.#db.columnFamilies()
      .filter((name) => name.startsWith(PREFIX))
      .map((name) => Number(name.slice(PREFIX.length)))
      .sort((a, b) => a - b);
    const last = there.at(-1);
    if (last === undefined) return 0;
    let filled = false;
    for (const k of there) {
      const rows = await this.#rows(k);
      if (rows !== ROWS && (rows !== 0 || k !== last)) {
        throw new Error(`${PREFIX}${k} of ${PREFIX}${last} has ${rows} rows`);
      }
      filled = rows === ROWS;
    }
    const first = Math.max(1, last - 2);
    const deleted = last < 3 || there[0] !== first;
    const due: number[] = [];
    for (let k = deleted && last >= 3 ? first + 1 : first; k <= last; k++) due.push(k);
    if (there.join() !== due.join() || (deleted && last >= 3 && !filled)) {
      throw new Error(`families ${there} are there, the last is ${filled ? "" : "not "}filled`);
    }
    return last * STEPS + (!filled ? 0 : deleted ? 2 : 1);
  }

  async #rows(k: number): Promise<number> {
    const family = await this.#db.columnFamily(PREFIX + k, { create: false });
    if (family.tables().length === 0) return 0;
    const place = placeNumber(PREFIX + k);
    let next = 0;
    for (const [row, value] of family.table("t", { key: u32, value: bytes }).entries()) {
      if (row !== next++) throw new Error(`${PREFIX}${k} has row ${row}, not ${next - 1}`);
      if (checkValue(place, row, value) !== k) throw new Error(`${PREFIX}${k}: another's value`);
    }
    return next;
  }
}
