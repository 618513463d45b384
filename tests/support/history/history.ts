/**
 * What transactions did and saw, as their callers know it: what the checker is given.
 *
 * Three kinds of objects tell the order of their versions by themselves. A *list* is only appended
 * to; whoever reads it sees all versions before. A *register* is written with a value of its own each
 * time. A *set* is added to, each element once, and an element may be removed once. All values of a history are different.
 *
 * @module
 */

/** One thing that a transaction did to an object. */
export type Operation =
  /** A list got one more element. */
  | { readonly kind: "append"; readonly object: string; readonly value: number }
  /** All of a list was read; `range`: by a scan, not as one entry. */
  | {
    readonly kind: "list";
    readonly object: string;
    readonly values: readonly number[];
    readonly range?: boolean;
  }
  /** The elements of a list were counted. */
  | { readonly kind: "length"; readonly object: string; readonly length: number }
  /** A register was written. */
  | { readonly kind: "write"; readonly object: string; readonly value: number }
  /** A register was read; undefined: it was not there. */
  | {
    readonly kind: "read";
    readonly object: string;
    readonly value: number | undefined;
    readonly range?: boolean;
  }
  /** A set got an element. */
  | { readonly kind: "add"; readonly object: string; readonly value: number }
  /** A set lost an element. */
  | { readonly kind: "remove"; readonly object: string; readonly value: number }
  /** All of a set was read. */
  | { readonly kind: "set"; readonly object: string; readonly values: readonly number[] };

/** Unknown: nobody heard what became of it. It counts as committed if its writes are seen. */
export type Outcome = "committed" | "aborted" | "unknown";

/** A transaction, a single write, a batch, or what was read of one snapshot. */
export interface Recorded {
  /** Who made it, for reports. */
  readonly process: string;
  /** Before it had any effect, and after it had all, by one clock; no two times are the same. */
  readonly begin: number;
  readonly end: number;
  readonly outcome: Outcome;
  readonly operations: readonly Operation[];
}

export type History = readonly Recorded[];

/** A transaction in one line. */
export function shown({ process, begin, end, outcome, operations }: Recorded): string {
  const time = `${begin}–${end === Infinity ? "" : end}`;
  const ended = outcome === "committed" ? "" : `, ${outcome}`;
  return `(${process}, ${time}${ended}) ${operations.map(shownOperation).join(", ")}`;
}

function shownOperation(operation: Operation): string {
  const { kind, object } = operation;
  switch (kind) {
    case "list":
      return `${operation.range ? "scan" : "read"} ${object} = [${operation.values.join(" ")}]`;
    case "set":
      return `scan ${object} = {${operation.values.join(" ")}}`;
    case "length":
      return `count ${object} = ${operation.length}`;
    case "read":
      return `${operation.range ? "scan" : "read"} ${object} = ${operation.value ?? "nothing"}`;
    default:
      return `${kind} ${object} ${operation.value}`;
  }
}
