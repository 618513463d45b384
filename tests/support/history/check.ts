/**
 * Whether a history is strictly serializable: there is an order of its transactions, which keeps that of
 * real time, in which each would have seen what it saw.
 *
 * Sound: what is reported cannot be explained. Not complete: of registers that are written without having
 * been read, and of elements that are removed, the order of versions is known in part only.
 *
 * @module
 */

import type { Anomaly } from "./anomaly.ts";
import { cyclesOf } from "./cycles.ts";
import { Dependencies } from "./dependencies.ts";
import type { History } from "./history.ts";

export interface Verdict {
  readonly anomalies: readonly Anomaly[];
  /** Edges of the serialization graph, as a measure of how much could be told. */
  readonly edges: number;
}

/** Reports that are printed of one history. */
const REPORTS_MAX = 5;

export function check(history: History): Verdict {
  const { anomalies, graph } = new Dependencies(history);
  return { anomalies: [...anomalies, ...cyclesOf(history, graph)], edges: graph.edges };
}

/** Throws if a history is not strictly serializable, with what is wrong. */
export function assertSerializable(history: History): Verdict {
  const verdict = check(history);
  const { anomalies } = verdict;
  if (anomalies.length === 0) return verdict;
  const reports = anomalies.slice(0, REPORTS_MAX).map(({ message }) => message);
  throw new Error(
    `the history of ${history.length} transactions is not serializable, ${anomalies.length} times:\n${
      reports.join("\n\n")
    }`,
  );
}
