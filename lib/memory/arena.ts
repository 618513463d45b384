/**
 * The arena: the memory that holds page images, as one or more equally big chunks of shared memory,
 * each cut into frames of one page. A frame is named by its number over all chunks.
 *
 * Invariant: chunk sizes are powers of two of at most 1 GiB, so that every offset inside a chunk is
 * a small integer and engines index it without conversions.
 *
 * @module
 */

import { type Kernel, kernelOn, WASM_PAGE_BYTES } from "./kernel.ts";

/** One chunk of the arena, seen as bytes and as 32-bit little-endian words. */
export interface Chunk {
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
}

/** The most bytes in one chunk. */
export const CHUNK_BYTES_MAX = 2 ** 30;

/**
 * Where a frame lies: `chunks[frame >> frameShift]`, at byte `(frame & frameMask) << pageShift`.
 * Hot code writes these two expressions out.
 */
export class Arena {
  readonly pageSize: number;
  readonly pageShift: number;
  readonly frameShift: number;
  readonly frameMask: number;
  readonly frameCount: number;
  readonly chunks: Chunk[];
  readonly #kernels: Kernel[];

  constructor(pageSize: number, memories: readonly WebAssembly.Memory[]) {
    const buffers = memories.map((memory) => memory.buffer);
    this.pageSize = pageSize;
    this.pageShift = 31 - Math.clz32(pageSize);
    this.#kernels = memories.map(kernelOn);
    this.chunks = buffers.map((buffer) => ({
      u8: new Uint8Array(buffer),
      u32: new Uint32Array(buffer),
    }));
    this.frameShift = buffers.length > 1
      ? 31 - Math.clz32(buffers[0].byteLength >>> this.pageShift)
      : 30;
    this.frameMask = 2 ** this.frameShift - 1;
    const bytes = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
    this.frameCount = Math.floor(bytes / pageSize);
  }

  /** Shared memory for `frames` frames, in chunks. The system commits it when it is touched. */
  static allocate(pageSize: number, frames: number): WebAssembly.Memory[] {
    const memories: WebAssembly.Memory[] = [];
    let left = frames * pageSize;
    while (left > 0) {
      const bytes = Math.min(left, CHUNK_BYTES_MAX);
      const pages = Math.ceil(bytes / WASM_PAGE_BYTES);
      memories.push(new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }));
      left -= bytes;
    }
    return memories;
  }

  /** Copies part of a frame, from byte `start` to byte `end`, to the same place of another. */
  copy(from: number, to: number, start: number, end: number): void {
    const chunk = from >> this.frameShift;
    const fromBase = this.base(from) + start;
    const toBase = this.base(to) + start;
    if (chunk === to >> this.frameShift) {
      this.#kernels[chunk].copy(toBase, fromBase, end - start);
    } else {
      const source = this.chunks[chunk].u8.subarray(fromBase, fromBase + end - start);
      this.chunk(to).u8.set(source, toBase);
    }
  }

  /** What copies and sums in the chunk of a frame; places are offsets in the chunk. */
  kernel(frame: number): Kernel {
    return this.#kernels[frame >> this.frameShift];
  }

  chunk(frame: number): Chunk {
    return this.chunks[frame >> this.frameShift];
  }

  base(frame: number): number {
    return (frame & this.frameMask) << this.pageShift;
  }
}
