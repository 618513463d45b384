/**
 * A writing worker without threads: the test puts requests into its ring, has it make rounds, and
 * reads the answers. One family, on a file in memory.
 *
 * @module
 */

import { Inbox } from "../../lib/engine/inbox.ts";
import { FLAG_FIRST, FLAG_LAST } from "../../lib/engine/requests.ts";
import { Writer } from "../../lib/engine/writer.ts";
import type { ThreadMemory } from "../../lib/engine/thread_memory.ts";
import { LiveSource } from "../../lib/api/state_source.ts";
import type { Completion } from "../../lib/memory/completions.ts";
import { FAMILY_LIVE } from "../../lib/memory/family_slots.ts";
import { assert } from "./assert.ts";
import { LocalDatabase, type MemoryFile } from "./local_family.ts";

const FAMILY = 7;

export class LocalWriter {
  readonly memory: ThreadMemory;
  readonly file: MemoryFile;
  readonly slot: number;
  readonly writer: Writer;
  readonly source: LiveSource;
  /** The worker's clock, ms. */
  now = 1000;
  #request = 0;
  #cursor: number;

  private constructor(database: LocalDatabase, recordBytesMax: number, state: number) {
    const memory = database.writer;
    this.memory = memory;
    this.file = database.file;
    this.slot = memory.slots.take(FAMILY, "shop", 0, state);
    this.writer = new Writer({
      control: memory.control,
      slots: memory.slots,
      extents: memory.extents,
      epochs: memory.epochs,
      pins: memory.pins,
      store: memory.store,
      completions: memory.completions,
      thread: memory.thread,
      inbox: new Inbox(memory.control, memory.rings[0]),
      recordBytesMax,
      now: () => this.now,
    });
    this.source = new LiveSource({
      memory: database.reader,
      slot: this.slot,
      family: FAMILY,
      familyName: "shop",
      path: database.file.path,
      isClosed: () => false,
    });
    const { completions, thread } = memory;
    this.#cursor = Atomics.load(completions.words, completions.tailIndex(thread));
  }

  /** `state`: of the family's slot. */
  static async create(
    recordBytesMax: number = Infinity,
    state: number = FAMILY_LIVE,
  ): Promise<LocalWriter> {
    return new LocalWriter(await LocalDatabase.create(), recordBytesMax, state);
  }

  /** Puts a request of a thread into the ring; returns its number. */
  push(
    kind: number,
    argument: number,
    payload: Uint8Array,
    flags: number = FLAG_FIRST | FLAG_LAST,
    request: number = ++this.#request,
    from: ThreadMemory = this.memory,
  ): number {
    const header = {
      thread: from.thread,
      session: from.session,
      request,
      kind,
      flags,
      slot: this.slot,
      family: FAMILY,
      payloadBytes: payload.length,
      argument,
    };
    assert(this.memory.rings[0].push(header, payload), "the ring has room");
    return request;
  }

  /** One round, as if its record were durable at once; false if there was nothing to do. */
  round(): boolean {
    this.writer.expireTurns();
    if (!this.writer.gather()) return false;
    this.writer.finish(() => {});
    return true;
  }

  /** The answers since the last call, in their order. */
  answers(): Completion[] {
    const { completions, thread } = this.memory;
    const tail = Atomics.load(completions.words, completions.tailIndex(thread));
    const answers: Completion[] = [];
    for (; this.#cursor !== tail; this.#cursor = (this.#cursor + 1) | 0) {
      const answer: Completion = { request: 0, status: 0, detail: 0, result: 0 };
      completions.read(thread, this.#cursor, answer);
      answers.push(answer);
    }
    return answers;
  }

  /** Makes rounds until there is nothing to do; returns the answers. */
  settle(): Completion[] {
    while (this.round());
    return this.answers();
  }
}
