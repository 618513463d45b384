/**
 * Protects the checker of histories: each anomaly that it is there for is noticed in a history that has it,
 * by its name; what can be explained is not reported; and what a read of an otherwise right history is changed to is noticed.
 */

import { assertSerializable, check } from "./support/history/check.ts";
import type { History, Operation, Outcome, Recorded } from "./support/history/history.ts";
import { serialHistory } from "./support/history/serial.ts";
import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "./support/assert.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const append = (object: string, value: number): Operation => ({ kind: "append", object, value });
const list = (object: string, ...values: number[]): Operation => ({ kind: "list", object, values });
const scan = (object: string, ...values: number[]): Operation => ({
  kind: "list",
  object,
  values,
  range: true,
});
const count = (object: string, length: number): Operation => ({ kind: "length", object, length });
const write = (object: string, value: number): Operation => ({ kind: "write", object, value });
const read = (object: string, value?: number): Operation => ({ kind: "read", object, value });
const add = (object: string, value: number): Operation => ({ kind: "add", object, value });
const remove = (object: string, value: number): Operation => ({ kind: "remove", object, value });
const set = (object: string, ...values: number[]): Operation => ({ kind: "set", object, values });

/** A transaction that is under way all the time, so that real time says nothing. */
function during(...operations: Operation[]): Recorded {
  return { process: "planted", begin: 0, end: 100, outcome: "committed", operations };
}

function between(begin: number, end: number, ...operations: Operation[]): Recorded {
  return { ...during(...operations), begin, end };
}

function ended(outcome: Outcome, ...operations: Operation[]): Recorded {
  return { ...during(...operations), outcome, end: outcome === "unknown" ? Infinity : 100 };
}

