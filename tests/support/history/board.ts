/**
 * What all callers of a history share: the clock, values that are used once, and which of the objects are in use.
 *
 * @module
 */

import type { Operation, Outcome, Recorded } from "./history.ts";

/** Lists, lists in rows, sets: when one is long, a new one takes its place, its next generation. */
export const KINDS = 3;
export const LIST = 0;
export const ROWS = 1;
export const SET = 2;
/** Objects of each kind that are in use at once in a family. */
export const SLOTS = 12;
/** Registers of a family. */
export const REGISTERS = 12;

/** A transaction while it is made. */
export interface Recording {
  readonly process: string;
  readonly begin: number;
  end: number;
  outcome: Outcome;
  readonly operations: Operation[];
}

/** Where callers meet; in the simulation it stands outside. */
export interface Board {
  /** The time: each time that it is asked for, later than all before, in any thread. */
  tick(): number;
  /** A value that no other caller gets. */
  value(): number;
  /** The generation of a slot that is in use, and that the next shall be. */
  generation(place: number): number;
  advance(place: number, generation: number): void;
  /** A whole number from 0 to, not including, `count`. */
  below(count: number): number;
  chance(chance: number): boolean;
  /** Begins the record of a transaction. */
  record(process: string, begin: number): Recording;
}

/** The place of a slot on the board. */
export function placeOf(family: number, kind: number, slot: number): number {
  return (family * KINDS + kind) * SLOTS + slot;
}

export function newRecording(process: string, begin: number): Recording {
  return { process, begin, end: Infinity, outcome: "unknown", operations: [] };
}

/** The random choices of a caller. */
interface Chance {
  int(count: number): number;
  chance(chance: number): boolean;
}

const TICK = 0;
const VALUE = 1;
const GENERATIONS = 2;

/** A board in shared memory, for threads. */
export class SharedBoard implements Board {
  readonly buffer: SharedArrayBuffer;
  readonly history: Recorded[] = [];
  readonly #words: Int32Array;
  readonly #random: Chance;

  constructor(families: number, random: Chance, buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(4 * (GENERATIONS + families * KINDS * SLOTS));
    this.#words = new Int32Array(this.buffer);
    this.#random = random;
  }

  tick(): number {
    return Atomics.add(this.#words, TICK, 1);
  }

  value(): number {
    return Atomics.add(this.#words, VALUE, 1) + 1;
  }

  generation(place: number): number {
    return Atomics.load(this.#words, GENERATIONS + place);
  }

  advance(place: number, generation: number): void {
    Atomics.compareExchange(this.#words, GENERATIONS + place, generation - 1, generation);
  }

  below(count: number): number {
    return this.#random.int(count);
  }

  chance(chance: number): boolean {
    return this.#random.chance(chance);
  }

  record(process: string, begin: number): Recording {
    const recording = newRecording(process, begin);
    this.history.push(recording);
    return recording;
  }
}
