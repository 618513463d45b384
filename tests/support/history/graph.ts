/**
 * A directed graph of numbered nodes whose edges have kinds, and its strongly connected components.
 *
 * @module
 */

/** Kinds of edges: a transaction overwrote what another had written; … */
export const WW = 1;
/** … read what the other had written; … */
export const WR = 2;
/** … wrote what the other should have read, had it come first; … */
export const RW = 4;
/** … began after the other had ended. */
export const REAL_TIME = 8;
export const ALL = WW | WR | RW | REAL_TIME;

export class Graph {
  readonly nodes: number;
  readonly from: number[] = [];
  readonly to: number[] = [];
  readonly kind: number[] = [];
  /** What the edge is about, and whether it was read by a range. */
  readonly object: string[] = [];
  readonly range: boolean[] = [];
  /** The index of a node's first edge in `#sorted`; one more at the end. */
  #first = new Int32Array(0);
  #sorted = new Int32Array(0);

  constructor(nodes: number) {
    this.nodes = nodes;
  }

  get edges(): number {
    return this.from.length;
  }

  /** Adds an edge; none from a node to itself, which says nothing. */
  add(from: number, to: number, kind: number, object = "", range = false): void {
    if (from === to) return;
    this.from.push(from);
    this.to.push(to);
    this.kind.push(kind);
    this.object.push(object);
    this.range.push(range);
  }

  /** Sorts the edges by where they begin; to be called when all are there. */
  seal(): void {
    const { from, nodes } = this;
    const first = new Int32Array(nodes + 1);
    for (const node of from) first[node + 1]++;
    for (let node = 0; node < nodes; node++) first[node + 1] += first[node];
    const next = first.slice();
    const sorted = new Int32Array(from.length);
    for (let edge = 0; edge < from.length; edge++) sorted[next[from[edge]]++] = edge;
    this.#first = first;
    this.#sorted = sorted;
  }

  /** The edges that leave a node. */
  edgesOf(node: number): Int32Array {
    return this.#sorted.subarray(this.#first[node], this.#first[node + 1]);
  }

  /**
   * The strongly connected components of more than one node, by edges of some kinds between nodes
   * that are inside. Tarjan's algorithm, with a stack of its own.
   */
  components(kinds = ALL, inside: (node: number) => boolean = () => true): number[][] {
    const { nodes, to, kind } = this;
    const order = new Int32Array(nodes); // 0: not met
    const low = new Int32Array(nodes);
    const next = new Int32Array(nodes);
    const isOpen = new Uint8Array(nodes);
    const open: number[] = [];
    const path: number[] = [];
    const components: number[][] = [];
    let met = 0;
    const enter = (node: number): void => {
      order[node] = low[node] = ++met;
      next[node] = this.#first[node];
      isOpen[node] = 1;
      open.push(node);
      path.push(node);
    };
    for (let root = 0; root < nodes; root++) {
      if (order[root] !== 0 || !inside(root)) continue;
      enter(root);
      while (path.length > 0) {
        const node = path[path.length - 1];
        if (next[node] < this.#first[node + 1]) {
          const edge = this.#sorted[next[node]++];
          const other = to[edge];
          if ((kind[edge] & kinds) === 0 || !inside(other)) continue;
          if (order[other] === 0) enter(other);
          else if (isOpen[other] === 1) low[node] = Math.min(low[node], order[other]);
          continue;
        }
        path.pop();
        if (path.length > 0) {
          const parent = path[path.length - 1];
          low[parent] = Math.min(low[parent], low[node]);
        }
        if (low[node] !== order[node]) continue;
        const component: number[] = [];
        for (let one = -1; one !== node;) {
          one = open.pop()!;
          isOpen[one] = 0;
          component.push(one);
        }
        if (component.length > 1) components.push(component);
      }
    }
    return components;
  }
}
