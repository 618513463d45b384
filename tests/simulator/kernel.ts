/**
 * Time, threads and turns: what runs when. One real thread plays all simulated ones; each is a
 * generator that comes back here at every place where the system could have switched.
 *
 * Invariants: nothing depends on anything but the choices of the {@linkcode Chooser}; a thread that
 * is dead or belongs to an ended process never runs again.
 *
 * @module
 */

import { SimulatedPromise } from "./promises.ts";

/** Who decides: a seeded generator of numbers, or an exhaustive search. */
export interface Chooser {
  /** A whole number from 0 to, not including, `count`. */
  below(count: number): number;
  /** Operations on shared memory that the chosen thread does before the next choice. */
  burst(): number;
  /** Whether something of probability `chance` happens. */
  chance(chance: number): boolean;
  /** How long `thread`, which ran, is not to run again though it could, ms: the system has held it up. */
  stall(thread: Thread): number;
}

/** What turned code hands out when it pauses: nothing (others may run), or why it cannot go on. */
type Pause = undefined | Block | Awaiting;
export type Running = Generator<Pause, unknown, unknown>;

/** Asleep until woken or until `deadline`, ms of simulated time. */
export interface Block {
  readonly deadline: number;
  woken: boolean;
}

class Awaiting {
  constructor(readonly value: unknown) {}
}

/** One run of an `async` function, or of a reaction to a promise. */
interface Task {
  readonly body: Running;
  readonly promise: SimulatedPromise<unknown>;
  readonly context: unknown;
  value: unknown;
  failed: boolean;
}

/** A simulated thread with its event loop. */
export class Thread {
  dead = false;
  readonly ready: Task[] = [];
  /** Changes when its event loop begins a task and when it comes back to it. */
  turn = 0;
  /** The task that is running. */
  current: Task | undefined;
  /** Why it does not run. */
  block: Block | undefined;
  readonly loop: Running;
  /** Settled when the function that the thread was made for has ended. */
  ended!: SimulatedPromise<unknown>;

  constructor(readonly name: string, readonly kernel: Kernel) {
    this.loop = this.#run();
  }

  /** Starts a function in this thread, as a message from outside would. */
  start(work: () => unknown): SimulatedPromise<unknown> {
    const task = this.#task(call(work), this.current?.context);
    this.#schedule(task);
    return task.promise;
  }

  #task(body: Running, context: unknown): Task {
    return {
      body,
      promise: new SimulatedPromise(),
      context,
      value: undefined,
      failed: false,
    };
  }

  #schedule(task: Task): void {
    this.ready.push(task);
    if (this.block !== undefined && this.block === this.#idle) this.block.woken = true;
  }

  #idle: Block | undefined;

  *#run(): Running {
    for (;;) {
      const task = this.ready.shift();
      if (task !== undefined) {
        this.turn++;
        yield* this.#go(task);
        this.turn++;
        continue;
      }
      this.#idle = { deadline: Infinity, woken: false };
      yield this.#idle;
      this.#idle = undefined;
    }
  }

  /** Runs a task until it ends or awaits. */
  *#go(task: Task): Running {
    const before = this.current;
    for (;;) {
      this.current = task;
      let step: IteratorResult<Pause, unknown>;
      try {
        const { value, failed } = task;
        task.failed = false;
        step = failed ? task.body.throw(value) : task.body.next(value);
      } catch (error) {
        this.current = before;
        task.promise.reject(error);
        return;
      }
      if (step.done) {
        this.current = before;
        task.promise.resolve(step.value);
        return;
      }
      if (step.value instanceof Awaiting) {
        this.current = before;
        this.#await(task, step.value.value);
        return;
      }
      yield step.value;
      task.value = undefined;
    }
  }

  #await(task: Task, value: unknown): void {
    if (value instanceof Promise) throw new Error("the simulation met a real promise");
    SimulatedPromise.of(value).react((failed, settled) => {
      task.failed = failed;
      task.value = settled;
      this.#schedule(task);
    });
  }

  /** An `async` function: runs until its first `await`. */
  *async(body: Running): Generator<Pause, SimulatedPromise<unknown>, unknown> {
    const task = this.#task(body, this.current?.context);
    yield* this.#go(task);
    return task.promise;
  }

  /** Calls `fn` with `context` as what `context()` gives in it, also behind its awaits. */
  *within(context: unknown, fn: () => unknown): Running {
    const task = this.current!;
    const inner: Task = { ...task, context };
    this.current = inner;
    try {
      const body = call(fn);
      for (;;) {
        const step = body.next();
        if (step.done) return step.value;
        this.current = task;
        yield step.value;
        this.current = inner;
      }
    } finally {
      this.current = task;
    }
  }
}

const GeneratorLike = function () {} as unknown as { new (): Running };
Object.defineProperty(GeneratorLike, "prototype", {
  value: Object.getPrototypeOf(function* () {}).prototype,
});

/** Calls a function whether it is turned or not. */
export function* call(work: () => unknown): Running {
  const result = work();
  return result instanceof GeneratorLike ? yield* result : result;
}

type Callback = (item: unknown, index: number) => unknown;

