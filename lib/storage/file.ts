/**
 * What storage and log need of a file, so that a simulator can stand in for the disk.
 *
 * Every method is synchronous and throws a {@linkcode ManifoldError} that names the path. Offsets
 * and lengths are in bytes; memory may lie on a `SharedArrayBuffer`. Where only a part of it is meant, that is
 * said by numbers: a view made for each page would be garbage of which a collector sees too little.
 *
 * @module
 */

/** An open file. */
export interface File {
  /** The path it was opened with. */
  readonly path: string;
  /**
   * The system's descriptor, where an open file outlives the thread that opened it (Bun): when that was
   * terminated, somebody else has to close it.
   */
  readonly descriptor?: number;
  /**
   * Reads at `offset` until the target is full or the file ends; returns the bytes read. The target is
   * `length` bytes of `memory` from `from` on, or all of it.
   */
  read(offset: number, memory: Uint8Array, from?: number, length?: number): number;
  /** Writes at `offset` all of `memory`, or `length` bytes of it from `from` on; short writes are continued. */
  write(offset: number, memory: Uint8Array, from?: number, length?: number): void;
  /** Makes data and length durable (`fdatasync`). */
  sync(): void;
  /** The length now. */
  size(): number;
  /** Cuts or extends (by zeros) to `length`. */
  truncate(length: number): void;
  /**
   * Takes the advisory lock of the whole file (`flock`) without waiting; true when it is held now.
   * A lock that is already held is converted. A failed conversion from shared to exclusive may have
   * lost the shared lock: that is what the system does.
   */
  lock(exclusive: boolean): boolean;
  /** Gives the lock up; nothing happens when none is held. */
  unlock(): void;
  /** Closes, and with that unlocks; a second call does nothing. */
  close(): void;
}
