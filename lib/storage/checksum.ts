/**
 * XXH64, by `hash-wasm`. Checksums are kept as the eight bytes in which the library gives them.
 *
 * @module
 */

import { createXXHash64, type IHasher } from "hash-wasm";

/** Bytes of a checksum. */
export const CHECKSUM_BYTES = 8;

export class Checksum {
  readonly #hasher: IHasher;

  private constructor(hasher: IHasher) {
    this.#hasher = hasher;
  }

  static async create(): Promise<Checksum> {
    return new Checksum(await createXXHash64());
  }

  /** The checksum of one or more pieces of memory, taken as one. */
  of(...pieces: Uint8Array[]): Uint8Array {
    this.#hasher.init();
    for (const piece of pieces) this.#hasher.update(piece);
    return this.#hasher.digest("binary");
  }

  /** Begins a checksum that is taken bit by bit; nothing else may be asked before its end. */
  begin(): void {
    this.#hasher.init();
  }

  /** Takes another piece into the checksum that was begun. */
  add(piece: Uint8Array): void {
    this.#hasher.update(piece);
  }

  /** Ends the checksum that was begun: whether it stands in `target` at `offset`. */
  holds(target: Uint8Array, offset: number): boolean {
    return equals(this.#hasher.digest("binary"), target, offset);
  }

  /** Writes the checksum of `piece` to `target` at `offset`. */
  put(piece: Uint8Array, target: Uint8Array, offset: number): void {
    const sum = this.of(piece);
    for (let i = 0; i < CHECKSUM_BYTES; i++) target[offset + i] = sum[i];
  }

  /** Whether the checksum of the pieces stands in `target` at `offset`. */
  matches(target: Uint8Array, offset: number, ...pieces: Uint8Array[]): boolean {
    return equals(this.of(...pieces), target, offset);
  }
}

function equals(sum: Uint8Array, target: Uint8Array, offset: number): boolean {
  for (let i = 0; i < CHECKSUM_BYTES; i++) if (target[offset + i] !== sum[i]) return false;
  return true;
}
