/** Words that a test shares with the workers of `gated_worker.ts`. */

/** While it is 1, the keeper's writes to the data file wait, and large records of the log. */
export const GATE_IS_SHUT = 0;
/** 1 once one waits. */
export const WAITS = 1;
/** While it is 1, the log cannot be synced by a writing worker. */
export const LOG_FAILS = 2;
/** While it is 1, there is no room for large records of the log. */
export const RECORD_FAILS = 3;
/** Meta pages that the keeper will write until one cannot be synced; 0: they can. */
export const METAS_UNTIL_FAILURE = 4;
/** How many there are. */
export const GATE_WORDS = 5;
