/**
 * What the children of `crash_test.ts` write, and the check of what a recovery brings back.
 *
 * Every family has its own sequence of numbered writes. Number n is a single entry, or, if n is a
 * multiple of {@linkcode BATCH_EVERY}, a batch of several rows, which also deletes what is
 * {@linkcode WINDOW} numbers older, so that the file stays small and its pages are used anew.
 *
 * @module
 */

import { bytes, type ColumnFamily, type Table, tuple, u32 } from "../../mod.ts";
import { checkValue, makeValue, placeNumber } from "./workers/self_checking.ts";

const BATCH_EVERY = 4;
const WINDOW = 3000;
/** Writes under way at once. */
const WIDTH = 32;

export class CrashFamily {
  readonly #family: ColumnFamily;
  readonly #place: number;
  readonly #singles: Table<number, Uint8Array>;
  readonly #rows: Table<[number, number], Uint8Array>;

  constructor(family: ColumnFamily) {
    this.#family = family;
    this.#place = placeNumber(family.name);
    this.#singles = family.table("singles", { key: u32, value: bytes });
    this.#rows = family.table("rows", { key: tuple(u32, u32), value: bytes });
  }

  /** Makes write number n. One in seven is only eventually durable, which a killed process survives. */
  #write(n: number): Promise<void> {
    const options = n % 7 === 0 ? { durability: "eventual" } as const : undefined;
    const place = this.#place;
    if (n % BATCH_EVERY !== 0) {
      // Some of them are too large for a page.
      const length = n % 97 === 0 ? 20_000 : n % 300;
      return this.#singles.set(n, makeValue(place, n, n, length), options);
    }
    const batch = this.#family.batch();
    for (let i = 0; i < rowsOf(n); i++) {
      batch.set(this.#rows, [n, i], makeValue(place, n, i, 100 + i));
    }
    const old = n - WINDOW;
    if (old > 0) {
      for (let m = old - BATCH_EVERY + 1; m < old; m++) batch.delete(this.#singles, m);
      for (let i = 0; i < rowsOf(old); i++) batch.delete(this.#rows, [old, i]);
    }
    return batch.commit(options);
  }

  /** Writes on from number `first`; `acknowledged` is told up to which number all are resolved. */
  async writeOn(first: number, acknowledged: (n: number) => void): Promise<never> {
    const writes: Promise<void>[] = [];
    for (let n = first;; n++) {
      writes.push(this.#write(n));
      if (writes.length < WIDTH) continue;
      // In order: all before are resolved as well.
      await writes.shift();
      acknowledged(n - WIDTH + 1);
    }
  }

  /** The last number that is there. Throws if one before is missing, or half there. */
  verify(): number {
    const place = this.#place;
    const last = Math.max(this.#singles.last()?.[0] ?? 0, this.#rows.last()?.[0][0] ?? 0);
    const oldest = last - last % BATCH_EVERY - WINDOW;
    let next = Math.max(1, oldest + 1);
    const expectUpTo = (n: number): void => {
      while (next < n && next % BATCH_EVERY === 0) next++;
      if (next < n) throw new Error(`write ${next} of ${last} is missing`);
    };
    for (const [n, value] of this.#singles.entries()) {
      expectUpTo(n);
      if (next !== n) throw new Error(`write ${n} is there, ${next} was next`);
      if (checkValue(place, n, value) !== n) throw new Error(`write ${n} has another's value`);
      next = n + 1;
    }
    expectUpTo(last + 1);
    let nextBatch = Math.max(BATCH_EVERY, oldest + BATCH_EVERY);
    let row = 0;
    for (const [[n, i], value] of this.#rows.entries()) {
      if (n !== nextBatch || i !== row) {
        throw new Error(`row ${i} of batch ${n} is there, row ${row} of ${nextBatch} was next`);
      }
      if (checkValue(place, n, value) !== i) throw new Error(`row ${i} of batch ${n} is another's`);
      if (++row < rowsOf(n)) continue;
      row = 0;
      nextBatch += BATCH_EVERY;
    }
    if (row !== 0) throw new Error(`batch ${nextBatch} of ${last} ends before row ${row}`);
    if (nextBatch <= last) throw new Error(`batch ${nextBatch} of ${last} is missing`);
    return last;
  }
}

function rowsOf(n: number): number {
  return 2 + (n / BATCH_EVERY) % 7;
}
