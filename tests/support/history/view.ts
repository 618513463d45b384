/**
 * A transaction as the others see it: what it read of their writes, and what it wrote. On the way it is
 * checked by itself: it must see its own writes, and nothing else may change while it runs.
 *
 * @module
 */

import type { Operation, Recorded } from "./history.ts";

/** What was read of a list before one's own appends. */
export interface ListRead {
  /** Undefined: it was only counted. */
  readonly values: readonly number[] | undefined;
  readonly length: number;
  readonly range: boolean;
}

export interface RegisterRead {
  readonly value: number | undefined;
  readonly range: boolean;
}

export interface View {
  readonly lists: Map<string, ListRead>;
  readonly registers: Map<string, RegisterRead>;
  readonly sets: Map<string, ReadonlySet<number>>;
  readonly appends: Map<string, number[]>;
  /** All writes of a register, of which the last counts. */
  readonly writes: Map<string, number[]>;
  readonly adds: Map<string, number[]>;
  readonly removes: Map<string, number[]>;
  /** What contradicts itself. */
  readonly problems: string[];
}

/** Goes through a transaction's operations in their order. */
export function viewOf(transaction: Recorded): View {
  const view: View = {
    lists: new Map(),
    registers: new Map(),
    sets: new Map(),
    appends: new Map(),
    writes: new Map(),
    adds: new Map(),
    removes: new Map(),
    problems: [],
  };
  for (const operation of transaction.operations) apply(view, operation);
  return view;
}

function apply(view: View, operation: Operation): void {
  switch (operation.kind) {
    case "append":
      return push(view.appends, operation.object, operation.value);
    case "write":
      return push(view.writes, operation.object, operation.value);
    case "add":
      return push(view.adds, operation.object, operation.value);
    case "remove":
      return push(view.removes, operation.object, operation.value);
    case "list":
      return readList(view, operation.object, operation.values, operation.range === true);
    case "length":
      return readLength(view, operation.object, operation.length);
    case "read":
      return readRegister(view, operation.object, operation.value, operation.range === true);
    case "set":
      return readSet(view, operation.object, operation.values);
  }
}

function push(map: Map<string, number[]>, object: string, value: number): void {
  const values = map.get(object);
  if (values === undefined) map.set(object, [value]);
  else values.push(value);
}

function readList(view: View, object: string, all: readonly number[], range: boolean): void {
  const own = view.appends.get(object) ?? [];
  const length = all.length - own.length;
  if (length < 0 || own.some((value, i) => all[length + i] !== value)) {
    view.problems.push(
      `${object} is read as [${all.join(" ")}] after [${own.join(" ")}] was appended`,
    );
    return;
  }
  const values = all.slice(0, length);
  const before = view.lists.get(object);
  if (
    before !== undefined && (before.length !== length ||
      before.values !== undefined && before.values.some((value, i) => values[i] !== value))
  ) {
    view.problems.push(
      `${object} is read twice, as [${
        before.values?.join(" ") ?? `${before.length} elements`
      }] and [${values.join(" ")}]`,
    );
    return;
  }
  view.lists.set(object, { values, length, range: range || before?.range === true });
}

function readLength(view: View, object: string, all: number): void {
  const length = all - (view.appends.get(object)?.length ?? 0);
  const before = view.lists.get(object);
  if (length < 0 || before !== undefined && before.length !== length) {
    view.problems.push(`${object} has ${all} elements, and ${before?.length ?? 0} before`);
    return;
  }
  if (before === undefined) view.lists.set(object, { values: undefined, length, range: true });
}

function readRegister(
  view: View,
  object: string,
  value: number | undefined,
  range: boolean,
): void {
  const own = view.writes.get(object);
  const before = view.registers.get(object);
  const known = own === undefined ? before : { value: own[own.length - 1] };
  if (known !== undefined && known.value !== value) {
    view.problems.push(`${object} is read as ${value} where it has to be ${known.value}`);
  } else if (known === undefined) view.registers.set(object, { value, range });
}

function readSet(view: View, object: string, all: readonly number[]): void {
  const values = new Set(all);
  const added = view.adds.get(object) ?? [];
  const removed = view.removes.get(object) ?? [];
  if (added.some((value) => !removed.includes(value) && !values.has(value))) {
    view.problems.push(`${object} is read without what was added: ${added.join(" ")}`);
  }
  if (removed.some((value) => values.has(value))) {
    view.problems.push(`${object} is read with what was removed: ${removed.join(" ")}`);
  }
  for (const value of added) values.delete(value);
  const before = view.sets.get(object);
  if (before === undefined) {
    view.sets.set(object, values);
    return;
  }
  const left = [...before].filter((value) => !removed.includes(value));
  if (left.length !== values.size || left.some((value) => !values.has(value))) {
    view.problems.push(
      `${object} is read twice, as {${left.join(" ")}} and {${[...values].join(" ")}}`,
    );
  }
}