interface Waiter {
  readonly thread: Thread;
  readonly block: Block | undefined;
  readonly settle: ((how: string) => void) | undefined;
}

interface Timer {
  readonly thread: Thread;
  readonly at: number;
  readonly work: () => unknown;
}

/** Thrown out of {@linkcode Kernel.run} when nothing can ever go on. */
export class Deadlock extends Error {}

/** How long a burst of operations takes, ms. */
const STEP_MS = 0.0005;
/** Errors that a report shows. */
const ERRORS_KEPT = 12;
/** A plain function that waits is a mistake; it may look this often. */
const PLAIN_STEPS_MAX = 1e6;

/** What turned code knows as `$s`. */
export class Kernel {
  /** Operations before the next choice; turned code counts it down. */
  left = 0;
  /** Which of the breakages (breakages.ts) is on. */
  breakage = "";
  /** What the last operation on shared memory gave. */
  seen: unknown;
  /** Simulated time, ms. */
  now = 0;
  chooser!: Chooser;
  threads: Thread[] = [];
  /** The thread that runs. */
  running!: Thread;
  /** Choices made so far. */
  steps = 0;
  /** Rejections that nobody has looked at, and when they came. */
  readonly #unhandled = new Map<SimulatedPromise<unknown>, { thread: Thread; turn: number }>();
  #waiters = new Map<ArrayBufferLike, Map<number, Waiter[]>>();
  #timers: Timer[] = [];
  #timed: { deadline: number; waiter: Waiter }[] = [];

  /** Everything that ran is gone: a new process begins. */
  reset(): void {
    for (const thread of this.threads) thread.dead = true;
    this.threads = [];
    this.#waiters.clear();
    this.#timers = [];
    this.#timed = [];
    this.#unhandled.clear();
    this.left = 0;
  }

  spawn(name: string, work: () => unknown): Thread {
    const thread = new Thread(name, this);
    thread.ended = thread.start(work);
    this.threads.push(thread);
    return thread;
  }

  kill(thread: Thread): void {
    thread.dead = true;
    this.threads = this.threads.filter((one) => one !== thread);
  }

  /** Runs until `isOver`, which is asked at every choice. */
  run(isOver: () => boolean): void {
    const runnable: Thread[] = [];
    while (!isOver()) {
      this.steps++;
      this.#expire();
      runnable.length = 0;
      for (const thread of this.threads) {
        if (thread.block === undefined || thread.block.woken) runnable.push(thread);
      }
      if (runnable.length === 0) {
        this.#advance();
        continue;
      }
      const thread = runnable[runnable.length === 1 ? 0 : this.chooser.below(runnable.length)];
      this.left = this.chooser.burst();
      this.now += STEP_MS;
      thread.block = undefined;
      this.running = thread;
      const { value } = thread.loop.next();
      if (value !== undefined) {
        thread.block = value as Block;
        continue;
      }
      const ms = this.chooser.stall(thread);
      if (ms > 0) thread.block = { deadline: this.now + ms, woken: false };
    }
  }

