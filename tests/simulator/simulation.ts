/**
 * One history from one seed: processes that open the database, work, and lose power or are killed, one after
 * the other, on one disk.
 *
 * @module
 */

import { Random } from "../support/random.ts";
import type { Modules } from "./build.ts";
import { Chronicle } from "./chronicle.ts";
import { Disk } from "./disk.ts";
import type { Chooser, Thread } from "./kernel.ts";
import { drawKind, type Failing, type Kind, type Schedule } from "./kinds.ts";
import { Machine, terminate } from "./machine.ts";
import { Model } from "./model.ts";
import type { Scene } from "./workload.ts";

/** Where a power cut can hit. */
export const PLACES = [
  "log write",
  "log sync",
  "checkpoint pages",
  "directory",
  "meta",
  "recovery",
  "bypass",
  "names",
] as const;
export type Place = typeof PLACES[number];

/** What was done and met, over many histories. */
export class Counts {
  histories = 0;
  cuts = 0;
  cutsUnsynced = 0;
  kills = 0;
  terminated = 0;
  /** Calls to the system that failed. */
  faults = 0;
  steps = 0;
  acknowledged = 0;
  /** Recorded transactions with a function that were committed, and those that met a conflict. */
  transactions = 0;
  conflicted = 0;
  places: Record<Place, number> = Object.fromEntries(PLACES.map((one) => [one, 0])) as Record<
    Place,
    number
  >;

  /** What was said by another process has the fields alone. */
  add(other: Omit<Counts, "add">): void {
    for (const name of SUMS) this[name] += other[name];
    for (const place of PLACES) this.places[place] += other.places[place];
  }
}

const SUMS = [
  "histories",
  "cuts",
  "cutsUnsynced",
  "kills",
  "terminated",
  "faults",
  "steps",
  "acknowledged",
  "transactions",
  "conflicted",
] as const;

/** A history that broke a promise. */
export class Broken extends Error {
  readonly seed: number;
  readonly limits: Limits;
  /** What happened, line by line. */
  readonly history: readonly string[];
  /** Errors that were met on the way by any thread. */
  readonly errors: readonly string[];

