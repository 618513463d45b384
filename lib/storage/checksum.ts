/**
 * Checksums, XXH64, of what lies anywhere in JavaScript's memory: the pieces are copied through a small buffer of
 * the kernel's. (What lies in the arena, the arena's own kernels sum where it stands.)
 *
 * Checksums are kept as eight bytes, most significant first.
 *
 * @module
 */

import { type Kernel, kernelOn, loadKernel, WASM_PAGE_BYTES } from "../memory/kernel.ts";

/** Bytes of a checksum. */
export const CHECKSUM_BYTES = 8;

/** Bytes of the buffer, a multiple of the kernel's blocks: both copies of them stay in the processor's cache. */
const BUFFER_BYTES = 16 * 1024;

export class Checksum {
  readonly #kernel: Kernel;
  readonly #buffer: Uint8Array;
  readonly #sum = new Uint8Array(CHECKSUM_BYTES);
  readonly #sumWords = new Int32Array(this.#sum.buffer);
  /** Bytes of the buffer that the kernel has not taken. */
  #filled = 0;

  private constructor() {
    const pages = Math.ceil(BUFFER_BYTES / WASM_PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.#kernel = kernelOn(memory);
    this.#buffer = new Uint8Array(memory.buffer, 0, BUFFER_BYTES);
  }

  static async create(): Promise<Checksum> {
    await loadKernel();
    return new Checksum();
  }

  /** The checksum of one or more pieces of memory, taken as one. */
  of(...pieces: Uint8Array[]): Uint8Array {
    this.begin();
    for (const piece of pieces) this.add(piece);
    return this.#end().slice();
  }

  /** Writes the checksum of `piece` to `target` at `offset`. */
  put(piece: Uint8Array, target: Uint8Array, offset: number): void {
    this.begin();
    this.add(piece);
    target.set(this.#end(), offset);
  }

  /** Whether the checksum of the pieces stands in `target` at `offset`. */
  matches(target: Uint8Array, offset: number, ...pieces: Uint8Array[]): boolean {
    this.begin();
    for (const piece of pieces) this.add(piece);
    return this.holds(target, offset);
  }

  /** Begins a checksum that is taken bit by bit; nothing else may be asked before its end. */
  begin(): void {
    this.#kernel.begin();
    this.#filled = 0;
  }

  /** Takes another piece into the checksum that was begun. */
  add(piece: Uint8Array): void {
    for (let from = 0; from < piece.length;) {
      const to = Math.min(piece.length, from + BUFFER_BYTES - this.#filled);
      const whole = from === 0 && to === piece.length;
      this.#buffer.set(whole ? piece : piece.subarray(from, to), this.#filled);
      this.#filled += to - from;
      from = to;
      if (this.#filled < BUFFER_BYTES) return;
      this.#kernel.blocks(0, BUFFER_BYTES);
      this.#filled = 0;
    }
  }

  /** Ends the checksum that was begun: whether it stands in `target` at `offset`. */
  holds(target: Uint8Array, offset: number): boolean {
    const sum = this.#end();
    for (let i = 0; i < CHECKSUM_BYTES; i++) if (target[offset + i] !== sum[i]) return false;
    return true;
  }

  /** The checksum, valid until the next. */
  #end(): Uint8Array {
    this.#sumWords[0] = this.#kernel.end(0, this.#filled);
    this.#sumWords[1] = this.#kernel.second();
    return this.#sum;
  }
}
