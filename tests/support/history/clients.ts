/**
 * Callers that make a history: transactions, single writes, batches and snapshots over one family
 * and several, at random.
 *
 * This module runs in threads and inside the simulation.
 *
 * @module
 */

import type { Database, Table, Transaction } from "../../../mod.ts";
import { type Board, LIST, type Recording, REGISTERS, ROWS, SET, SLOTS } from "./board.ts";
import type { Operation, Outcome } from "./history.ts";
import {
  anyWay,
  appendToList,
  appendToRows,
  named,
  type Place,
  readAll,
  readList,
  readRegister,
  readRows,
  type Reads,
  readSet,
  registerWrite,
  removeFromSet,
  scanRegisters,
  setAddition,
} from "./objects.ts";

/** What a caller needs. */
export interface World {
  readonly db: Database;
  readonly places: readonly Place[];
  readonly board: Board;
  /** Of the objects of each kind, so many are used: fewer meet more conflicts. */
  readonly slots: number;
  /** Lets others run, in the middle of a transaction. */
  pause(): Promise<void>;
  /** What an error says about the outcome; throws it if none is allowed. */
  judge(error: unknown): Outcome;
  /** The function of a transaction has run so often; undefined: it was not committed. */
  ran(attempts: number, isCommitted: boolean): void;
}

/** One thing after the other; true at the end of it. */
export async function act(world: World, process: string): Promise<void> {
  const { board } = world;
  const kind = board.below(100);
  if (kind < 76) await transact(world, process, board.chance(0.15));
  else if (kind < 83) await lookAtSnapshot(world, process);
  else if (kind < 90) await commitBatch(world, process);
  else if (kind < 95) await writeOne(world, process);
  else readOne(world, process);
}

/** Reads something, of several families if there are, at one moment. */
export async function look(world: World, process: string): Promise<void> {
  if (world.board.chance(0.5)) await transact(world, process, true);
  else await lookAtSnapshot(world, process);
}

/** Families of a transaction: one, or several. */
function somePlaces({ places, board }: World): Place[] {
  const one = places[board.below(places.length)];
  if (places.length === 1 || board.chance(0.6)) return [one];
  const others = places.filter((place) => place !== one && board.chance(0.6));
  return board.chance(0.5) ? [one, ...others] : [...others, one];
}

interface Step {
  readonly place: Place;
  readonly kind: number;
  readonly slot: number;
}

const STEPS_MAX = 3;
const LOOKS_MAX = 8;
/** Kinds of steps; the first ones only read. */
const READING = 7;
const ANY = 16;

/** The function of a transaction gives up. */
const GIVEN_UP = new Error("given up");

async function transact(world: World, process: string, onlyReads: boolean): Promise<void> {
  const { db, board } = world;
  const places = somePlaces(world);
  const kinds = onlyReads ? READING : ANY;
  const plan: Step[] = [];
  for (let i = board.below(onlyReads ? LOOKS_MAX : STEPS_MAX); i >= 0; i--) {
    const place = places[board.below(places.length)];
    plan.push({ place, kind: board.below(kinds), slot: board.below(world.slots) });
  }
  const isGivenUp = board.chance(0.03);
  const attempts: Recording[] = [];
  let begin = board.tick();
  const run = async (tx: Transaction): Promise<void> => {
    // That it runs again says that what it did before has no effect.
    for (const one of attempts) end(board, one, "aborted");
    const recording = board.record(process, begin);
    attempts.push(recording);
    for (const step of plan) {
      perform(tx, step, board, recording.operations);
      if (board.chance(0.3)) await world.pause();
    }
    // Whatever follows, a next attempt included, begins after this.
    begin = board.tick();
    if (isGivenUp) throw GIVEN_UP;
  };
  const outcome = await outcomeOf(
    world,
    () =>
      places.length === 1 ? places[0].family.transaction(run) : db.transaction(
        places.map(({ family }) => family),
        run,
      ),
  );
  world.ran(attempts.length, outcome === "committed");
  const last = attempts.pop();
  if (last !== undefined) end(board, last, outcome);
}

async function outcomeOf(world: World, work: () => Promise<unknown>): Promise<Outcome> {
  try {
    await work();
    return "committed";
  } catch (error) {
    return error === GIVEN_UP ? "aborted" : world.judge(error);
  }
}

function end(board: Board, recording: Recording, outcome: Outcome): void {
  if (recording.outcome !== "unknown") return;
  recording.outcome = outcome;
  if (outcome !== "unknown") recording.end = board.tick();
}