  constructor(
    seed: number,
    limits: Limits,
    history: readonly string[],
    errors: readonly string[],
    cause: unknown,
  ) {
    super(`seed ${seed}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    this.seed = seed;
    this.limits = limits;
    this.history = history;
    this.errors = errors;
  }

  report(): string {
    const { cause } = this;
    const stack = cause instanceof Error ? cause.stack : String(cause);
    return [
      `the history of seed ${this.seed} with ${JSON.stringify(this.limits)}:`,
      ...this.history,
      "errors that were met on the way:",
      ...this.errors,
      "which breaks a promise:",
      stack,
    ].join("\n");
  }
}

export interface Limits {
  /** Processes of the history. */
  readonly processes: number;
  /** The most that a client does in one process; smaller makes shorter histories. */
  readonly stepsMax: number;
  readonly clientsMax: number;
}

/** What the threads of a process run. */
export const WORKLOAD = "tests/simulator/workload.ts";
export const HISTORIES = "tests/simulator/histories.ts";

/** More choices than that in one process, and it hangs. */
const CHOICES_MAX = 2_000_000;
/** A process that has not done everything by then hangs, too, ms: some waits would end after a minute and hide it. */
const PROCESS_MS_MAX = 20_000;

class RandomChooser implements Chooser {
  readonly #random: Random;
  readonly #schedule: Schedule;

  constructor(random: Random, schedule: Schedule) {
    this.#random = random;
    this.#schedule = schedule;
  }

  below(count: number): number {
    return this.#random.int(count);
  }

  burst(): number {
    const { wild, longest } = this.#schedule;
    return this.#random.chance(wild) ? this.#random.int(4) : this.#random.int(longest);
  }

  chance(chance: number): boolean {
    return this.#random.chance(chance);
  }

  stall({ name }: Thread): number {
    const { stalls, stallMs, sparesWriters } = this.#schedule;
    if (sparesWriters && name.startsWith("writer")) return 0;
    if (stalls === 0 || !this.#random.chance(stalls)) return 0;
    return stallMs * this.#random.int(1000) / 1000;
  }
}

/** Makes one history; throws {@linkcode Broken}. The machine is used again by the next one. */
export function simulate(modules: Machine, seed: number, limits: Limits): Counts {
  return new History(modules, seed, limits).run();
}

/** A machine for many histories. */
export function machineFor(modules: Modules): Machine {
  return new Machine(modules, new Disk());
}

class History {
  readonly counts = new Counts();
  readonly #machine: Machine;
  readonly #seed: number;
  readonly #limits: Limits;
  readonly #random: Random;
  readonly #model = new Model();
  readonly #chronicle: Chronicle;
  readonly #kind: Kind;
  readonly #lines: string[] = [];
  #process = 0;
  /** Whether power has failed since the content was last compared. */
  #powerFailed = false;
  /** Whether calls to the system could fail since then. */
  #wasFaulty = false;

  constructor(machine: Machine, seed: number, limits: Limits) {
    this.#machine = machine;
    this.#seed = seed;
    this.#limits = limits;
    this.#random = new Random(seed);
    this.#chronicle = new Chronicle(this.#random);
    this.#kind = drawKind(this.#random, limits);
  }

  run(): Counts {
    const { disk } = this.#machine;
    this.counts.histories = 1;
    disk.clear();
    this.#machine.seed(this.#seed);
    this.#machine.kernel.now = 0;
    this.#machine.chooser = new RandomChooser(this.#random, this.#kind.schedule);
    this.#machine.slowWriteMs = this.#kind.slowWriteMs;
    try {
      for (; this.#process < this.#limits.processes; this.#process++) this.#runProcess();
      this.#chronicle.check();
    } catch (error) {
      const errors = this.#machine.kernel.errors.map(({ thread, error }) =>
        `${thread}: ${error instanceof Error ? error.stack : error}`
      );
      throw new Broken(this.#seed, this.#limits, this.#lines, errors, error);
    } finally {
      this.#machine.endProcess();
    }
    return this.counts;
  }

  /** One process, until its power is cut, it is killed, or it has done everything. */
  #runProcess(): void {
    const { kernel, disk } = this.#machine;
    const random = this.#random;
    const { settings, fails, mortal, deaths } = this.#kind;
    const trigger = new Trigger(random, this.#kind, () => disk.unsynced);
    const faults = new Faults(random, fails);
    this.#machine.hooks = {
      onIo: (what) => trigger.io(what, kernel.running.name),
      fails: (what) => {
        if (!faults.fail(what, kernel.running.name)) return false;
        this.#lines.push(`${kernel.running.name} fails to ${what}`);
        this.counts.faults++;
        return true;
      },
    };
    const guests: Thread[] = [];
    const guestsMayDie = random.chance(mortal);
    const scene: Scene = {
      path: "/sim/db",
      settings,
      below: (count) => random.int(count),
      chance: (chance) => random.chance(chance),
      now: () => kernel.now,
      powerFailed: this.#powerFailed,
      lane: (client, family, exists) => this.#model.lane(client, family, exists),
      lanes: () => this.#model.lanes,
      tally: (family) => this.#model.tally(family),
      recovered: (states, tallies) => {
        const since = { powerFailed: this.#powerFailed, mayRefuse: this.#wasFaulty };
        this.#model.recovered(states, tallies, since);
        this.#powerFailed = false;
        this.#wasFaulty = faults.any;
      },
      opened: (handle) => {
        trigger.recovering = false;
        faults.isOpen = true;
        for (let client = 1; client < settings.clients; client++) {
          const name = `client ${client}`;
          guests.push(this.#spawn(name, WORKLOAD, "guest", [scene, handle, client]));
        }
        for (let i = 0; i < settings.historians; i++) {
          const name = `historian ${i}`;
          const given = [scene, handle, `process ${this.#process + 1}, ${name}`];
          guests.push(this.#spawn(name, HISTORIES, "historian", given));
        }
        for (let i = 0; i < settings.readers; i++) {
          guests.push(this.#spawn(`reader ${i}`, WORKLOAD, "reader", [scene, handle]));
        }
      },
      log: (line) => void this.#lines.push(line),
      asked: () => void this.counts.steps++,
      acknowledged: () => void this.counts.acknowledged++,
      isClosing: false,
      isFaulty: faults.any,
      mayBeFinal: faults.mayBeFinal,
      bypassing: (by) => void (trigger.bypassing += by),
      board: this.#chronicle,
      transacted: (attempts) => {
        this.counts.transactions++;
        if (attempts > 1) this.counts.conflicted++;
      },
    };
    this.#lines.push(`process ${this.#process + 1}: ${JSON.stringify(settings)}`);
    trigger.recovering = disk.names.has("/sim/db-log");
    const host = this.#spawn("client 0", WORKLOAD, "host", [scene]);
    const choices = kernel.steps;
    const begun = kernel.now;
    kernel.run(() => {
      if (kernel.steps - choices > CHOICES_MAX || kernel.now - begun > PROCESS_MS_MAX) {
        throw new Error(`hangs: ${kernel.threads.map((one) => one.name).join(", ")}`);
      }
      this.#checkThreads(host, guests);
      // Whoever just ran: so it may be in the middle of something.
      const guest = guests.find((one) => one === kernel.running);
      if (guestsMayDie && guest !== undefined && random.chance(deaths)) {
        if (!guest.dead && !guest.ended.isSettled) {
          this.#lines.push(`${guest.name} is terminated`);
          terminate(this.#machine, guest);
          this.counts.terminated++;
        }
      }
      const done = host.ended.isSettled && guests.every((one) => one.dead || one.ended.isSettled);
      return trigger.pulled || done;
    });
    this.#end(trigger);
  }

  #spawn(name: string, file: string, work: string, given: unknown[]): Thread {
    return this.#machine.spawn(name, (load) => {
      const workload = load(file) as Record<
        string,
        (...given: unknown[]) => unknown
      >;
      return workload[work](...given);
    });
  }

  #checkThreads(host: Thread, guests: readonly Thread[]): void {
    for (const thread of [host, ...guests]) {
      if (thread.ended.error !== undefined) throw thread.ended.error;
    }
    const { unhandled } = this.#machine.kernel;
    if (unhandled !== undefined) throw unhandled.error;
  }

  #end(trigger: Trigger): void {
    const { disk } = this.#machine;
    const chooser = this.#machine.kernel.chooser;
    const unsynced = disk.unsynced > 0;
    this.#machine.endProcess();
    // Without unsynced sectors a power cut is hardly more than a kill.
    if (!this.#random.chance(this.#kind.kills) && (unsynced || this.#random.chance(0.4))) {
      this.#powerFailed = true;
      this.#lines.push(`power fails: ${trigger.places().join(", ")}`);
      this.counts.cuts++;
      if (unsynced) this.counts.cutsUnsynced++;
      for (const place of trigger.places()) this.counts.places[place]++;
      disk.cut(chooser);
    } else {
      this.#lines.push("killed");
      this.counts.kills++;
      disk.survive();
    }
  }
}

