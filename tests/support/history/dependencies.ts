/**
 * Which transaction must come before which, if there is an order at all: the direct serialization
 * graph of a history, with real time, and what cannot be right whatever the order.
 *
 * After Adya, Liskov and O'Neil, "Generalized Isolation Level Definitions" (ICDE 2000), and Kingsbury
 * and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations" (VLDB 2020): the
 * versions of an object are told by what was read of it, so that every edge holds in each order that
 * explains the history.
 *
 * @module
 */

import type { Anomaly } from "./anomaly.ts";
import { Graph, REAL_TIME, RW, WR, WW } from "./graph.ts";
import { type History, shown } from "./history.ts";
import { type ListRead, type RegisterRead, type View, viewOf } from "./view.ts";

/** Where a value comes from. */
interface Writer {
  readonly transaction: number;
  readonly object: string;
  /** Whether the transaction wrote nothing to the object after it. */
  readonly isLast: boolean;
}

/** What happened to one object, by transactions that count. */
interface Uses {
  readonly lists: [number, ListRead][];
  readonly registers: [number, RegisterRead][];
  readonly sets: [number, ReadonlySet<number>][];
  /** Who wrote it, as to registers and sets also what. */
  readonly appenders: number[];
  readonly writers: [number, number][];
  readonly adders: [number, number][];
}

/** Writers of a register that are looked at for one version; more were hardly ever under way at once. */
const LOOKED_BACK_MAX = 64;

export class Dependencies {
  readonly anomalies: Anomaly[] = [];
  readonly graph: Graph;
  readonly views: readonly View[];
  readonly #history: History;
  readonly #writers = new Map<number, Writer>();
  readonly #removers = new Map<number, number[]>();
  /** Elements of sets that may have been removed, also by transactions that do not count. */
  readonly #removed = new Set<number>();
  /** Appends to a list that may have been committed. */
  readonly #appended = new Map<string, number>();
  readonly #counts: Uint8Array;
  readonly #objects = new Map<string, Uses>();

  constructor(history: History) {
    this.#history = history;
    // Behind the transactions stands a node for each of their ends, see #addRealTime.
    this.graph = new Graph(2 * history.length);
    this.views = history.map(viewOf);
    this.#counts = new Uint8Array(history.length);
    this.#findWriters();
    this.#count();
    for (let i = 0; i < history.length; i++) if (this.#counts[i] === 1) this.#survey(i);
    for (const [object, uses] of this.#objects) {
      this.#orderList(object, uses);
      this.#orderRegister(object, uses);
      this.#orderSet(object, uses);
    }
    this.#addRealTime();
    this.graph.seal();
  }

  #found(code: string, name: string, message: string, ...transactions: number[]): void {
    const lines = transactions.map((i) => `  T${i} ${shown(this.#history[i])}`);
    this.anomalies.push({
      code,
      name,
      transactions,
      message: `${code}, ${name}: ${message}\n${lines.join("\n")}`,
    });
  }

  #findWriters(): void {
    this.views.forEach((view, transaction) => {
      if (this.#history[transaction].outcome !== "aborted") {
        for (const [object, { length }] of view.appends) {
          this.#appended.set(object, (this.#appended.get(object) ?? 0) + length);
        }
        for (const values of view.removes.values()) {
          for (const value of values) this.#removed.add(value);
        }
      }
      for (const map of [view.appends, view.writes, view.adds]) {
        for (const [object, values] of map) {
          values.forEach((value, i) => {
            if (this.#writers.has(value)) throw new Error(`${value} is written twice: ${object}`);
            const isLast = map === view.adds || i === values.length - 1;
            this.#writers.set(value, { transaction, object, isLast });
          });
        }
      }
    });
  }

