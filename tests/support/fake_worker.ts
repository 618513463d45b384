/**
 * A worker that answers the requests of a ring as a test says, in the test's own thread.
 *
 * @module
 */

import type { ThreadMemory } from "../../lib/engine/thread_memory.ts";
import { Completions } from "../../lib/memory/completions.ts";
import { allocateControl, Control, GLOBAL_EPOCH } from "../../lib/memory/control.ts";
import { FAMILY_LIVE, FamilySlots } from "../../lib/memory/family_slots.ts";
import { joinThread, sessionOf } from "../../lib/memory/threads.ts";
import { workerWakeIndex } from "../../lib/memory/worker_table.ts";
import {
  ENTRY_ARGUMENT,
  ENTRY_HEADER_BYTES,
  ENTRY_KIND,
  ENTRY_PAYLOAD_BYTES,
  ENTRY_REQUEST,
  ENTRY_SLOT,
  ENTRY_THREAD,
  WriteRing,
} from "../../lib/memory/write_ring.ts";

/** An entry as it was in the ring. */
export interface SeenEntry {
  readonly thread: number;
  readonly request: number;
  readonly kind: number;
  readonly flags: number;
  readonly slot: number;
  readonly argument: number;
  readonly payload: Uint8Array;
}

/** How an entry is answered; undefined: not yet, or never. */
export interface FakeAnswer {
  readonly status?: number;
  readonly detail?: number;
  readonly result?: number;
}

/** The parts of a thread's memory that a client uses, with one live family in slot 0. */
export function clientMemory(ringBytes: number, rings: number = 1): ThreadMemory {
  const control = new Control(allocateControl());
  Atomics.store(control.words, GLOBAL_EPOCH, 1);
  const thread = joinThread(control, 0);
  const slots = new FamilySlots(control, FamilySlots.allocate());
  for (let worker = 0; worker < rings; worker++) {
    slots.take(worker + 1, `family ${worker}`, worker, FAMILY_LIVE);
  }
  const memory = {
    control,
    thread,
    session: sessionOf(control, thread),
    slots,
    completions: new Completions(Completions.allocate()),
    arena: { pageSize: 4096 },
    rings: Array.from({ length: rings }, () => new WriteRing(WriteRing.allocate(ringBytes))),
  };
  return memory as unknown as ThreadMemory;
}

/** Serves one ring until it is stopped. */
export class FakeWorker {
  readonly seen: SeenEntry[] = [];
  readonly #memory: ThreadMemory;
  readonly #worker: number;
  readonly #answer: (entry: SeenEntry) => FakeAnswer | undefined;
  #running = false;
  #cursor: number;

  constructor(
    memory: ThreadMemory,
    answer: (entry: SeenEntry) => FakeAnswer | undefined,
    worker: number = 0,
  ) {
    this.#memory = memory;
    this.#answer = answer;
    this.#worker = worker;
    this.#cursor = memory.rings[worker].head;
  }

  /** Serves what is in the ring and what comes, whenever the worker is woken. */
  async run(): Promise<void> {
    const { words } = this.#memory.control;
    const wake = workerWakeIndex(this.#worker);
    this.#running = true;
    while (this.#running) {
      const seen = Atomics.load(words, wake);
      this.serve();
      const wait = Atomics.waitAsync(words, wake, seen, 1000);
      if (wait.async) await wait.value;
    }
  }

  stop(): void {
    this.#running = false;
    const { words } = this.#memory.control;
    Atomics.add(words, workerWakeIndex(this.#worker), 1);
    Atomics.notify(words, workerWakeIndex(this.#worker));
  }

  /** Serves what is in the ring now, at most `max` entries. */
  serve(max: number = Infinity): void {
    const ring = this.#memory.rings[this.#worker];
    const answered: [SeenEntry, FakeAnswer][] = [];
    for (let i = 0; i < max; i++) {
      ring.skipped = this.#cursor;
      const at = ring.peek(this.#cursor);
      if (at < 0) {
        this.#cursor = ring.skipped;
        break;
      }
      this.#cursor = ring.next;
      const word = at >> 2;
      const bytes = ring.words[word + ENTRY_PAYLOAD_BYTES];
      const entry: SeenEntry = {
        thread: ring.words[word + ENTRY_THREAD] & 255,
        request: ring.words[word + ENTRY_REQUEST] >>> 0,
        kind: ring.words[word + ENTRY_KIND] & 255,
        flags: ring.words[word + ENTRY_KIND] >>> 8,
        slot: ring.words[word + ENTRY_SLOT],
        argument: ring.words[word + ENTRY_ARGUMENT],
        payload: ring.u8.slice(at + ENTRY_HEADER_BYTES, at + ENTRY_HEADER_BYTES + bytes),
      };
      this.seen.push(entry);
      const answer = this.#answer(entry);
      if (answer !== undefined) answered.push([entry, answer]);
    }
    ring.release(this.#cursor);
    this.complete(answered);
  }

  /** Answers entries. */
  complete(answers: readonly (readonly [SeenEntry, FakeAnswer])[]): void {
    const { completions, thread } = this.#memory;
    if (answers.length === 0) return;
    completions.begin(thread, thread);
    for (const [entry, { status = 0, detail = 0, result = 0 }] of answers) {
      completions.put(entry.thread, entry.request, status, detail, result);
    }
    completions.end(thread);
  }
}
