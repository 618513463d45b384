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

  /** Writes the checksum of `piece` to `target` at `offset`. */
  put(piece: Uint8Array, target: Uint8Array, offset: number): void {
    const sum = this.of(piece);
    for (let i = 0; i < CHECKSUM_BYTES; i++) target[offset + i] = sum[i];
  }

  /** Whether the checksum of the pieces stands in `target` at `offset`. */
  matches(target: Uint8Array, offset: number, ...pieces: Uint8Array[]): boolean {
    const sum = this.of(...pieces);
    for (let i = 0; i < CHECKSUM_BYTES; i++) if (target[offset + i] !== sum[i]) return false;
    return true;
  }
}
