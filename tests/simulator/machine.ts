/**
 * A simulated machine: one process of the database, its threads and what it asks of the system.
 *
 * Every thread has the modules to itself, as workers do; they are made once and used by one process
 * after the other.
 *
 * @module
 */

import { dirname } from "node:path";
import { Checksum } from "../../lib/storage/checksum.ts";
import { carveBytesMin, decodeUtf8 } from "../../lib/runtime/fast_bytes.ts";
import { VIEW_GARBAGE_BYTES } from "../../lib/runtime/garbage.ts";
import { type Modules, resolveImport } from "./build.ts";
import { Disk, type Inode } from "./disk.ts";
import { call, type Chooser, Kernel, type Running, type Thread } from "./kernel.ts";
import { SimulatedPromise } from "./promises.ts";

type Exports = Record<string, unknown>;
type ErrorClass = new (code: string, message: string, options?: ErrorOptions) => Error;

/** What a machine counts and what may go wrong on it. */
export interface Hooks {
  /** Before every call to the system; `what` names it: `write log`, `sync data`, … */
  onIo(what: string): void;
  /** Whether the call that `onIo` was told of last fails: no room for a write, or a failed sync. */
  fails(what: string): boolean;
  /** A thread of the database was started. */
  onSpawn?(thread: Thread, data: { role: string }): void;
}

/** Made once and for all: more of it can be made without waiting. */
const first = await Checksum.create();
const NewChecksum = first.constructor as { new (): Checksum };

/** Where the two meta pages end. */
const META_PAGES_BYTES = 8192;
/** The page size of all simulated databases. */
export const PAGE_BYTES = 4096;
/** Time that a sync takes, ms. */
const SYNC_MS = 0.3;

export class Machine {
  readonly kernel: Kernel;
  readonly disk: Disk;
  /** Instead of what turned code would find under these global names. */
  readonly globals: Record<string, unknown>;
  /** Time that one in four writes takes in the middle, ms. */
  slowWriteMs = 0.1;
  hooks: Hooks = { onIo: () => {}, fails: () => false };
  readonly #modules: Modules;
  readonly #free: Instance[] = [];
  readonly #used: Instance[] = [];
  #memories = new Map<string, WebAssembly.Memory[]>();
  #lent: { key: string; memory: WebAssembly.Memory }[] = [];
  readonly #checksums: Checksum[] = [];
  #checksumsUsed = 0;
  #random = 1;
  /** What joined threads are called, and who is to be told when they end. */
  readonly hosts = new Map<object, HostView>();

  constructor(
    modules: Modules,
    disk: Disk = new Disk(),
    kernel: Kernel = new Kernel(),
    globals: Record<string, unknown> = {},
  ) {
    this.#modules = modules;
    this.disk = disk;
    this.kernel = kernel;
    this.globals = globals;
    SimulatedPromise.kernel = this.kernel;
  }

  set chooser(chooser: Chooser) {
    this.kernel.chooser = chooser;
  }

  /** The process is gone with all its threads and memory. */
  endProcess(): void {
    this.kernel.reset();
    this.hosts.clear();
    this.#checksumsUsed = 0;
    this.#free.push(...this.#used.splice(0));
    for (const { key, memory } of this.#lent.splice(0)) {
      // Bytes of shared memory are filled one by one.
      new Float64Array(memory.buffer).fill(0);
      this.#memories.get(key)!.push(memory);
    }
  }

  /** A thread that runs the function `name` of the module `path` with what `given` makes. */
  spawn(
    name: string,
    work: (load: (path: string) => Exports) => unknown,
    data?: unknown,
  ): Thread {
    const instance = this.#free.pop() ?? new Instance(this, this.#modules);
    this.#used.push(instance);
    instance.data = data;
    return this.kernel.spawn(name, () => work((path) => instance.load(path)));
  }

  /** The seed of what the database draws at random. */
  seed(seed: number): void {
    this.#random = seed | 1;
  }

  randomByte(): number {
    this.#random = Math.imul(this.#random, 1664525) + 1013904223 | 0;
    return this.#random >>> 24;
  }

  /** A checksum of nobody else's: one that is begun may be interrupted by another thread's. */
  checksum(): Checksum {
    if (this.#checksums.length === this.#checksumsUsed) this.#checksums.push(new NewChecksum());
    return this.#checksums[this.#checksumsUsed++];
  }

  memory(descriptor: WebAssembly.MemoryDescriptor): WebAssembly.Memory {
    const key = JSON.stringify(descriptor);
    let free = this.#memories.get(key);
    if (free === undefined) this.#memories.set(key, free = []);
    const memory = free.pop() ?? new WebAssembly.Memory(descriptor);
    this.#lent.push({ key, memory });
    return memory;
  }
}

/** Which threads a host has to look after. */
interface HostView {
  readonly thread: Thread;
  readonly joined: Map<number, Thread>;
  onGone: (slot: number) => unknown;
  open: boolean;
}

/** One thread's modules. */
class Instance {
  data: unknown;
  readonly #machine: Machine;
  readonly #modules: Modules;
  readonly #exports = new Map<string, Exports>();
  readonly #globals: Record<string, unknown>;

