/** Words that a test shares with the workers of `gated_worker.ts`. */

/** While it is 1, the keeper's writes to the data file wait. */
export const GATE_IS_SHUT = 0;
/** 1 once one waits. */
export const KEEPER_WAITS = 1;
/** While it is 1, the log cannot be synced by a writing worker. */
export const LOG_FAILS = 2;
