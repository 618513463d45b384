/**
 * A database whose workers run in the test's own thread: the same loops as in their threads
 * (workers/), one step after the other, in an order that is the same each time. Where a loop would sleep,
 * the others go on.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import type { SpawnWorker } from "../../mod.ts";
import { Control } from "../../lib/memory/control.ts";
import { CLOSED, databaseState, fail } from "../../lib/memory/database_state.ts";
import { workerWakeIndex } from "../../lib/memory/worker_table.ts";
import { KeeperLoop } from "../../workers/keeper_worker.ts";
import { joinMemory, type WorkerData } from "../../workers/worker_data.ts";
import { WriterLoop } from "../../workers/writer_worker.ts";

type Handle = ReturnType<SpawnWorker>;

/** The roles of the workers that are at work, the one that is waited for first last. */
type Roles = WorkerData["role"][];

class LocalWorker implements Handle {
  readonly #data: WorkerData;
  readonly #roles: Roles;
  readonly #control: Control;
  #loop: KeeperLoop | WriterLoop | undefined;
  #exit: (code: number) => void = () => {};
  /** Whether one of its steps is on the stack. */
  running = false;
  ended = false;

  constructor(data: WorkerData, roles: Roles) {
    this.#data = data;
    this.#roles = roles;
    this.#control = new Control(data.shared.control);
    joinMemory(data).then((memory) => {
      if (this.ended) return;
      this.#loop = data.role === "keeper"
        ? new KeeperLoop(data, memory)
        : new WriterLoop(data, memory);
    }).catch((error) => this.#end(error));
  }

  /** As entry.ts does. */
  #end(error?: unknown): void {
    if (this.ended) return;
    this.ended = true;
    if (error !== undefined && databaseState(this.#control) !== CLOSED) fail(this.#control, error);
    this.#loop?.close();
    this.#loop = undefined;
    queueMicrotask(() => this.#exit(0));
  }

  step(): void {
    const loop = this.#loop;
    if (loop === undefined) return;
    this.#roles.push(this.#data.role);
    try {
      this.#work(loop);
    } finally {
      this.#roles.pop();
    }
  }

  #work(loop: KeeperLoop | WriterLoop): void {
    if (this.running) {
      // It sleeps: this is what it does each time when it wakes up.
      if (loop instanceof WriterLoop) loop.handOver();
      return;
    }
    this.running = true;
    try {
      const ms = loop instanceof WriterLoop
        ? loop.step(Atomics.load(this.#control.words, workerWakeIndex(this.#data.worker)))
        : loop.step();
      if (ms < 0) this.#end();
    } catch (error) {
      this.#end(error);
    } finally {
      this.running = false;
    }
  }

  onError(): void {}

  onExit(callback: (code: number) => void): void {
    this.#exit = callback;
  }

  unref(): void {}

  terminate(): Promise<void> {
    this.#end();
    return Promise.resolve();
  }
}

/** Drives the workers of the databases that are opened with its {@linkcode OneThread.spawn}. */
export class OneThread implements Disposable {
  readonly #workers: LocalWorker[] = [];
  readonly #roles: Roles = [];
  readonly #wait = Atomics.wait;
  #disposed = false;

  constructor() {
    // The loops sleep by Atomics.wait and by nothing else (lib/memory/waiting.ts).
    Atomics.wait = (() => {
      this.#stepAll();
      return "timed-out";
    }) as typeof Atomics.wait;
    this.#turn();
  }

  /** For the option `spawnWorker`. */
  readonly spawn: SpawnWorker = (_url, data) => {
    const worker = new LocalWorker(data as WorkerData, this.#roles);
    this.#workers.push(worker);
    return worker;
  };

  /** The role of the worker that is at work; undefined: the caller's own code is. */
  get role(): WorkerData["role"] | undefined {
    return this.#roles.at(-1);
  }

  #turn(): void {
    if (this.#disposed) return;
    this.#stepAll();
    setImmediate(() => this.#turn());
  }

  #stepAll(): void {
    for (const worker of this.#workers) worker.step();
    for (let i = this.#workers.length - 1; i >= 0; i--) {
      if (this.#workers[i].ended && !this.#workers[i].running) this.#workers.splice(i, 1);
    }
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    Atomics.wait = this.#wait;
  }
}