function perform(tx: Transaction, step: Step, board: Board, operations: Operation[]): void {
  const { place, kind, slot } = step;
  const register = slot % REGISTERS;
  switch (kind) {
    case 0:
      return void readList(tx.table(place.lists), named(board, place, LIST, slot), operations);
    case 1:
    case 2: {
      const name = named(board, place, ROWS, slot);
      return void readRows(tx.table(place.rows), name, anyWay(board, false), operations);
    }
    case 3:
    case 4:
      return readRegister(tx.table(place.registers), place, register, operations);
    case 5:
      return scanRegisters(tx.table(place.registers), place, operations);
    case 6:
      return void readSet(tx.table(place.sets), named(board, place, SET, slot), operations);
    case 7:
    case 8:
    case 9:
      return appendToList(
        tx.table(place.lists),
        named(board, place, LIST, slot),
        board,
        operations,
      );
    case 10:
    case 11:
    case 12:
      return appendToRows(
        tx.table(place.rows),
        named(board, place, ROWS, slot),
        anyWay(board, false),
        board,
        operations,
      );
    case 13: {
      const [key, value] = registerWrite(place, board, operations);
      return tx.table(place.registers).set(key, value);
    }
    case 14: {
      const [key, value] = setAddition(named(board, place, SET, slot), board, operations);
      return tx.table(place.sets).set(key, value);
    }
    default:
      return removeFromSet(tx.table(place.sets), named(board, place, SET, slot), board, operations);
  }
}

/** Reads something by a snapshot's table, or by the table itself. */
function read(
  via: <K, V>(table: Table<K, V>) => Reads<K, V>,
  { place, kind, slot }: Step,
  board: Board,
  atOnce: boolean,
  operations: Operation[],
): void {
  if (kind === 0) readList(via(place.lists), named(board, place, LIST, slot), operations);
  else if (kind <= 2) {
    readRows(via(place.rows), named(board, place, ROWS, slot), anyWay(board, atOnce), operations);
  } else if (kind <= 4) readRegister(via(place.registers), place, slot % REGISTERS, operations);
  else if (kind === 5) scanRegisters(via(place.registers), place, operations);
  else readSet(via(place.sets), named(board, place, SET, slot), operations);
}

/** What is read of a snapshot is a transaction at the moment when it is taken, however long it is held. */
async function lookAtSnapshot(world: World, process: string): Promise<void> {
  const { db, board } = world;
  const places = somePlaces(world);
  const recording = board.record(process, board.tick());
  const snapshot = places.length === 1 ? places[0].family.snapshot() : db.snapshot();
  const taken = board.tick();
  for (let i = board.below(LOOKS_MAX); i >= 0; i--) {
    const place = places[board.below(places.length)];
    const step = { place, kind: board.below(READING), slot: board.below(world.slots) };
    read((table) => snapshot.table(table), step, board, false, recording.operations);
    if (board.chance(0.3)) await world.pause();
  }
  snapshot.dispose();
  recording.outcome = "committed";
  recording.end = taken;
}

/** Blind writes, together. */
async function commitBatch(world: World, process: string): Promise<void> {
  const { db, board } = world;
  const places = somePlaces(world);
  const recording = board.record(process, board.tick());
  const batch = places.length === 1 ? places[0].family.batch() : db.batch();
  for (const place of places) {
    for (let i = board.below(3); i >= 0; i--) {
      if (board.chance(0.5)) {
        batch.set(place.registers, ...registerWrite(place, board, recording.operations));
      } else {
        const name = named(board, place, SET, board.below(world.slots));
        batch.set(place.sets, ...setAddition(name, board, recording.operations));
      }
    }
  }
  end(board, recording, await outcomeOf(world, () => batch.commit()));
}

async function writeOne(world: World, process: string): Promise<void> {
  const { board, places } = world;
  const place = places[board.below(places.length)];
  const recording = board.record(process, board.tick());
  const { operations } = recording;
  const outcome = await outcomeOf(world, () => {
    if (board.chance(0.5)) {
      const [key, value] = registerWrite(place, board, operations);
      return place.registers.set(key, value);
    }
    const name = named(board, place, SET, board.below(world.slots));
    const [key, value] = setAddition(name, board, operations);
    return place.sets.set(key, value);
  });
  end(board, recording, outcome);
}

function readOne(world: World, process: string): void {
  const { board, places } = world;
  const place = places[board.below(places.length)];
  const recording = board.record(process, board.tick());
  const step = { place, kind: board.below(READING), slot: board.below(world.slots) };
  read((table) => table, step, board, true, recording.operations);
  end(board, recording, "committed");
}

/** Reads all that there is, as one transaction of each family. */
export function readEverything(world: World, process: string): void {
  const { board, places } = world;
  for (const place of places) {
    const recording = board.record(process, board.tick());
    const snapshot = place.family.snapshot();
    readAll((table) => snapshot.table(table), place, board, SLOTS, recording.operations);
    snapshot.dispose();
    end(board, recording, "committed");
  }
}
