/**
 * The records of the transactions of one simulated history, over all its processes. It stands outside of the
 * simulation.
 *
 * @module
 */

import { type Board, newRecording, type Recording } from "../support/history/board.ts";
import { assertSerializable } from "../support/history/check.ts";
import type { Random } from "../support/random.ts";

export class Chronicle implements Board {
  readonly #random: Random;
  readonly #history: Recording[] = [];
  readonly #generations = new Map<number, number>();
  #time = 0;
  #value = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  tick(): number {
    return ++this.#time;
  }

  value(): number {
    return ++this.#value;
  }

  generation(place: number): number {
    return this.#generations.get(place) ?? 0;
  }

  advance(place: number, generation: number): void {
    if (this.generation(place) === generation - 1) this.#generations.set(place, generation);
  }

  below(count: number): number {
    return this.#random.int(count);
  }

  chance(chance: number): boolean {
    return this.#random.chance(chance);
  }

  record(process: string, begin: number): Recording {
    const recording = newRecording(process, begin);
    this.#history.push(recording);
    return recording;
  }

  /**
   * Throws if no serial order explains what was seen. What was under way when power failed, the process was killed or the
   * thread terminated has no end: it may be there or not.
   */
  check(): void {
    assertSerializable(this.#history);
  }
}
