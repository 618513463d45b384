/**
 * Finds a short cycle in each strongly connected component, and its name.
 *
 * @module
 */

import type { Anomaly } from "./anomaly.ts";
import { ALL, type Graph, REAL_TIME, RW, WR, WW } from "./graph.ts";
import { type History, shown } from "./history.ts";

/** Searches of a component; larger ones are not searched from everywhere. */
const SEARCHES_MAX = 200;
/** Cycles that are looked for in one history. */
const CYCLES_MAX = 10;

/** The kinds of cycles, the worst first: those that need no anti-dependency, one, any number. */
const LEVELS = [
  { kinds: WW, single: false },
  { kinds: WW | WR, single: false },
  { kinds: WW | WR, single: true },
  { kinds: WW | WR | RW, single: false },
  { kinds: WW | REAL_TIME, single: false },
  { kinds: WW | WR | REAL_TIME, single: false },
  { kinds: WW | WR | REAL_TIME, single: true },
  { kinds: ALL, single: false },
];

/** A step of a cycle: an edge of the graph, or that a transaction ended before the other began. */
interface Step {
  readonly from: number;
  readonly to: number;
  readonly kind: number;
  readonly object: string;
  readonly range: boolean;
}

/** Cycles of a history's graph, one a component, of the smallest ones. */
export function cyclesOf(history: History, graph: Graph): Anomaly[] {
  const components = graph.components().sort((a, b) => a.length - b.length);
  return components.slice(0, CYCLES_MAX).map((component) => {
    const nodes = component.filter((node) => node < history.length);
    return described(history, new Search(history, graph, nodes).worst());
  });
}

/** Looks for cycles among some transactions. */
class Search {
  readonly #history: History;
  readonly #graph: Graph;
  readonly #inside: Set<number>;
  /** The transactions, sorted by when they began. */
  readonly #byBegin: readonly number[];

  constructor(history: History, graph: Graph, nodes: readonly number[]) {
    this.#history = history;
    this.#graph = graph;
    this.#inside = new Set(nodes);
    this.#byBegin = [...nodes].sort((a, b) => history[a].begin - history[b].begin);
  }

  worst(): Step[] {
    for (const { kinds, single } of LEVELS) {
      const found = single ? this.#withSingle(kinds) : this.#shortest(kinds);
      if (found !== undefined) return found;
    }
    throw new Error("a component without a cycle");
  }

  #shortest(kinds: number): Step[] | undefined {
    let best: Step[] | undefined;
    for (const component of this.#components(kinds)) {
      for (const node of component.slice(0, SEARCHES_MAX)) {
        const found = this.#path(node, node, kinds);
        if (found !== undefined && found.length < (best?.length ?? Infinity)) best = found;
      }
    }
    return best;
  }

  /** The transactions of each component by some kinds of edges, the smallest component first. */
  #components(kinds: number): number[][] {
    const transactions = this.#history.length;
    return this.#graph.components(kinds, (node) => node >= transactions || this.#inside.has(node))
      .map((component) => component.filter((node) => node < transactions))
      .sort((a, b) => a.length - b.length);
  }

  /** A cycle of one anti-dependency and a path back. */
  #withSingle(kinds: number): Step[] | undefined {
    let best: Step[] | undefined;
    let searches = 0;
    for (const component of this.#components(kinds | RW)) {
      const inside = new Set(component);
      for (const node of component) {
        for (const step of this.#stepsOf(node, RW)) {
          if (!inside.has(step.to)) continue;
          if (++searches > 4 * SEARCHES_MAX) return best;
          const back = this.#path(step.to, node, kinds);
          if (back !== undefined && back.length + 1 < (best?.length ?? Infinity)) {
            best = [step, ...back];
          }
        }
      }
    }
    return best;
  }

  *#stepsOf(node: number, kinds: number): Generator<Step> {
    const graph = this.#graph;
    for (const edge of graph.edgesOf(node)) {
      const [to, kind] = [graph.to[edge], graph.kind[edge]];
      if ((kind & kinds & ~REAL_TIME) === 0 || !this.#inside.has(to)) continue;
      yield { from: node, to, kind, object: graph.object[edge], range: graph.range[edge] };
    }
  }

  /** The shortest way from one transaction to another, of one step at the least. */
  #path(from: number, to: number, kinds: number): Step[] | undefined {
    const history = this.#history;
    const before = new Map<number, Step>();
    const queue = [from];
    // Those that began after this one, in `#byBegin`, were met by real time.
    let latest = this.#byBegin.length;
    for (let at = 0; at < queue.length; at++) {
      const node = queue[at];
      const meet = (step: Step): boolean => {
        if (before.has(step.to)) return false;
        before.set(step.to, step);
        queue.push(step.to);
        return step.to === to;
      };
      for (const step of this.#stepsOf(node, kinds)) {
        if (meet(step)) return this.#back(before, from, to);
      }
      if ((kinds & REAL_TIME) === 0) continue;
      while (latest > 0 && history[this.#byBegin[latest - 1]].begin > history[node].end) {
        const next = this.#byBegin[--latest];
        const step = { from: node, to: next, kind: REAL_TIME, object: "", range: false };
        if (meet(step)) return this.#back(before, from, to);
      }
    }
    return undefined;
  }

  #back(before: ReadonlyMap<number, Step>, from: number, to: number): Step[] {
    const steps: Step[] = [];
    for (let node = to; steps.length === 0 || node !== from;) {
      const step = before.get(node)!;
      steps.unshift(step);
      node = step.from;
    }
    return steps;
  }
}