/** What is planted, and the code and name under which it must be noticed. */
const PLANTED: readonly [planted: string, code: string, name: string, history: History][] = [
  ["dirty write", "G0", "dirty write", [
    during(append("x", 1), append("y", 2)),
    during(append("x", 3), append("y", 4)),
    during(list("x", 1, 3), list("y", 4, 2)),
  ]],
  ["dirty read, of a transaction that goes on", "G-single", "read skew", [
    during(write("x", 1), write("y", 2)),
    during(read("x", 1), read("y")),
  ]],
  [
    "dirty read, of a write that is overwritten by the same transaction",
    "G1b",
    "intermediate read",
    [
      during(write("x", 1), write("x", 2)),
      during(read("x", 1)),
    ],
  ],
  ["aborted read, of a register", "G1a", "aborted read", [
    ended("aborted", write("x", 1)),
    during(read("x", 1)),
  ]],
  ["aborted read, of a list", "G1a", "aborted read", [
    ended("aborted", append("x", 1)),
    during(append("x", 2)),
    during(list("x", 1, 2)),
  ]],
  ["aborted read, of a set", "G1a", "aborted read", [
    ended("aborted", add("x", 1)),
    during(set("x", 1)),
  ]],
  ["intermediate read, of a list", "G1b", "intermediate read", [
    during(append("x", 1), append("x", 2)),
    during(list("x", 1)),
    during(list("x", 1, 2)),
  ]],
  ["intermediate read, by a count", "G1b", "intermediate read", [
    during(append("x", 1), append("x", 2)),
    during(count("x", 1)),
    during(list("x", 1, 2)),
  ]],
  ["circular information flow", "G1c", "circular information flow", [
    during(write("x", 1), read("y", 2)),
    during(write("y", 2), read("x", 1)),
  ]],
  ["circular information flow between three", "G1c", "circular information flow", [
    during(append("x", 1), list("z", 3)),
    during(append("y", 2), list("x", 1)),
    during(append("z", 3), list("y", 2)),
  ]],
  ["lost update, of a list", "G-single", "lost update", [
    during(list("x"), append("x", 1)),
    during(list("x"), append("x", 2)),
    during(list("x", 1, 2)),
  ]],
  ["lost update, of a list, and it is lost", "G-single", "lost update", [
    during(list("x"), append("x", 1)),
    during(list("x"), append("x", 2)),
    during(list("x", 2)),
  ]],
  ["lost update, of a register", "G-single", "lost update", [
    during(write("x", 1)),
    during(read("x", 1), write("x", 2)),
    during(read("x", 1), write("x", 3)),
  ]],
  ["lost update, by counting", "G-single", "lost update", [
    during(count("x", 0), append("x", 1)),
    during(count("x", 0), append("x", 2)),
    during(scan("x", 1, 2)),
  ]],
  ["read skew", "G-single", "read skew", [
    during(write("x", 1), write("y", 2)),
    during(read("x", 1), write("x", 3), read("y", 2), write("y", 4)),
    during(read("x", 1), read("y", 4)),
  ]],
  ["write skew, of two items", "G2-item", "write skew", [
    during(list("x"), list("y"), append("x", 1)),
    during(list("x"), list("y"), append("y", 2)),
    during(list("x", 1), list("y", 2)),
  ]],
  ["write skew, of registers", "G2-item", "write skew", [
    during(write("x", 1), write("y", 2)),
    during(read("x", 1), read("y", 2), write("x", 3)),
    during(read("x", 1), read("y", 2), write("y", 4)),
  ]],
  ["write skew, of two predicates", "G2", "predicate write skew", [
    during(set("x"), add("y", 1)),
    during(set("y"), add("x", 2)),
  ]],
  ["write skew, of one predicate", "G2", "predicate write skew", [
    during(set("x"), add("x", 1)),
    during(set("x"), add("x", 2)),
  ]],
  ["write skew, of removals that both leave one for the other", "G2", "predicate write skew", [
    during(add("x", 1), add("x", 2)),
    during(set("x", 1, 2), remove("x", 1)),
    during(set("x", 1, 2), remove("x", 2)),
  ]],
  ["phantom, by a scan", "G-single", "phantom", [
    during(add("x", 1), append("total", 2)),
    during(set("x"), list("total", 2)),
  ]],
  ["phantom, by a count", "G-single", "phantom", [
    during(append("x", 1), append("total", 2)),
    during(count("x", 0), list("total", 2)),
    during(scan("x", 1)),
  ]],
  ["long fork", "long fork", "long fork", [
    during(write("x", 1)),
    during(write("y", 2)),
    during(read("x", 1), read("y")),
    during(read("y", 2), read("x")),
  ]],
  ["long fork, of lists", "long fork", "long fork", [
    during(append("x", 1)),
    during(append("y", 2)),
    during(list("x", 1), list("y")),
    during(list("y", 2), list("x")),
  ]],
  ["stale read", "G-single-realtime", "read skew", [
    between(1, 2, append("x", 1)),
    between(3, 4, list("x")),
  ]],
  ["stale read, of a register written without being read", "G-single-realtime", "read skew", [
    between(1, 2, write("x", 1)),
    between(3, 4, write("x", 2)),
    between(5, 6, read("x", 1)),
  ]],
  ["stale count", "G-single-realtime", "phantom", [
    between(1, 2, append("x", 1)),
    between(3, 4, count("x", 0)),
  ]],
  ["removed element that is still there", "G-single-realtime", "phantom", [
    between(1, 2, add("x", 1)),
    between(3, 4, remove("x", 1)),
    between(5, 6, set("x", 1)),
  ]],
  ["read from the future", "G1c-realtime", "circular information flow", [
    between(1, 2, read("x", 1)),
    between(3, 4, write("x", 1)),
  ]],
  ["writes against real time", "G0-realtime", "dirty write", [
    between(1, 2, append("x", 1)),
    between(3, 4, append("x", 2)),
    during(list("x", 2, 1)),
  ]],
  ["lost although acknowledged", "G0-realtime", "dirty write", [
    between(1, 2, append("x", 1)),
    between(3, 4, append("x", 2)),
    between(5, 6, list("x", 2)),
  ]],
  ["write of an unknown end, of which a part is seen", "G-single", "read skew", [
    ended("unknown", write("x", 1), write("y", 2)),
    during(read("x", 1), read("y")),
  ]],
  ["own write that is not seen", "internal", "inconsistent with itself", [
    during(append("x", 1), list("x")),
  ]],
  ["two reads that differ", "internal", "inconsistent with itself", [
    during(write("x", 1)),
    during(read("x"), read("x", 1)),
  ]],
  ["scan that differs from a count", "internal", "inconsistent with itself", [
    during(append("x", 1)),
    during(count("x", 0), scan("x", 1)),
  ]],
  ["set without one's own element", "internal", "inconsistent with itself", [
    during(add("x", 1), set("x")),
  ]],
  ["lists that contradict each other", "order", "incompatible orders", [
    during(append("x", 1)),
    during(append("x", 2)),
    during(list("x", 1, 2)),
    during(list("x", 2)),
  ]],
  ["value of nobody", "garbage", "read of what nobody wrote", [during(read("x", 1))]],
  ["value of another object", "garbage", "read of what nobody wrote", [
    during(write("y", 1)),
    during(read("x", 1)),
  ]],
  ["more elements than were ever appended", "garbage", "read of what nobody wrote", [
    during(append("x", 1)),
    during(count("x", 2)),
  ]],
  ["element that is there twice", "duplicate", "element twice in a list", [
    during(append("x", 1)),
    during(list("x", 1, 1)),
  ]],
];

