/**
 * All that was measured, run by run.
 *
 * @module
 */

import type { Figure } from "./context.ts";

/** What follows a workload's name where its evenness is looked up. */
export const EVENNESS = ".evenness";

/** What one engine did on one workload. */
export interface Series {
  readonly engine: string;
  readonly workload: string;
  readonly figure: Figure | "evenness";
  /** The values of the runs, in their order. */
  readonly runs: number[];
}

export function isSmallerBetter(figure: Series["figure"]): boolean {
  return figure === "bytes" || figure === "microseconds";
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export class Results {
  readonly #series = new Map<string, Series>();

  add(engine: string, workload: string, figure: Series["figure"], value: number): void {
    const name = figure === "evenness" ? workload + EVENNESS : workload;
    const key = `${engine} ${name}`;
    const series = this.#series.get(key);
    if (series === undefined) {
      this.#series.set(key, { engine, workload: name, figure, runs: [value] });
    } else {
      series.runs.push(value);
    }
  }

  /** Undefined if the engine did not run the workload. */
  of(engine: string, workload: string): Series | undefined {
    return this.#series.get(`${engine} ${workload}`);
  }

  /** The median of the runs. */
  median(engine: string, workload: string): number | undefined {
    const series = this.of(engine, workload);
    return series && median(series.runs);
  }

  /** How many times as well one engine did as another, by their medians. */
  ratio(engine: string, other: string, workload: string): number | undefined {
    const own = this.of(engine, workload);
    const peer = this.of(other, workload);
    if (own === undefined || peer === undefined) return undefined;
    const ratio = median(own.runs) / median(peer.runs);
    return isSmallerBetter(own.figure) ? 1 / ratio : ratio;
  }

  all(): Series[] {
    return [...this.#series.values()];
  }
}
