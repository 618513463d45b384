/**
 * The keeper: it alone writes meta pages, directories and the log's header. It begins the log's life
 * and makes checkpoints, while writers go on.
 *
 * A checkpoint: pin all families' versions under the publish lock; have each family's worker hand
 * over its roots and the image of its allocator as of that version; write the dirty pages; sync; sync the
 * log through every record included; write the directory, sync; write the other meta page, sync;
 * release what only the checkpoint before needed.
 *
 * Invariants: each sync is over before the next thing that relies on it is written; what the durable
 * checkpoint refers to stays until a newer one is durable; a failed sync is final, a failed write is
 * tried again with the next checkpoint.
 *
 * @module
 */

import { type ErrorCode, ManifoldError } from "../errors.ts";
import type { GroupCommit } from "../log/group_commit.ts";
import { encodeLogHeader, LOG_BYTES_STEP, LOG_HEADER_BYTES } from "../log/log_file.ts";
import { NEXT_FAMILY_ID, PUBLISH_LOCK } from "../memory/control.ts";
import { Epochs } from "../memory/epochs.ts";
import {
  FAMILY_FREE,
  FAMILY_GHOST,
  type FamilyEntry,
  newFamilyEntry,
} from "../memory/family_slots.ts";
import { FRAME_DIRTY } from "../memory/frames.ts";
import { beginCheckpoint, endCheckpoint, setDurableGeneration } from "../memory/keeper_state.ts";
import { SpinLock } from "../memory/spin_lock.ts";
import { type DirectoryFamily, encodeDirectory } from "../storage/directory.ts";
import { DIRECTORY_OWNER } from "../storage/extents.ts";
import type { File } from "../storage/file.ts";
import { encodeMeta, type Meta, META_BYTES, metaOffset } from "../storage/meta.ts";
import { type DirtyFrame, PageWriterOut } from "../storage/page_writer.ts";
import { WORD_BIRTH_HIGH, WORD_BIRTH_LOW, WORD_FAMILY } from "../tree/page.ts";
import type { ThreadMemory } from "./thread_memory.ts";

interface Pinned {
  readonly slot: number;
  readonly id: number;
  readonly name: string;
  readonly version: number;
  /** Whether it has changed since the durable checkpoint. */
  readonly changed: boolean;
}

interface Ghost {
  readonly slot: number;
  readonly id: number;
  readonly epoch: number;
}

/** A checkpoint between its pins and its end. */
export interface CheckpointInProgress {
  readonly number: number;
  readonly pinned: readonly Pinned[];
  readonly recoverFrom: number;
  readonly logEnd: number;
  readonly ghosts: readonly number[];
  /** Whether it contains what no record of the log has: a transaction that bypasses it. */
  readonly beyondLog: boolean;
  readonly epoch: number;
}

export class Keeper {
  meta: Meta;
  readonly #memory: ThreadMemory;
  readonly #commit: GroupCommit;
  readonly #publishLock: SpinLock;
  readonly #writer: PageWriterOut;
  #ghosts: Ghost[] = [];

  constructor(memory: ThreadMemory, commit: GroupCommit, meta: Meta) {
    this.#memory = memory;
    this.#commit = commit;
    this.#publishLock = new SpinLock(memory.control.words, PUBLISH_LOCK);
    this.#writer = new PageWriterOut(memory.store, memory.epochs);
    this.meta = meta;
    setDurableGeneration(memory.control, meta.generation);
  }

  /** @throws {ManifoldError} `failed` */
  sync(file: File): void {
    try {
      file.sync();
    } catch (cause) {
      throw new ManifoldError(
        "failed",
        `${file.path} could not be synced, so what it has on disk is unknown`,
        { cause },
      );
    }
  }

  /** Writes the chosen meta page again where it stands: it may only have been in the system's cache. */
  rewriteMeta(): void {
    this.#writeMeta(this.meta);
  }

