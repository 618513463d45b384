/**
 * A store with too little isolation, for histories with anomalies.
 *
 * @module
 */

import type { Range } from "../../../mod.ts";
import type { Writes } from "./objects.ts";
import type { Store, Tables } from "./script.ts";

/**
 * What its transactions see: `dirty`, every write at once, undone by nobody; `committed`, what is
 * committed at the moment of each read; `snapshot`, what was committed when they began, and what they
 * write overwrites all.
 */
export type Level = "dirty" | "committed" | "snapshot";

const KINDS = ["lists", "rows", "registers", "sets"] as const;

export class WeakStore implements Store {
  readonly #level: Level;
  readonly #maps = new Map<string, Map<string, unknown>>();

  constructor(level: Level) {
    this.#level = level;
  }

  async transact(
    families: readonly number[],
    work: (tables: Tables[]) => Promise<void>,
  ): Promise<void> {
    const opened: WeakTable<unknown>[] = [];
    const tables: Tables[] = [];
    for (const family of families) {
      const [lists, rows, registers, sets] = KINDS.map((kind) => {
        const table = new WeakTable(this.#mapOf(`${family}/${kind}`), this.#level);
        opened.push(table);
        return table;
      });
      tables[family] = { lists, rows, registers, sets } as unknown as Tables;
    }
    await work(tables);
    for (const table of opened) table.commit();
  }

  look(families: readonly number[], work: (tables: Tables[]) => Promise<void>): Promise<void> {
    return this.transact(families, work);
  }

  #mapOf(name: string): Map<string, unknown> {
    let map = this.#maps.get(name);
    if (map === undefined) this.#maps.set(name, map = new Map());
    return map;
  }
}

class WeakTable<V> implements Writes<string, V> {
  readonly #shared: Map<string, V>;
  readonly #base: Map<string, V>;
  readonly #level: Level;
  /** Undefined: deleted. */
  readonly #own = new Map<string, V | undefined>();

  constructor(shared: Map<string, V>, level: Level) {
    this.#shared = shared;
    this.#base = level === "snapshot" ? new Map(shared) : shared;
    this.#level = level;
  }

  commit(): void {
    for (const [key, value] of this.#own) {
      if (value === undefined) this.#shared.delete(key);
      else this.#shared.set(key, value);
    }
    this.#own.clear();
  }

  #all(range: Range<string> = {}): [string, V][] {
    const merged = new Map(this.#base);
    for (const [key, value] of this.#own) {
      if (value === undefined) merged.delete(key);
      else merged.set(key, value);
    }
    const { prefix = "", lt, reverse = false, offset = 0, limit = Infinity } = range;
    const found = [...merged]
      .filter(([key]) => key.startsWith(prefix) && (lt === undefined || key < lt))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    if (reverse) found.reverse();
    return found.slice(offset, offset + limit);
  }

  get(key: string): V | undefined {
    return this.#own.has(key) ? this.#own.get(key) : this.#base.get(key);
  }

  getMany(keys: string[]): (V | undefined)[] {
    return keys.map((key) => this.get(key));
  }

  entries(range?: Range<string>): { toArray(): [string, V][] } {
    return { toArray: () => this.#all(range) };
  }

  last(range?: Range<string>): [string, V] | undefined {
    return this.#all(range).at(-1);
  }

  count(range?: Range<string>): number {
    return this.#all(range).length;
  }

  at(index: number): [string, V] | undefined {
    return this.#all()[index];
  }

  set(key: string, value: V): void {
    this.#own.set(key, value);
    if (this.#level === "dirty") this.commit();
  }

  delete(key: string): boolean {
    const was = this.get(key) !== undefined;
    this.#own.set(key, undefined);
    if (this.#level === "dirty") this.commit();
    return was;
  }

  deleteRange(range: Range<string>): number {
    const found = this.#all(range);
    for (const [key] of found) this.delete(key);
    return found.length;
  }
}
