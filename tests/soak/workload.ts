/**
 * The tables of the soak, and what its threads do to them. The data that is live is bounded: keys are
 * used again, and the names of tables and families that come and go are few.
 *
 * @module
 */

import {
  bytes,
  type ColumnFamily,
  type Database,
  type Snapshot,
  type Table,
  u32,
} from "../../mod.ts";
import type { Random } from "../support/random.ts";
import { checkValue, makeValue, placeNumber } from "../support/workers/self_checking.ts";

/** A log so small that it wraps around all the time. */
export const LOG_BYTES = 4 * 2 ** 20;

const KEYS = 1500;
/** Keys of large values, and of those that are written together past the log. */
const LARGE_KEYS = 4;
const BYPASS_KEYS = 8;
const BYPASS_BYTES = 150_000;
const ACCOUNTS = 64;
const BALANCE = 1000;
/** Writes under way at once. */
const WIDTH = 12;
/** Snapshots that a thread holds. */
const HELD_MAX = 3;

/** What the threads count, in this order. */
export const COUNTED = [
  "commits",
  "reads",
  "transactions",
  "snapshots held",
  "ranges deleted",
  "tables made and deleted",
  "families made and deleted",
  "large values",
  "bypasses of the log",
] as const;

export type Counted = typeof COUNTED[number];

/** The family whose accounts all threads move money between. */
export class Bank {
  readonly #family: ColumnFamily;
  readonly #accounts: Table<number, number>;

  constructor(family: ColumnFamily) {
    this.#family = family;
    this.#accounts = family.table("accounts", { key: u32, value: u32 });
  }

  static async of(db: Database): Promise<Bank> {
    return new Bank(await db.columnFamily("bank"));
  }

  async fill(): Promise<void> {
    await this.#accounts.setMany(
      Array.from({ length: ACCOUNTS }, (_, i): [number, number] => [i, BALANCE]),
    );
  }

  move(random: Random): Promise<void> {
    const from = random.int(ACCOUNTS);
    const to = (from + 1 + random.int(ACCOUNTS - 1)) % ACCOUNTS;
    return this.#family.transaction((tx) => {
      const accounts = tx.table(this.#accounts);
      const amount = Math.min(random.int(50), accounts.get(from)!);
      accounts.set(from, accounts.get(from)! - amount);
      accounts.set(to, accounts.get(to)! + amount);
    });
  }

  check(): void {
    using snapshot = this.#family.snapshot();
    const balances = snapshot.table(this.#accounts).values().toArray();
    const sum = balances.reduce((a, b) => a + b, 0);
    if (sum !== ACCOUNTS * BALANCE) throw new Error(`the accounts have ${sum} in all`);
  }
}

interface Held {
  readonly snapshot: Snapshot;
  readonly from: number;
  readonly digest: number;
  rounds: number;
}

/** One thread's work: a family that it alone writes, and what is shared. */
export class SoakWork {
  readonly #db: Database;
  readonly #name: string;
  readonly #random: Random;
  readonly #count: (what: Counted) => void;
  readonly #family: ColumnFamily;
  readonly #bank: Bank;
  readonly #values: Table<number, Uint8Array>;
  readonly #place: number;
  #version = 1;
  #held: Held[] = [];

  private constructor(
    db: Database,
    name: string,
    random: Random,
    count: (what: Counted) => void,
    family: ColumnFamily,
    bank: Bank,
  ) {
    this.#db = db;
    this.#name = name;
    this.#random = random;
    this.#count = count;
    this.#family = family;
    this.#bank = bank;
    this.#values = family.table("values", { key: u32, value: bytes });
    this.#place = placeNumber(name);
  }

  static async begin(
    db: Database,
    name: string,
    random: Random,
    count: (what: Counted) => void,
  ): Promise<SoakWork> {
    return new SoakWork(
      db,
      name,
      random,
      count,
      await db.columnFamily(`work-${name}`),
      await Bank.of(db),
    );
  }

  /** One piece of work of a random kind. */
  async step(): Promise<void> {
    const dice = this.#random.next();
    if (dice < 0.5) await this.#write();
    else if (dice < 0.7) this.#read();
    else if (dice < 0.85) await this.#transact();
    else if (dice < 0.9) await this.#deleteRange();
    else if (dice < 0.94) await this.#walkSlowly();
    else if (dice < 0.96) await this.#writeLarge();
    else if (dice < 0.98) await this.#churnTable();
    else if (dice < 0.99) await this.#churnFamily();
    else if (dice < 0.993) await this.#bypass();
    this.#stepHeld();
  }

  #value(key: number, length: number): Uint8Array {
    return makeValue(this.#place, key, this.#version++, length);
  }

