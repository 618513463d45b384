/**
 * What the simulated clients do, through the public interface. This module runs inside the
 * simulation: it and all that it imports is turned (build.ts), so that it can be interrupted anywhere.
 *
 * @module
 */

import {
  attach,
  type Batch,
  type ColumnFamily,
  type Database,
  type DatabaseHandle,
  ManifoldError,
  type MultimapReader,
  open,
  type Snapshot,
  type Table,
  text,
} from "../../mod.ts";
import type { Board } from "../support/history/board.ts";
import type { Change, Joint, Lane, LaneState, Step, Tally, TallySizes } from "./model.ts";

/** Where the process of the simulation and its driver meet; everything here is outside the simulation. */
export interface Scene {
  readonly path: string;
  readonly settings: Settings;
  /** A whole number from 0 to, not including, `count`. */
  below(count: number): number;
  chance(chance: number): boolean;
  now(): number;
  /** Whether power has failed since the database was open before. */
  readonly powerFailed: boolean;
  lane(client: number, family: string, exists: boolean): Lane;
  lanes(): readonly Lane[];
  /** What all clients together have counted in a shared family. */
  tally(family: string): Tally;
  /** Everything that was found after opening. */
  recovered(
    states: ReadonlyMap<Lane, LaneState>,
    tallies: ReadonlyMap<string, TallySizes>,
  ): void;
  /** The database is open: clients 1 and up may attach. */
  opened(handle: DatabaseHandle): void;
  log(line: string): void;
  /** A step was asked for; it was acknowledged. */
  asked(): void;
  acknowledged(): void;
  /** Whether the host is closing the database: what is under way then may be refused. */
  isClosing: boolean;
  /** Whether calls to the system may fail: then so may steps, as it is documented. */
  readonly isFaulty: boolean;
  /** Whether that may be the end of the database. */
  readonly mayBeFinal: boolean;
  /** A transaction that bypasses the log begins (1) or ends (-1). */
  bypassing(by: number): void;
  /** Where the callers of histories.ts meet. */
  readonly board: Board;
  /** One of their transactions was committed after so many runs of its function. */
  transacted(attempts: number): void;
}

export interface Settings {
  readonly clients: number;
  readonly steps: number;
  readonly pageSize: number;
  readonly cacheBytes: number;
  readonly logBytes: number;
  readonly checkpointBytes: number;
  readonly workers: number;
  readonly sharedFamilies: number;
  /** Families of recorded transactions, and threads that make them. */
  readonly historyFamilies: number;
  readonly historians: number;
  /** Threads that take snapshots. */
  readonly readers: number;
  /** Whether they write, too, what nobody compares, and ask for checkpoints, so that there is always something new. */
  readonly restless: boolean;
  /** Values of so many bytes at the most. */
  readonly valueBytes: number;
  /** The chance of a transaction that is larger than a quarter of the log. */
  readonly bypass: number;
  readonly eventual: number;
  /** The chance that a step is over several families. */
  readonly joint: number;
}

const KEYS = 24;
const codecs = { key: text, value: text };

/** The thread that opens the database: checks what it finds, then is client 0. */
export async function host(scene: Scene): Promise<void> {
  const { settings } = scene;
  let db: Database;
  try {
    db = await open(scene.path, {
      pageSize: settings.pageSize,
      cacheBytes: settings.cacheBytes,
      logBytes: settings.logBytes,
      maxWorkers: settings.workers,
      checkpoint: { bytes: settings.checkpointBytes, intervalMs: 40 },
    });
  } catch (error) {
    if (!isFault(scene, error)) throw error;
    scene.log(`cannot be opened: ${error}`);
    return;
  }
  const states = new Map<Lane, LaneState>();
  for (const lane of scene.lanes()) states.set(lane, await readLane(db, lane));
  await checkPairs(db);
  await checkCross(db, "after opening");
  const tallies = new Map<string, TallySizes>();
  for (const name of db.columnFamilies()) {
    const family = await db.columnFamily(name);
    tallies.set(name, sizesOf(family));
    await checkKept(family);
  }
  if (scene.powerFailed || scene.chance(0.5)) await checkStructure(db);
  scene.recovered(states, tallies);
  scene.opened(db.share());
  await guarded(scene, () => work(db, scene, 0));
  if (scene.chance(0.2)) {
    scene.isClosing = true;
    await guarded(scene, () => db.close());
    scene.log("closed");
  }
}

/** Another thread that uses the database. */
export async function guest(scene: Scene, handle: DatabaseHandle, client: number): Promise<void> {
  if (scene.isClosing) return;
  await guarded(scene, async () => {
    const db = await attach(handle);
    await guarded(scene, () => work(db, scene, client));
    await db.close();
  });
}

