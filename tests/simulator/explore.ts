/**
 * All interleavings of a few threads, not some of them by chance.
 *
 * A case runs again and again from the same memory, each time along the choices of the run before up to the
 * last one that has an alternative (depth first). What keeps that finite and small:
 *
 * - *States.* A run ends where another has been: memory holds the same, and every thread has seen
 *   the same (ledger.ts). Of a thread that has ended, only what it has said counts.
 * - *Visible operations.* Who runs is chosen only behind an operation on a word that several threads use
 *   and one of them writes: any other operation gives the same result whenever it is done. Which
 *   words those are is found out on the way; when one was added, all is explored once more.
 * - *Spinning.* A thread that spins goes on when a word that it has looked at has changed, or when
 *   nobody else can go on. Looking at the same value again would only count its patience down; so a case must
 *   not pause in a loop of which each round changes something itself.
 * - *No time-outs.* Nobody is woken by time: a state in which all that have not ended sleep is a failure, as
 *   a wake-up that was lost. Sleeps of a millisecond are a slow way of spinning.
 *
 * Memory is taken to be sequentially consistent; accesses that are no operation of `Atomics` happen together
 * with the next operation of their thread.
 *
 * @module
 */

import type { Checksum } from "../../lib/storage/checksum.ts";
import type { Modules } from "./build.ts";
import { Disk } from "./disk.ts";
import type { Running, Thread } from "./kernel.ts";
import { Hash, Ledger } from "./ledger.ts";
import { Machine } from "./machine.ts";
import { SimulatedPromise } from "./promises.ts";
import { watchedGlobals, WatchedKernel } from "./watched.ts";

/** What a thread of a case is given besides the memory. */
export interface Actor {
  /** Says something that the check in the end can ask for. */
  note(value: unknown): void;
  readonly checksum: Checksum;
}

/** What the threads of one case have said, by their names. */
export type Said = Readonly<Record<string, readonly unknown[]>>;

/** A case, as its module exports it. Everything but `plain` runs turned. */
export interface Case<S = unknown> {
  /** Makes the memory that every run begins with. */
  setup(actor: Actor): S;
  readonly threads: readonly {
    readonly name: string;
    run(shared: S, actor: Actor): unknown;
    /** It may be killed at any time. */
    readonly mortal?: boolean;
    /** It begins when the thread so called has been killed. */
    readonly buries?: string;
  }[];
  /**
   * Memory that is read or written without `Atomics`: what is part of the state, and what is only to be
   * put back for the next run.
   */
  plain(shared: S): { readonly state: readonly Int32Array[]; readonly rest: readonly Int32Array[] };
  /** Asserts what must be true when all threads have ended. */
  check(shared: S, said: Said, actor: Actor): void;
}

export interface Bounds {
  /** Times that a thread is interrupted although it could go on; all of them if not given. */
  readonly preemptionsMax?: number;
}

export interface Outcome {
  readonly states: number;
  readonly executions: number;
  /** The longest run, in choices. */
  readonly depth: number;
  /** The schedule that broke something, with as few preemptions as any. */
  readonly failure?: Failure;
}

export interface Failure {
  readonly error: unknown;
  readonly preemptions: number;
  /** Every operation that was done, in order, and by whom. */
  readonly schedule: readonly string[];
}

/** A case did something that it must not. */
class Broken extends Error {}

/** A run with more choices than that hangs. */
const CHOICES_MAX = 4000;
/** Operations of one thread that nobody else could notice, one after the other. */
const OPERATIONS_MAX = 100_000;
/**
 * Fewer preemptions than that are explored first, one more each time: failures with few of them are found soon,
 * and so are nearly all words that are shared.
 */
const FEW = 3;
/** More states do not fit the memory. */
const STATES_MAX = 8_000_000;

/** One place of the run where somebody was chosen. */
interface Node {
  readonly choices: readonly number[];
  /** Which of them is tried. */
  at: number;
  /** Operations that the chosen thread did, for doing them again at once; Infinity: until it stopped. */
  operations: number;
  /** Preemptions before the choice. */
  readonly preemptions: number;
  /** Whether another choice than the first is a preemption. */
  readonly preempts: boolean;
}

export class Explorer {
  readonly #ledger = new Ledger();
  readonly #kernel = new WatchedKernel(this.#ledger);
  readonly #machine: Machine;
  /** Of each thread; the first is who sets up and checks. */
  readonly #actors: Actor[] = [];
  readonly #loads: ((path: string) => Record<string, unknown>)[] = [];

