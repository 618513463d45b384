/**
 * What the children of the crash runs write to one family, and the check of what a recovery brings
 * back.
 *
 * A family has a sequence of numbered writes, made by one thread, many of them under way at once. What
 * write n does follows from n alone, so that the content after n writes is known: it is computed by
 * {@linkcode contentAfter}, and a recovery must bring back exactly that, for some n.
 *
 * @module
 */

import { bytes, type ColumnFamily, type Table, tuple, u32 } from "../../mod.ts";
import { checkValue, makeValue, placeNumber } from "./workers/self_checking.ts";

/** A log so small that it wraps around all the time. */
export const LOG_BYTES = 2 ** 20;

/** What is so many writes old goes, so that the file stays small and its pages are used anew. */
const WINDOW = 600;
/** The shortest value that can say what it is; values are whole words. */
const VALUE_BYTES_MIN = 20;
/** Writes under way at once. */
const WIDTH = 32;

/** Writes of a kind that is not like most. */
const EXTRA_EVERY = 61;
const EXTRA_LASTS = 91;
const BYPASS_EVERY = 199;
const RANGE_EVERY = 23;
const BATCH_EVERY = 4;

/** More operations than a quarter of the log: such a transaction does not go through it. */
const BYPASS_ROWS = 12;
const BYPASS_ROW_BYTES = 26_000;

type Key = [write: number, row: number];

/** What one write does to one table. */
type Effect =
  | { readonly do: "set"; readonly table: string; readonly key: Key; readonly length: number }
  | { readonly do: "delete"; readonly table: string; readonly key: Key }
  | { readonly do: "delete below"; readonly table: string; readonly write: number }
  | { readonly do: "drop"; readonly table: string };

/** Of each table, the lengths of its values, by row, by write. */
type Content = Map<string, Map<number, Map<number, number>>>;

type Kind = "drop" | "bypass" | "extra" | "range" | "batch" | "single";

function kindOf(n: number): Kind {
  if (n > EXTRA_LASTS && isExtra(n - EXTRA_LASTS)) return "drop";
  if (n % BYPASS_EVERY === 0) return "bypass";
  if (isExtra(n)) return "extra";
  if (n % RANGE_EVERY === 0) return "range";
  return n % BATCH_EVERY === 0 ? "batch" : "single";
}

/** Whether write n makes a table of its own, which lasts for {@linkcode EXTRA_LASTS} writes. */
function isExtra(n: number): boolean {
  return n % EXTRA_EVERY === 0 && n % BYPASS_EVERY !== 0;
}

/** Kinds that leave nothing behind that has their number. */
function isTraceless(n: number): boolean {
  return kindOf(n) === "drop" || kindOf(n) === "range";
}

function rowsOf(n: number): number {
  return 2 + (n / BATCH_EVERY) % 7;
}

function effectsOf(n: number): Effect[] {
  const set = (table: string, row: number, length: number): Effect => ({
    do: "set",
    table,
    key: [n, row],
    length: Math.max(VALUE_BYTES_MIN, length + (-length & 3)),
  });
  const rows = (table: string, count: number, length: number): Effect[] =>
    Array.from({ length: count }, (_, row) => set(table, row, length + row));
  switch (kindOf(n)) {
    case "drop":
      return [{ do: "drop", table: `extra-${n - EXTRA_LASTS}` }];
    case "bypass":
      return [
        { do: "delete below", table: "large", write: n },
        ...rows("large", BYPASS_ROWS, BYPASS_ROW_BYTES),
      ];
    case "extra":
      return rows(`extra-${n}`, 5, 900);
    case "range":
      return [{ do: "delete below", table: "singles", write: Math.max(1, n - WINDOW) }];
    case "batch": {
      const effects = rows("rows", rowsOf(n), 100);
      const old = n - WINDOW;
      if (old > 0 && kindOf(old) === "batch") {
        for (let row = 0; row < rowsOf(old); row++) {
          effects.push({ do: "delete", table: "rows", key: [old, row] });
        }
      }
      // The rows whose turn it was when the write was of another kind.
      if (n % 5 === 0) {
        effects.push({ do: "delete below", table: "rows", write: Math.max(1, old) });
      }
      return effects;
    }
    case "single":
      // Some of them are too large for a page.
      return [set("singles", 0, n % 97 === 0 ? 20_000 + n % 50_000 : n % 300)];
  }
}

/** The content after writes 1 to n, each once. */
function contentAfter(n: number): Content {
  const content: Content = new Map();
  // What is older has gone by then.
  for (let m = Math.max(1, n - 2 * WINDOW - 500); m <= n; m++) {
    for (const effect of effectsOf(m)) apply(content, effect);
  }
  return content;
}