/** Snapshots that a reader takes at the most. */
const LOOKS = 60;

/** Writes of a reader that nobody waits for, at the most. */
const WRITES_AHEAD = 4;

/** A thread that takes snapshots of the shared families and looks at them twice. */
export async function reader(scene: Scene, handle: DatabaseHandle): Promise<void> {
  if (scene.isClosing) return;
  await guarded(scene, async () => {
    const db = await attach(handle);
    const { sharedFamilies, restless } = scene.settings;
    const pending: Promise<void>[] = [];
    let visited: Held | undefined;
    for (let i = 0; i < LOOKS && !scene.isClosing; i++) {
      if (!restless && scene.chance(0.1)) visited = await visit(db, scene, visited);
      const name = `shared${scene.below(sharedFamilies)}`;
      if (!db.columnFamilies().includes(name)) continue;
      const family = await db.columnFamily(name);
      if (restless) pending.push(...stir(db, scene, family));
      if (pending.length > WRITES_AHEAD) await Promise.all(pending.splice(0));
      const snapshot = family.snapshot();
      // Most looks are short: then there are more of them.
      const isShort = scene.chance(restless ? 0.95 : 0.7);
      const names = isShort ? [] : family.tables().filter((table) => table !== "marks");
      const tables = names.map((table) => snapshot.table(family.table(table, codecs)));
      const look = (): string => tables.map((table) => table.entries().toArray().join()).join("\n");
      const first = look();
      const pair = snapshot.table(family.table("pair", codecs));
      checkPair((key) => pair.get(key), "in a reader's snapshot");
      if (look() !== first) throw new Error("a reader's snapshot has changed");
      snapshot[Symbol.dispose]();
      if (!isShort) await checkCross(db, "in a reader's snapshot of all");
    }
    await Promise.all(pending);
    visited?.check();
    visited?.dispose();
    await db.close();
  });
}

/** Looks at a family that its client may delete at any moment; holds what it has seen until the next visit. */
async function visit(
  db: Database,
  scene: Scene,
  before: Held | undefined,
): Promise<Held | undefined> {
  before?.check();
  before?.dispose();
  const names = db.columnFamilies().filter((name) => name.startsWith("own"));
  if (names.length === 0) return undefined;
  const name = names[scene.below(names.length)];
  try {
    const family = await db.columnFamily(name, { create: false });
    const table = family.table(`main-${name.slice("own".length)}`, codecs);
    for (const [, value] of table.entries()) {
      if (!value.startsWith(`${name.slice("own".length)}.`)) throw new Error(`of nobody: ${value}`);
    }
    return heldSnapshot(family.snapshot(), table, family.table("pair", codecs));
  } catch (error) {
    if (error instanceof ManifoldError && error.code === "not-found") return undefined;
    throw error;
  }
}

/** Makes something new, perhaps, or a checkpoint of it. */
function stir(db: Database, scene: Scene, family: ColumnFamily): Promise<void>[] {
  const asked: Promise<void>[] = [];
  if (scene.chance(0.4)) {
    const key = `r${scene.below(3)}`;
    asked.push(family.table("common", codecs).set(key, key, { durability: "eventual" }));
  }
  if (scene.chance(0.02)) asked.push(db.checkpoint());
  return asked.map((one) => guarded(scene, () => one));
}

/** Does something that may end early when the database is being closed, or has failed as it had to. */
export async function guarded(scene: Scene, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isRefusal(scene, error)) throw error;
    scene.log(`ends early: ${error}`);
  }
}

export function isRefusal(scene: Scene, error: unknown): boolean {
  return isFault(scene, error) ||
    scene.isClosing && error instanceof ManifoldError && error.code === "closed";
}

/** Whether an error says that a call to the system has failed, as some do: want of room alone refuses steps and no more. */
function isFault(scene: Scene, error: unknown): boolean {
  if (!scene.isFaulty || !(error instanceof ManifoldError)) return false;
  return error.code === "disk-full" ||
    scene.mayBeFinal && (error.code === "failed" || error.code === "io");
}