  /**
   * Begins a life of the log: header, durable under its name, before the meta page that names its salt.
   * `syncName` syncs the directory that holds the log. May be tried again if a write has failed.
   */
  beginLife(log: File, capacity: number, syncName: () => void): void {
    const { checksum } = this.#memory;
    const filledAtFirst = Math.min(capacity, FILLED_AT_FIRST_BYTES);
    // What an earlier life has filled stays: another salt makes its records none.
    const there = log.size() - LOG_HEADER_BYTES;
    const reused = there >= filledAtFirst && there <= capacity;
    const { uuid, generation } = this.meta;
    const salt = crypto.getRandomValues(new Uint8Array(8));
    const filled = reused ? there - there % LOG_BYTES_STEP : filledAtFirst;
    try {
      if (!reused) {
        log.truncate(LOG_HEADER_BYTES);
        log.write(LOG_HEADER_BYTES, new Uint8Array(filled));
      }
      log.write(0, encodeLogHeader({ uuid, salt, capacity, generation }, checksum));
      this.sync(log);
      syncName();
      this.#writeNextMeta({ ...this.meta, clean: false, salt, logPosition: 0 });
    } catch (error) {
      // What was filled may be the room that others lack.
      if (mayGoOn(error) && !reused) log.truncate(LOG_HEADER_BYTES);
      throw error;
    }
    this.#commit.begin(capacity, filled);
  }

  /** Pins what is published now. The families' workers are to be woken after this. */
  begin(): CheckpointInProgress {
    const { control, slots, thread, epochs } = this.#memory;
    const number = beginCheckpoint(control);
    const pinned: Pinned[] = [];
    const ghosts: number[] = [];
    let beyondLog = false;
    this.#publishLock.acquire(thread);
    try {
      for (const slot of slots.used()) {
        const state = slots.state(slot);
        if (state === FAMILY_GHOST) {
          ghosts.push(slot);
          continue;
        }
        const privateVersion = slots.privateVersion(slot);
        const version = privateVersion >= 0 ? privateVersion : slots.version(slot);
        if (privateVersion >= 0) beyondLog = true;
        if (version === 0) continue; // its creation is not published yet
        slots.setCheckpointVersion(slot, version);
        pinned.push({
          slot,
          id: slots.id(slot),
          name: slots.name(slot),
          version,
          changed: version !== slots.durableVersion(slot),
        });
      }
      return {
        number,
        pinned,
        ghosts,
        beyondLog,
        recoverFrom: this.#commit.recoverFrom(),
        logEnd: this.#commit.tail,
        epoch: epochs.tag(),
      };
    } finally {
      this.#publishLock.release();
    }
  }

  /**
   * Whether every family that has changed was handed over.
   *
   * @throws {ManifoldError} when a worker could not write what it has to hand over.
   */
  isHandedOver(checkpoint: CheckpointInProgress): boolean {
    const { slots, file } = this.#memory;
    let all = true;
    for (const { slot, name, changed } of checkpoint.pinned) {
      if (!changed) continue;
      if (slots.handedOver(slot) !== checkpoint.number) {
        all = false;
        continue;
      }
      const code = slots.handOverFailure(slot);
      if (code === undefined) continue;
      throw new ManifoldError(
        code,
        `${file.path}: the worker of column family "${name}" could not write its part of the checkpoint`,
      );
    }
    return all;
  }

