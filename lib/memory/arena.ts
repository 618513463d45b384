/**
 * The arena: the memory that holds page images, as one or more equally big chunks of shared memory,
 * each cut into frames of one page. A frame is named by its number over all chunks.
 *
 * Invariant: chunk sizes are powers of two of at most 1 GiB, so that every offset inside a chunk is
 * a small integer and engines index it without conversions.
 *
 * @module
 */

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
  readonly buffers: SharedArrayBuffer[];

  constructor(pageSize: number, buffers: SharedArrayBuffer[]) {
    this.pageSize = pageSize;
    this.pageShift = 31 - Math.clz32(pageSize);
    this.buffers = buffers;
    this.chunks = buffers.map((buffer) => ({
      u8: new Uint8Array(buffer),
      u32: new Uint32Array(buffer),
    }));
    this.frameShift = buffers.length > 1
      ? 31 - Math.clz32(buffers[0].byteLength >>> this.pageShift)
      : 30;
    this.frameMask = 2 ** this.frameShift - 1;
    this.frameCount = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0) / pageSize;
  }

  /** Shared memory for `frames` frames, in chunks. The system commits it when it is touched. */
  static allocate(pageSize: number, frames: number): SharedArrayBuffer[] {
    const buffers: SharedArrayBuffer[] = [];
    let left = frames * pageSize;
    while (left > 0) {
      const bytes = Math.min(left, CHUNK_BYTES_MAX);
      buffers.push(new SharedArrayBuffer(bytes));
      left -= bytes;
    }
    return buffers;
  }

  chunk(frame: number): Chunk {
    return this.chunks[frame >> this.frameShift];
  }

  base(frame: number): number {
    return (frame & this.frameMask) << this.pageShift;
  }
}