for (const [planted, code, name, history] of PLANTED) {
  test(`history checker: notices a ${planted}`, () => {
    const { anomalies } = check(history);
    assert(
      anomalies.some((one) => one.code === code && one.name === name),
      `not among ${JSON.stringify(anomalies.map((one) => [one.code, one.name]))}`,
    );
  });
}

/** What looks like an anomaly and is none. */
const RIGHT: readonly [what: string, history: History][] = [
  ["nothing", []],
  ["two writers of two objects, in one order", [
    during(append("x", 1), append("y", 2)),
    during(append("x", 3), append("y", 4)),
    during(list("x", 1, 3), list("y", 2, 4)),
  ]],
  ["a chain of updates", [
    during(read("x"), write("x", 1)),
    during(read("x", 1), write("x", 2)),
    during(read("x", 2), write("x", 3)),
    during(read("x", 3)),
  ]],
  ["transactions that end in another order than they take effect in", [
    between(1, 10, append("x", 1)),
    between(2, 5, append("x", 2)),
    between(3, 4, list("x", 2)),
    between(11, 12, list("x", 2, 1)),
  ]],
  ["an aborted transaction that nobody saw", [
    ended("aborted", append("x", 1), write("y", 2)),
    during(list("x"), read("y")),
  ]],
  ["a transaction of unknown end that is not there", [
    ended("unknown", append("x", 1), write("y", 2)),
    between(200, 201, list("x"), count("x", 0), read("y")),
  ]],
  ["a transaction of unknown end that is there", [
    ended("unknown", append("x", 1), write("y", 2)),
    between(200, 201, list("x", 1), read("y", 2)),
  ]],
  ["a count of elements whose transaction nobody heard of again", [
    ended("unknown", append("x", 1)),
    during(count("x", 1)),
  ]],
  ["half of a write skew", [
    during(list("x"), list("y"), append("x", 1)),
    during(list("x", 1), list("y"), append("y", 2)),
    during(list("x", 1), list("y", 2)),
  ]],
  ["own writes that are read", [
    during(append("x", 1), list("x", 1), append("x", 2), count("x", 2)),
    during(write("y", 3), read("y", 3), write("y", 4), read("y", 4)),
    during(add("z", 5), set("z", 5), remove("z", 5), set("z")),
  ]],
  ["an element that was removed", [
    between(1, 2, add("x", 1)),
    between(3, 4, set("x", 1), remove("x", 1)),
    between(5, 6, set("x")),
  ]],
];

for (const [what, history] of RIGHT) {
  test(`history checker: accepts ${what}`, () => {
    assertEquals(check(history).anomalies.map(({ message }) => message), []);
  });
}