/** What is in a lane. */
async function readLane(db: Database, lane: Lane): Promise<LaneState> {
  if (!db.columnFamilies().includes(lane.family)) return undefined;
  const family = await db.columnFamily(lane.family);
  const state = new Map<string, Map<string, string>>();
  for (const name of family.tables()) {
    if (!name.endsWith(`-${lane.client}`)) continue;
    const table = family.table(name, codecs);
    const entries = new Map(table.entries().toArray());
    if (table.count() !== entries.size) {
      throw new Error(`${lane.family}/${name}: count() is ${table.count()}, of ${entries.size}`);
    }
    const backwards = table.keys({ reverse: true }).toArray().reverse();
    if (backwards.join() !== [...entries.keys()].join()) {
      throw new Error(`${lane.family}/${name}: backwards the keys are others`);
    }
    state.set(name, entries);
  }
  return state;
}

/** How far each way to count has come. */
function sizesOf(family: ColumnFamily): TallySizes {
  const snapshot = family.snapshot();
  const table = snapshot.table(family.table("tally", codecs));
  const sizes: TallySizes = [
    Number(table.get("number") ?? 0),
    table.count({ prefix: "count" }),
    table.count({ prefix: "last" }),
  ];
  snapshot[Symbol.dispose]();
  return sizes;
}

/** Every transaction sets both halves of a pair to the same value: nobody may see them differ. */
function checkPair(pair: (key: string) => string | undefined, where: string): void {
  const left = pair("left");
  const right = pair("right");
  if (left !== right) throw new Error(`${where}: half of a transaction: ${left} and ${right}`);
}

/** The same of two values of one key in a multimap. */
function checkMarks(marks: MultimapReader<string, string>, where: string): void {
  const halves = marks.get("both").toArray();
  const [left, right] = halves.map((half) => half.split(" ")[0]);
  const count = marks.count("both");
  const keys = marks.keys().toArray();
  if (left === right && halves.length === count && keys.length === count / 2) return;
  throw new Error(`${where}: half of a transaction: ${halves} (${count}) of ${keys}`);
}

async function checkPairs(db: Database): Promise<void> {
  for (const name of db.columnFamilies()) {
    const family = await db.columnFamily(name);
    const snapshot = family.snapshot();
    const table = snapshot.table(family.table("pair", codecs));
    checkPair((key) => table.get(key), name);
    checkMarks(snapshot.multimap(family.multimap("marks", codecs)), name);
    snapshot[Symbol.dispose]();
  }
}

/** Batches over all shared families set an entry of each to the same value: nobody may see them differ. */
async function checkCross(db: Database, where: string): Promise<void> {
  const tables = [];
  for (const name of db.columnFamilies()) {
    if (name.startsWith("shared")) {
      tables.push((await db.columnFamily(name)).table("cross", codecs));
    }
  }
  const snapshot = db.snapshot();
  const seen = tables.map((table) => snapshot.table(table).get("x"));
  const again = tables.map((table) => snapshot.table(table).get("x"));
  snapshot[Symbol.dispose]();
  if (new Set(seen).size > 1) throw new Error(`${where}: a part of a joint batch: ${seen}`);
  if (again.join() !== seen.join()) throw new Error(`${where}: the snapshot has changed`);
}

function plain(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : new TextDecoder("latin1").decode(bytes);
}

/**
 * What a family keeps of its changes, which nobody makes meanwhile, must lead from one value of each entry to the
 * next, and to what is there.
 */
async function checkKept(family: ColumnFamily): Promise<void> {
  const kept = family.stats().changes;
  if (kept === undefined) return;
  const changes = family.changes({ since: kept.since });
  const seen = new Map<string, Map<string, string | undefined>>();
  for (let bytes = 0; bytes < kept.bytes;) {
    const { value: change, done } = await changes.next();
    if (done) throw new Error(`${family.name}: the kept changes end after ${bytes} bytes`);
    const key = plain(change.key)!;
    const previous = plain(change.previous);
    const value = plain(change.value);
    let entries = seen.get(change.table);
    if (entries === undefined) seen.set(change.table, entries = new Map());
    if ((kept.since === 0 || entries.has(key)) && entries.get(key) !== previous) {
      throw new Error(
        `${family.name}/${change.table}: version ${change.version} has changed ${key} from ${previous}, which ` +
          `was ${entries.get(key)}`,
      );
    }
    entries.set(key, value);
    const label = change.table === "marks" ? "\0multimap(text,text)\0none" : "\0text\0text";
    bytes += 16 + change.table.length + label.length + key.length +
      (previous ?? "").length + (value ?? "").length;
    if (bytes > kept.bytes) throw new Error(`${family.name} has kept more changes than it says`);
  }
  await changes.return!();
  for (const [name, entries] of seen) {
    if (name === "marks") continue; // no table
    const table = family.table(name, codecs);
    for (const [key, value] of entries) {
      if (table.get(key) === value) continue;
      throw new Error(`${family.name}/${name}: ${key} is ${table.get(key)}, kept as ${value}`);
    }
  }
  if (kept.since > 0) return;
  for (const name of family.tables()) {
    if (name === "marks") continue;
    const table = family.table(name, codecs);
    for (const key of table.keys().toArray()) {
      if (seen.get(name)?.has(key) !== true) {
        throw new Error(`${family.name}/${name}: nothing is kept of ${key}`);
      }
    }
  }
}