  /** Unknown transactions count if one that counts has read what they wrote. */
  #count(): void {
    const queue: number[] = [];
    const count = (transaction: number): void => {
      if (this.#counts[transaction] === 1) return;
      this.#counts[transaction] = 1;
      queue.push(transaction);
    };
    this.#history.forEach(({ outcome }, i) => void (outcome === "committed" && count(i)));
    for (let reader = queue.pop(); reader !== undefined; reader = queue.pop()) {
      for (const value of valuesRead(this.views[reader])) {
        const writer = this.#writers.get(value);
        if (writer === undefined) continue;
        if (this.#history[writer.transaction].outcome === "unknown") count(writer.transaction);
      }
    }
  }

  #survey(i: number): void {
    const view = this.views[i];
    for (const problem of view.problems) {
      this.#found("internal", "inconsistent with itself", problem, i);
    }
    for (const [object, read] of view.lists) this.#usesOf(object).lists.push([i, read]);
    for (const [object, read] of view.registers) this.#usesOf(object).registers.push([i, read]);
    for (const [object, read] of view.sets) this.#usesOf(object).sets.push([i, read]);
    for (const object of view.appends.keys()) this.#usesOf(object).appenders.push(i);
    for (const [object, values] of view.writes) {
      this.#usesOf(object).writers.push([i, values[values.length - 1]]);
    }
    for (const [object, values] of view.adds) {
      for (const value of values) this.#usesOf(object).adders.push([i, value]);
    }
    for (const values of view.removes.values()) {
      for (const value of values) {
        const removers = this.#removers.get(value);
        if (removers === undefined) this.#removers.set(value, [i]);
        else removers.push(i);
      }
    }
  }

