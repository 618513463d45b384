/**
 * The control block: one small piece of shared memory with every word through which the threads of
 * an open database meet. This file says where each word lies and nothing else; what the words mean is
 * said by the file named beside them.
 *
 * Invariant: words that different threads write often stand in cache lines (64 bytes, 16 words) of
 * their own.
 *
 * @module
 */

/** Threads that can use one database at once: the host, attached threads and workers. */
export const THREADS_MAX = 128;
/** Pins at once, over all threads; a thread's snapshots of one version share one. */
export const PINS_MAX = 8192;
/** Iterations over the changes of tables at once, over all threads. */
export const WATCHERS_MAX = 4096;
/** Writing workers of one database. */
export const WORKERS_MAX = 256;

const LINE = 16;

// Single words, each in a line of its own (epochs.ts, frames.ts, database_state.ts, keeper.ts, spin_lock.ts).
export const GLOBAL_EPOCH = 1 * LINE;
export const CLOCK_HAND = 2 * LINE;
export const FRAMES_TOUCHED = 2 * LINE + 1;
export const DATABASE_STATE = 3 * LINE;
export const FAILURE_CODE = 3 * LINE + 1;
export const LIFE = 3 * LINE + 2;
export const FAMILY_CHANGES = 3 * LINE + 3;
export const LIFE_ASKED = 3 * LINE + 4;
export const LIFE_REFUSALS = 3 * LINE + 5;
export const LIFE_REFUSAL = 3 * LINE + 6;
export const HOST_WAKE = 4 * LINE;
export const KEEPER_WAKE = 5 * LINE;
export const KEEPER_ANSWER = 6 * LINE;
export const PUBLISH_LOCK = 7 * LINE;
export const LOG_LOCK = 8 * LINE;
export const EXTENT_LOCK = 9 * LINE;
export const FAMILY_LOCK = 10 * LINE;
export const LOG_DURABLE = 12 * LINE;
export const LOG_LEADER = 12 * LINE + 1;
export const LOG_SPACE = 13 * LINE;
export const INCARNATION = 14 * LINE;
export const PINS_USED = 15 * LINE;
export const THREADS_USED = 15 * LINE + 1;
export const EXTENTS_USED = 15 * LINE + 2;
export const NEXT_FAMILY_ID = 15 * LINE + 3;
export const FILE_PAGES = 15 * LINE + 4;
export const DEATHS = 15 * LINE + 5;
export const FRAMES_LIMIT = 15 * LINE + 7;
export const RECOVERIES = 15 * LINE + 8;
export const RECOVERIES_DONE = 15 * LINE + 9;
export const WATCHERS_USED = 15 * LINE + 10;

/** Keeper requests and answers (keeper_state.ts): eight words from here. */
export const KEEPER = 16 * LINE;

/** Counters of all threads (64-bit, indices into the i64 view): see frames.ts. */
export const COUNTERS = 18 * LINE;
const COUNTER_WORDS = 4 * LINE;
/** Frames that were evicted since the database was opened, by all threads. */
export const EVICTIONS = COUNTERS / 2;

/** Log positions (indices into the f64 view are these / 2): see group_commit.ts. */
export const LOG_POSITIONS = COUNTERS + COUNTER_WORDS;
const LOG_POSITION_WORDS = 2 * LINE;

/** What every worker tells (worker_table.ts): a line each. */
export const WORKERS = LOG_POSITIONS + LOG_POSITION_WORDS;
export const WORKER_WORDS = LINE;

/** What every thread tells (threads.ts): a line each. */
export const THREADS = WORKERS + WORKERS_MAX * WORKER_WORDS;
export const THREAD_WORDS = LINE;

/** Pins (pins.ts): six words each. */
export const PINS = THREADS + THREADS_MAX * THREAD_WORDS;
export const PIN_WORDS = 6;

/** Who watches which family (watchers.ts): two words each. */
export const WATCHERS = PINS + PINS_MAX * PIN_WORDS;
export const WATCHER_WORDS = 2;

/** Text of the failure that ended writing (database_state.ts): length word, then UTF-8. */
export const FAILURE_TEXT = WATCHERS + WATCHERS_MAX * WATCHER_WORDS;
export const FAILURE_TEXT_WORDS = 256;

/** What every thread counts (statistics.ts). */
export const STATISTICS = FAILURE_TEXT + FAILURE_TEXT_WORDS;
export const STATISTICS_WORDS = 116 * LINE;

const CONTROL_WORDS = STATISTICS + THREADS_MAX * STATISTICS_WORDS;

/** The control block's memory. */
export function allocateControl(): SharedArrayBuffer {
  return new SharedArrayBuffer(CONTROL_WORDS * 4);
}

/** The control block seen as words, 64-bit integers and floating-point numbers. */
export class Control {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly i64: BigInt64Array;
  readonly f64: Float64Array;
  readonly u8: Uint8Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.i64 = new BigInt64Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.u8 = new Uint8Array(buffer);
  }
}
