/**
 * The fixed workload of `faults_test.ts`, what a database must hold after it, and the check of that.
 *
 * A write that resolved must be there; one that was refused must not; one whose outcome is unknown
 * (`failed`) is there whole or not at all.
 *
 * @module
 */

import { type ColumnFamily, type Database, ManifoldError, type Table, text } from "../../mod.ts";
import { walkTable } from "../../lib/api/long_walk.ts";
import { rawTableOf } from "../../lib/api/table_reader.ts";
import { checkTree } from "../../lib/tree/check.ts";
import { assert, assertEquals } from "./assert.ts";

/** A value: its number, and its length in bytes. */
type Value = readonly [number: number, length: number];

interface Write {
  readonly family: string;
  readonly key: string;
  /** Undefined: the key is deleted. */
  readonly value: Value | undefined;
}

function bytesOf([number, length]: Value): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (number * 31 + i * 7 + (i >> 8)) & 255;
  return bytes;
}

/** What the families hold. */
class Model {
  readonly families = new Map<string, Map<string, Value>>();

  apply(writes: readonly Write[]): void {
    for (const { family, key, value } of writes) {
      let rows = this.families.get(family);
      if (rows === undefined) this.families.set(family, rows = new Map());
      if (value === undefined) rows.delete(key);
      else rows.set(key, value);
    }
  }

  copy(): Model {
    const copy = new Model();
    for (const [name, rows] of this.families) copy.families.set(name, new Map(rows));
    return copy;
  }
}

/** A call of the workload; `bytes` that it has for the log, about. */
interface UnderWay {
  readonly what: string;
  readonly bytes: number;
}

/** How a call of the workload ended. */
export interface Rejection extends UnderWay {
  readonly code: string;
  /** Whether it was under way at the fault. */
  readonly atFault: boolean;
}

export class FaultWorkload {
  readonly rejections: Rejection[] = [];
  /** Whether the database has failed: what comes later must be refused. */
  failed = false;
  /** States that are possible: one, until the outcome of a write is unknown. */
  #states: Model[] = [new Model()];
  /** Whether a refused call succeeds when it is made again. */
  readonly #again: boolean;
  #number = 0;
  readonly #underWay = new Set<UnderWay>();
  #atFault: ReadonlySet<UnderWay> = new Set();

  /** `again`: the fault passes, so that each refused call has to succeed when it is made again. */
  constructor(again: boolean) {
    this.#again = again;
  }

  /** To be called when the fault is met. */
  noteFault(): void {
    this.#atFault = new Set(this.#underWay);
  }

