/**
 * Writing dirty frames to the file: sorted by page, neighbours in one write, checksums put in on the
 * way, in a buffer of the writer's own, so that the frames themselves never change.
 *
 * Invariant: a frame is copied and its page written inside one epoch, so that neither the frame nor
 * the page's number is used anew in between.
 *
 * @module
 */

import type { Epochs } from "../memory/epochs.ts";
import { FRAME_DIRTY } from "../memory/frames.ts";
import { copyWords } from "../tree/bytes.ts";
import { CHECKSUM_BYTES } from "../tree/page.ts";
import type { PageStore } from "./page_store.ts";

/** Bytes that go out in one write at the most. */
const WRITE_BYTES = 256 * 1024;

export interface DirtyFrame {
  readonly page: number;
  readonly frame: number;
}

export class PageWriterOut {
  readonly #store: PageStore;
  readonly #epochs: Epochs;
  readonly #buffer: Uint8Array;
  readonly #words: Uint32Array;

  constructor(store: PageStore, epochs: Epochs) {
    this.#store = store;
    this.#epochs = epochs;
    this.#buffer = new Uint8Array(Math.max(WRITE_BYTES, store.arena.pageSize));
    this.#words = new Uint32Array(this.#buffer.buffer);
  }

  /**
   * Writes those of the frames that are still dirty with the page they were found with, and marks them clean.
   * Returns the pages written. `mayWrite`, asked inside the epoch, can refuse a frame.
   */
  write(dirty: DirtyFrame[], mayWrite?: (frame: number) => boolean): number {
    dirty.sort((a, b) => a.page - b.page);
    const { pageSize } = this.#store.arena;
    const pagesMax = this.#buffer.length / pageSize;
    let written = 0;
    for (let i = 0; i < dirty.length;) {
      this.#epochs.enter();
      try {
        const first = dirty[i].page;
        const frames: number[] = [];
        while (
          i < dirty.length && frames.length < pagesMax && dirty[i].page === first + frames.length
        ) {
          const { page, frame } = dirty[i];
          // Looked at again after the answer: a page that was given back and made anew within one
          // group, while we asked, stands in another frame now. From here on the epoch holds it.
          if (!this.#stillDirty(page, frame)) break;
          if (mayWrite && !(mayWrite(frame) && this.#stillDirty(page, frame))) break;
          this.#copy(frame, frames.length * pageSize);
          frames.push(frame);
          i++;
        }
        if (frames.length === 0) {
          i++;
          continue;
        }
        this.#store.file.write(first * pageSize, this.#buffer, 0, frames.length * pageSize);
        for (const frame of frames) this.#store.frames.markClean(frame);
        written += frames.length;
      } finally {
        this.#epochs.leave();
      }
    }
    return written;
  }

  #stillDirty(page: number, frame: number): boolean {
    const { frames } = this.#store;
    return frames.kind(frame) === FRAME_DIRTY && frames.pageOf(frame) === page;
  }

  #copy(frame: number, to: number): void {
    const { arena } = this.#store;
    const { pageSize } = arena;
    const base = arena.base(frame);
    const kernel = arena.kernel(frame);
    const words = this.#words;
    const at = to >> 2;
    copyWords(arena.chunk(frame).u32, base >> 2, words, at, pageSize >> 2);
    words[at] = kernel.sum(base + CHECKSUM_BYTES, pageSize - CHECKSUM_BYTES);
    words[at + 1] = kernel.second();
  }
}