/** Which calls to the system fail. */
class Faults {
  readonly #random: Random;
  readonly #writes: number;
  /** Whether they fail from the beginning, or once the database is open. */
  readonly #early: boolean;
  isOpen = false;
  /** Whose writes fail; undefined: anyone's. */
  readonly #only: Failing["who"] | undefined;
  /** Syncs until one fails, from the beginning or once the database is open. */
  #syncs: number;
  readonly #earlySyncs: boolean;
  /** Whether one may be the end of the database: a failed sync, or a failed write of a record with another behind it. */
  readonly mayBeFinal: boolean;

  constructor(random: Random, fails: Failing | undefined) {
    this.#random = random;
    this.#early = fails === undefined;
    this.#writes = fails?.chance ?? (random.chance(0.2) ? random.pick([0.01, 0.05, 0.2]) : 0);
    this.#only = fails?.who ?? (this.#writes >= 0.1 ? "keeper" : undefined);
    this.#syncs = random.chance(0.06) ? 1 + random.int(12) : Infinity;
    this.#earlySyncs = random.chance(0.3);
    this.mayBeFinal = this.#syncs < Infinity || this.#only === undefined && this.#writes > 0;
  }

  get any(): boolean {
    return this.#writes > 0 || this.#syncs < Infinity;
  }

