/**
 * The families of the open database, a slot of shared memory each: name, published state, what the
 * checkpoints need to know.
 *
 * A slot is 256 words:
 *
 * | words | what |
 * |---|---|
 * | 0 | state: free, creating, live, dropping, ghost |
 * | 1 | id, never used twice |
 * | 2 | worker that writes the family |
 * | 3 | publications so far (wraps); the newest state is in block (publications & 7) |
 * | 4 | bytes of the name |
 * | 5 | frames that hold pages of the family |
 * | 6 | checkpoint (its number) that the worker has handed its state over for |
 * | 7 | 1 while a private version waits for the checkpoint that will contain it (bypass) |
 * | 8–9 | version of the durable checkpoint (i64) |
 * | 10–11 | version of the checkpoint in progress, -1 for none (i64) |
 * | 12–13 | private version of a bypass (i64) |
 * | 14–15 | version that the recovery makes (i64) |
 * | 16–31 | entry of the durable checkpoint |
 * | 32–47 | entry handed over for the checkpoint in progress |
 * | 48–111 | name, UTF-8 |
 * | 112 | pages that newer versions do not use and that are not given back yet |
 * | 113 | 1 while the block of the next publication is written, for another worker to publish |
 * | 128–255 | eight published blocks of 16 words |
 *
 * A block or entry: version (low, high), reference of the catalog's root (4 words), height of the
 * catalog, tables, next table id; an entry also: reference of the allocator image (4 words), its
 * bytes, pages of the family; the entry handed over then the number of the error code if the worker could
 * not make it.
 *
 * Invariants: a published block is written before its number; eight publications pass before it is
 * written again, and a reader checks after reading that they have not, all by atomic operations.
 * A slot's id is 0 unless the slot is in use.
 *
 * @module
 */

import { ERROR_CODES, type ErrorCode, ManifoldError } from "../errors.ts";
import { type Control, FAMILY_CHANGES, FAMILY_LOCK, NEXT_FAMILY_ID } from "./control.ts";
import { SpinLock } from "./spin_lock.ts";
import { decodeExactly, decodeText } from "./utf8.ts";

/** Families that one file can hold at once. */
export const FAMILIES_MAX = 8192;
/** Bytes of a name of a family or table. */
export const NAME_BYTES_MAX = 255;

/** The most that an id (of a family or table) can be: shared memory holds them as signed words. */
export const ID_MAX = 2 ** 31 - 1;

/** The name of a family or table that a file holds; undefined if it is none. */
export function decodeName(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0 || bytes.length > NAME_BYTES_MAX || bytes.includes(0)) return undefined;
  return decodeExactly(bytes);
}

const SLOT_WORDS = 256;
const STATE = 0;
const ID = 1;
const WORKER = 2;
const PUBLICATIONS = 3;
const NAME_LENGTH = 4;
const FRAMES = 5;
const HANDED_OVER = 6;
const BYPASS = 7;
const DURABLE_I64 = 4;
const CHECKPOINT_I64 = 5;
const PRIVATE_I64 = 6;
const RECOVER_I64 = 7;
const DURABLE_ENTRY = 16;
const HANDED_ENTRY = 32;
const HANDED_FAILURE = HANDED_ENTRY + 15;
const NAME = 48;
const RETIRED = 112;
const PREPARED = 113;
const BLOCKS = 128;
const BLOCK_WORDS = 16;
const BLOCK_MASK = 7;

export const FAMILY_FREE = 0;
export const FAMILY_CREATING = 1;
export const FAMILY_LIVE = 2;
export const FAMILY_DROPPING = 3;
/** Deleted; snapshots may still read it. Free once a checkpoint without it is durable. */
export const FAMILY_GHOST = 4;

/** One state of a family: the roots from which everything of one version is found. */
export interface FamilyState {
  version: number;
  /** Reference of the catalog's root page; meaningless at height 0. */
  readonly root: Uint32Array;
  /** Levels of the catalog's tree, 0 when it is empty. */
  height: number;
  tables: number;
  nextTableId: number;
}

