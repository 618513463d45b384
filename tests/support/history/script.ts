/**
 * Interleavings of a few transactions that are open at once, step by step as it is written down, and the
 * history that comes of it.
 *
 * @module
 */

import type { Database } from "../../../mod.ts";
import { newRecording, type Recording, SharedBoard } from "./board.ts";
import type { History, Operation } from "./history.ts";
import {
  appendToList,
  appendToRows,
  FORWARDS,
  type Named,
  type Place,
  placeIn,
  readList,
  readRows,
  readSet,
  removeFromSet,
  setAddition,
  type Writes,
} from "./objects.ts";
import { Random } from "../random.ts";

/** The tables of a family as a transaction sees them. */
export interface Tables {
  readonly lists: Writes<string, string>;
  readonly rows: Writes<string, number>;
  readonly registers: Writes<string, number>;
  readonly sets: Writes<string, number>;
}

/** What transactions are made in; `tables` have their places by the numbers of the families. */
export interface Store {
  transact(families: readonly number[], work: (tables: Tables[]) => Promise<void>): Promise<void>;
  /** Reads by a snapshot. */
  look(families: readonly number[], work: (tables: Tables[]) => Promise<void>): Promise<void>;
}

type Step = (tables: Tables[], operations: Operation[]) => void;

export interface Actor {
  readonly steps: readonly Step[];
  /** Numbers of the families of its transaction; 0 alone when not given. */
  readonly families?: readonly number[];
  /** It throws instead of committing. */
  readonly aborts?: boolean;
  /** It reads by a snapshot, not in a transaction. */
  readonly looks?: boolean;
}

export interface Script {
  readonly actors: Readonly<Record<string, Actor>>;
  /** Whose turn it is: a small letter for the next step, with the first of which it begins; a capital for the end. */
  readonly order: string;
}

/** For values and times only. */
const board = new SharedBoard(1, new Random(1));
const named = (family: number, key: string): Named => ({
  object: `${family}/${key}`,
  key,
  at: 0,
  generation: 0,
});

export const read = (key: string, family = 0): Step => (tables, operations) =>
  void readList(tables[family].lists, named(family, key), operations);
export const append = (key: string, family = 0): Step => (tables, operations) =>
  appendToList(tables[family].lists, named(family, key), board, operations);
export const scan = (key: string, way = FORWARDS): Step => (tables, operations) =>
  void readRows(tables[0].rows, named(0, key), way, operations);
export const insert = (key: string, way: number): Step => (tables, operations) =>
  appendToRows(tables[0].rows, named(0, key), way, board, operations);
export const members = (key: string): Step => (tables, operations) =>
  void readSet(tables[0].sets, named(0, key), operations);
export const remove = (key: string): Step => (tables, operations) =>
  removeFromSet(tables[0].sets, named(0, key), board, operations);
export const add = (key: string): Step => (tables, operations) =>
  tables[0].sets.set(...setAddition(named(0, key), board, operations));
export const get = (key: string, family = 0): Step => (tables, operations) => {
  const value = tables[family].registers.get(key);
  operations.push({ kind: "read", object: `${family}/${key}`, value });
};
export const put = (key: string, family = 0): Step => (tables, operations) => {
  const value = board.value();
  tables[family].registers.set(key, value);
  operations.push({ kind: "write", object: `${family}/${key}`, value });
};

/** Lets an actor go on step by step. */
class Turns {
  #go = Promise.withResolvers<void>();
  #done = Promise.withResolvers<void>();
  #isFree = false;

