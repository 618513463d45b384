/**
 * All that was measured, run by run.
 *
 * @module
 */

/** What follows a workload's name where its evenness is looked up. */
export const EVENNESS = ".evenness";

/** What a row of a suite is called where all that was found is kept. */
export function rowKey(suite: string, row: string): string {
  return `${suite}.${row}`;
}

/** A workload, or a row of a suite, on an engine. */
export interface Row {
  readonly engine: string;
  readonly workload: string;
}

/** What is found of a row. */
export interface Measure extends Row {
  /** What it is, or the unit of it. */
  readonly figure: string;
  readonly better: "more" | "less";
}

/** What one engine did on one workload. */
export interface Series extends Measure {
  /** The values of the runs, in their order. */
  readonly runs: number[];
}

/** What several runs give. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

export class Results {
  readonly #series = new Map<string, Series>();

  add(measure: Measure, value: number): void {
    const key = `${measure.engine} ${measure.workload}`;
    const series = this.#series.get(key);
    if (series === undefined) this.#series.set(key, { ...measure, runs: [value] });
    else series.runs.push(value);
  }

  /** Undefined if the engine did not run the workload. */
  of(engine: string, workload: string): Series | undefined {
    return this.#series.get(`${engine} ${workload}`);
  }

  /**
   * How many times as well `own` did as the best of `others`, each run compared with theirs of the same
   * round: what disturbs the machine for long disturbs both. Undefined if one of them was not run.
   */
  ratio(own: Row, ...others: Row[]): Spread | undefined {
    const [series, ...peers] = [own, ...others].map(({ engine, workload }) =>
      this.of(engine, workload)
    );
    if (series === undefined || peers.length === 0) return undefined;
    const ratios: number[] = [];
    for (const [round, value] of series.runs.entries()) {
      const against: number[] = [];
      for (const peer of peers) {
        if (peer === undefined) return undefined;
        const ratio = value / peer.runs[round];
        against.push(series.better === "less" ? 1 / ratio : ratio);
      }
      ratios.push(Math.min(...against));
    }
    return spreadOf(ratios);
  }

  /** Manifold's ratio to a peer on the same workload. */
  against(engine: string, workload: string): Spread | undefined {
    return this.ratio({ engine: "manifold", workload }, { engine, workload });
  }

  all(): Series[] {
    return [...this.#series.values()];
  }
}