test("history checker: says who, what and why", () => {
  const error = assertThrows(
    () =>
      assertSerializable([
        between(1, 7, list("x"), append("x", 1)),
        between(2, 8, list("x"), append("x", 2)),
        between(9, 10, list("x", 1, 2)),
      ]),
    Error,
  );
  assertEquals(
    error.message,
    `the history of 3 transactions is not serializable, 1 times:
G-single, lost update: a cycle of 2 transactions
  T1 (planted, 2–8) read x = [], append x 2
    before T0, which wrote x, which it had read before (rw)
  T0 (planted, 1–7) read x = [], append x 1
    before T1, which wrote x after it (ww)`,
  );
});

test("history checker: accepts what ran one after the other", () => {
  const random = Random.fromEnvironment("serial histories");
  for (let i = 0; i < 400; i++) {
    const overlap = random.pick([0, 1, 3, 30]);
    const objects = 1 + random.int(5);
    assertSerializable(serialHistory(random, { count: 1 + random.int(60), objects, overlap }));
  }
});

test("history checker: tens of thousands of transactions take seconds", () => {
  const random = Random.fromEnvironment("large history");
  // So many objects that no list gets long.
  const history = serialHistory(random, { count: 50_000, objects: 300, overlap: 8 });
  const started = performance.now();
  const { edges } = assertSerializable(history);
  const seconds = (performance.now() - started) / 1000;
  console.log(`${history.length} transactions, ${edges} edges: ${seconds.toFixed(1)} s`);
  assertGreater(edges, history.length);
  assertLess(seconds, 20);
});

/** An older version in the place of what a read has returned. */
interface Corruption {
  readonly history: History;
  /** Whether it contradicts real time for certain. */
  readonly certain: boolean;
}

test("history checker: notices a read that is changed", () => {
  const random = Random.fromEnvironment("changed histories");
  let [made, noticed] = [0, 0];
  while (made < 1000) {
    const right = serialHistory(random, { count: 60, objects: 2, overlap: random.pick([0, 1, 4]) });
    const corruption = corrupted(right, random);
    if (corruption === undefined) continue;
    made++;
    const { anomalies } = check(corruption.history);
    if (anomalies.length > 0) noticed++;
    else assert(!corruption.certain, "a stale read was not noticed");
  }
  console.log(`${noticed} of ${made} changed reads were noticed`);
  assertGreater(noticed, made * 0.6);
});

function corrupted(history: History, random: Random): Corruption | undefined {
  const reader = random.int(history.length);
  const one = history[reader];
  const at = random.int(one.operations.length);
  const operation = one.operations[at];
  // Own writes are another matter.
  const touched = one.operations.filter(({ object }) => object === operation.object);
  if (one.outcome !== "committed" || touched.length > 1) return undefined;
  const changed = older(operation, history, random);
  if (changed === undefined) return undefined;
  const operations = one.operations.with(at, changed.operation);
  const missed = history.find(({ operations }) =>
    operations.some((other) =>
      (other.kind === "append" || other.kind === "write" || other.kind === "add") &&
      other.value === changed.missed
    )
  )!;
  return {
    history: (history as Recorded[]).with(reader, { ...one, operations }),
    certain: missed.outcome === "committed" && missed.end < one.begin,
  };
}

/** A read as it was before one more write. */
function older(
  operation: Operation,
  history: History,
  random: Random,
): { operation: Operation; missed: number } | undefined {
  switch (operation.kind) {
    case "list": {
      const { values } = operation;
      if (values.length === 0) return undefined;
      return { operation: { ...operation, values: values.slice(0, -1) }, missed: values.at(-1)! };
    }
    case "read": {
      const { value } = operation;
      if (value === undefined) return undefined;
      return { operation: { ...operation, value: undefined }, missed: value };
    }
    case "set": {
      const isRemoved = (value: number): boolean =>
        history.some(({ operations }) =>
          operations.some((one) => one.kind === "remove" && one.value === value)
        );
      const values = operation.values.filter((value) => !isRemoved(value));
      if (values.length === 0) return undefined;
      const missed = random.pick(values);
      const left = operation.values.filter((value) => value !== missed);
      return { operation: { ...operation, values: left }, missed };
    }
    default:
      return undefined;
  }
}