  constructor(modules: Modules) {
    this.#machine = new Machine(modules, new Disk(), this.#kernel, watchedGlobals(this.#kernel));
  }

  /** Switches a breakage on that was built into the modules; undefined: none. */
  set broken(name: string | undefined) {
    this.#kernel.breakage = name ?? "";
  }

  /** Explores the case of the module `path` that is called `name`. */
  run(path: string, name: string, bounds: Bounds = {}): Outcome {
    SimulatedPromise.kernel = this.#kernel;
    const cases = (thread: number) => (this.#load(thread)(path)[name]) as Case;
    const actors = (thread: number) => this.#actor(thread);
    const exploration = new Exploration(this.#kernel, this.#ledger, cases, actors);
    const { preemptionsMax = Infinity } = bounds;
    for (let few = 0; few < Math.min(FEW, preemptionsMax); few++) {
      const found = exploration.explore(few);
      if (found.failure !== undefined) return found;
    }
    const found = exploration.explore(preemptionsMax);
    const most = found.failure?.preemptions ?? 0;
    for (let fewer = FEW; fewer < most; fewer++) {
      const sooner = exploration.explore(fewer);
      if (sooner.failure !== undefined) return sooner;
    }
    return found;
  }

  #actor(thread: number): Actor {
    return this.#actors[thread] ??= {
      note: (value) => this.#ledger.note(value),
      checksum: this.#machine.checksum(),
    };
  }

  /** Every thread has the modules to itself. */
  #load(thread: number): (path: string) => Record<string, unknown> {
    while (this.#loads.length <= thread) {
      const helper = this.#machine.spawn("loader", (load) => void this.#loads.push(load));
      this.#kernel.running = helper;
      helper.loop.next();
      this.#kernel.kill(helper);
    }
    return this.#loads[thread];
  }
}

class Exploration {
  readonly #kernel: WatchedKernel;
  readonly #ledger: Ledger;
  readonly #case: Case;
  readonly #shared: unknown;
  /** The case as each thread knows it. */
  readonly #own: readonly Case[];
  readonly #state: readonly Int32Array[];
  readonly #plain: readonly { array: Int32Array; content: Int32Array }[];
  readonly #actor: Actor;
  readonly #actors: readonly Actor[];
  #threads: (Thread | undefined)[] = [];
  #spins: boolean[] = [];
  #killed = -1;
  /** Who ran last. */
  #last = -1;
  /** With how few preemptions each state was come to. */
  #visited = new Map<number, number>();
  readonly #hash = new Hash();
  #executions = 0;
  #depth = 0;

  constructor(
    kernel: WatchedKernel,
    ledger: Ledger,
    cases: (thread: number) => Case,
    actors: (thread: number) => Actor,
  ) {
    this.#kernel = kernel;
    this.#ledger = ledger;
    this.#actor = actors(0);
    this.#actors = cases(0).threads.map((_, i) => actors(i + 1));
    ledger.restore();
    const { threads } = this.#case = cases(0);
    this.#own = threads.map((_, i) => cases(i + 1));
    this.#shared = kernel.settle(this.#case.setup(this.#actor));
    nameBuffers(ledger, this.#shared, "");
    const { state, rest } = kernel.settle(this.#case.plain(this.#shared)) as ReturnType<
      Case["plain"]
    >;
    this.#state = state;
    this.#plain = [...state, ...rest].map((array) => ({ array, content: array.slice() }));
    ledger.begin(threads.length);
  }

  explore(preemptionsMax: number): Outcome {
    for (;;) {
      this.#visited = new Map();
      this.#executions = this.#depth = 0;
      this.#ledger.grown = false;
      const failure = this.#search(preemptionsMax);
      if (failure === undefined && this.#ledger.grown) continue;
      const states = this.#visited.size;
      return { states, executions: this.#executions, depth: this.#depth, failure };
    }
  }

  #search(preemptionsMax: number): Failure | undefined {
    const stack: Node[] = [];
    for (;;) {
      this.#executions++;
      try {
        this.#begin();
        this.#replay(stack);
        this.#goOn(stack, preemptionsMax);
      } catch (error) {
        if (error instanceof TypeError) throw error;
        const { preemptions, schedule } = this.#tell(stack);
        return { error, preemptions, schedule };
      }
      this.#depth = Math.max(this.#depth, stack.length);
      while (
        stack.length > 0 && stack[stack.length - 1].at + 1 >= affordable(stack, preemptionsMax)
      ) {
        stack.pop();
      }
      if (stack.length === 0) return undefined;
      stack[stack.length - 1].at++;
    }
  }

  #begin(): void {
    const { threads } = this.#case;
    this.#ledger.restore();
    for (const { array, content } of this.#plain) array.set(content);
    this.#kernel.reset();
    this.#killed = this.#last = -1;
    this.#threads = threads.map(({ buries }, i) =>
      buries === undefined ? this.#spawn(i) : undefined
    );
    this.#spins = threads.map(() => false);
  }

  #spawn(i: number): Thread {
    const { name } = this.#case.threads[i];
    return this.#kernel.spawn(
      name,
      () => this.#own[i].threads[i].run(this.#shared, this.#actors[i]),
    );
  }

