/**
 * Random histories as a database makes them that runs one transaction at a time.
 *
 * @module
 */

import type { Random } from "../random.ts";
import type { Operation, Outcome, Recorded } from "./history.ts";

/** Time between two transactions; each begins before its moment and ends after it. */
const STEP = 10;
const KINDS = ["append", "list", "length", "write", "read", "add", "remove", "set"] as const;

type Kind = typeof KINDS[number];

class State {
  lists = new Map<string, number[]>();
  registers = new Map<string, number>();
  sets = new Map<string, number[]>();

  copy(): State {
    const copy = new State();
    for (const [object, values] of this.lists) copy.lists.set(object, [...values]);
    copy.registers = new Map(this.registers);
    for (const [object, values] of this.sets) copy.sets.set(object, [...values]);
    return copy;
  }

  list(object: string): number[] {
    return at(this.lists, object);
  }

  set(object: string): number[] {
    return at(this.sets, object);
  }
}

function at(map: Map<string, number[]>, object: string): number[] {
  let values = map.get(object);
  if (values === undefined) map.set(object, values = []);
  return values;
}

/** `count` transactions over some objects of each kind; `overlap`: how many are under way at once, about. */
export function serialHistory(
  random: Random,
  { count, objects, overlap }: { count: number; objects: number; overlap: number },
): Recorded[] {
  const history: Recorded[] = [];
  let state = new State();
  let value = 0;
  for (let i = 0; i < count; i++) {
    const outcome: Outcome = random.chance(0.9)
      ? "committed"
      : random.chance(0.5)
      ? "aborted"
      : "unknown";
    const operations: Operation[] = [];
    const after = outcome === "committed" ? state : state.copy();
    for (let left = 1 + random.int(5); left > 0; left--) {
      operations.push(operate(after, random, random.pick(KINDS), random.int(objects), ++value));
    }
    if (outcome === "unknown" && random.chance(0.5)) state = after;
    const moment = i * STEP;
    const begin = moment - random.next() * overlap * STEP;
    const end = outcome === "unknown" ? Infinity : moment + random.next() * overlap * STEP;
    history.push({ process: "serial", begin, end, outcome, operations });
  }
  return history;
}

function operate(
  state: State,
  random: Random,
  kind: Kind,
  number: number,
  value: number,
): Operation {
  const [list, register, set] = [`list ${number}`, `register ${number}`, `set ${number}`];
  switch (kind) {
    case "append":
      state.list(list).push(value);
      return { kind, object: list, value };
    case "list":
      return { kind, object: list, values: [...state.list(list)] };
    case "length":
      return { kind, object: list, length: state.list(list).length };
    case "write":
      state.registers.set(register, value);
      return { kind, object: register, value };
    case "read":
      return { kind, object: register, value: state.registers.get(register) };
    case "remove": {
      const values = state.set(set);
      if (values.length > 0) {
        const [removed] = values.splice(random.int(values.length), 1);
        return { kind, object: set, value: removed };
      }
    } // falls through
    case "add":
      state.set(set).push(value);
      return { kind: "add", object: set, value };
    case "set":
      return { kind, object: set, values: [...state.set(set)] };
  }
}