  /** Makes a call once, and notes a rejection before it passes it on. */
  async #once<T>(one: UnderWay, call: () => T | Promise<T>): Promise<T> {
    this.#underWay.add(one);
    try {
      return await call();
    } catch (error) {
      if (error instanceof ManifoldError) {
        this.rejections.push({ ...one, code: error.code, atFault: this.#atFault.has(one) });
      }
      throw error;
    } finally {
      this.#underWay.delete(one);
    }
  }

  /** Makes a call that may meet the fault; undefined if it was refused. `again`: whether it can be made again. */
  async attempt<T>(
    what: string,
    call: () => T | Promise<T>,
    again = this.#again,
  ): Promise<T | undefined> {
    for (let attempt = 0;; attempt++) {
      try {
        return await this.#once({ what, bytes: 0 }, call);
      } catch (error) {
        if (!(error instanceof ManifoldError)) throw error;
        if (error.code === "failed") this.failed = true;
        if (this.failed || !again) return undefined;
        if (attempt > 0) throw new Error(`${what} is refused once more: ${error.message}`);
      }
    }
  }

  /** A write that changes one family. */
  async #write(
    what: string,
    writes: readonly Write[],
    call: () => Promise<unknown>,
  ): Promise<void> {
    const bytes = writes.reduce((sum, { value }) => sum + (value?.[1] ?? 0), 0);
    for (let attempt = 0;; attempt++) {
      const hadFailed = this.failed;
      try {
        await this.#once({ what, bytes }, call);
        assert(!this.failed, `${what} was accepted after the failure`);
        for (const state of this.#states) state.apply(writes);
        return;
      } catch (error) {
        if (!(error instanceof ManifoldError)) throw error;
        if (error.code === "failed") {
          if (!hadFailed) this.#unknown(writes);
          this.failed = true;
        }
        if (this.failed || !this.#again) return;
        if (attempt > 0) throw new Error(`${what} is refused once more: ${error.message}`);
      }
    }
  }

  #unknown(writes: readonly Write[]): void {
    this.#states = this.#states.flatMap((state) => {
      const after = state.copy();
      after.apply(writes);
      return [state, after];
    });
  }

  #set(table: Table<string, Uint8Array>, family: string, key: string, length: number) {
    const value: Value = [++this.#number, length];
    return this.#write(
      `set of ${length} bytes`,
      [{ family, key, value }],
      () => table.set(key, bytesOf(value)),
    );
  }

  #setMany(
    table: Table<string, Uint8Array>,
    family: string,
    prefix: string,
    count: number,
    length: number,
  ) {
    const number = ++this.#number;
    const keys = Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(4, "0")}`);
    return this.#write(
      `setMany of ${count} of ${length} bytes`,
      keys.map((key) => ({ family, key, value: [number, length] })),
      () => table.setMany(keys.map((key) => [key, bytesOf([number, length])])),
    );
  }

  #delete(table: Table<string, Uint8Array>, family: string, key: string) {
    return this.#write("delete", [{ family, key, value: undefined }], () => table.delete(key));
  }

  #family(db: Database, name: string): Promise<ColumnFamily | undefined> {
    return this.attempt(`making of family "${name}"`, () => db.columnFamily(name));
  }

  /**
   * Creation, first writes, several families, overflow values, checkpoint, bypass, a full log,
   * growth, deletions. For a log of 256 KiB.
   */
  async run(db: Database): Promise<void> {
    const familyA = await this.#family(db, "a");
    const familyB = await this.#family(db, "b");
    if (familyA === undefined || familyB === undefined) return;
    const a = familyA.table("t", { key: text });
    const b = familyB.table("t", { key: text });
    await Promise.all([
      this.#set(a, "a", "one", 10),
      this.#setMany(b, "b", "row-", 20, 100),
    ]);
    await this.#set(a, "a", "large", 20_000);
    await this.attempt("checkpoint", () => db.checkpoint());
    await this.#setMany(a, "a", "bypass-", 30, 3000);
    await this.#set(a, "a", "one", 20);
    for (let i = 0; i < 6; i++) {
      await Promise.all([
        this.#set(b, "b", `full-${i}`, 50_000),
        this.#set(a, "a", `small-${i}`, 500),
      ]);
    }
    await this.#delete(a, "a", "large");
    await this.#delete(b, "b", "full-3");
    const familyC = await this.#family(db, "c");
    if (familyC !== undefined) {
      await this.#set(familyC.table("t", { key: text }), "c", "gone", 100);
      await this.attempt("deletion", () => db.deleteColumnFamily("c").catch(notFoundIsFine));
    }
    // What is in a family whose deletion may have failed is not looked at.
    for (const state of this.#states) state.families.delete("c");
    await this.#set(b, "b", "last", 3000);
  }

  /** A few writes after a recovery. */
  async runAfterRecovery(db: Database): Promise<void> {
    const familyA = await this.#family(db, "a");
    const familyB = await this.#family(db, "b");
    if (familyA === undefined || familyB === undefined) return;
    const a = familyA.table("t", { key: text });
    // In one group, of which one at the most may meet the fault.
    await Promise.all([
      this.#set(a, "a", "after", 100),
      this.#set(a, "a", "large after", 30_000),
      this.#delete(a, "a", "one"),
    ]);
    await this.#set(familyB.table("t", { key: text }), "b", "after", 100);
  }

  /** Goes on from what another workload has left. */
  static after(other: FaultWorkload, again: boolean): FaultWorkload {
    const workload = new FaultWorkload(again);
    workload.#states = other.#states.map((state) => state.copy());
    workload.#number = other.#number + 1000;
    return workload;
  }

  /** All is there that has to be, nothing else, and the pages are in order. */
  async check(db: Database, when: string): Promise<void> {
    const found = new Model();
    for (const name of db.columnFamilies()) {
      if (name === "c") continue;
      const family = await db.columnFamily(name);
      const table = family.table("t", { key: text });
      const findings: string[] = [];
      walkTable(
        rawTableOf(table),
        (pager, root) => checkTree(pager, root, (finding) => findings.push(finding)),
      );
      assertEquals(findings, [], `structure of "${name}" ${when}`);
      for (const [key, value] of table) {
        const known = this.#states.map((state) => state.families.get(name)?.get(key))
          .find((one) => one !== undefined && equal(bytesOf(one), value));
        assert(known !== undefined, `"${name}" ${when}: "${key}" has a wrong value`);
        found.apply([{ family: name, key, value: known }]);
      }
    }
    const problems = this.#states.map((state) => difference(state, found));
    assert(problems.includes(undefined), `${when}: ${problems[0]}`);
  }
}

function notFoundIsFine(error: unknown): void {
  // A deletion that is made again, because its first outcome was reported as a failure.
  if (!(error instanceof ManifoldError) || error.code !== "not-found") throw error;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function difference(wanted: Model, found: Model): string | undefined {
  for (const [name, rows] of wanted.families) {
    const others = found.families.get(name) ?? new Map<string, Value>();
    for (const [key, value] of rows) {
      const other = others.get(key);
      if (other === undefined) return `"${key}" of "${name}" is missing`;
      if (other[0] !== value[0] || other[1] !== value[1]) return `"${key}" of "${name}" is another`;
    }
    for (const key of others.keys()) {
      if (!rows.has(key)) return `"${key}" of "${name}" was refused and is there`;
    }
  }
  return undefined;
}