function described(history: History, steps: readonly Step[]): Anomaly {
  const { code, name } = named(history, steps);
  const transactions = steps.map(({ from }) => from);
  const lines = steps.flatMap((step) => [
    `  T${step.from} ${shown(history[step.from])}`,
    `    before T${step.to}, which ${because(step)}`,
  ]);
  const message = `${code}, ${name}: a cycle of ${steps.length} transactions\n${lines.join("\n")}`;
  return { code, name, transactions, message };
}

function because({ kind, object, range }: Step): string {
  if (kind === WW) return `wrote ${object} after it (ww)`;
  if (kind === WR) return `${range ? "found" : "read"} its write of ${object} (wr)`;
  if (kind === RW) return `wrote ${object}, which it had ${range ? "scanned" : "read"} before (rw)`;
  return "began when it had ended (real time)";
}

function named(history: History, steps: readonly Step[]): { code: string; name: string } {
  const { code, name } = namedByDependencies(history, steps);
  const isRealTime = steps.some(({ kind }) => kind === REAL_TIME);
  return { code: isRealTime ? `${code}-realtime` : code, name };
}

function namedByDependencies(
  history: History,
  steps: readonly Step[],
): { code: string; name: string } {
  const missed = steps.filter(({ kind }) => kind === RW);
  if (missed.length === 0) {
    if (steps.some(({ kind }) => kind === WR)) {
      return { code: "G1c", name: "circular information flow" };
    }
    return { code: "G0", name: "dirty write" };
  }
  if (isLostUpdate(history, steps)) return { code: "G-single", name: "lost update" };
  if (missed.length === 1) {
    return { code: "G-single", name: missed[0].range ? "phantom" : "read skew" };
  }
  if (isLongFork(history, steps)) return { code: "long fork", name: "long fork" };
  if (missed.some(({ range }) => range)) return { code: "G2", name: "predicate write skew" };
  return { code: "G2-item", name: "write skew" };
}

/** Both read the same version of an object and wrote the next. */
function isLostUpdate(history: History, steps: readonly Step[]): boolean {
  if (steps.length !== 2 || steps[0].object !== steps[1].object) return false;
  const [list, register] = [["list", "length"], ["read"]];
  return steps.every(({ from, object, kind }) =>
    (kind === RW || kind === WW) &&
    (list.some((kind) => did(history, from, kind, object)) &&
        did(history, from, "append", object) ||
      register.some((kind) => did(history, from, kind, object)) &&
        did(history, from, "write", object))
  );
}

/** No two anti-dependencies follow each other, and only readers have them. */
function isLongFork(history: History, steps: readonly Step[]): boolean {
  return steps.every(({ from, kind }, i) => {
    if (kind !== RW) return true;
    if (steps[(i + 1) % steps.length].kind === RW) return false;
    return history[from].operations.every((one) => READS.includes(one.kind));
  });
}

const READS: readonly string[] = ["list", "length", "read", "set"];

function did(history: History, transaction: number, kind: string, object: string): boolean {
  return history[transaction].operations.some((one) => one.kind === kind && one.object === object);
}
