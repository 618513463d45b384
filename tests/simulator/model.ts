/**
 * What the database must contain: the operations of every client on every family, in order, and
 * which of them were acknowledged.
 *
 * A *lane* is one client's part of one family: tables that only this client changes, so that the
 * lane's state is the effect of a prefix of its operations, whatever the others do.
 *
 * Invariant: after a crash the state of a lane is the effect of all its steps up to one that is not
 * before the last acknowledged as durable; and if a step is there that was asked for when another had
 * been acknowledged, in whatever way, so is the other.
 *
 * @module
 */

/** One change of one table of a lane. */
export type Change =
  | { readonly kind: "set"; readonly table: string; readonly key: string; readonly value: string }
  | { readonly kind: "delete"; readonly table: string; readonly key: string }
  | { readonly kind: "range"; readonly table: string; readonly from: string; readonly to: string }
  | { readonly kind: "drop"; readonly table: string }
  | { readonly kind: "create family" }
  | { readonly kind: "drop family" };

/** What steps of several lanes have in common that are one transaction. */
export interface Joint {
  /** Whether one of them is there for certain. */
  isThere: boolean;
}

/** Something that is done whole or not at all. */
export interface Step {
  readonly joint?: Joint;
  readonly changes: readonly Change[];
  readonly askedAt: number;
  readonly durable: boolean;
  readonly describe: string;
  acknowledgedAt: number;
  /** Whether it must be there, unless it was refused: one that was asked for later is durable. */
  isCertain?: boolean;
}

/** Ways to explain a state that are looked at; more would not tell more. */
const WAYS_MAX = 64;

type Table = Map<string, string>;

/** The tables of a lane; undefined when its family does not exist. */
export type LaneState = Map<string, Table> | undefined;

export class Lane {
  /** The effect of the first steps that are durable and were answered. */
  #base: LaneState;
  /** Steps after that, oldest first. */
  #steps: Step[] = [];

  constructor(readonly client: number, readonly family: string, exists: boolean) {
    this.#base = exists ? new Map() : undefined;
  }

  /** The state once all steps are done. */
  get present(): LaneState {
    return this.#steps.reduce((state, step) => applied(state, step), copied(this.#base));
  }

  /** The database has refused a step, and changed nothing. */
  refuse(step: Step): void {
    this.#steps = this.#steps.filter((one) => one !== step);
    this.#settleFirst();
  }

  ask(step: Step): void {
    this.#steps.push(step);
  }

  acknowledge(step: Step, now: number): void {
    step.acknowledgedAt = now;
    if (step.durable) {
      if (step.joint !== undefined) step.joint.isThere = true;
      // What was asked for before it came before it, unless it was refused: the answers may change places.
      const count = this.#steps.indexOf(step) + 1;
      for (const one of this.#steps.slice(0, count)) one.isCertain = true;
    }
    this.#settleFirst();
  }

  #settleFirst(): void {
    while (this.#steps[0]?.isCertain && this.#steps[0].acknowledgedAt < Infinity) {
      const { joint } = this.#steps[0];
      if (joint !== undefined) joint.isThere = true;
      this.#base = applied(this.#base, this.#steps.shift()!);
    }
  }

  /**
   * Compares what is there with what may be. Returns the steps that are there for certain and those
   * that are lost for certain.
   */
  recovered(actual: LaneState, mayRefuse: boolean): { kept: Step[]; lost: Step[] } {
    const ways = this.#ways(actual, mayRefuse);
    if (ways.length === 0) {
      throw new Error(
        `client ${this.client} in "${this.family}": what is there is the effect of no prefix of its steps\n` +
          `durable: ${shown(this.#base)}\nsteps:\n  ${
            this.#steps.map((one) => one.describe).join("\n  ")
          }\nfound: ${shown(actual)}`,
      );
    }
    // Some steps change nothing, so that there may be several ways.
    return {
      kept: this.#steps.filter((step) => ways.every((way) => way.has(step))),
      lost: this.#steps.filter((step) => !ways.some((way) => way.has(step))),
    };
  }

