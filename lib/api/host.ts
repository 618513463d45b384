/**
 * What the thread that opened a database does for all others: start workers when they are wanted,
 * release what dead threads held, end everything at close.
 *
 * Invariants: nothing here keeps the process alive; a worker that ends while the database is open
 * turns it to failed; what a dead thread held is released by name and only once its end is certain.
 *
 * @module
 */

import { FLAG_FIRST, FLAG_LAST, REQUEST_CREATE } from "../engine/requests.ts";
import type { ThreadMemory } from "../engine/thread_memory.ts";
import { ManifoldError } from "../errors.ts";
import {
  DEATHS,
  EXTENT_LOCK,
  FAMILY_LOCK,
  HOST_WAKE,
  LOG_LOCK,
  NEXT_FAMILY_ID,
  PUBLISH_LOCK,
} from "../memory/control.ts";
import { CLOSED, databaseState, fail, FAILED } from "../memory/database_state.ts";
import { FAMILY_CREATING } from "../memory/family_slots.ts";
import { Pins } from "../memory/pins.ts";
import { SpinLock } from "../memory/spin_lock.ts";
import { buryThread, markDead, takeDescriptor, watchedThread } from "../memory/threads.ts";
import { bumpAndWake } from "../memory/waiting.ts";
import { releaseWatchersOf } from "../memory/watchers.ts";
import {
  wakeAllWorkers,
  wakeWorker,
  wantWorker,
  WORKER_WANTED,
  workerState,
} from "../memory/worker_table.ts";
import { runtime } from "../runtime/runtime.ts";
import type { HostThreads } from "../runtime/threads.ts";
import { spawnWorker, type WorkerHandle } from "../runtime/workers.ts";
import type { SpawnWorker } from "./open_options.ts";
import type { WorkerData } from "../../workers/worker_data.ts";

/** The module that workers run; beside this one whatever it is called after transpilation. */
const ENTRY = new URL(
  import.meta.url.endsWith(".js") ? "../../workers/entry.js" : "../../workers/entry.ts",
  import.meta.url,
);

/** The number of a request whose answer nobody waits for. */
const NOBODYS_REQUEST = 0x7fffffff;

export class Host {
  readonly #memory: ThreadMemory;
  readonly #threads: HostThreads;
  readonly #data: Omit<WorkerData, "role" | "worker" | "recover">;
  readonly #spawn: SpawnWorker;
  readonly #workers: WorkerHandle[] = [];
  readonly #started = new Set<number>();
  /** Threads that are known to be dead and hold something yet, by what the watch calls them. */
  readonly #dying = new Map<number, number>();
  #keeperStarted = false;
  #running = 0;
  #allEnded: (() => void) | undefined;
  #stopped = false;

