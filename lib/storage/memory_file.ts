/**
 * A file that is only memory, shared by all threads: what `openInMemory` works on.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import type { File } from "./file.ts";

/**
 * Bytes of one piece; the system commits what is touched. Bun clears memory that it had given to another
 * piece before, up to a second for a GiB, and Deno does so with pieces below 32 MiB.
 */
const PIECE_BYTES = 2 ** 26;
const PIECES = 128;

/** The most bytes that a database in memory can hold besides its cache. */
export const MEMORY_FILE_BYTES = PIECE_BYTES * PIECES;

export class MemoryFile implements File {
  /** Reserves the memory; fewer pieces where the system does not grant all. */
  static allocate(): SharedArrayBuffer[] {
    const pieces: SharedArrayBuffer[] = [];
    try {
      while (pieces.length < PIECES) pieces.push(new SharedArrayBuffer(PIECE_BYTES));
    } catch (cause) {
      if (pieces.length === 0) {
        throw new ManifoldError("too-large", "no memory for a database in memory", { cause });
      }
    }
    return pieces;
  }

  readonly path = "(memory)";
  readonly #pieces: Uint8Array[];

  constructor(pieces: readonly SharedArrayBuffer[]) {
    this.#pieces = pieces.map((piece) => new Uint8Array(piece));
  }

  read(offset: number, memory: Uint8Array, start = 0, length = memory.length - start): number {
    this.#each(offset, length, (piece, at, from, to) => {
      memory.set(piece.subarray(at, at + to - from), start + from);
    });
    return length;
  }

  write(offset: number, memory: Uint8Array, start = 0, length = memory.length - start): void {
    this.#each(offset, length, (piece, at, from, to) => {
      piece.set(memory.subarray(start + from, start + to), at);
    });
  }

  sync(): void {}

  size(): number {
    return this.#pieces.length * PIECE_BYTES;
  }

  truncate(): void {}

  lock(): boolean {
    return true;
  }

  unlock(): void {}

  close(): void {}

  #each(
    offset: number,
    length: number,
    work: (piece: Uint8Array, at: number, from: number, to: number) => void,
  ): void {
    if (offset + length > this.size()) {
      throw new ManifoldError(
        "disk-full",
        `a database in memory holds at most ${this.size()} bytes; use a file`,
      );
    }
    for (let from = 0; from < length;) {
      const at = (offset + from) % PIECE_BYTES;
      const to = Math.min(length, from + PIECE_BYTES - at);
      work(this.#pieces[Math.floor((offset + from) / PIECE_BYTES)], at, from, to);
      from = to;
    }
  }
}