async function checkStructure(db: Database): Promise<void> {
  const { findings } = await db.verify();
  // A power cut can tear the meta page that was being written; nothing refers to it then.
  if (findings.some(({ kind }) => kind !== "meta")) {
    throw new Error(`the structure is damaged: ${JSON.stringify(findings.slice(0, 5))}`);
  }
}

async function work(db: Database, scene: Scene, client: number): Promise<void> {
  const { settings } = scene;
  const actors: Actor[] = [];
  for (let i = 0; i < settings.sharedFamilies; i++) {
    const name = `shared${i}`;
    let family: ColumnFamily;
    try {
      family = await db.columnFamily(name);
    } catch (error) {
      if (!isFault(scene, error)) throw error;
      continue;
    }
    actors.push(new Actor(db, scene, client, name, family, false));
  }
  actors.push(new Actor(db, scene, client, `own${client}`, undefined, true));
  try {
    for (let i = 0; i < settings.steps; i++) {
      const actor = actors[scene.below(actors.length)];
      if (scene.chance(settings.joint)) await together(db, scene, client, actors);
      else await actor.act();
      if (scene.chance(0.05)) await checkCross(db, `client ${client}`);
    }
    for (const actor of actors) await actor.rest();
  } finally {
    // Where it ends early, the others' transactions may wait to be run again, and must not meet the close.
    for (const actor of actors) await actor.answered();
  }
}

/**
 * One batch or transaction over several families: over all that are shared, with the entry that
 * {@linkcode checkCross} compares, or over any.
 */
async function together(
  db: Database,
  scene: Scene,
  client: number,
  actors: readonly Actor[],
): Promise<void> {
  const present = actors.filter((one) => one.isPresent);
  const shared = present.filter((one) => !one.isOwn);
  const isCross = shared.length === scene.settings.sharedFamilies && scene.chance(0.6);
  const chosen = isCross ? shared : present.filter(() => scene.chance(0.7));
  if (chosen.length === 0) return;
  const joint: Joint = { isThere: false };
  const isTransaction = scene.chance(0.4);
  if (isTransaction) { for (const actor of chosen) await actor.settled(); }
  if (!chosen.every((one) => one.isPresent)) return;
  const durability = scene.chance(scene.settings.eventual) ? "eventual" : "immediate";
  const isLarge = scene.chance(scene.settings.bypass);
  const mark = `${client}.${scene.now()}`;
  let size = 0;
  const asked: { actor: Actor; step: Step }[] = [];
  const writes: Write[] = [];
  for (const actor of chosen) {
    const { changes, bytes } = actor.contribute(writes, isLarge);
    if (isCross) writes.push({ table: actor.cross, key: "x", value: mark });
    size += bytes;
    asked.push({ actor, step: actor.askJointly(changes, durability === "immediate", joint) });
  }
  const done = isTransaction
    ? db.transaction(chosen.map((one) => one.family), (tx) => {
      if (isCross) {
        const seen = chosen.map((one) => tx.table(one.cross).get("x"));
        if (new Set(seen).size > 1) {
          throw new Error(`a transaction sees a part of another: ${seen}`);
        }
      }
      for (const { table, key, value } of writes) tx.table(table).set(key, value);
    }, { durability, maxAttempts: scene.chance(0.4) ? 1 : 1 + scene.below(4) })
    : commitAll(db, writes, durability);
  for (const { actor, step } of asked) actor.watch(step, done, size);
  if (isTransaction) { for (const actor of chosen) await actor.settled(); }
}

interface Write {
  readonly table: Table<string, string>;
  readonly key: string;
  readonly value: string;
}

function commitAll(
  db: Database,
  writes: readonly Write[],
  durability: "immediate" | "eventual",
): Promise<void> {
  const batch: Batch = db.batch();
  for (const { table, key, value } of writes) batch.set(table, key, value);
  return batch.commit({ durability });
}

/** A version that is held, and must not change whatever becomes of its family. */
interface Held {
  check(): void;
  dispose(): void;
}