  constructor(
    memory: ThreadMemory,
    threads: HostThreads,
    data: Omit<WorkerData, "role" | "worker" | "recover">,
    spawn: SpawnWorker = spawnWorker,
  ) {
    this.#memory = memory;
    this.#threads = threads;
    this.#data = data;
    this.#spawn = spawn;
    threads.onGone((slot) => this.#release(slot));
    this.#watch();
  }

  /** Starts the keeper; with `recover`, it applies the log first. */
  startKeeper(recover: boolean): void {
    if (this.#keeperStarted || this.#data.memoryFile !== undefined) return;
    this.#keeperStarted = true;
    this.#start({ ...this.#data, role: "keeper", worker: -1, recover });
  }

  /** Starts the keeper to apply the log, and the workers that will most likely have a part in it. */
  startRecovery(families: number): void {
    const { control, rings } = this.#memory;
    this.startKeeper(true);
    // Of a file that has none the log makes the first: starting a worker takes longer than looking through the log.
    if (families === 0) {
      wantWorker(control, Atomics.load(control.words, NEXT_FAMILY_ID) % rings.length);
    }
    for (let worker = 0; worker < Math.min(families, rings.length); worker++) {
      wantWorker(control, worker);
    }
    this.startWanted();
  }

  /** Whether anything was ever written in this opening. */
  get keeperStarted(): boolean {
    return this.#keeperStarted;
  }

  /** Sleeps until someone wants a worker; again and again, without keeping the process alive. */
  async #watch(): Promise<void> {
    const { words } = this.#memory.control;
    while (!this.#stopped) {
      const seen = Atomics.load(words, HOST_WAKE);
      const state = databaseState(this.#memory.control);
      if (state !== FAILED && state !== CLOSED) this.startWanted();
      const wait = Atomics.waitAsync(words, HOST_WAKE, seen);
      if (wait.async) await wait.value;
    }
  }

  /** Starts the workers that somebody wants. */
  startWanted(): void {
    const { control, rings } = this.#memory;
    for (let worker = 0; worker < rings.length; worker++) {
      if (workerState(control, worker) !== WORKER_WANTED || this.#started.has(worker)) continue;
      this.#started.add(worker);
      this.startKeeper(false);
      this.#start({ ...this.#data, role: "writer", worker, recover: false });
    }
  }

  #start(data: WorkerData): void {
    const { control } = this.#memory;
    let handle: WorkerHandle;
    try {
      handle = this.#spawn(ENTRY, data);
    } catch (error) {
      fail(control, error);
      return;
    }
    this.#workers.push(handle);
    this.#running++;
    handle.onError((cause) => {
      fail(
        control,
        new ManifoldError("failed", `the ${data.role} of ${data.path} ended: ${text(cause)}`),
      );
    });
    handle.onExit(() => {
      this.#running--;
      const state = databaseState(control);
      if (state !== CLOSED && state !== FAILED && !this.#stopped) {
        fail(control, new ManifoldError("failed", `a ${data.role} of ${data.path} ended early`));
      }
      if (this.#running === 0) this.#allEnded?.();
    });
    handle.unref();
  }

  /** Resolves when all workers have ended; at the latest after `timeoutMs`, when they are terminated. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopped = true;
    const { control } = this.#memory;
    wakeAllWorkers(control);
    bumpAndWake(control.words, HOST_WAKE);
    if (this.#running > 0) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await Promise.race([
        new Promise<void>((resolve) => this.#allEnded = resolve),
        new Promise<void>((resolve) => timer = setTimeout(resolve, timeoutMs)),
      ]);
      clearTimeout(timer);
    }
    if (this.#running > 0) {
      await Promise.all(this.#workers.map((worker) => worker.terminate().catch(() => {})));
    }
    this.#threads.close();
  }

  /**
   * An attached thread is dead: everything that names it is given back. False if that has to wait for
   * a lock of another one, which may be dead as well.
   */
  #release(liveness: number): boolean {
    const { control, thread: me, rings, frames } = this.#memory;
    const dead = this.#dying.get(liveness) ?? watchedThread(control, liveness);
    if (dead < 0) return true;
    if (!this.#dying.has(liveness) && !markDead(control, dead)) return true;
    this.#dying.set(liveness, dead);
    for (const lock of [PUBLISH_LOCK, LOG_LOCK, EXTENT_LOCK, FAMILY_LOCK]) {
      new SpinLock(control.words, lock).releaseOf(dead);
    }
    for (const ring of rings) if (!ring.releaseOf(dead, me)) return false;
    if (!this.#finishCreations()) return false;
    this.#dying.delete(liveness);
    Pins.releaseOf(control, dead);
    releaseWatchersOf(control, dead);
    frames.releaseOf(dead);
    const descriptor = takeDescriptor(control, dead);
    if (descriptor >= 0) runtime.closeDescriptor(descriptor);
    buryThread(control, dead);
    bumpAndWake(control.words, DEATHS);
    wakeAllWorkers(control);
    // It may have died after it had asked for a worker, and before it said so.
    bumpAndWake(control.words, HOST_WAKE);
    return true;
  }

  /**
   * A family that the dead thread was about to make has its name taken, and perhaps nobody asks its
   * worker any more: we do. A worker that was asked before ignores it.
   */
  #finishCreations(): boolean {
    const { control, thread, session, rings, slots } = this.#memory;
    for (const slot of slots.used()) {
      if (slots.state(slot) !== FAMILY_CREATING) continue;
      const worker = slots.worker(slot);
      const name = new TextEncoder().encode(slots.name(slot));
      const header = {
        thread,
        session,
        request: NOBODYS_REQUEST,
        kind: REQUEST_CREATE,
        flags: FLAG_FIRST | FLAG_LAST,
        slot,
        family: slots.id(slot),
        payloadBytes: name.length,
        argument: 0,
      };
      if (!rings[worker].push(header, name)) return false;
      wantWorker(control, worker);
      wakeWorker(control, worker);
    }
    return true;
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
