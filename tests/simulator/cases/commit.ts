/**
 * Workers that append to the log and make it durable, one leading for the others.
 *
 * The file is a word for every place of the log, 1 once the record is written, and another one that
 * says what is durable. What a worker does is what the loop in workers/writer_worker.ts does.
 *
 * @module
 */

import { assert } from "../../../lib/errors.ts";
import { GroupCommit } from "../../../lib/log/group_commit.ts";
import { Control, LOG_DURABLE } from "../../../lib/memory/control.ts";
import { sleepWhile } from "../../../lib/memory/waiting.ts";
import type { File } from "../../../lib/storage/file.ts";
import type { Actor, Case } from "../explore.ts";
import { makeWorld, type World } from "./world.ts";

const RECORD_BYTES = 64;
const PLACES = 4;
/** In an exploration no time passes. */
const SLEEP_MS = 5;

interface Log extends World {
  readonly written: SharedArrayBuffer;
  readonly durable: SharedArrayBuffer;
}

class LogFile implements File {
  readonly path = "(log)";
  readonly #written: Int32Array;
  readonly #durable: Int32Array;

  constructor(log: Log) {
    this.#written = new Int32Array(log.written);
    this.#durable = new Int32Array(log.durable);
  }

  append(position: number): void {
    Atomics.store(this.#written, position / RECORD_BYTES, 1);
  }

  isDurable(position: number): boolean {
    return Atomics.load(this.#durable, position / RECORD_BYTES) === 1;
  }

  /** Makes durable what was written before, and no more. */
  sync(): void {
    const written = this.#written.slice();
    written.forEach((one, i) => {
      if (one === 1) Atomics.store(this.#durable, i, 1);
    });
  }

  read(): number {
    return 0;
  }
  write(): void {}
  size(): number {
    return 0;
  }
  truncate(): void {}
  lock(): boolean {
    return true;
  }
  unlock(): void {}
  close(): void {}
}

function setup(): Log {
  const world = makeWorld(3, { frames: 4 });
  new GroupCommit(new Control(world.memory.control), 0).begin(2 ** 20, 2 ** 20);
  const words = () => new SharedArrayBuffer(PLACES * 4);
  return { ...world, written: words(), durable: words() };
}

function work(worker: number, records: number, log: Log, { note }: Actor): void {
  const { words } = new Control(log.memory.control);
  const commit = new GroupCommit(new Control(log.memory.control), worker);
  const file = new LogFile(log);
  for (let i = 0; i < records; i++) {
    const position = commit.reserve(worker, RECORD_BYTES);
    assert(position >= 0, "the log has room");
    file.append(position);
    commit.written(worker);
    awaitDurable(words, commit, file, position + RECORD_BYTES);
    // A recovery stops at the first place that is not there.
    for (let at = 0; at <= position; at += RECORD_BYTES) {
      assert(file.isDurable(at), `position ${position} is said to be durable, and ${at} is not`);
    }
    commit.published(worker);
    note(position);
  }
}

function awaitDurable(words: Int32Array, commit: GroupCommit, file: File, end: number): void {
  for (;;) {
    const seen = commit.durableWord;
    const role = commit.tryLead(end);
    if (role === "durable") return;
    if (role === "lead") commit.lead(file);
    else sleepWhile(words, LOG_DURABLE, seen, SLEEP_MS);
  }
}

function committing(records: readonly number[]): Case<Log> {
  return {
    setup,
    threads: records.map((count, worker) => ({
      name: `worker ${worker}`,
      run: (log, actor) => work(worker, count, log, actor),
    })),
    plain: () => ({ state: [], rest: [] }),
    check(_, said) {
      const positions = Object.values(said).flat();
      const total = records.reduce((sum, count) => sum + count, 0);
      assert(new Set(positions).size === total, `the records stand at ${positions}`);
    },
  };
}

export const two: Case<Log> = committing([1, 1]);
export const twice: Case<Log> = committing([2, 1]);
export const three: Case<Log> = committing([1, 1, 1]);