function heldSnapshot(
  snapshot: Snapshot,
  mainTable: Table<string, string>,
  pairTable: Table<string, string>,
): Held {
  const main = snapshot.table(mainTable);
  const pair = snapshot.table(pairTable);
  const look = (): string => {
    checkPair((key) => pair.get(key), "in a snapshot");
    return JSON.stringify(main.entries().toArray());
  };
  const first = look();
  return {
    check: () => {
      if (look() !== first) throw new Error(`a snapshot has changed: ${look()}, was ${first}`);
    },
    dispose: () => snapshot[Symbol.dispose](),
  };
}

/** An iterator over what nobody changes while it is begun; each check moves it on. */
function heldIterator(table: Table<string, string>): Held {
  const expected = table.entries().toArray();
  const iterator = table.entries();
  let at = 0;
  const move = (): boolean => {
    const { value, done } = iterator.next();
    const found = JSON.stringify(done ? undefined : value);
    if (found === JSON.stringify(expected[at++])) return done !== true;
    throw new Error(`entry ${at - 1} of an iterator is ${found}, not ${expected[at - 1]}`);
  };
  move();
  return {
    check: move,
    dispose: () => {
      while (at <= expected.length && move());
    },
  };
}

/** A client in one family. */
class Actor {
  readonly #db: Database;
  readonly #scene: Scene;
  readonly #client: number;
  readonly #name: string;
  readonly isOwn: boolean;
  readonly #lane: Lane;
  #family: ColumnFamily | undefined;
  #pending: Promise<void>[] = [];
  #held: Held[] = [];
  #count = 0;
  #refused: unknown;

  constructor(
    db: Database,
    scene: Scene,
    client: number,
    name: string,
    family: ColumnFamily | undefined,
    isOwn: boolean,
  ) {
    this.#db = db;
    this.#scene = scene;
    this.#client = client;
    this.#name = name;
    this.#family = family;
    this.isOwn = isOwn;
    this.#lane = scene.lane(client, name, !isOwn);
  }