  /** Does again what the nodes but the last say; what the last says is new. */
  #replay(stack: readonly Node[]): void {
    for (let i = 0; i < stack.length; i++) {
      const { choices, at } = stack[i];
      const choice = choices[at];
      if (i === stack.length - 1) {
        stack[i].operations = this.#do(choice, 1);
        return;
      }
      // What one thread does in a row is done at once.
      let { operations } = stack[i];
      while (operations !== Infinity && i + 2 < stack.length) {
        const next = stack[i + 1];
        if (next.choices[next.at] !== choice) break;
        operations += next.operations;
        i++;
      }
      this.#do(choice, operations);
    }
  }

  /** Goes on with the first choices until the end, or until a state that is known. */
  #goOn(stack: Node[], preemptionsMax: number): void {
    for (;;) {
      const last = stack[stack.length - 1];
      const preemptions = last === undefined
        ? 0
        : last.preemptions + (last.preempts && last.at > 0 ? 1 : 0);
      const { choices, preempts } = this.#choices();
      if (choices.every((one) => one < 0)) {
        if (!this.#isOver()) throw new Broken(`sleep for ever: ${this.#sleepers()}`);
        this.#check();
        return;
      }
      const key = this.#key(preemptionsMax !== Infinity);
      const known = this.#visited.get(key);
      if (known !== undefined && (preemptionsMax === Infinity || known <= preemptions)) return;
      if (this.#visited.size > STATES_MAX) {
        throw new Broken(`more than ${STATES_MAX} states: the case is too large`);
      }
      this.#visited.set(key, preemptions);
      if (stack.length >= CHOICES_MAX) throw new Broken(`hangs: more than ${CHOICES_MAX} choices`);
      const node: Node = { choices, at: 0, operations: 0, preemptions, preempts };
      stack.push(node);
      node.operations = this.#do(choices[0], 1);
    }
  }

  /**
   * Who can go on: threads, whoever ran last first, and then, as ~thread, who can be killed. `preempts`: whoever
   * ran last could go on.
   */
  #choices(): { choices: number[]; preempts: boolean } {
    const choices: number[] = [];
    const spinning: number[] = [];
    this.#threads.forEach((thread, i) => {
      if (this.#hasEnded(i) || thread === undefined) return;
      if (thread.block !== undefined && !thread.block.woken) return;
      if (this.#spins[i] && !this.#ledger.hasNews(i)) spinning.push(i);
      else choices.push(i);
    });
    if (choices.length === 0) choices.push(...spinning);
    const at = choices.indexOf(this.#last);
    if (at > 0) {
      choices.splice(at, 1);
      choices.unshift(this.#last);
    }
    const preempts = at >= 0 && !this.#spins[this.#last];
    if (this.#killed < 0) {
      this.#case.threads.forEach(({ mortal }, i) => {
        if (mortal === true && !this.#hasEnded(i)) choices.push(~i);
      });
    }
    return { choices, preempts };
  }

  #hasEnded(i: number): boolean {
    return i === this.#killed || this.#threads[i]?.ended.isSettled === true;
  }

  /** Whether nothing is left to be done; who buries has nothing to do while the other lives. */
  #isOver(): boolean {
    return this.#threads.every((thread, i) => thread === undefined || this.#hasEnded(i));
  }

  #sleepers(): string {
    const names = this.#case.threads.map(({ name }) => name);
    return names.filter((_, i) => this.#threads[i] !== undefined && !this.#hasEnded(i)).join(", ");
  }

  /** Runs a thread for so many operations and then on to the next visible one; how many it did. */
  #do(choice: number, operations: number): number {
    if (choice < 0) {
      this.#kill(~choice);
      return Infinity;
    }
    const kernel = this.#kernel;
    const ledger = this.#ledger;
    const thread = this.#threads[choice]!;
    this.#last = ledger.actor = choice;
    kernel.running = thread;
    const from = ledger.trace?.length ?? 0;
    let done = 0;
    let stopped = false;
    ledger.visible = false;
    // Of a thread that begins or goes on after a pause, what it looked at before is old.
    if (this.#spins[choice]) ledger.histories[choice].looked.clear();
    this.#spins[choice] = false;
    do {
      thread.block = undefined;
      kernel.left = operations === Infinity ? 2 ** 30 : Math.max(operations - done, 1) - 1;
      kernel.spins = false;
      const left = kernel.left;
      const { value } = thread.loop.next();
      if (value !== undefined) thread.block = value as Thread["block"];
      done += left - kernel.left;
      if (operations === 1 && done > OPERATIONS_MAX) {
        throw new Broken(`${thread.name} does not end`);
      }
      stopped = value !== undefined || kernel.spins || thread.ended.isSettled;
    } while (!stopped && !ledger.visible);
    if (!stopped && operations > 1 && done !== operations) {
      throw new TypeError(`${thread.name} did not do again what it had done`);
    }
    if (kernel.spins) this.#spins[choice] = true;
    ledger.actor = -1;
    if (ledger.trace !== undefined) {
      for (let i = from; i < ledger.trace.length; i++) {
        ledger.trace[i] = `${thread.name}: ${ledger.trace[i]}`;
      }
      if (thread.ended.isSettled) ledger.trace.push(`${thread.name} has ended`);
      else if (thread.block !== undefined) ledger.trace.push(`${thread.name} sleeps`);
    }
    const { error } = thread.ended;
    if (error !== undefined) throw error;
    return stopped ? Infinity : done;
  }

  #kill(victim: number): void {
    this.#kernel.kill(this.#threads[victim]!);
    this.#killed = victim;
    const { name } = this.#case.threads[victim];
    this.#ledger.trace?.push(`${name} is killed`);
    this.#case.threads.forEach(({ buries }, i) => {
      if (buries === name) this.#threads[i] = this.#spawn(i);
    });
  }

  /** What the state is, as a number. */
  #key(withLast: boolean): number {
    const hash = this.#hash;
    hash.reset();
    this.#ledger.mixInto(hash);
    for (const array of this.#state) {
      for (let i = 0; i < array.length; i++) hash.mix(array[i]);
    }
    for (let i = 0; i < this.#threads.length; i++) {
      const thread = this.#threads[i];
      const { seen, said } = this.#ledger.histories[i];
      if (thread === undefined) {
        hash.mix(1);
        continue;
      }
      const ended = this.#hasEnded(i);
      const asleep = thread.block !== undefined && !thread.block.woken;
      hash.mix(ended ? i === this.#killed ? 2 : 3 : asleep ? 4 : this.#spins[i] ? 5 : 6);
      const { a, b } = ended ? said : seen;
      hash.mix(a);
      hash.mix(b);
    }
    if (withLast) hash.mix(this.#last);
    return hash.key;
  }

  #check(): void {
    const said: Record<string, readonly unknown[]> = {};
    this.#case.threads.forEach(({ name }, i) => said[name] = this.#ledger.histories[i].notes);
    this.#kernel.running = this.#threads[0]!;
    this.#kernel.settle(this.#case.check(this.#shared, said, this.#actor) as unknown as Running);
  }

  /** The run that has just failed, once more and with all that is done. */
  #tell(stack: readonly Node[]): { preemptions: number; schedule: string[] } {
    const trace: string[] = this.#ledger.trace = [];
    try {
      this.#begin();
      for (const { choices, at, operations } of stack) this.#do(choices[at], operations || 1);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      trace.push(error.message);
    } finally {
      this.#ledger.trace = undefined;
    }
    const preemptions = stack.filter(({ preempts, at }) => preempts && at > 0).length;
    return { preemptions, schedule: trace };
  }
}

/** How many of the last node's choices may be tried. */
function affordable(stack: readonly Node[], preemptionsMax: number): number {
  const { choices, preemptions, preempts } = stack[stack.length - 1];
  return preempts && preemptions >= preemptionsMax ? 1 : choices.length;
}

/** Names shared memory by the path to it. */
function nameBuffers(ledger: Ledger, value: unknown, path: string): void {
  if (value instanceof SharedArrayBuffer) ledger.name(value, path);
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
  for (const [key, inner] of Object.entries(value)) {
    nameBuffers(ledger, inner, path === "" ? key : `${path}.${key}`);
  }
}