/** What a checkpoint keeps of a family. */
export interface FamilyEntry extends FamilyState {
  /** Reference of the allocator image, an overflow extent. */
  readonly image: Uint32Array;
  imageBytes: number;
  /** Pages in use. */
  pages: number;
}

export function newFamilyState(): FamilyState {
  return { version: 0, root: new Uint32Array(4), height: 0, tables: 0, nextTableId: 1 };
}

export function newFamilyEntry(): FamilyEntry {
  return { ...newFamilyState(), image: new Uint32Array(4), imageBytes: 0, pages: 0 };
}

export function copyFamilyState(from: FamilyState, to: FamilyState): void {
  to.version = from.version;
  to.root.set(from.root);
  to.height = from.height;
  to.tables = from.tables;
  to.nextTableId = from.nextTableId;
}

export class FamilySlots {
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(FAMILIES_MAX * SLOT_WORDS * 4);
  }

  readonly #control: Control;
  readonly #words: Int32Array;
  readonly #i64: BigInt64Array;
  readonly #u8: Uint8Array;
  readonly lock: SpinLock;

  constructor(control: Control, buffer: SharedArrayBuffer) {
    this.#control = control;
    this.#words = new Int32Array(buffer);
    this.#i64 = new BigInt64Array(buffer);
    this.#u8 = new Uint8Array(buffer);
    this.lock = new SpinLock(control.words, FAMILY_LOCK);
  }

  /** Counts creations and deletions, so that a thread's list of names can be checked at a glance. */
  get changes(): number {
    return Atomics.load(this.#control.words, FAMILY_CHANGES);
  }

  /** How many families there are, about: slots ever taken. */
  get live(): number {
    return Atomics.load(this.#words, SLOTS_USED);
  }

  /** Words of all slots, for a thread that waits for a state to change. */
  get words(): Int32Array {
    return this.#words;
  }

  stateIndex(slot: number): number {
    return slot * SLOT_WORDS + STATE;
  }

  state(slot: number): number {
    return Atomics.load(this.#words, slot * SLOT_WORDS + STATE);
  }

  setState(slot: number, state: number): void {
    const at = slot * SLOT_WORDS;
    if (state === FAMILY_FREE) Atomics.store(this.#words, at + ID, 0);
    Atomics.store(this.#words, at + STATE, state);
    Atomics.add(this.#control.words, FAMILY_CHANGES, 1);
    Atomics.notify(this.#words, at + STATE);
  }

  id(slot: number): number {
    return Atomics.load(this.#words, slot * SLOT_WORDS + ID);
  }

  worker(slot: number): number {
    return Atomics.load(this.#words, slot * SLOT_WORDS + WORKER);
  }

  setWorker(slot: number, worker: number): void {
    Atomics.store(this.#words, slot * SLOT_WORDS + WORKER, worker);
  }

  name(slot: number): string {
    const at = slot * SLOT_WORDS;
    const length = Atomics.load(this.#words, at + NAME_LENGTH);
    const start = (at + NAME) * 4;
    return decodeText(this.#u8.slice(start, start + length));
  }

  /** The slot of a family that is live, being made or being dropped; -1 if there is none. */
  find(name: string): number {
    const wanted = new TextEncoder().encode(name);
    for (const slot of this.used()) {
      const at = slot * SLOT_WORDS;
      if (Atomics.load(this.#words, at + NAME_LENGTH) !== wanted.length) continue;
      const start = (at + NAME) * 4;
      let same = true;
      for (let i = 0; same && i < wanted.length; i++) same = this.#u8[start + i] === wanted[i];
      const state = this.state(slot);
      if (same && state !== FAMILY_FREE && state !== FAMILY_GHOST) return slot;
    }
    return -1;
  }

  /** The slot of a family id, or -1. */
  findId(id: number): number {
    for (const slot of this.used()) if (this.id(slot) === id) return slot;
    return -1;
  }

  /** Slots in use, ascending. */
  used(): number[] {
    const slots: number[] = [];
    const count = Atomics.load(this.#words, SLOTS_USED);
    for (let slot = 0; slot < count; slot++) {
      if (this.state(slot) !== FAMILY_FREE) slots.push(slot);
    }
    return slots;
  }

  /**
   * Takes a free slot for a family in the state `state`, under the lock that the caller holds.
   * @throws {ManifoldError} `too-large` when all slots are taken.
   */
  take(id: number, name: string, worker: number, state: number): number {
    for (let slot = 0; slot < FAMILIES_MAX - 1; slot++) {
      if (this.state(slot) !== FAMILY_FREE) continue;
      const at = slot * SLOT_WORDS;
      const publications = Atomics.load(this.#words, at + PUBLICATIONS);
      const frames = Atomics.load(this.#words, at + FRAMES);
      this.#words.fill(0, at + STATE + 1, at + SLOT_WORDS);
      Atomics.store(this.#words, at + PUBLICATIONS, publications);
      Atomics.store(this.#words, at + FRAMES, frames);
      const bytes = new TextEncoder().encode(name);
      this.#u8.set(bytes, (at + NAME) * 4);
      Atomics.store(this.#words, at + NAME_LENGTH, bytes.length);
      Atomics.store(this.#words, at + WORKER, worker);
      this.setCheckpointVersion(slot, -1);
      this.publish(slot, newFamilyState());
      if (Atomics.load(this.#words, SLOTS_USED) <= slot) {
        Atomics.store(this.#words, SLOTS_USED, slot + 1);
      }
      Atomics.store(this.#words, at + ID, id);
      this.setState(slot, state);
      return slot;
    }
    throw new ManifoldError(
      "too-large",
      `a database holds at most ${FAMILIES_MAX - 1} column families; delete one that is not needed`,
    );
  }

  /** A family id that was never used before. */
  nextId(): number {
    return Atomics.add(this.#control.words, NEXT_FAMILY_ID, 1);
  }

  /** How often the family has been published; changes with every new state. */
  publications(slot: number): number {
    return Atomics.load(this.#words, slot * SLOT_WORDS + PUBLICATIONS);
  }

  /** Makes a state the family's present one. Only its worker, under the publish lock. */
  publish(slot: number, state: FamilyState): void {
    Atomics.store(this.#words, slot * SLOT_WORDS + PUBLICATIONS, this.#writeNext(slot, state));
  }

  /** Writes the block that the family's next publication will name; returns that publication's number. */
  #writeNext(slot: number, state: FamilyState): number {
    const words = this.#words;
    const at = slot * SLOT_WORDS;
    const next = (Atomics.load(words, at + PUBLICATIONS) + 1) | 0;
    this.#writeBlock(at + BLOCKS + (next & BLOCK_MASK) * BLOCK_WORDS, state);
    return next;
  }

  /**
   * Writes a state that another worker, or this one, will make the present one together with others' families.
   * Only the family's worker, which publishes nothing until that was done or {@linkcode unprepare}.
   */
  prepare(slot: number, state: FamilyState): void {
    this.#writeNext(slot, state);
    Atomics.store(this.#words, slot * SLOT_WORDS + PREPARED, 1);
  }

  unprepare(slot: number): void {
    Atomics.store(this.#words, slot * SLOT_WORDS + PREPARED, 0);
  }

  /** Whether a state waits to be published. */
  isPrepared(slot: number): boolean {
    return Atomics.load(this.#words, slot * SLOT_WORDS + PREPARED) === 1;
  }

  /** Makes the prepared state the present one. Under the publish lock. */
  publishPrepared(slot: number): void {
    this.unprepare(slot);
    Atomics.add(this.#words, slot * SLOT_WORDS + PUBLICATIONS, 1);
  }

  /** Reads the present state into `state`; returns the number of its publication. */
  read(slot: number, state: FamilyState): number {
    for (;;) {
      const number = this.publications(slot);
      if (this.readPublication(slot, number, state)) return number;
    }
  }

  /** Reads the state of a publication that was the present one; false if it is too long ago. */
  readPublication(slot: number, number: number, state: FamilyState): boolean {
    const block = slot * SLOT_WORDS + BLOCKS + (number & BLOCK_MASK) * BLOCK_WORDS;
    this.#readBlock(block, state);
    // The block is rewritten by the eighth publication from there.
    return ((this.publications(slot) - number) | 0) < BLOCK_MASK;
  }

  /** The version that is published now. */
  version(slot: number): number {
    const words = this.#words;
    const at = slot * SLOT_WORDS;
    for (;;) {
      const number = Atomics.load(words, at + PUBLICATIONS);
      const block = at + BLOCKS + (number & BLOCK_MASK) * BLOCK_WORDS;
      const version = (Atomics.load(words, block) >>> 0) +
        Atomics.load(words, block + 1) * 2 ** 32;
      if (((Atomics.load(words, at + PUBLICATIONS) - number) | 0) < BLOCK_MASK) return version;
    }
  }

  durableVersion(slot: number): number {
    return Number(Atomics.load(this.#i64, slot * (SLOT_WORDS / 2) + DURABLE_I64));
  }

  setDurableVersion(slot: number, version: number): void {
    Atomics.store(this.#i64, slot * (SLOT_WORDS / 2) + DURABLE_I64, BigInt(version));
  }

  /** The version that the checkpoint in progress pins, -1 for none. */
  checkpointVersion(slot: number): number {
    return Number(Atomics.load(this.#i64, slot * (SLOT_WORDS / 2) + CHECKPOINT_I64));
  }

  setCheckpointVersion(slot: number, version: number): void {
    Atomics.store(this.#i64, slot * (SLOT_WORDS / 2) + CHECKPOINT_I64, BigInt(version));
  }

  /** The version of a bypassing transaction that waits for its checkpoint, -1 for none. */
  privateVersion(slot: number): number {
    if (Atomics.load(this.#words, slot * SLOT_WORDS + BYPASS) === 0) return -1;
    return Number(Atomics.load(this.#i64, slot * (SLOT_WORDS / 2) + PRIVATE_I64));
  }

  setPrivateVersion(slot: number, version: number): void {
    Atomics.store(this.#i64, slot * (SLOT_WORDS / 2) + PRIVATE_I64, BigInt(Math.max(version, 0)));
    Atomics.store(this.#words, slot * SLOT_WORDS + BYPASS, version < 0 ? 0 : 1);
  }

  /** The version that the log has for the family: 0 if there is nothing to recover. */
  recoverTo(slot: number): number {
    return Number(Atomics.load(this.#i64, slot * (SLOT_WORDS / 2) + RECOVER_I64));
  }

  setRecoverTo(slot: number, version: number): void {
    Atomics.store(this.#i64, slot * (SLOT_WORDS / 2) + RECOVER_I64, BigInt(version));
  }

  /** The number of the checkpoint for which the worker has handed over its state. */
  handedOver(slot: number): number {
    return Atomics.load(this.#words, slot * SLOT_WORDS + HANDED_OVER);
  }

  /** Hands an entry over for a checkpoint. */
  handOver(slot: number, checkpoint: number, entry: FamilyEntry): void {
    this.#writeEntry(slot * SLOT_WORDS + HANDED_ENTRY, entry);
    Atomics.store(this.#words, slot * SLOT_WORDS + HANDED_FAILURE, 0);
    Atomics.store(this.#words, slot * SLOT_WORDS + HANDED_OVER, checkpoint);
  }

  /** Says that nothing can be handed over for a checkpoint, which has to fail. */
  refuseHandOver(slot: number, checkpoint: number, code: ErrorCode): void {
    const number = ERROR_CODES.indexOf(code) + 1;
    Atomics.store(this.#words, slot * SLOT_WORDS + HANDED_FAILURE, number);
    Atomics.store(this.#words, slot * SLOT_WORDS + HANDED_OVER, checkpoint);
  }

  /** Why nothing was handed over; undefined if something was. */
  handOverFailure(slot: number): ErrorCode | undefined {
    return ERROR_CODES[Atomics.load(this.#words, slot * SLOT_WORDS + HANDED_FAILURE) - 1];
  }

  readHandedOver(slot: number, entry: FamilyEntry): void {
    this.#readEntry(slot * SLOT_WORDS + HANDED_ENTRY, entry);
  }

  readDurable(slot: number, entry: FamilyEntry): void {
    this.#readEntry(slot * SLOT_WORDS + DURABLE_ENTRY, entry);
  }

  writeDurable(slot: number, entry: FamilyEntry): void {
    this.#writeEntry(slot * SLOT_WORDS + DURABLE_ENTRY, entry);
    this.setDurableVersion(slot, entry.version);
  }

  /** Counts frames that hold pages of the family. */
  addFrames(slot: number, by: number): void {
    Atomics.add(this.#words, slot * SLOT_WORDS + FRAMES, by);
  }

  frames(slot: number): number {
    return Atomics.load(this.#words, slot * SLOT_WORDS + FRAMES);
  }

  /** Pages that wait until no version that is held, and no reader, needs them; as its worker said last. */
  retiredPages(slot: number): number {
    return Atomics.load(this.#words, slot * SLOT_WORDS + RETIRED);
  }

  setRetiredPages(slot: number, pages: number): void {
    Atomics.store(this.#words, slot * SLOT_WORDS + RETIRED, pages);
  }

  #writeBlock(at: number, state: FamilyState): void {
    const words = this.#words;
    Atomics.store(words, at, state.version >>> 0);
    Atomics.store(words, at + 1, Math.floor(state.version / 2 ** 32));
    for (let i = 0; i < 4; i++) Atomics.store(words, at + 2 + i, state.root[i] | 0);
    Atomics.store(words, at + 6, state.height);
    Atomics.store(words, at + 7, state.tables);
    Atomics.store(words, at + 8, state.nextTableId);
  }

  #readBlock(at: number, state: FamilyState): void {
    const words = this.#words;
    state.version = (Atomics.load(words, at) >>> 0) + Atomics.load(words, at + 1) * 2 ** 32;
    for (let i = 0; i < 4; i++) state.root[i] = Atomics.load(words, at + 2 + i);
    state.height = Atomics.load(words, at + 6);
    state.tables = Atomics.load(words, at + 7);
    state.nextTableId = Atomics.load(words, at + 8);
  }

  #writeEntry(at: number, entry: FamilyEntry): void {
    this.#writeBlock(at, entry);
    for (let i = 0; i < 4; i++) Atomics.store(this.#words, at + 9 + i, entry.image[i] | 0);
    Atomics.store(this.#words, at + 13, entry.imageBytes);
    Atomics.store(this.#words, at + 14, entry.pages | 0);
  }

  #readEntry(at: number, entry: FamilyEntry): void {
    this.#readBlock(at, entry);
    for (let i = 0; i < 4; i++) entry.image[i] = Atomics.load(this.#words, at + 9 + i);
    entry.imageBytes = Atomics.load(this.#words, at + 13) >>> 0;
    entry.pages = Atomics.load(this.#words, at + 14) >>> 0;
  }
}

/** How many slots have ever been taken: the first word of the last slot, which no family gets. */
const SLOTS_USED = (FAMILIES_MAX - 1) * SLOT_WORDS;
