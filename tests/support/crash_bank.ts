/**
 * Transactions of several threads to one family, for the crash runs: money that moves between accounts,
 * and, in the same transaction, the number of the thread's step.
 *
 * @module
 */

import { type ColumnFamily, type Table, u32 } from "../../mod.ts";

const ACCOUNTS = 16;
const BALANCE = 1000;

export class CrashBank {
  readonly #family: ColumnFamily;
  readonly #accounts: Table<number, number>;
  readonly #steps: Table<number, number>;

  constructor(family: ColumnFamily) {
    this.#family = family;
    this.#accounts = family.table("accounts", { key: u32, value: u32 });
    this.#steps = family.table("steps", { key: u32, value: u32 });
  }

  /** Opens the accounts, unless an earlier process has. */
  async fill(): Promise<void> {
    if (this.#accounts.count() > 0) return;
    await this.#accounts.setMany(
      Array.from({ length: ACCOUNTS }, (_, account): [number, number] => [account, BALANCE]),
    );
  }

  /** Makes transactions, one after the other, until `isOver`. */
  async moveOn(
    thread: number,
    acknowledged: (step: number) => void,
    isOver: () => boolean,
  ): Promise<void> {
    for (let step = this.#stepOf(thread) + 1; !isOver(); step++) {
      await this.#family.transaction((tx) => {
        const accounts = tx.table(this.#accounts);
        const from = (step * 7 + thread) % ACCOUNTS;
        const to = (from + 1 + step % (ACCOUNTS - 1)) % ACCOUNTS;
        const amount = Math.min(step % 50, accounts.get(from)!);
        accounts.set(from, accounts.get(from)! - amount);
        accounts.set(to, accounts.get(to)! + amount);
        tx.table(this.#steps).set(thread, step);
      });
      acknowledged(step);
    }
  }

  #stepOf(thread: number): number {
    return this.#steps.get(thread) ?? 0;
  }

  /** The last step of each thread. Throws when money was made or lost. */
  verify(threads: number): number[] {
    const balances = this.#accounts.values().toArray();
    const sum = balances.reduce((a, b) => a + b, 0);
    const whole = sum === ACCOUNTS * BALANCE && balances.length === ACCOUNTS;
    // Before the accounts were opened there is nothing.
    if (!whole && (balances.length > 0 || this.#steps.count() > 0)) {
      throw new Error(`${balances.length} accounts with ${sum} in all`);
    }
    return Array.from({ length: threads }, (_, thread) => this.#stepOf(thread));
  }
}
