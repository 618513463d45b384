/**
 * The objects of a history in tables of a database, and how they are read and written, with a record of
 * it. A list stands in one entry, or in one row an element, whose key the writer finds by counting; so the
 * same history shows lost updates of entries, and phantoms of ranges and counts.
 *
 * This module runs in threads and inside the simulation.
 *
 * @module
 */

import { type ColumnFamily, type Range, type Table, text, u32 } from "../../../mod.ts";
import { type Board, LIST, placeOf, REGISTERS, ROWS, SET } from "./board.ts";
import type { Operation } from "./history.ts";

/** An object with more elements is put aside. */
const ELEMENTS_MAX = 16;
/** What a list in rows may have after that, by those that were under way. */
const ROWS_MAX = 2 * ELEMENTS_MAX;

/** What tables, snapshots of them, and tables in transactions have in common. */
export interface Reads<K, V> {
  get(key: K): V | undefined;
  getMany(keys: K[]): (V | undefined)[];
  entries(range?: Range<K>): { toArray(): [K, V][] };
  last(range?: Range<K>): [K, V] | undefined;
  count(range?: Range<K>): number;
  at(index: number): [K, V] | undefined;
}

export interface Writes<K, V> extends Reads<K, V> {
  set(key: K, value: V): void;
  delete(key: K): boolean;
  deleteRange(range: Range<K>): number;
}

/** A family of the history, and its number. */
export interface Place {
  readonly number: number;
  readonly family: ColumnFamily;
  readonly lists: Table<string, string>;
  readonly rows: Table<string, number>;
  readonly registers: Table<string, number>;
  readonly sets: Table<string, number>;
}

export function placeIn(family: ColumnFamily, number: number): Place {
  return {
    number,
    family,
    lists: family.table("lists", { key: text, value: text }),
    rows: family.table("rows", { key: text, value: u32 }),
    registers: family.table("registers", { key: text, value: u32 }),
    sets: family.table("sets", { key: text, value: u32 }),
  };
}

/** One generation of a slot: its name in histories, and in keys. */
export interface Named {
  readonly object: string;
  readonly key: string;
  readonly at: number;
  readonly generation: number;
}

export function named(board: Board, place: Place, kind: number, slot: number): Named {
  const at = placeOf(place.number, kind, slot);
  return namedAs(place, kind, slot, board.generation(at));
}

export function namedAs({ number }: Place, kind: number, slot: number, generation: number): Named {
  const name = ["list", "rows", "set"][kind];
  return {
    object: `${number}/${name}${slot}.${generation}`,
    key: `${slot}.${generation}`,
    at: placeOf(number, kind, slot),
    generation,
  };
}

/** Puts a new object in the place of one that has become long. */
function putAside(board: Board, { at, generation }: Named, length: number): void {
  if (length >= ELEMENTS_MAX) board.advance(at, generation + 1);
}

const registerName = (place: Place, slot: number): string => `${place.number}/register${slot}`;
const registerKey = (slot: number): string => `r${slot}`;
const rowKey = (key: string, index: number): string => `${key}/${String(index).padStart(3, "0")}`;

export function readList(
  table: Reads<string, string>,
  { object, key }: Named,
  operations: Operation[],
): string {
  const list = table.get(key) ?? "";
  operations.push({ kind: "list", object, values: elementsOf(list) });
  return list;
}

function elementsOf(list: string): number[] {
  return list === "" ? [] : list.split(",").map(Number);
}

export function appendToList(
  table: Writes<string, string>,
  name: Named,
  board: Board,
  operations: Operation[],
): void {
  const list = readList(table, name, operations);
  const value = board.value();
  table.set(name.key, list === "" ? String(value) : `${list},${value}`);
  operations.push({ kind: "append", object: name.object, value });
  putAside(board, name, elementsOf(list).length);
}

/** Ways to read a list in rows; those before `PAGES` in one step. */
export const COUNT = 0;
export const LAST = 1;
export const MANY = 2;
export const BACKWARDS = 3;
export const FORWARDS = 4;
export const PAGES = 5;
export const AT = 6;

/** `atOnce`: the table may change between two reads. */
export function anyWay(board: Board, atOnce: boolean): number {
  return board.below(atOnce ? PAGES : AT + 1);
}