  /** For the actor: waits for its turn. */
  async wait(): Promise<void> {
    if (this.#isFree) return;
    await this.#go.promise;
    this.#go = Promise.withResolvers();
  }

  did(): void {
    this.#done.resolve();
  }

  /** Lets it make one step. */
  async give(): Promise<void> {
    this.#done = Promise.withResolvers();
    this.#go.resolve();
    await this.#done.promise;
  }

  /** Lets it do all that is left. */
  free(): void {
    this.#isFree = true;
    this.#go.resolve();
  }
}

const ABORTED = new Error("aborted by the script");

export interface Played {
  readonly history: History;
  /** How often the function of each actor has run. */
  readonly attempts: Readonly<Record<string, number>>;
}

/** Plays a script, and then reads everything. */
export async function play(store: Store, { actors, order }: Script): Promise<Played> {
  const history: Recording[] = [];
  const attempts: Record<string, number> = {};
  const turns: Record<string, Turns> = {};
  const ends: Record<string, Promise<void>> = {};
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  for (const letter of order) {
    const name = letter.toLowerCase();
    if (!(name in turns)) {
      turns[name] = new Turns();
      attempts[name] = 0;
      ends[name] = perform(store, name, actors[name], turns[name], history, () => attempts[name]++);
      ends[name].catch(failed.reject);
    }
    if (letter === name) await Promise.race([turns[name].give(), failed.promise]);
    else {
      turns[name].free();
      await ends[name];
    }
  }
  await Promise.all(Object.values(ends));
  await readAll(store, history);
  return { history, attempts };
}

async function perform(
  store: Store,
  name: string,
  actor: Actor,
  turns: Turns,
  history: Recording[],
  count: () => void,
): Promise<void> {
  const { steps, families = [0], aborts = false, looks = false } = actor;
  let begin = board.tick();
  let last: Recording | undefined;
  const work = async (tables: Tables[]): Promise<void> => {
    if (last !== undefined) end(last, "aborted");
    count();
    const recording = last = newRecording(name, begin);
    history.push(recording);
    for (const step of steps) {
      await turns.wait();
      step(tables, recording.operations);
      turns.did();
    }
    await turns.wait();
    begin = board.tick();
    if (aborts) throw ABORTED;
  };
  try {
    await (looks ? store.look(families, work) : store.transact(families, work));
    end(last!, "committed");
  } catch (error) {
    if (error !== ABORTED) throw error;
    end(last!, "aborted");
  }
}

function end(recording: Recording, outcome: "committed" | "aborted"): void {
  recording.outcome = outcome;
  recording.end = board.tick();
}

/** Everything that the history knows of, as it is in the end. */
async function readAll(store: Store, history: Recording[]): Promise<void> {
  const objects = new Map<string, Operation["kind"]>();
  for (const { operations } of history) {
    for (const { object, kind } of operations) objects.set(object, kind);
  }
  const families = [...new Set([...objects.keys()].map((object) => Number(object[0])))];
  const recording = newRecording("at the end", board.tick());
  await store.transact(families, (tables) => {
    for (const [object, kind] of objects) {
      const [family, key] = [Number(object[0]), object.slice(2)];
      if (kind === "add" || kind === "remove" || kind === "set") {
        members(key)(tables, recording.operations);
      } else if (kind === "write" || kind === "read") {
        get(key, family)(tables, recording.operations);
      } else if (key.startsWith("row")) scan(key)(tables, recording.operations);
      else read(key, family)(tables, recording.operations);
    }
    return Promise.resolve();
  });
  end(recording, "committed");
  history.push(recording);
}

/** The families `0`, `1`, … of a database. */
export class DatabaseStore implements Store {
  readonly #db: Database;
  readonly #places: readonly Place[];

  private constructor(db: Database, places: readonly Place[]) {
    this.#db = db;
    this.#places = places;
  }

  static async of(db: Database, families: number): Promise<DatabaseStore> {
    const places: Place[] = [];
    for (let i = 0; i < families; i++) {
      places.push(placeIn(await db.columnFamily(String(i)), i));
    }
    return new DatabaseStore(db, places);
  }

  transact(families: readonly number[], work: (tables: Tables[]) => Promise<void>): Promise<void> {
    const places = families.map((family) => this.#places[family]);
    if (places.length === 1) {
      return places[0].family.transaction((tx) => work(seenBy((table) => tx.table(table), places)));
    }
    return this.#db.transaction(
      places.map(({ family }) => family),
      (tx) => work(seenBy((table) => tx.table(table), places)),
    );
  }

  async look(
    families: readonly number[],
    work: (tables: Tables[]) => Promise<void>,
  ): Promise<void> {
    const places = families.map((family) => this.#places[family]);
    using snapshot = places.length === 1 ? places[0].family.snapshot() : this.#db.snapshot();
    await work(seenBy((table) => snapshot.table(table), places));
  }
}

/** `via`: a table as a transaction or a snapshot has it; who only looks does not write. */
function seenBy(
  via: (table: Place["lists"] & Place["rows"]) => unknown,
  places: readonly Place[],
): Tables[] {
  const tables: Tables[] = [];
  for (const place of places) {
    const { lists, rows, registers, sets } = place;
    const all = { lists, rows, registers, sets };
    tables[place.number] = Object.fromEntries(
      Object.entries(all).map(([kind, table]) => [kind, via(table as never)]),
    ) as unknown as Tables;
  }
  return tables;
}
