import type { SuiteContext } from "../suite.ts";
import type { Store } from "./stores/store.ts";
import type { Threads } from "./threads.ts";

/** What the rows of the suite of reads share. */
export interface ReadBench {
  readonly context: SuiteContext;
  readonly store: Store;
  /** All that are loaded, in the order in which they were made. */
  readonly keys: readonly Uint8Array[];
  readonly sorted: readonly Uint8Array[];
  /** The value of each of them. */
  readonly value: Uint8Array;
  readonly threads: Threads;
  /** Entries per second that the writer wrote beside the reads, when that was measured. */
  writerRate?: number;
}