  async act(): Promise<void> {
    const scene = this.#scene;
    if (this.isOwn && (this.#family === undefined || scene.chance(0.08))) {
      await this.#live();
      return;
    }
    const kind = scene.below(31);
    if (kind < 5) this.#one();
    else if (kind < 10) this.#batch();
    else if (kind < 13) await this.#transaction();
    else if (kind < 15) this.#many();
    else if (kind < 16) this.#range();
    else if (kind < 17) await this.#dropTable();
    else if (kind < 18) await this.#checkpoint();
    else if (kind < 20) this.#hold();
    else if (kind < 22) this.#look();
    else if (kind < 24) this.#common();
    else if (kind < 25) await guarded(scene, () => checkStructure(this.#db));
    else if (kind < 29) this.#tally();
    else await this.settled();
    if (this.#pending.length > 4) await this.settled();
  }

  get isPresent(): boolean {
    return this.#family !== undefined;
  }

  get family(): ColumnFamily {
    return this.#family!;
  }

  /** The table that {@linkcode checkCross} looks at. */
  get cross(): Table<string, string> {
    return this.#family!.table("cross", codecs);
  }

  /** Adds writes to its lane to a batch or transaction over several families. */
  contribute(writes: Write[], isLarge: boolean): { changes: Change[]; bytes: number } {
    const changes: Change[] = [];
    let bytes = 0;
    const count = isLarge ? 4 + this.#scene.below(20) : this.#scene.below(3);
    for (let i = 0; i < count; i++) {
      const table = this.#table("main");
      const key = this.#key();
      const value = isLarge ? this.#value().padEnd(500, "z") : this.#value();
      bytes += value.length;
      writes.push({ table, key, value });
      changes.push({ kind: "set", table: table.name, key, value });
    }
    const table = this.#family!.table("pair", codecs);
    const value = `${this.#client}.${this.#count++}`;
    for (const key of ["left", "right"]) writes.push({ table, key, value });
    return { changes, bytes };
  }

  askJointly(changes: Change[], durable: boolean, joint: Joint): Step {
    return this.#ask(changes, durable, "part of a joint transaction", joint);
  }

  async rest(): Promise<void> {
    await this.settled();
    this.#release();
  }

  /** All that was asked for has been answered, in whatever way. */
  async answered(): Promise<void> {
    for (const answer of this.#pending.splice(0)) await answer;
  }

  /** Makes the client's own family, or deletes it. */
  async #live(): Promise<void> {
    await this.settled();
    if (this.#family === undefined && this.#lane.present === undefined) {
      const asked = this.#ask([{ kind: "create family" }], true, "create family");
      const made = this.#db.createColumnFamily(this.#name, this.#keeping());
      this.watch(asked, made.then((family) => void (this.#family = family)), 0);
    } else if (this.#family === undefined) {
      this.#family = await this.#db.columnFamily(this.#name, { create: false });
    } else {
      this.#release();
      if (this.#scene.chance(0.6)) this.#holdAll();
      const asked = this.#ask([{ kind: "drop family" }], true, "delete family");
      const deleted = this.#db.deleteColumnFamily(this.#name);
      this.watch(asked, deleted.then(() => void (this.#family = undefined)), 0);
    }
    await this.settled();
    if (this.#held.length === 0) return;
    // The pages of a deleted family belong to others after checkpoints without it.
    await this.#checkpoint();
    this.#checkHeld();
  }

  /** Most families keep all of their changes, or the last few. */
  #keeping(): { changes: { keepBytes: number } } | undefined {
    const scene = this.#scene;
    if (scene.chance(0.3)) return undefined;
    return { changes: { keepBytes: scene.chance(0.4) ? 2000 : 2 ** 40 } };
  }

  #table(name: string): Table<string, string> {
    return this.#family!.table(`${name}-${this.#client}`, codecs);
  }

  #key(): string {
    return `k${String(this.#scene.below(KEYS)).padStart(3, "0")}`;
  }

  /** The bounds of a range that is not empty: an empty one is answered without asking anyone. */
  #span(): [string, string] {
    const [one, other] = [this.#key(), this.#key()];
    return one < other ? [one, other] : [other, `${one}~`];
  }

  #value(): string {
    const scene = this.#scene;
    const { valueBytes } = scene.settings;
    const length = scene.chance(0.1) ? scene.below(valueBytes) : scene.below(60);
    return `${this.#client}.${this.#count++}.`.padEnd(length, "abcdefghij");
  }

  #ask(changes: Change[], durable: boolean, what: string, joint?: Joint): Step {
    const scene = this.#scene;
    const step: Step = {
      joint,
      changes,
      durable,
      askedAt: scene.now(),
      acknowledgedAt: Infinity,
      describe: `${scene.now().toFixed(3)} client ${this.#client} ${this.#name}: ${what} ${
        changes.map((one) =>
          "value" in one
            ? `${one.table}.${one.key}=${one.value.slice(0, 8)}(${one.value.length})`
            : Object.values(one).join(" ")
        ).join(", ")
      }`,
    };
    this.#lane.ask(step);
    scene.log(step.describe);
    scene.asked();
    return step;
  }

  #acknowledge(step: Step): void {
    const scene = this.#scene;
    scene.acknowledged();
    scene.log(`  acknowledged: ${step.describe}`);
    this.#lane.acknowledge(step, scene.now());
  }

  watch(step: Step, promise: Promise<unknown>, size: number): void {
    const scene = this.#scene;
    const large = size > scene.settings.logBytes / 4;
    if (large) scene.bypassing(1);
    const done = promise.then(() => {
      if (large) scene.bypassing(-1);
      this.#acknowledge(step);
    }, (error) => {
      if (large) scene.bypassing(-1);
      if (scene.isFaulty && error instanceof ManifoldError && error.code === "disk-full") {
        scene.log(`  refused, the disk is full: ${step.describe}`);
        this.#lane.refuse(step);
        return;
      }
      if (!isRefusal(scene, error)) throw error;
      this.#refused = error;
    });
    this.#pending.push(done);
  }

  async settled(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    await Promise.all(pending);
    if (this.#refused !== undefined) throw this.#refused;
    if (this.#family === undefined || this.#scene.chance(0.5)) return;
    // One's own writes are there as soon as they are acknowledged.
    const expected = this.#lane.present?.get(`main-${this.#client}`);
    const table = this.#table("main");
    const actual = table.entries().toArray();
    const wanted = [...expected ?? []].sort(([a], [b]) => (a < b ? -1 : 1));
    if (JSON.stringify(actual) !== JSON.stringify(wanted)) {
      throw new Error(
        `client ${this.#client} in ${this.#name} reads ${JSON.stringify(actual)}, not ${
          JSON.stringify(wanted)
        }`,
      );
    }
    if (this.isOwn && this.#scene.chance(0.2)) await checkKept(this.#family);
    const at = this.#scene.below(wanted.length + 1);
    if (wanted.length > 0 && table.at(at)?.[0] !== wanted[at]?.[0]) {
      throw new Error(`at(${at}) is ${table.at(at)}`);
    }
    const from = this.#key();
    const count = wanted.filter(([key]) => key >= from).length;
    if (table.count({ gte: from }) !== count) {
      throw new Error(`count from ${from} is ${table.count({ gte: from })}, not ${count}`);
    }
  }

  #durability(): "immediate" | "eventual" {
    return this.#scene.chance(this.#scene.settings.eventual) ? "eventual" : "immediate";
  }

  #one(): void {
    const table = this.#table("main");
    const durability = this.#durability();
    const key = this.#key();
    if (this.#scene.chance(0.3)) {
      const step = this.#ask(
        [{ kind: "delete", table: table.name, key }],
        durability === "immediate",
        durability,
      );
      this.watch(step, table.delete(key, { durability }), 0);
      return;
    }
    const value = this.#value();
    const change: Change = { kind: "set", table: table.name, key, value };
    const step = this.#ask([change], durability === "immediate", durability);
    this.watch(step, table.set(key, value, { durability }), value.length);
  }

  #batch(): void {
    const scene = this.#scene;
    const durability = this.#durability();
    const batch = this.#family!.batch();
    const changes: Change[] = [];
    let size = 0;
    const count = scene.chance(scene.settings.bypass) ? 2 + scene.below(30) : 1 + scene.below(4);
    for (let i = 0; i < count; i++) {
      const table = this.#table(scene.chance(0.7) ? "main" : "other");
      const key = this.#key();
      if (scene.chance(0.2)) {
        batch.delete(table, key);
        changes.push({ kind: "delete", table: table.name, key });
      } else {
        const value = count > 6 ? this.#value().padEnd(500, "z") : this.#value();
        size += value.length;
        batch.set(table, key, value);
        changes.push({ kind: "set", table: table.name, key, value });
      }
    }
    if (scene.chance(0.2)) {
      const [from, to] = this.#span();
      const table = this.#table("main");
      batch.deleteRange(table, { gte: from, lt: to });
      changes.push({ kind: "range", table: table.name, from, to });
    }
    const pair = this.#family!.table("pair", codecs);
    const mark = `${this.#client}.${this.#count++}`;
    batch.set(pair, "left", mark).set(pair, "right", mark);
    const marks = this.#family!.multimap("marks", codecs);
    batch.multimap(marks).deleteAll("both").add("both", `${mark} left`).add(
      "both",
      `${mark} right`,
    );
    const step = this.#ask(changes, durability === "immediate", `${durability} batch`);
    this.watch(step, batch.commit({ durability }), size);
  }

  async #transaction(): Promise<void> {
    await this.settled();
    const changes: Change[] = [];
    const main = this.#table("main");
    const other = this.#table("other");
    const pair = this.#family!.table("pair", codecs);
    const marks = this.#family!.multimap("marks", codecs);
    const mark = `${this.#client}.${this.#count++}`;
    const key = this.#key();
    const value = this.#value();
    const expected = this.#lane.present?.get(main.name)?.get(key);
    changes.push({ kind: "set", table: main.name, key, value });
    changes.push({ kind: "delete", table: other.name, key });
    const step = this.#ask(changes, true, "transaction");
    const done = this.#family!.transaction((tx) => {
      const mine = tx.table(main);
      if (mine.get(key) !== expected) {
        throw new Error(`in a transaction ${key} is ${mine.get(key)}, not ${expected}`);
      }
      checkPair((half) => tx.table(pair).get(half), "in a transaction");
      mine.set(key, value);
      tx.table(other).delete(key);
      tx.table(pair).set("left", mark);
      tx.table(pair).set("right", mark);
      const marked = tx.multimap(marks);
      checkMarks(marked, "in a transaction");
      marked.deleteAll("both");
      for (const half of ["left", "right"]) {
        if (!marked.add("both", `${mark} ${half}`)) throw new Error(`${half} of ${mark} was there`);
      }
      checkMarks(marked, "in a transaction that wrote");
      if (mine.get(key) !== value) throw new Error("a transaction does not see its own write");
    });
    this.watch(step, done, value.length);
    await this.settled();
  }

  /**
   * Counts on, together with all other clients: by a key, by the number of entries in a range, and by the
   * last entry of one. Nothing may be counted twice or not at all.
   */
  #tally(): void {
    if (this.isOwn) return;
    const scene = this.#scene;
    const family = this.#family!;
    const tally = scene.tally(this.#name);
    const table = family.table("tally", codecs);
    for (let i = scene.below(3); i >= 0; i--) {
      const way = scene.below(3);
      const durability = this.#durability();
      tally.ask(way);
      scene.log(`client ${this.#client} ${this.#name}: ${durability} tally ${way}`);
      const done = family.transaction((tx) => {
        const t = tx.table(table);
        if (way === 0) t.set("number", String(Number(t.get("number") ?? 0) + 1));
        else if (way === 1) t.set(`count${padded(t.count({ prefix: "count" }))}`, "");
        else {
          const last = t.last({ prefix: "last" })?.[0] ?? "last0000";
          t.set(`last${padded(Number(last.slice(4)) + 1)}`, "");
        }
      }, { durability });
      this.#pending.push(
        done.then(() => {
          tally.acknowledge(way, durability === "immediate");
          // Others go on while it is read.
          const least = tally.acknowledged;
          tally.check(this.#name, sizesOf(family), least);
        }).catch((error) => {
          if (!isRefusal(scene, error)) throw error;
        }),
      );
    }
  }

  #many(): void {
    const table = this.#table("main");
    const durability = this.#durability();
    const entries = new Map<string, string>();
    const count = this.#scene.below(8) + 1;
    for (let i = 0; i < count; i++) entries.set(this.#key(), this.#value());
    const changes: Change[] = [...entries].map(([key, value]) => ({
      kind: "set",
      table: table.name,
      key,
      value,
    }));
    const step = this.#ask(changes, durability === "immediate", `${durability} setMany`);
    const size = [...entries.values()].reduce((sum, value) => sum + value.length, 0);
    this.watch(step, table.setMany(entries, { durability }), size);
  }

  #range(): void {
    const table = this.#table("main");
    const [from, to] = this.#span();
    const durability = this.#durability();
    const step = this.#ask(
      [{ kind: "range", table: table.name, from, to }],
      durability === "immediate",
      durability,
    );
    this.watch(step, table.deleteRange({ gte: from, lt: to }, { durability }), 0);
  }