  /**
   * The sets of steps whose effect is what is there: each a prefix with all that are certain, but for steps that may
   * have been refused for want of room although nobody has heard of it.
   */
  #ways(actual: LaneState, mayRefuse: boolean): Set<Step>[] {
    const ways: Set<Step>[] = [];
    const least = this.#steps.findLastIndex((step) => step.isCertain) + 1;
    const go = (at: number, state: LaneState, done: readonly Step[]): void => {
      if (at >= least && same(state, actual)) ways.push(new Set(done));
      if (at === this.#steps.length || ways.length > WAYS_MAX) return;
      const step = this.#steps[at];
      go(at + 1, applied(copied(state), step), [...done, step]);
      if (mayRefuse && step.acknowledgedAt === Infinity) go(at + 1, state, done);
    };
    go(0, copied(this.#base), []);
    return ways;
  }

  /** What is there is what will stay. */
  settle(actual: LaneState): void {
    this.#base = copied(actual);
    this.#steps = [];
  }
}

/** How far each way to count has come. */
export type TallySizes = [number, number, number];

/**
 * What all clients count together in one family, in several ways, each by transactions that read how far it has come
 * and add one.
 *
 * Invariant: it has come as far as there are transactions that were acknowledged, and perhaps further, by those that were
 * only asked for.
 */
export class Tally {
  readonly #asked: TallySizes = [0, 0, 0];
  readonly #acknowledged: TallySizes = [0, 0, 0];
  readonly #durable: TallySizes = [0, 0, 0];

  ask(way: number): void {
    this.#asked[way]++;
  }

  acknowledge(way: number, durable: boolean): void {
    this.#acknowledged[way]++;
    if (durable) this.#durable[way]++;
  }

  /** How far it has come at least. */
  get acknowledged(): TallySizes {
    return [...this.#acknowledged];
  }

  recovered(family: string, sizes: TallySizes, powerFailed: boolean): void {
    this.check(family, sizes, powerFailed ? this.#durable : this.#acknowledged);
    for (const counts of [this.#asked, this.#acknowledged, this.#durable]) {
      for (const [way, size] of sizes.entries()) counts[way] = size;
    }
  }

  check(family: string, sizes: TallySizes, least: TallySizes): void {
    for (const [way, size] of sizes.entries()) {
      if (size >= least[way] && size <= this.#asked[way]) continue;
      throw new Error(
        `tally ${way} of "${family}" is ${size}, of ${least[way]} acknowledged and ` +
          `${this.#asked[way]} asked for`,
      );
    }
  }
}

/** All lanes of a database. */
export class Model {
  readonly #tallies = new Map<string, Tally>();
  readonly #lanes = new Map<string, Lane>();

  lane(client: number, family: string, exists: boolean): Lane {
    const name = `${client}/${family}`;
    let lane = this.#lanes.get(name);
    if (lane === undefined) this.#lanes.set(name, lane = new Lane(client, family, exists));
    return lane;
  }

  tally(family: string): Tally {
    let tally = this.#tallies.get(family);
    if (tally === undefined) this.#tallies.set(family, tally = new Tally());
    return tally;
  }

  get lanes(): Lane[] {
    return [...this.#lanes.values()];
  }

  /**
   * Checks everything that a recovery has brought back. `powerFailed`: since the last time; `mayRefuse`: disks were
   * full since then.
   */
  recovered(
    states: ReadonlyMap<Lane, LaneState>,
    tallies: ReadonlyMap<string, TallySizes>,
    { powerFailed, mayRefuse }: { powerFailed: boolean; mayRefuse: boolean },
  ): void {
    const kept: Step[] = [];
    const lost: Step[] = [];
    for (const [lane, state] of states) {
      const outcome = lane.recovered(state, mayRefuse);
      kept.push(...outcome.kept);
      lost.push(...outcome.lost);
    }
    for (const { joint } of kept) if (joint !== undefined) joint.isThere = true;
    for (const { joint, describe } of lost) {
      if (joint?.isThere) throw new Error(`a part of a joint batch is lost: ${describe}`);
    }
    const newest = kept.reduce((most, step) => Math.max(most, step.askedAt), -1);
    for (const step of lost) {
      if (step.acknowledgedAt === Infinity) continue;
      if (!powerFailed) {
        throw new Error(`lost although only the process was killed: ${step.describe}`);
      }
      if (step.acknowledgedAt < newest) {
        throw new Error(
          `lost although something that was asked for later is there: ${step.describe}`,
        );
      }
    }
    for (const [lane, state] of states) lane.settle(state);
    for (const [family, tally] of this.#tallies) {
      tally.recovered(family, tallies.get(family) ?? [0, 0, 0], powerFailed);
    }
  }
}

function applied(state: LaneState, step: Step): LaneState {
  for (const change of step.changes) state = changed(state, change);
  return state;
}

function changed(state: LaneState, change: Change): LaneState {
  if (change.kind === "create family") return new Map();
  if (change.kind === "drop family") return undefined;
  if (state === undefined) return undefined;
  if (change.kind === "drop") {
    state.delete(change.table);
    return state;
  }
  let table = state.get(change.table);
  if (table === undefined) state.set(change.table, table = new Map());
  if (change.kind === "set") table.set(change.key, change.value);
  else if (change.kind === "delete") table.delete(change.key);
  else {for (const key of [...table.keys()]) {
      if (key >= change.from && key < change.to) table.delete(key);
    }}
  return state;
}

function copied(state: LaneState): LaneState {
  return state && new Map([...state].map(([name, table]) => [name, new Map(table)]));
}

/** Empty tables and missing ones are alike: a deletion in a missing table may make it or not. */
function same(a: LaneState, b: LaneState): boolean {
  if (a === undefined || b === undefined) return a === b;
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    const left = a.get(name) ?? EMPTY;
    const right = b.get(name) ?? EMPTY;
    if (left.size !== right.size) return false;
    for (const [key, value] of left) if (right.get(key) !== value) return false;
  }
  return true;
}

const EMPTY: Table = new Map();

function shown(state: LaneState): string {
  if (state === undefined) return "(no such family)";
  return [...state].map(([name, table]) =>
    `${name}: ${[...table].map(([key, value]) => `${key}=${brief(value)}`).join(" ")}`
  ).join("; ");
}

function brief(value: string): string {
  return value.length > 20 ? `${value.slice(0, 12)}…(${value.length})` : value;
}
