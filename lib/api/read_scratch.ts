/**
 * What reads need for a moment, kept for the next: making typed arrays costs more than a read.
 *
 * Invariant: who takes something from a stack owns it until it is put back, so that reads may nest: a
 * codec or a callback of the user may come back here.
 *
 * @module
 */

import type { ThreadMemory } from "../engine/thread_memory.ts";
import { Cursor } from "../tree/cursor.ts";
import { Hit } from "../tree/find.ts";
import { ByteWriter } from "./codec_writer.ts";
import { EntryBatch } from "./entry_batch.ts";

/** Kept of each kind. */
const KEPT_MAX = 8;

export class ReadScratch {
  /** Where the last search ended: read before anything else is called. */
  readonly hit: Hit = new Hit();
  readonly #memory: ThreadMemory;
  readonly #writers: ByteWriter[] = [];
  readonly #cursors: Cursor[] = [];
  readonly #batches: EntryBatch[] = [];

  constructor(memory: ThreadMemory) {
    this.#memory = memory;
  }

  /** An empty writer. */
  takeWriter(): ByteWriter {
    const writer = this.#writers.pop() ?? new ByteWriter();
    writer.reset();
    return writer;
  }

  putWriter(writer: ByteWriter): void {
    if (this.#writers.length < KEPT_MAX) this.#writers.push(writer);
  }

  takeCursor(): Cursor {
    return this.#cursors.pop() ?? new Cursor(this.#memory.store);
  }

  putCursor(cursor: Cursor): void {
    if (this.#cursors.length < KEPT_MAX) this.#cursors.push(cursor);
  }

  /** An empty batch. */
  takeBatch(): EntryBatch {
    const batch = this.#batches.pop() ?? new EntryBatch();
    batch.clear();
    return batch;
  }

  putBatch(batch: EntryBatch): void {
    if (batch.isSmall && this.#batches.length < KEPT_MAX) this.#batches.push(batch);
  }
}

const scratches = new WeakMap<ThreadMemory, ReadScratch>();

/** The one of a thread's memory. */
export function scratchOf(memory: ThreadMemory): ReadScratch {
  let scratch = scratches.get(memory);
  if (scratch === undefined) scratches.set(memory, scratch = new ReadScratch(memory));
  return scratch;
}