  async #dropTable(): Promise<void> {
    // It refuses what is not there when it is asked for.
    await this.settled();
    const { name } = this.#table("other");
    if (!this.#family!.tables().includes(name)) return;
    const step = this.#ask([{ kind: "drop", table: name }], true, "delete table");
    this.watch(step, this.#family!.deleteTable(name), 0);
  }

  async #checkpoint(): Promise<void> {
    this.#scene.log(`client ${this.#client} checkpoint`);
    await guarded(this.#scene, () => this.#db.checkpoint());
  }

  /** A table that every client writes and deletes at any time; what it has is not compared. */
  #common(): void {
    const family = this.#family!;
    const done = this.#scene.chance(0.2)
      ? family.deleteTable("common")
      : family.table("common", codecs).set(this.#key(), this.#value());
    this.#pending.push(done.catch((error) => {
      if (error instanceof ManifoldError && error.code === "not-found") return;
      if (!isRefusal(this.#scene, error)) throw error;
    }));
  }

  /** Keeps a snapshot, which must not change. */
  #hold(): void {
    if (this.#held.length > 0) this.#release();
    else this.#held.push(this.#heldSnapshot(this.#family!.snapshot()));
  }

  /** Keeps a snapshot, one of the database, and an iterator, over the deletion of the family. */
  #holdAll(): void {
    this.#held.push(
      this.#heldSnapshot(this.#family!.snapshot()),
      this.#heldSnapshot(this.#db.snapshot()),
      heldIterator(this.#table("main")),
    );
  }

  #heldSnapshot(snapshot: Snapshot): Held {
    return heldSnapshot(snapshot, this.#table("main"), this.#family!.table("pair", codecs));
  }

  #look(): void {
    this.#checkHeld();
    const main = this.#table("main");
    const pairs = this.#family!.table("pair", codecs);
    for (let i = this.#scene.below(4); i >= 0; i--) {
      const snapshot = this.#family!.snapshot();
      const pair = snapshot.table(pairs);
      checkPair((key) => pair.get(key), "in a snapshot");
      checkMarks(snapshot.multimap(this.#family!.multimap("marks", codecs)), "in a snapshot");
      const mine = snapshot.table(main);
      const count = mine.count();
      const found = mine.entries().toArray().length;
      if (found !== count) throw new Error(`a snapshot counts ${count} entries and has ${found}`);
      snapshot[Symbol.dispose]();
    }
    const seen = main.get(this.#key());
    if (seen !== undefined && !seen.startsWith(`${this.#client}.`)) {
      throw new Error(`a value of nobody: ${seen}`);
    }
  }

  #checkHeld(): void {
    for (const held of this.#held) held.check();
  }

  #release(): void {
    this.#checkHeld();
    for (const held of this.#held.splice(0)) held.dispose();
  }
}

function padded(number: number): string {
  return String(number).padStart(4, "0");
}