/** Reads a list in rows, or only its length. */
export function readRows(
  table: Reads<string, number>,
  { object, key }: Named,
  way: number,
  operations: Operation[],
): number {
  const prefix = `${key}/`;
  let values: number[];
  switch (way) {
    case COUNT: {
      const length = table.count({ prefix });
      operations.push({ kind: "length", object, length });
      return length;
    }
    case LAST: {
      const last = table.last({ prefix });
      const length = last === undefined ? 0 : Number(last[0].slice(prefix.length)) + 1;
      operations.push({ kind: "length", object, length });
      return length;
    }
    case MANY: {
      const keys: string[] = [];
      for (let i = 0; i < ROWS_MAX; i++) keys.push(rowKey(key, i));
      const found = table.getMany(keys);
      values = [];
      for (const value of found) if (value !== undefined) values.push(value);
      operations.push({ kind: "list", object, values });
      return values.length;
    }
    case BACKWARDS: {
      const entries = table.entries({ prefix, reverse: true }).toArray();
      values = entries.map(([, value]) => value).reverse();
      break;
    }
    case FORWARDS: {
      const entries = table.entries({ prefix }).toArray();
      values = entries.map(([, value]) => value);
      break;
    }
    case PAGES: {
      values = [];
      for (let more = true; more;) {
        const page = table.entries({ prefix, offset: values.length, limit: 3 }).toArray();
        for (const [, value] of page) values.push(value);
        more = page.length === 3;
      }
      break;
    }
    default: { // AT
      values = [];
      const before = table.count({ lt: prefix });
      for (let i = 0;; i++) {
        const entry = table.at(before + i);
        if (entry === undefined || !entry[0].startsWith(prefix)) break;
        values.push(entry[1]);
      }
    }
  }
  operations.push({ kind: "list", object, values, range: true });
  return values.length;
}

export function appendToRows(
  table: Writes<string, number>,
  name: Named,
  way: number,
  board: Board,
  operations: Operation[],
): void {
  const length = readRows(table, name, way, operations);
  const value = board.value();
  table.set(rowKey(name.key, length), value);
  operations.push({ kind: "append", object: name.object, value });
  putAside(board, name, length);
}

export function readRegister(
  table: Reads<string, number>,
  place: Place,
  slot: number,
  operations: Operation[],
): void {
  const value = table.get(registerKey(slot));
  operations.push({ kind: "read", object: registerName(place, slot), value });
}

export function scanRegisters(
  table: Reads<string, number>,
  place: Place,
  operations: Operation[],
): void {
  const entries = new Map(table.entries({ prefix: "r" }).toArray());
  for (let slot = 0; slot < REGISTERS; slot++) {
    const object = registerName(place, slot);
    operations.push({ kind: "read", object, value: entries.get(registerKey(slot)), range: true });
  }
}

/** A register gets a value; the caller puts it there. */
export function registerWrite(
  place: Place,
  board: Board,
  operations: Operation[],
): [key: string, value: number] {
  const slot = board.below(REGISTERS);
  const value = board.value();
  operations.push({ kind: "write", object: registerName(place, slot), value });
  return [registerKey(slot), value];
}

/** A set gets an element; the caller puts it there. */
export function setAddition(
  name: Named,
  board: Board,
  operations: Operation[],
): [key: string, value: number] {
  const value = board.value();
  operations.push({ kind: "add", object: name.object, value });
  if (board.chance(1 / ELEMENTS_MAX)) putAside(board, name, ELEMENTS_MAX);
  return [`${name.key}/${value}`, value];
}

export function readSet(
  table: Reads<string, number>,
  { object, key }: Named,
  operations: Operation[],
): number[] {
  const entries = table.entries({ prefix: `${key}/` }).toArray();
  const values = entries.map(([, value]) => value);
  operations.push({ kind: "set", object, values });
  return values;
}

/** Takes an element out of a set, or all. */
export function removeFromSet(
  table: Writes<string, number>,
  name: Named,
  board: Board,
  operations: Operation[],
): void {
  const { object, key } = name;
  const values = readSet(table, name, operations);
  if (values.length === 0) return;
  if (board.chance(0.3)) {
    const removed = table.deleteRange({ prefix: `${key}/` });
    if (removed !== values.length) throw new Error(`${removed} of ${values.length} were removed`);
    for (const value of values) operations.push({ kind: "remove", object, value });
    return;
  }
  const value = values[board.below(values.length)];
  if (!table.delete(`${key}/${value}`)) throw new Error(`${value} was not there to be removed`);
  operations.push({ kind: "remove", object, value });
}

/** Reads everything that a place has ever had. */
export function readAll(
  via: <K, V>(table: Table<K, V>) => Reads<K, V>,
  place: Place,
  board: Board,
  slots: number,
  operations: Operation[],
): void {
  scanRegisters(via(place.registers), place, operations);
  for (let slot = 0; slot < slots; slot++) {
    for (const kind of [LIST, ROWS, SET]) {
      const newest = board.generation(placeOf(place.number, kind, slot));
      for (let generation = 0; generation <= newest; generation++) {
        const name = namedAs(place, kind, slot, generation);
        if (kind === LIST) readList(via(place.lists), name, operations);
        else if (kind === ROWS) readRows(via(place.rows), name, anyWay(board, false), operations);
        else readSet(via(place.sets), name, operations);
      }
    }
  }
}
