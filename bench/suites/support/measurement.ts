/**
 * How the suites measure: work that is repeated, and what it must add up to.
 *
 * @module
 */

import type { SuiteResult, SuiteRow } from "../suite.ts";

/** A row and how its figure is found in `State`, which the rows of a suite share. */
export interface Measurement<State> extends SuiteRow {
  /** Measures and checks; undefined if the engine cannot do it. */
  measure(state: State): number | undefined | Promise<number | undefined>;
}

/** One after the other; each row is told as soon as it is known. */
export async function* measureAll<State>(
  measurements: readonly Measurement<State>[],
  state: State,
): AsyncGenerator<SuiteResult> {
  for (const measurement of measurements) {
    const value = await measurement.measure(state);
    if (value !== undefined) yield { row: measurement.name, value };
  }
}

/** Of the rounds, what part is done before the clock starts, while code is being compiled. */
const WARMING = 0.1;

/**
 * Has `work` done for 0, 1, … `rounds` - 1, and a part of that before; rounds per second.
 *
 * @param expected What the numbers that it returns add up to. Otherwise it has not done what it should.
 */
export function roundsPerSecond(
  what: string,
  rounds: number,
  expected: number,
  work: (round: number) => number,
): number {
  for (let round = 0; round < rounds * WARMING; round++) work(round);
  let sum = 0;
  const start = performance.now();
  for (let round = 0; round < rounds; round++) sum += work(round);
  const seconds = (performance.now() - start) / 1000;
  expectSum(what, sum, expected);
  return rounds / seconds;
}

export function expectSum(what: string, found: number, expected: number): void {
  if (found !== expected) throw new Error(`${what}: ${found} in all instead of ${expected}`);
}
