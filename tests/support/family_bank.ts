/**
 * A bank whose accounts lie in three families: money that moves between them in transactions, and the number of each
 * thread's step in all three, by a batch. Nobody may ever see another sum, or steps that differ.
 *
 * @module
 */

import { type ColumnFamily, type Database, type Table, u32 } from "../../mod.ts";
import type { Random } from "./random.ts";

export const BANK_THREADS = 4;
const FAMILIES = ["north", "east", "south"];
const ACCOUNTS = 8;
const BALANCE = 1000;
const TOTAL = FAMILIES.length * ACCOUNTS * BALANCE;
const codecs = { key: u32, value: u32 };

export class FamilyBank {
  readonly #db: Database;
  readonly #families: readonly ColumnFamily[];
  readonly #accounts: readonly Table<number, number>[];
  readonly #steps: readonly Table<number, number>[];

  private constructor(db: Database, families: readonly ColumnFamily[]) {
    this.#db = db;
    this.#families = families;
    this.#accounts = families.map((family) => family.table("accounts", codecs));
    this.#steps = families.map((family) => family.table("steps", codecs));
  }

  static async in(db: Database): Promise<FamilyBank> {
    const families: ColumnFamily[] = [];
    for (const name of FAMILIES) families.push(await db.columnFamily(name));
    return new FamilyBank(db, families);
  }

  /** Opens the accounts, all in one batch, unless an earlier process has. */
  async fill(): Promise<void> {
    if (this.#accounts[0].count() > 0) return;
    const batch = this.#db.batch();
    for (const table of this.#accounts) {
      for (let account = 0; account < ACCOUNTS; account++) batch.set(table, account, BALANCE);
    }
    await batch.commit();
  }

  /** One transfer between families, and one step, which both are acknowledged when this resolves. */
  async move(thread: number, step: number, random: Random): Promise<void> {
    const from = random.int(FAMILIES.length);
    const to = (from + 1 + random.int(FAMILIES.length - 1)) % FAMILIES.length;
    const [payer, payee] = [random.int(ACCOUNTS), random.int(ACCOUNTS)];
    const transfer = this.#db.transaction([this.#families[from], this.#families[to]], (tx) => {
      const source = tx.table(this.#accounts[from]);
      const target = tx.table(this.#accounts[to]);
      const amount = Math.min(random.int(100), source.get(payer)!);
      source.set(payer, source.get(payer)! - amount);
      target.set(payee, target.get(payee)! + amount);
    });
    const batch = this.#db.batch();
    for (const table of this.#steps) batch.set(table, thread, step);
    await Promise.all([transfer, batch.commit()]);
  }

  /** The last step of each thread. Throws unless a snapshot of the database has all of everything, or nothing. */
  look(): number[] {
    using snapshot = this.#db.snapshot();
    let sum = 0;
    let accounts = 0;
    for (const table of this.#accounts) {
      for (const balance of snapshot.table(table).values()) {
        sum += balance;
        accounts++;
      }
    }
    const isWhole = accounts === FAMILIES.length * ACCOUNTS && sum === TOTAL;
    if (!isWhole && accounts > 0) throw new Error(`${accounts} accounts have ${sum}, not ${TOTAL}`);
    return Array.from({ length: BANK_THREADS }, (_, thread) => {
      const steps = this.#steps.map((table) => snapshot.table(table).get(thread) ?? 0);
      if (new Set(steps).size > 1) throw new Error(`thread ${thread} is at the steps ${steps}`);
      return steps[0];
    });
  }
}