function apply(content: Content, effect: Effect): void {
  const { table } = effect;
  if (effect.do === "drop") {
    content.delete(table);
    return;
  }
  let writes = content.get(table);
  if (writes === undefined) content.set(table, writes = new Map());
  if (effect.do === "delete below") {
    for (const write of [...writes.keys()]) if (write < effect.write) writes.delete(write);
    return;
  }
  const [write, row] = effect.key;
  const rows = writes.get(write);
  if (effect.do === "delete") {
    rows?.delete(row);
    if (rows?.size === 0) writes.delete(write);
  } else if (rows === undefined) writes.set(write, new Map([[row, effect.length]]));
  else rows.set(row, effect.length);
}

/** Where two contents differ; undefined if they do not. */
function difference(found: Content, expected: Content): string | undefined {
  for (const table of new Set([...found.keys(), ...expected.keys()])) {
    const has = found.get(table) ?? new Map();
    const due = expected.get(table) ?? new Map();
    for (const write of new Set([...has.keys(), ...due.keys()])) {
      const show = (rows?: Map<number, number>) => JSON.stringify([...rows ?? []]);
      const [a, b] = [show(has.get(write)), show(due.get(write))];
      if (a !== b) return `table ${table} has of write ${write} the rows ${a}, not ${b}`;
    }
  }
}

export class CrashFamily {
  readonly #family: ColumnFamily;
  readonly #place: number;

  constructor(family: ColumnFamily) {
    this.#family = family;
    this.#place = placeNumber(family.name);
  }

  #table(name: string): Table<Key, Uint8Array> {
    return this.#family.table(name, { key: tuple(u32, u32), value: bytes });
  }

  #value([write, row]: Key, length: number): Uint8Array {
    return makeValue(this.#place, write, row, length);
  }

  /** Makes write number n. One in seven is only eventually durable, which a killed process survives. */
  async #write(n: number): Promise<void> {
    const options = n % 7 === 0 ? { durability: "eventual" } as const : undefined;
    const effects = effectsOf(n);
    const [first] = effects;
    if (first.do === "drop") return await this.#family.deleteTable(first.table);
    const table = this.#table(first.table);
    if (effects.length === 1 && first.do === "set") {
      return await table.set(first.key, this.#value(first.key, first.length), options);
    }
    if (effects.length === 1 && first.do === "delete below") {
      await table.deleteRange({ lt: [first.write, 0] }, options);
      return;
    }
    const batch = this.#family.batch();
    for (const effect of effects) {
      if (effect.do === "set") {
        batch.set(table, effect.key, this.#value(effect.key, effect.length));
      } else if (effect.do === "delete") batch.delete(table, effect.key);
      else if (effect.do === "delete below") batch.deleteRange(table, { lt: [effect.write, 0] });
    }
    await batch.commit(options);
  }

  /**
   * Writes on from number `first` until `isOver`, and to the end of what is under way then;
   * `acknowledged` is told up to which number all are resolved.
   */
  async writeOn(
    first: number,
    acknowledged: (n: number) => void,
    isOver: () => boolean,
  ): Promise<void> {
    const writes: Promise<void>[] = [];
    let resolved = first - 1;
    for (let n = first; !isOver(); n++) {
      writes.push(this.#write(n));
      if (writes.length < WIDTH) continue;
      // In order: all before are resolved as well.
      await writes.shift();
      acknowledged(++resolved);
    }
    for (const write of writes) {
      await write;
      acknowledged(++resolved);
    }
  }

  #content(): Content {
    const content: Content = new Map();
    for (const name of this.#family.tables()) {
      const writes = new Map<number, Map<number, number>>();
      for (const [[write, row], value] of this.#table(name).entries()) {
        if (checkValue(this.#place, write, value) !== row) {
          throw new Error(`${name} of ${this.#family.name}: row ${row} of ${write} is another's`);
        }
        const rows = writes.get(write);
        if (rows === undefined) writes.set(write, new Map([[row, value.length]]));
        else rows.set(row, value.length);
      }
      content.set(name, writes);
    }
    return content;
  }

  /**
   * The last number that is there. Throws unless everything is as it was after that write: nothing
   * before it missing or half there, nothing behind it.
   */
  verify(): number {
    const found = this.#content();
    let last = 0;
    for (const writes of found.values()) for (const n of writes.keys()) last = Math.max(last, n);
    const candidates = [last];
    while (isTraceless(candidates[0] + 1)) candidates.unshift(candidates[0] + 1);
    let problem: string | undefined;
    for (const n of candidates) {
      problem = difference(found, contentAfter(n));
      if (problem === undefined) return n;
    }
    throw new Error(`${this.#family.name} after write ${last}: ${problem}`);
  }
}