  fail(what: string, thread: string): boolean {
    if (what.startsWith("sync")) {
      return (this.#earlySyncs || this.isOpen) && --this.#syncs === 0;
    }
    if (this.#writes === 0 || !this.#early && !this.isOpen) return false;
    return this.#concerns(what, thread) && this.#random.chance(this.#writes);
  }

  #concerns(what: string, thread: string): boolean {
    if (this.#only === undefined) return true;
    return (this.#only === "keeper") === (thread === "keeper") &&
      (this.#only === "keeper" || what === "write data");
  }
}

/** Decides when the power fails, and knows what was going on. */
class Trigger {
  pulled = false;
  recovering = false;
  bypassing = 0;
  readonly #place: Place | undefined;
  readonly #unsynced: () => number;
  /** Whether the power may fail while nothing is unsynced, which is hardly worth the trouble. */
  readonly #mayBeQuiet: boolean;
  #left: number;
  /** Calls after which the power fails anyway: the chosen place may never come. */
  #most: number;
  /** What the system calls of the threads are in the middle of. */
  readonly #current = new Map<string, Place>();
  /** Whether the keeper's next sync is that of a meta page; otherwise it is of pages and directory. */
  #syncsMeta = false;

  constructor(random: Random, { callsMax, patience }: Kind, unsynced: () => number) {
    this.#unsynced = unsynced;
    // One in four is cut anywhere; the others in the middle of something chosen.
    this.#place = random.chance(0.25) ? undefined : random.pick(PLACES);
    // A name can be lost with nothing else.
    this.#mayBeQuiet = this.#place === "names" || random.chance(0.1);
    this.#left = 1 +
      random.int(this.#place === undefined ? 120 : patience * random.pick([1, 4, 12]));
    this.#most = random.chance(0.1) ? Infinity : random.pick(callsMax);
  }

  io(what: string, thread: string): void {
    const place = this.#placeOf(what, thread);
    if (place === undefined) this.#current.delete(thread);
    else this.#current.set(thread, place);
    if (this.#place === undefined || this.places().includes(this.#place)) this.#left--;
    this.#most--;
    if (this.#left > 0 && this.#most > 0) return;
    if (this.#mayBeQuiet || this.#unsynced() > 0) this.pulled = true;
  }

  #placeOf(what: string, thread: string): Place | undefined {
    if (/^(create|remove|rename|sync names)/.test(what)) return "names";
    if (what === "write log") return "log write";
    if (what === "sync log") return "log sync";
    if (thread !== "keeper") return undefined;
    if (what === "write meta") {
      this.#syncsMeta = true;
      return "meta";
    }
    if (what === "write data") return "checkpoint pages";
    if (what === "write directory") return "directory";
    if (what === "sync data") {
      const place = this.#syncsMeta ? "meta" : "directory";
      this.#syncsMeta = false;
      return place;
    }
    return undefined;
  }

  places(): Place[] {
    const places = new Set(this.#current.values());
    if (this.recovering) places.add("recovery");
    if (this.bypassing > 0) places.add("bypass");
    return [...places];
  }
}
