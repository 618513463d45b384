/**
 * How long each of many operations took.
 *
 * @module
 */

import type { SuiteResult, SuiteRow } from "../suites/suite.ts";

const PERCENTILES = [["p50", 0.5], ["p95", 0.95], ["p99", 0.99]] as const;

export class Latencies {
  readonly #ms: number[] = [];

  add(ms: number): void {
    this.#ms.push(ms);
  }

  get count(): number {
    return this.#ms.length;
  }

  /** µs that the given part of them took at most, and the longest of all, as `…_p50` and so on. */
  results(name: string): SuiteResult[] {
    const sorted = Float64Array.from(this.#ms).sort();
    const at = (index: number): number => sorted[index] * 1000;
    return [
      ...PERCENTILES.map(([suffix, part]) => {
        return { row: `${name}_${suffix}`, value: at(Math.ceil(sorted.length * part) - 1) };
      }),
      { row: `${name}_max`, value: at(sorted.length - 1) },
    ];
  }
}

/** The rows that {@linkcode Latencies.results} gives. */
export function latencyRows(name: string, what: string): SuiteRow[] {
  const row = (suffix: string, about: string): SuiteRow => {
    return { name: `${name}_${suffix}`, unit: "µs", better: "less", about };
  };
  return [
    ...PERCENTILES.map(([suffix, part]) =>
      row(suffix, `what ${part * 100} % of ${what} took at most`)
    ),
    row("max", `the longest of ${what}`),
  ];
}