  #length(): number {
    return this.#random.chance(0.03) ? 3000 + this.#random.int(20_000) : 20 + this.#random.int(480);
  }

  async #write(): Promise<void> {
    const random = this.#random;
    const writes: Promise<unknown>[] = [];
    for (let i = 0; i < WIDTH; i++) {
      const key = random.int(KEYS);
      const options = random.chance(0.3) ? { durability: "eventual" } as const : undefined;
      if (random.chance(0.1)) writes.push(this.#values.delete(key, options));
      else if (random.chance(0.7)) {
        writes.push(this.#values.set(key, this.#value(key, this.#length()), options));
      } else {
        const batch = this.#family.batch();
        for (let n = 0; n < 6; n++) {
          const other = (key + n * 7) % KEYS;
          batch.set(this.#values, other, this.#value(other, this.#length()));
        }
        writes.push(batch.commit(options));
      }
    }
    for (const write of writes) {
      await write;
      this.#count("commits");
    }
  }

  #check(key: number, value: Uint8Array): number {
    return checkValue(this.#place, key, value);
  }

  #read(): void {
    const random = this.#random;
    this.#bank.check();
    for (let i = 0; i < 20; i++) {
      const key = random.int(KEYS);
      const value = this.#values.get(key);
      if (value !== undefined) this.#check(key, value);
      this.#values.view(key, (view) => this.#check(key, view));
      this.#count("reads");
    }
    const gte = random.int(KEYS);
    let seen = 0;
    for (const [key, value] of this.#values.entries({ gte, limit: 30 })) {
      this.#check(key, value);
      seen++;
    }
    const counted = this.#values.count({ gte });
    if (seen !== Math.min(30, counted)) throw new Error(`${seen} entries seen, ${counted} counted`);
    this.#count("reads");
  }

  async #transact(): Promise<void> {
    await this.#bank.move(this.#random);
    this.#count("transactions");
  }

  async #deleteRange(): Promise<void> {
    const gte = this.#random.int(KEYS);
    await this.#values.deleteRange({ gte, lt: Math.min(KEYS, gte + 100) });
    this.#count("ranges deleted");
  }

  /** Steps of an iterator, with writes between them. */
  async #walkSlowly(): Promise<void> {
    let last = -1;
    for (const [key, value] of this.#values.entries({ gte: this.#random.int(KEYS), limit: 20 })) {
      if (key <= last) throw new Error(`key ${key} comes after ${last}`);
      last = key;
      this.#check(key, value);
      if (this.#random.chance(0.1)) await this.#write();
    }
  }

  async #writeLarge(): Promise<void> {
    const key = KEYS + this.#random.int(LARGE_KEYS);
    await this.#values.set(key, this.#value(key, 100_000 + this.#random.int(500_000)));
    this.#values.view(key, (view) => this.#check(key, view));
    this.#count("large values");
  }

  /** More than a quarter of the log in one batch. */
  async #bypass(): Promise<void> {
    const batch = this.#family.batch();
    for (let i = 0; i < BYPASS_KEYS; i++) {
      const key = KEYS + LARGE_KEYS + i;
      batch.set(this.#values, key, this.#value(key, BYPASS_BYTES));
    }
    await batch.commit();
    this.#count("bypasses of the log");
  }

  #entries(version: number, count: number): [number, Uint8Array][] {
    return Array.from({ length: count }, (_, key) => [
      key,
      makeValue(this.#place, key, version, this.#random.chance(0.05) ? 40_000 : 300),
    ]);
  }

  async #churnTable(): Promise<void> {
    const name = `table-${this.#random.int(3)}`;
    await this.#family.table(name, { key: u32, value: bytes }).setMany(this.#entries(1, 60));
    await this.#family.deleteTable(name);
    this.#count("tables made and deleted");
  }

  /** Makes a family, fills it, and deletes it while a snapshot of it is still read. */
  async #churnFamily(): Promise<void> {
    const name = `churn-${this.#name}`;
    // One that was terminated may have left it.
    if (this.#db.columnFamilies().includes(name)) await this.#db.deleteColumnFamily(name);
    const family = await this.#db.createColumnFamily(name);
    const table = family.table("t", { key: u32, value: bytes });
    const count = 20 + this.#random.int(150);
    await table.setMany(this.#entries(1, count));
    using snapshot = family.snapshot();
    await table.setMany(this.#entries(2, 50));
    await this.#db.deleteColumnFamily(name);
    let seen = 0;
    for (const [key, value] of snapshot.table(table).entries()) {
      if (this.#check(key, value) !== 1) throw new Error("a snapshot shows a later version");
      seen++;
    }
    if (seen !== count) throw new Error(`${seen} of ${count} entries of a deleted family`);
    this.#count("families made and deleted");
  }

  /** Snapshots that are held over many commits must not change. */
  #stepHeld(): void {
    for (const one of this.#held) {
      if (--one.rounds > 0) continue;
      if (this.#digest(one.snapshot, one.from) !== one.digest) {
        throw new Error("a snapshot has changed while it was held");
      }
      one.snapshot.dispose();
      this.#count("snapshots held");
    }
    this.#held = this.#held.filter((one) => one.rounds > 0);
    if (this.#held.length >= HELD_MAX) return;
    const snapshot = this.#family.snapshot();
    const from = this.#random.int(KEYS);
    const digest = this.#digest(snapshot, from);
    this.#held.push({ snapshot, from, digest, rounds: 1 + this.#random.int(40) });
  }

  #digest(snapshot: Snapshot, from: number): number {
    let digest = 0;
    const reader = snapshot.table(this.#values);
    for (const [key, value] of reader.entries({ gte: from, limit: 40 })) {
      digest = (Math.imul(digest, 31) + this.#check(key, value) + key) | 0;
    }
    return (Math.imul(digest, 31) + reader.count()) | 0;
  }

  /** Gives back everything that is held. */
  rest(): void {
    for (const { snapshot } of this.#held) snapshot.dispose();
    this.#held = [];
  }
}