  /** Nobody can run: the next deadline comes. */
  #advance(): void {
    let next = Infinity;
    for (const { block } of this.threads) next = Math.min(next, block?.deadline ?? Infinity);
    for (const { deadline } of this.#timed) next = Math.min(next, deadline);
    for (const { at } of this.#timers) next = Math.min(next, at);
    if (next === Infinity) {
      throw new Deadlock(
        `nothing can go on: ${this.threads.map((one) => one.name).join(", ")} sleep for ever`,
      );
    }
    this.now = Math.max(this.now, next);
  }

  #expire(): void {
    const { now } = this;
    for (const { block } of this.threads) {
      if (block !== undefined && block.deadline <= now) block.woken = true;
    }
    if (this.#timed.length > 0) {
      this.#timed = this.#timed.filter(({ deadline, waiter }) => {
        if (deadline > now) return true;
        this.#forget(waiter);
        waiter.settle?.("timed-out");
        return false;
      });
    }
    if (this.#timers.length > 0) {
      const due = this.#timers.filter(({ at }) => at <= now);
      if (due.length > 0) {
        this.#timers = this.#timers.filter(({ at }) => at > now);
        for (const { thread, work } of due) if (!thread.dead) thread.start(work);
      }
    }
  }

  #forget(waiter: Waiter): void {
    for (const byIndex of this.#waiters.values()) {
      for (const list of byIndex.values()) {
        const at = list.indexOf(waiter);
        if (at >= 0) list.splice(at, 1);
      }
    }
  }

  #waitersOf(words: Int32Array, index: number): Waiter[] {
    let byIndex = this.#waiters.get(words.buffer);
    if (byIndex === undefined) this.#waiters.set(words.buffer, byIndex = new Map());
    const at = words.byteOffset / 4 + index;
    let list = byIndex.get(at);
    if (list === undefined) byIndex.set(at, list = []);
    return list;
  }

  rejected(promise: SimulatedPromise<unknown>): void {
    const thread = this.running;
    this.#unhandled.set(promise, { thread, turn: thread.turn });
  }

  lookedAt(promise: SimulatedPromise<unknown>): void {
    this.#unhandled.delete(promise);
  }

  /** A rejection that nobody has looked at, though the task that it came in is over. */
  get unhandled(): SimulatedPromise<unknown> | undefined {
    for (const [promise, { thread, turn }] of this.#unhandled) {
      if (!thread.dead && thread.turn !== turn) return promise;
    }
    return undefined;
  }

  /** The last errors that were made, newest last. */
  readonly errors: { thread: string; error: unknown }[] = [];

  met(error: unknown): void {
    this.errors.push({ thread: this.running?.name ?? "", error });
    if (this.errors.length > ERRORS_KEPT) this.errors.shift();
  }

  // What turned code calls.

  isPaused(value: unknown): value is Running {
    return value instanceof GeneratorLike;
  }

  /** Runs something through that cannot be interrupted. */
  settle(value: unknown): unknown {
    if (!(value instanceof GeneratorLike)) return value;
    for (let i = 0; i < PLAIN_STEPS_MAX; i++) {
      const { done, value: result } = (value as Running).next();
      if (done) return result;
      if (result !== undefined) break;
    }
    throw new Error("code that the language calls had to wait");
  }

  awaiting(value: unknown): unknown {
    return new Awaiting(value);
  }

  async(body: Running): Running {
    return this.running.async(body);
  }

  *promise(
    executor: (resolve: (value: unknown) => void, reject: (error: unknown) => void) => unknown,
  ): Running {
    const promise = new SimulatedPromise<unknown>();
    const { resolve, reject } = promise;
    yield* call(() => executor(resolve, reject));
    return promise;
  }

  // Methods of arrays whose callbacks may pause.

  *forEach(items: Iterable<unknown>, work: Callback): Running {
    let i = 0;
    for (const item of items) yield* call(() => work(item, i++));
    return undefined;
  }

  *map(items: Iterable<unknown>, work: Callback): Running {
    const results: unknown[] = [];
    for (const item of items) results.push(yield* call(() => work(item, results.length)));
    return results;
  }

  *filter(items: Iterable<unknown>, work: Callback): Running {
    const kept: unknown[] = [];
    let i = 0;
    for (const item of items) if (yield* call(() => work(item, i++))) kept.push(item);
    return kept;
  }

  *find(items: Iterable<unknown>, work: Callback): Running {
    let i = 0;
    for (const item of items) if (yield* call(() => work(item, i++))) return item;
    return undefined;
  }

  *some(items: Iterable<unknown>, work: Callback): Running {
    let i = 0;
    for (const item of items) if (yield* call(() => work(item, i++))) return true;
    return false;
  }

  *every(items: Iterable<unknown>, work: Callback): Running {
    let i = 0;
    for (const item of items) if (!(yield* call(() => work(item, i++)))) return false;
    return true;
  }

  *reduce(
    items: Iterable<unknown>,
    work: (sum: unknown, item: unknown) => unknown,
    sum: unknown,
  ): Running {
    for (const item of items) sum = yield* call(() => work(sum, item));
    return sum;
  }

  // The simulated globals.

  /** `Atomics.wait`. */
  *wait(words: Int32Array, index: number, value: number, timeoutMs = Infinity): Running {
    if (Atomics.load(words, index) !== value) return "not-equal";
    const block: Block = { deadline: this.now + timeoutMs, woken: false };
    const waiter: Waiter = { thread: this.running, block, settle: undefined };
    const list = this.#waitersOf(words, index);
    list.push(waiter);
    const { thread } = waiter;
    yield block;
    this.running = thread;
    const at = list.indexOf(waiter);
    if (at < 0) return "ok";
    list.splice(at, 1);
    return "timed-out";
  }

  waitAsync(
    words: Int32Array,
    index: number,
    value: number,
    timeoutMs = Infinity,
  ): { async: boolean; value: unknown } {
    if (Atomics.load(words, index) !== value) return { async: false, value: "not-equal" };
    const promise = new SimulatedPromise<unknown>();
    const waiter: Waiter = { thread: this.running, block: undefined, settle: promise.resolve };
    this.#waitersOf(words, index).push(waiter);
    if (timeoutMs !== Infinity) {
      this.#timed.push({ deadline: this.now + timeoutMs, waiter });
    }
    return { async: true, value: promise };
  }

  notify(words: Int32Array, index: number, count = Infinity): number {
    const list = this.#waitersOf(words, index);
    let woken = 0;
    while (list.length > 0 && woken < count) {
      const { block, settle, thread } = list.shift()!;
      if (thread.dead) continue;
      woken++;
      if (block !== undefined) block.woken = true;
      settle?.("ok");
    }
    return woken;
  }

  /** The thread lets others run, however long its burst. */
  *pause(): Running {
    this.left = 0;
    yield;
    return undefined;
  }

  /** Time passes for the thread that runs. */
  *sleep(ms: number): Running {
    yield { deadline: this.now + ms, woken: false };
    return undefined;
  }

  setTimeout(work: () => unknown, ms: number): Timer {
    const timer: Timer = { thread: this.running, at: this.now + ms, work };
    this.#timers.push(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.#timers = this.#timers.filter((one) => one !== timer);
  }
}