  constructor(machine: Machine, modules: Modules) {
    this.#machine = machine;
    this.#modules = modules;
    this.#globals = globalsOf(machine);
  }

  load(path: string): Exports {
    const known = this.#exports.get(path);
    if (known !== undefined) return known;
    const exports: Exports = {};
    this.#exports.set(path, exports);
    const outside = this.#outside(path);
    if (outside !== undefined) return Object.assign(exports, outside);
    const source = this.#modules.get(path);
    if (source === undefined) throw new Error(`no module ${path} in the simulation`);
    const names = Object.keys(this.#globals);
    const body = new Function(
      "exports",
      "require",
      ...names,
      `${source}\n//# sourceURL=sim/${path}`,
    );
    const require = (specifier: string): Exports => this.load(resolveImport(path, specifier));
    body(exports, require, ...Object.values(this.#globals));
    return exports;
  }

  #outside(path: string): Exports | undefined {
    const machine = this.#machine;
    switch (path) {
      case "lib/runtime/runtime.ts":
        return { runtime: new SimulatedRuntime(machine, () => this.#errors()) };
      case "lib/runtime/threads.ts":
        return threadsOf(machine, () => this.#errors());
      case "lib/runtime/workers.ts":
        return workersOf(machine, () => this.data);
      case "lib/runtime/garbage.ts":
        return { VIEW_GARBAGE_BYTES, noteGarbage: () => {}, collectGarbage: () => {} };
      case "lib/runtime/keep_alive.ts":
        return { keepAlive: () => () => {} };
      case "lib/runtime/pause.ts":
        return pausesOf(machine);
      case "lib/runtime/polling.ts":
        // As if it were in vain: it changes nothing but time, and what has to wake the thread is what must be right.
        return { pollWhile: () => SimulatedPromise.resolve(false) };
      case "lib/runtime/async_context.ts":
        return {
          asyncContext: () => new Context(machine.kernel),
          captureContext: () => (work: () => unknown) => work(),
        };
      case "lib/runtime/paths.ts":
        return { directoryOf: dirname, pathOf: String };
      case "lib/runtime/fast_bytes.ts":
        return { carveBytesMin, decodeUtf8 };
      case "lib/storage/checksum.ts":
        return {
          CHECKSUM_BYTES: 8,
          Checksum: { create: () => SimulatedPromise.resolve(machine.checksum()) },
        };
    }
    return undefined;
  }

  #errors(): ErrorClass {
    return this.load("lib/errors.ts").ManifoldError as ErrorClass;
  }
}

function globalsOf(machine: Machine): Record<string, unknown> {
  const { kernel } = machine;
  const atomics = Object.create(Atomics, {
    wait: { value: kernel.wait.bind(kernel) },
    waitAsync: { value: kernel.waitAsync.bind(kernel) },
    notify: { value: kernel.notify.bind(kernel) },
    pause: { value: kernel.pause.bind(kernel) },
  });
  const random = {
    getRandomValues(array: Uint8Array | Uint32Array) {
      for (let i = 0; i < array.length; i++) {
        array[i] = array.BYTES_PER_ELEMENT === 1
          ? machine.randomByte()
          : machine.randomByte() * 2 ** 24 + machine.randomByte() * 2 ** 8 + 1;
      }
      return array;
    },
    randomUUID: () => `simulated-${machine.randomByte()}-${machine.randomByte()}`,
  };
  return {
    $s: kernel,
    Atomics: atomics,
    Promise: SimulatedPromise,
    queueMicrotask: (work: () => unknown) => void kernel.running.start(work),
    setTimeout: kernel.setTimeout.bind(kernel),
    clearTimeout: kernel.clearTimeout.bind(kernel),
    performance: { now: () => kernel.now },
    crypto: random,
    Math: Object.create(Math, { random: { value: () => machine.randomByte() / 256 } }),
    FinalizationRegistry: NoRegistry,
    WebAssembly: Object.create(WebAssembly, {
      Memory: {
        value: function (descriptor: WebAssembly.MemoryDescriptor) {
          return machine.memory(descriptor);
        },
      },
    }),
    ...machine.globals,
  };
}

/** Long work need not let others run: the scheduler does. */
function pausesOf(machine: Machine): Exports {
  return {
    goRound: () => SimulatedPromise.resolve(),
    after(ms: number) {
      const promise = new SimulatedPromise<unknown>();
      machine.kernel.setTimeout(() => promise.resolve(undefined), ms);
      return promise;
    },
    Stretches: class {
      pause(): undefined {}
    },
    inStretches(steps: Running, between: () => void) {
      return machine.kernel.async((function* (): Running {
        yield* call(between);
        yield* steps;
        return undefined;
      })());
    },
  };
}

/** Collection of garbage is no event that a seed could repeat. */
class NoRegistry {
  register(): void {}
  unregister(): void {}
}

/** A value that follows calls. */
class Context {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  run(value: unknown, work: () => unknown): Running {
    return this.#kernel.running.within({ of: this, value }, work);
  }

  get(): unknown {
    const context = this.#kernel.running.current?.context as { of: Context; value: unknown };
    return context?.of === this ? context.value : undefined;
  }
}

function workersOf(machine: Machine, data: () => unknown): Exports {
  return {
    workerData: data,
    spawnWorker(_url: URL, given: { role: string; worker: number }) {
      const { kernel } = machine;
      const host = kernel.running;
      let onExit: (code: number) => unknown = () => {};
      let onError: (error: unknown) => unknown = () => {};
      const name = given.role === "keeper" ? "keeper" : `writer ${given.worker}`;
      const thread = machine.spawn(name, (load) => {
        const { runWorker } = load("workers/run_worker.ts") as {
          runWorker: (data: unknown) => unknown;
        };
        return runWorker(given);
      }, given);
      thread.ended.react((failed, value) => {
        kernel.kill(thread);
        host.start(() => {
          if (failed) onError(value);
          return onExit(failed ? 1 : 0);
        });
      });
      machine.hooks.onSpawn?.(thread, given);
      return {
        onError: (callback: typeof onError) => void (onError = callback),
        onExit: (callback: typeof onExit) => void (onExit = callback),
        unref() {},
        terminate() {
          kernel.kill(thread);
          return SimulatedPromise.resolve();
        },
      };
    },
  };
}

function threadsOf(machine: Machine, errors: () => ErrorClass): Exports {
  const { kernel, hosts } = machine;
  return {
    POLL_MS: 100,
    hostThreads(_id: string, { slots, reserved }: { slots: number; reserved: number }) {
      const token = { slots, reserved };
      const view: HostView = {
        thread: kernel.running,
        joined: new Map(),
        onGone: () => {},
        open: true,
      };
      hosts.set(token, view);
      return SimulatedPromise.resolve({
        token,
        onGone: (callback: (slot: number) => unknown) => void (view.onGone = callback),
        close: () => void (view.open = false),
      });
    },
    hostState(token: object) {
      const view = hosts.get(token)!;
      return SimulatedPromise.resolve(
        view.thread.dead ? "died" : view.open ? "open" : "closed",
      );
    },
    joinHost(token: { slots: number; reserved: number }) {
      const view = hosts.get(token)!;
      if (!view.open) {
        const gone = new (errors())("closed", "the database has been closed");
        return SimulatedPromise.reject(gone);
      }
      let slot = token.reserved;
      while (view.joined.has(slot)) slot++;
      const thread = kernel.running;
      view.joined.set(slot, thread);
      return SimulatedPromise.resolve({ slot, leave: () => void view.joined.delete(slot) });
    },
  };
}

/** Ends a thread that has joined; its host hears of it some time later. */
export function terminate(machine: Machine, thread: Thread): void {
  machine.kernel.kill(thread);
  for (const view of machine.hosts.values()) {
    for (const [slot, one] of view.joined) {
      if (one !== thread) continue;
      const tell = (): void => {
        view.thread.start(function* (): Running {
          let told = view.onGone(slot);
          if (machine.kernel.isPaused(told)) told = yield* told;
          if (told === false) machine.kernel.setTimeout(tell, 1);
          else view.joined.delete(slot);
          return undefined;
        });
      };
      tell();
    }
  }
}

class SimulatedRuntime {
  readonly name = "node";
  readonly hardwareConcurrency = 2;
  readonly #machine: Machine;
  readonly #errors: () => ErrorClass;

  constructor(machine: Machine, errors: () => ErrorClass) {
    this.#machine = machine;
    this.#errors = errors;
  }

  *openFile(path: string, { create }: { create: boolean }): Running {
    const { disk } = this.#machine;
    yield;
    let inode = disk.names.get(path);
    if (inode === undefined) {
      if (!create) throw new (this.#errors())("not-found", `${path} does not exist`);
      yield* this.#io("create", path);
      inode = disk.create(path);
    }
    return new SimulatedFile(this.#machine, path, inode, this.#errors());
  }

  *remove(path: string): Running {
    yield* this.#io("remove", path);
    this.#machine.disk.remove(path);
    return undefined;
  }

  *rename(from: string, to: string): Running {
    yield* this.#io("rename", from);
    this.#machine.disk.rename(from, to);
    return undefined;
  }

  kind(path: string): string | undefined {
    return this.#machine.disk.names.has(path) ? "file" : undefined;
  }

  identity(path: string): string | undefined {
    return this.#machine.disk.names.get(path)?.number.toString();
  }

  *syncDirectory(path: string): Running {
    yield* this.#io("sync", path);
    yield* this.#machine.kernel.sleep(SYNC_MS);
    this.#machine.disk.syncDirectory(path);
    return undefined;
  }

  *#io(what: string, path: string): Running {
    this.#machine.hooks.onIo(`${what} ${kindOf(path)}`);
    yield;
    return undefined;
  }
}

/** `data`, `log` or `directory`: what a path of the simulation is. */
function kindOf(path: string): string {
  if (path.endsWith("-log")) return "log";
  return path.endsWith("/db") || path.endsWith("-new") ? "data" : "names";
}

/** What stands where in the data file: pages carry their own number, the directory does not. */
function partOf(offset: number, source: Uint8Array): "meta" | "data" | "directory" {
  if (offset < META_PAGES_BYTES) return "meta";
  const number = new DataView(source.buffer, source.byteOffset).getUint32(8, true);
  return number === offset / PAGE_BYTES ? "data" : "directory";
}

class SimulatedFile {
  readonly path: string;
  readonly #machine: Machine;
  readonly #inode: Inode;
  readonly #kind: string;
  readonly #error: ErrorClass;
  /** Set by a breakage: what is written meanwhile stays unsynced. */
  neverSynced = false;
  #closed = false;

  constructor(machine: Machine, path: string, inode: Inode, error: ErrorClass) {
    this.#machine = machine;
    this.path = path;
    this.#inode = inode;
    this.#kind = kindOf(path);
    this.#error = error;
  }

  *#io(what: string, kind = this.#kind): Running {
    if (this.#closed) throw new (this.#error)("closed", `${this.path} is closed`);
    this.#machine.hooks.onIo(`${what} ${kind}`);
    yield;
    return undefined;
  }

  *read(
    offset: number,
    memory: Uint8Array,
    from = 0,
    length = memory.length - from,
  ): Running {
    yield* this.#io("read");
    return this.#inode.read(offset, memory.subarray(from, from + length));
  }

  *write(
    offset: number,
    memory: Uint8Array,
    from = 0,
    length = memory.length - from,
  ): Running {
    const source = memory.subarray(from, from + length);
    const kind = this.#kind === "data" ? partOf(offset, source) : this.#kind;
    yield* this.#io("write", kind);
    if (this.#machine.hooks.fails(`write ${kind}`)) {
      throw new (this.#error)("disk-full", `no room to write ${this.path}`);
    }
    // In two pieces, so that another thread can see, and a cut can leave, half of it.
    const half = source.length > 512 ? source.length >> 1 : 0;
    const never = this.neverSynced;
    if (half > 0) {
      this.#inode.write(offset, source.subarray(0, half), never);
      yield;
    }
    if (this.#machine.kernel.chooser.below(4) === 0) {
      yield* this.#machine.kernel.sleep(this.#machine.slowWriteMs);
    }
    this.#inode.write(offset + half, source.subarray(half), never);
    yield;
    return undefined;
  }

  *sync(): Running {
    yield* this.#io("sync");
    const upTo = this.#inode.beginSync();
    yield* this.#machine.kernel.sleep(SYNC_MS);
    if (this.#machine.hooks.fails(`sync ${this.#kind}`)) {
      this.#inode.failSync(upTo, this.#machine.kernel.chooser);
      throw new (this.#error)("io", `cannot sync ${this.path}`);
    }
    this.#inode.synced(upTo);
    return undefined;
  }

  size(): number {
    return this.#inode.size;
  }

  *truncate(length: number): Running {
    yield* this.#io("truncate");
    this.#inode.truncate(length);
    return undefined;
  }

  lock(exclusive: boolean): boolean {
    return this.#inode.lock(this, exclusive);
  }

  unlock(): void {
    this.#inode.unlock(this);
  }

  close(): void {
    this.#closed = true;
    this.#inode.unlock(this);
  }
}
