/**
 * A disk that forgets: what was written and not synced may be there after a power cut or not, sector
 * by sector, in any order; lengths and names apart from the data.
 *
 * Invariants: a sector (512 bytes) is written whole; a sync makes durable what was written before it
 * began; names become durable by a sync of their directory.
 *
 * @module
 */

import { dirname } from "node:path";
import type { Chooser } from "./kernel.ts";

export const SECTOR_BYTES = 512;

/** A sector as it was written: the bytes of a whole write, and where in them it begins. */
interface Written {
  readonly order: number;
  readonly bytes: Uint8Array;
  readonly from: number;
}

/** A file's content, whatever it is called. */
export class Inode {
  static #last = 0;
  /** Names it. */
  readonly number: number = ++Inode.#last;
  /** What readers see. */
  bytes: Uint8Array = new Uint8Array(1 << 16);
  size = 0;
  /** What is on the disk for certain. */
  #durable: Uint8Array = new Uint8Array(1 << 16);
  #durableSize = 0;
  /** Unsynced contents of sectors, oldest first. */
  readonly #pending = new Map<number, Written[]>();
  /** Unsynced lengths, oldest first. */
  #sizes: { order: number; size: number }[] = [];
  #order = 0;
  #locks = new Map<object, boolean>();

  /** Sectors that a power cut could lose now. */
  get unsynced(): number {
    return this.#pending.size;
  }

  #reach(size: number): void {
    if (size + SECTOR_BYTES <= this.bytes.length) return;
    this.bytes = grown(this.bytes, size);
  }

  read(offset: number, target: Uint8Array): number {
    const count = Math.max(0, Math.min(target.length, this.size - offset));
    target.set(this.bytes.subarray(offset, offset + count));
    return count;
  }

  /** With `never`, no sync will keep it: for a breakage that has to be found out. */
  write(offset: number, source: Uint8Array, never = false): void {
    const end = offset + source.length;
    this.#reach(end);
    this.bytes.set(source, offset);
    const order = ++this.#order;
    if (end > this.size) {
      this.size = end;
      this.#sizes.push({ order, size: end });
    }
    this.#remember(offset, end, never ? Infinity : order);
  }

  /** Keeps the sectors that a write from `offset` to `end` has touched as they are now. */
  #remember(offset: number, end: number, order: number): void {
    const first = Math.floor(offset / SECTOR_BYTES);
    const last = Math.floor((end - 1) / SECTOR_BYTES);
    const bytes = this.bytes.slice(first * SECTOR_BYTES, (last + 1) * SECTOR_BYTES);
    for (let sector = first; sector <= last; sector++) {
      const written = { order, bytes, from: (sector - first) * SECTOR_BYTES };
      const versions = this.#pending.get(sector);
      if (versions === undefined) this.#pending.set(sector, [written]);
      else versions.push(written);
    }
  }

  truncate(size: number): void {
    if (size === this.size) return;
    const order = ++this.#order;
    this.#reach(size);
    if (size < this.size) {
      this.bytes.fill(0, size, this.size);
      this.#remember(size, this.size, order);
    }
    this.size = size;
    this.#sizes.push({ order, size });
  }

  /** A sync begins; to be given to {@linkcode synced} when it is over. */
  beginSync(): number {
    return this.#order;
  }

  /** What was written before the sync began is durable. */
  synced(upTo: number): void {
    for (const [sector, versions] of this.#pending) {
      let newest: Written | undefined;
      while (versions.length > 0 && versions[0].order <= upTo) newest = versions.shift();
      if (newest !== undefined) this.#keep(sector, newest);
      if (versions.length === 0) this.#pending.delete(sector);
    }
    while (this.#sizes.length > 0 && this.#sizes[0].order <= upTo) {
      this.#durableSize = this.#sizes.shift()!.size;
    }
  }

  #keep(sector: number, { bytes, from }: Written): void {
    const at = sector * SECTOR_BYTES;
    if (at + SECTOR_BYTES > this.#durable.length) {
      this.#durable = grown(this.#durable, at + SECTOR_BYTES);
    }
    this.#durable.set(bytes.subarray(from, from + SECTOR_BYTES), at);
  }

  /** A sync failed: what it should have kept may be on the disk or not, and nobody will try again. */
  failSync(upTo: number, chooser: Chooser): void {
    for (const [sector, versions] of this.#pending) {
      const lost = versions.filter(({ order }) => order <= upTo);
      versions.splice(0, lost.length);
      const kept = chooser.below(lost.length + 1);
      if (kept > 0) this.#keep(sector, lost[kept - 1]);
      if (versions.length === 0) this.#pending.delete(sector);
    }
  }

  /** The power fails. */
  cut(chooser: Chooser): void {
    // All, nothing, most, few: even odds for each sector would hardly ever lose or keep a run of them.
    const odds = [0, 1, 0.5, 0.9, 0.1][chooser.below(5)];
    const size = this.#sizes.length > 0 && chooser.chance(odds)
      ? this.#sizes[chooser.below(this.#sizes.length)].size
      : this.#durableSize;
    for (const [sector, versions] of this.#pending) {
      if (!chooser.chance(odds)) continue;
      const one = versions.length === 1 ? 0 : chooser.below(versions.length);
      this.#keep(sector, versions[one]);
    }
    // What lies beyond the length is gone, and zeros if the file grows again.
    this.#durable.fill(0, size);
    if (size > this.#durable.length) this.#durable = grown(this.#durable, size);
    this.#durableSize = size;
    this.#forget();
    this.bytes = this.#durable.slice();
    this.size = size;
  }

  /** The process is killed: the system keeps what it has, also what is not on the disk yet. */
  survive(): void {
    this.#locks.clear();
  }

  #forget(): void {
    this.#pending.clear();
    this.#sizes = [];
    this.#locks.clear();
  }

  lock(holder: object, exclusive: boolean): boolean {
    for (const [other, strong] of this.#locks) {
      if (other !== holder && (strong || exclusive)) return false;
    }
    this.#locks.set(holder, exclusive);
    return true;
  }

  unlock(holder: object): void {
    this.#locks.delete(holder);
  }
}