  /** First half: dirty pages. Then the log is to be synced through `logEnd`. */
  writePages(checkpoint: CheckpointInProgress): void {
    const { frames, arena } = this.#memory;
    const versions = new Map(checkpoint.pinned.map((one) => [one.id, one.version]));
    const dirty: DirtyFrame[] = [];
    for (let frame = 0; frame < frames.count; frame++) {
      if (frames.kind(frame) !== FRAME_DIRTY) continue;
      dirty.push({ page: frames.pageOf(frame), frame });
    }
    this.#writer.write(dirty, (frame) => {
      const { u32 } = arena.chunk(frame);
      const at = arena.base(frame) >> 2;
      const birth = u32[at + WORD_BIRTH_LOW] + u32[at + WORD_BIRTH_HIGH] * 2 ** 32;
      return birth <= (versions.get(u32[at + WORD_FAMILY]) ?? -1);
    });
  }

  /** Second half: pages and directory durable, then the meta page; then what is old is released. */
  end(checkpoint: CheckpointInProgress, clean: boolean): void {
    const { control, slots, extents, file, checksum, arena } = this.#memory;
    const families: DirectoryFamily[] = [];
    const entries: FamilyEntry[] = [];
    for (const { slot, id, name, changed } of checkpoint.pinned) {
      const entry = newFamilyEntry();
      if (changed) slots.readHandedOver(slot, entry);
      else slots.readDurable(slot, entry);
      families.push({ id, name, entry });
      entries.push(entry);
    }
    const generation = this.meta.generation + 1;
    const encode = (ownStart: number, ownPages: number): Uint8Array =>
      this.#encodeDirectory(families, generation, ownStart, ownPages);
    const pages = Math.ceil((encode(-1, 0).length + DIRECTORY_SLACK_BYTES) / arena.pageSize);
    const start = extents.take(pages, DIRECTORY_OWNER);
    const oldDirectory = this.meta.directoryPage;
    try {
      const directory = encode(start, pages);
      const padded = new Uint8Array(pages * arena.pageSize);
      padded.set(directory);
      file.write(start * arena.pageSize, padded);
      // As long as the directory says, which counts extents that were taken since the pages were
      // written: so a file that was cut off can be told from one whose last pages are not needed yet.
      extents.extendFile(file, arena.pageSize);
      this.sync(file); // pages, overflow extents and directory stand in one file
      this.#writeNextMeta({
        ...this.meta,
        clean,
        logPosition: checkpoint.recoverFrom,
        directoryPage: start,
        directoryBytes: directory.length,
        directoryChecksum: checksum.of(directory),
      });
    } catch (error) {
      if (mayGoOn(error)) extents.free((extent) => extent.start === start);
      throw error;
    }
    if (checkpoint.beyondLog) this.#writeMetaAgain();
    checkpoint.pinned.forEach(({ slot, id }, i) => {
      if (slots.id(slot) !== id) return;
      // First the new durable version, then the end of the pin: there is always one of them.
      slots.writeDurable(slot, entries[i]);
      slots.setCheckpointVersion(slot, -1);
    });
    extents.free((extent) => extent.owner === DIRECTORY_OWNER && extent.start === oldDirectory);
    this.#commit.freeUpTo(checkpoint.recoverFrom);
    this.#unlinkGhosts(checkpoint);
    endCheckpoint(control, checkpoint.number);
  }

  /** The checkpoint failed before its meta page; the one before stays the durable one. */
  fail(checkpoint: CheckpointInProgress, code: ErrorCode): void {
    const { control, slots } = this.#memory;
    for (const { slot, id } of checkpoint.pinned) {
      if (slots.id(slot) === id) slots.setCheckpointVersion(slot, -1);
    }
    endCheckpoint(control, checkpoint.number, code);
  }

  /** Frees the space of deleted families that nobody can read or write any more. */
  buryGhosts(): void {
    if (this.#ghosts.length === 0) return;
    const { slots, extents, epochs } = this.#memory;
    const horizon = epochs.horizon();
    this.#ghosts = this.#ghosts.filter(({ slot, id, epoch }) => {
      if (!Epochs.passed(epoch, horizon)) return true;
      extents.free((extent) => extent.owner === id);
      slots.setState(slot, FAMILY_FREE);
      return false;
    });
  }

  /** Deleted families that the durable checkpoint does not have and no snapshot reads: their frames go. */
  #unlinkGhosts(checkpoint: CheckpointInProgress): void {
    const { slots, frames, pins, epochs } = this.#memory;
    if (!Epochs.passed(checkpoint.epoch, epochs.horizon())) return; // with the next checkpoint
    for (const slot of checkpoint.ghosts) {
      const id = slots.id(slot);
      if (this.#ghosts.some((ghost) => ghost.slot === slot)) continue;
      if (pins.versionsOf(id).length > 0) continue;
      epochs.enter();
      try {
        for (let frame = 0; frame < frames.count; frame++) frames.unlinkFrame(frame, slot);
      } finally {
        epochs.leave();
      }
      this.#ghosts.push({ slot, id, epoch: epochs.tag() });
    }
  }

  #encodeDirectory(
    families: readonly DirectoryFamily[],
    generation: number,
    ownStart: number,
    ownPages: number,
  ): Uint8Array {
    const { control, extents } = this.#memory;
    const owners = new Set(families.map((family) => family.id));
    const list = extents.list();
    for (const extent of list) {
      // A used extent counts if its owner is in this checkpoint; of directories, only the new one does.
      const mine = extent.owner === DIRECTORY_OWNER
        ? extent.start === ownStart && extent.pages === ownPages
        : owners.has(extent.owner);
      if (!extent.free && !mine) extent.free = true;
    }
    const joined: typeof list = [];
    for (const extent of list) {
      const last = joined.at(-1);
      if (last?.free && extent.free) last.pages += extent.pages;
      else joined.push({ ...extent });
    }
    return encodeDirectory({
      nextFamilyId: Atomics.load(control.words, NEXT_FAMILY_ID),
      generation,
      filePages: joined.length === 0
        ? extents.filePages
        : joined.at(-1)!.start + joined.at(-1)!.pages,
      families,
      extents: joined,
    });
  }

  /**
   * Writes the meta page of the next generation. If that fails, the page may be there all the same, and what
   * it refers to will be used anew: then the page is made void, so that the one before stays the newest.
   */
  #writeNextMeta(meta: Meta): void {
    const { file } = this.#memory;
    const generation = this.meta.generation + 1;
    try {
      this.#writeMeta({ ...meta, generation });
    } catch (error) {
      if (!mayGoOn(error)) throw error;
      try {
        file.write(metaOffset(generation), new Uint8Array(META_BYTES));
      } catch (cause) {
        // Without room for the page, it is not there.
        if (cause instanceof ManifoldError && cause.code === "disk-full") throw error;
        throw new ManifoldError(
          "failed",
          `${file.path}: whether meta page ${generation} was written is unknown`,
          { cause },
        );
      }
      this.sync(file);
      throw error;
    }
  }

  #writeMeta(meta: Meta): void {
    const { file, checksum, control } = this.#memory;
    file.write(metaOffset(meta.generation), encodeMeta(meta, checksum));
    this.sync(file);
    this.meta = meta;
    setDurableGeneration(control, meta.generation);
  }

  /**
   * Says in the other meta page, too, what the newest says: falling back to the one before would lose
   * a transaction that the log cannot give back, and no record would tell.
   */
  #writeMetaAgain(): void {
    try {
      this.#writeNextMeta(this.meta);
    } catch (error) {
      // Its place is void then, which serves as well: nothing is there to fall back to.
      if (mayGoOn(error)) return;
      // The checkpoint is durable: it cannot be taken back as one that failed.
      throw new ManifoldError(
        "failed",
        `${this.#memory.file.path}: the second meta page could not be written`,
        { cause: error },
      );
    }
  }
}

/** Whether the database may go on after this error; else nothing may be written any more. */
export function mayGoOn(error: unknown): error is ManifoldError {
  return error instanceof ManifoldError && error.code !== "failed";
}

/**
 * So much of a new log is written with zeros at once, so that the first syncs need not grow the file; bytes.
 */
const FILLED_AT_FIRST_BYTES = 8 * 2 ** 20;
/** Room for extents that are taken between the two encodings of a directory. */
const DIRECTORY_SLACK_BYTES = 1536;