  #usesOf(object: string): Uses {
    let uses = this.#objects.get(object);
    if (uses === undefined) {
      uses = { lists: [], registers: [], sets: [], appenders: [], writers: [], adders: [] };
      this.#objects.set(object, uses);
    }
    return uses;
  }

  /** Who wrote a value that was read, if that one counts; else that is an anomaly. */
  #writerOf(value: number, object: string, reader: number): Writer | undefined {
    const writer = this.#writers.get(value);
    if (writer === undefined || writer.object !== object) {
      this.#found("garbage", "read of what nobody wrote", `${value} in ${object}`, reader);
      return undefined;
    }
    if (this.#counts[writer.transaction] === 1) return writer;
    const message = `${value} in ${object} was never committed`;
    this.#found("G1a", "aborted read", message, reader, writer.transaction);
    return undefined;
  }

  #checkFinal(
    value: number,
    object: string,
    { transaction, isLast }: Writer,
    reader: number,
  ): void {
    if (isLast || transaction === reader) return;
    const message = `${value} in ${object} is not what its transaction left`;
    this.#found("G1b", "intermediate read", message, reader, transaction);
  }

  /** The longest that was read of a list is its history; every other must be a part from the start. */
  #orderList(object: string, { lists, appenders }: Uses): void {
    if (lists.length === 0 && appenders.length === 0) return;
    const graph = this.graph;
    let order: readonly number[] = [];
    let longest = -1;
    for (const [reader, { values }] of lists) {
      if (values !== undefined && values.length > order.length) [order, longest] = [values, reader];
    }
    if (new Set(order).size < order.length) {
      this.#found(
        "duplicate",
        "element twice in a list",
        `${object} = [${order.join(" ")}]`,
        longest,
      );
      return;
    }
    const writers = order.map((value) => this.#writerOf(value, object, longest));
    for (let i = 1; i < order.length; i++) {
      const [one, next] = [writers[i - 1], writers[i]];
      if (one && next) graph.add(one.transaction, next.transaction, WW, object);
    }
    // What nobody has seen comes after all that was.
    const seen = new Set(writers.map((writer) => writer?.transaction));
    const unseen = appenders.filter((one) => !seen.has(one));
    const last = writers[order.length - 1];
    for (const one of unseen) if (last) graph.add(last.transaction, one, WW, object);
    for (const [reader, { values, length, range }] of lists) {
      const different = values?.findIndex((value, i) => value !== order[i]) ?? -1;
      if (different >= 0) {
        const message = `${object} differs at ${different}`;
        this.#found("order", "incompatible orders", message, reader, longest);
        continue;
      }
      if (length > order.length) {
        // A count does not say of whom: it may be of those that nobody saw.
        if (length <= this.#appended.get(object)!) continue;
        const message = `${object} never had so many elements`;
        this.#found("garbage", "read of what nobody wrote", message, reader);
        continue;
      }
      const writer = length > 0 ? writers[length - 1] : undefined;
      if (writer) {
        this.#checkFinal(order[length - 1], object, writer, reader);
        graph.add(writer.transaction, reader, WR, object, range);
      }
      if (length < order.length) {
        const next = writers[length];
        if (next) graph.add(reader, next.transaction, RW, object, range);
      } else for (const one of unseen) graph.add(reader, one, RW, object, range);
    }
  }

  /**
   * Of two versions of a register one is known to be the later if its writer had read the other, or began after
   * the other's writer had ended, or if it was read when the other's had.
   */
  #orderRegister(object: string, { registers, writers }: Uses): void {
    const graph = this.graph;
    const history = this.#history;
    const values = new Map<number, number>(); // a transaction's write
    for (const [transaction, value] of writers) values.set(transaction, value);
    /** Who wrote after having read a version. */
    const followers = new Map<number | undefined, number[]>();
    for (const [reader, { value }] of registers) {
      if (!values.has(reader)) continue;
      const known = followers.get(value);
      if (known === undefined) followers.set(value, [reader]);
      else known.push(reader);
    }
    /** When somebody began who read a version, at the latest. */
    const readUntil = new Map<number, number>();
    const byBegin = writers.map(([one]) => one).sort((a, b) => history[a].begin - history[b].begin);
    for (const [reader, { value, range }] of registers) {
      let since = -Infinity;
      if (value !== undefined) {
        const writer = this.#writerOf(value, object, reader);
        if (writer === undefined) continue;
        this.#checkFinal(value, object, writer, reader);
        graph.add(writer.transaction, reader, WR, object, range);
        if (values.has(reader)) graph.add(writer.transaction, reader, WW, object);
        since = history[writer.transaction].end;
        const until = Math.max(readUntil.get(writer.transaction) ?? 0, history[reader].begin);
        readUntil.set(writer.transaction, until);
      }
      for (const one of followers.get(value) ?? []) graph.add(reader, one, RW, object, range);
      // Who began when the reader had ended comes after it by real time.
      for (let i = firstAfter(byBegin, history, since); i < byBegin.length; i++) {
        if (history[byBegin[i]].begin > history[reader].end) break;
        graph.add(reader, byBegin[i], RW, object, range);
      }
    }
    this.#orderBlindWrites(object, byBegin, readUntil);
  }

  /**
   * Who had ended when a version was read that somebody else had written came before that one, also if both were
   * under way at once.
   */
  #orderBlindWrites(
    object: string,
    byBegin: readonly number[],
    readUntil: ReadonlyMap<number, number>,
  ): void {
    const history = this.#history;
    for (const [writer, until] of readUntil) {
      let at = firstAfter(byBegin, history, history[writer].end) - 1;
      for (let left = LOOKED_BACK_MAX; at >= 0 && left > 0; at--, left--) {
        const { end } = history[byBegin[at]];
        if (end > history[writer].begin && end < until) {
          this.graph.add(byBegin[at], writer, WW, object);
        }
      }
    }
  }

  /** An element is there from its addition to its removal. */
  #orderSet(object: string, { sets, adders }: Uses): void {
    const graph = this.graph;
    const history = this.#history;
    adders.sort(([a], [b]) => history[a].begin - history[b].begin);
    for (const [reader, values] of sets) {
      for (const value of values) {
        const writer = this.#writerOf(value, object, reader);
        if (writer === undefined) continue;
        graph.add(writer.transaction, reader, WR, object, true);
        for (const one of this.#removers.get(value) ?? []) graph.add(reader, one, RW, object, true);
      }
      for (const [adder, value] of adders) {
        if (history[adder].begin > history[reader].end) break;
        // Without an element that somebody removes, the set may be one from before or from after.
        if (values.has(value) || this.#removed.has(value)) continue;
        graph.add(reader, adder, RW, object, true);
      }
    }
  }

  /**
   * A transaction that ended before another began comes before it. Each end is a node behind the node of
   * its transaction and of the end before it, and before those that began then: three edges for each
   * transaction instead of one for each pair.
   */
  #addRealTime(): void {
    const history = this.#history;
    const counted = history.map((_, i) => i).filter((i) => this.#counts[i] === 1);
    const ends = counted.filter((i) => history[i].end < Infinity)
      .sort((a, b) => history[a].end - history[b].end);
    const begins = counted.slice().sort((a, b) => history[a].begin - history[b].begin);
    const first = history.length;
    let at = 0;
    for (const one of begins) {
      for (; at < ends.length && history[ends[at]].end < history[one].begin; at++) {
        this.graph.add(ends[at], first + at, REAL_TIME);
        if (at > 0) this.graph.add(first + at - 1, first + at, REAL_TIME);
      }
      if (at > 0) this.graph.add(first + at - 1, one, REAL_TIME);
    }
  }
}

function* valuesRead(view: View): Generator<number> {
  for (const { values } of view.lists.values()) yield* values ?? [];
  for (const { value } of view.registers.values()) if (value !== undefined) yield value;
  for (const values of view.sets.values()) yield* values;
}

/** The first of transactions, sorted by when they began, that began after a time. */
function firstAfter(sorted: readonly number[], history: History, time: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (history[sorted[middle]].begin > time) high = middle;
    else low = middle + 1;
  }
  return low;
}