function grown(bytes: Uint8Array, size: number): Uint8Array {
  const larger = new Uint8Array(Math.max(size + SECTOR_BYTES, bytes.length * 2));
  larger.set(bytes);
  return larger;
}

interface NameChange {
  readonly directory: string;
  apply(names: Map<string, Inode>): void;
}

/** All files by name. */
export class Disk {
  names: Map<string, Inode> = new Map();
  #durable = new Map<string, Inode>();
  #changes: NameChange[] = [];

  /** Forgets everything. */
  clear(): void {
    this.names = new Map();
    this.#durable = new Map();
    this.#changes = [];
  }

  #change(change: NameChange): void {
    change.apply(this.names);
    this.#changes.push(change);
  }

  create(path: string): Inode {
    const inode = new Inode();
    this.#change({
      directory: dirname(path),
      apply: (names) => void names.set(path, inode),
    });
    return inode;
  }

  remove(path: string): void {
    this.#change({ directory: dirname(path), apply: (names) => void names.delete(path) });
  }

  rename(from: string, to: string): void {
    const inode = this.names.get(from)!;
    this.#change({
      directory: dirname(to),
      apply: (names) => {
        names.delete(from);
        names.set(to, inode);
      },
    });
  }

  syncDirectory(path: string): void {
    for (const change of this.#changes) {
      if (change.directory === path) change.apply(this.#durable);
    }
    this.#changes = this.#changes.filter((change) => change.directory !== path);
  }

  /** Sectors that a power cut could lose now. */
  get unsynced(): number {
    let count = 0;
    for (const inode of this.names.values()) count += inode.unsynced;
    return count;
  }

  cut(chooser: Chooser): void {
    for (const inode of new Set([...this.names.values(), ...this.#durable.values()])) {
      inode.cut(chooser);
    }
    // Names are changed in order, as a journal does, but the end of it may be lost.
    const kept = chooser.below(this.#changes.length + 1);
    for (const change of this.#changes.slice(0, kept)) change.apply(this.#durable);
    this.#changes = [];
    this.names = new Map(this.#durable);
  }

  survive(): void {
    for (const inode of this.names.values()) inode.survive();
  }
}
