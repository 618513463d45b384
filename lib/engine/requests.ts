/**
 * What a caller can ask a family's worker, through the write queue (lib/memory/write_ring.ts).
 *
 * | kind | argument | payload | completed with |
 * |---|---|---|---|
 * | 1 transaction | token of the turn, or 0 | with the flag *reads*: what was read (reads.ts); operations | entries removed or replaced |
 * | 2 turn | lease in ms | | token of the turn |
 * | 3 release | token | | |
 * | 4 create family | | name | |
 * | 5 drop family | | | |
 * | 6 joint transaction | | its coordinator's part (joint.ts) | 0 |
 * | 7 stash | | another worker's part of a joint transaction | by the joint transaction of the same number |
 * | 8 unstash | | | nothing: the joint transaction of that number was refused |
 *
 * A payload longer than one entry comes in parts; the argument of its first part is in that part,
 * and parts of one request share its number.
 *
 * @module
 */

import type { ErrorCode } from "../errors.ts";

/** Why a request was refused before it changed anything. */
export class Refusal {
  constructor(readonly code: ErrorCode, readonly detail: number) {}
}

export const REQUEST_TRANSACTION = 1;
export const REQUEST_TURN = 2;
export const REQUEST_RELEASE = 3;
export const REQUEST_CREATE = 4;
export const REQUEST_DROP = 5;
export const REQUEST_JOINT = 6;
export const REQUEST_STASH = 7;
export const REQUEST_UNSTASH = 8;

/** Resolves when the log has it, not when it is synced. */
export const FLAG_EVENTUAL = 1;
/** The first and the last part of a request; both are set on one that is whole. */
export const FLAG_FIRST = 2;
export const FLAG_LAST = 4;
/** The payload begins with what the transaction has read (reads.ts). */
export const FLAG_READS = 8;

// Details of a completion that failed.
/** The family was deleted. */
export const DETAIL_FAMILY_GONE = 1;
/** A table id is not in the family any more; open the table by name. */
export const DETAIL_TABLE_GONE = 2;
/** The table has other codecs. */
export const DETAIL_CODECS = 3;
/** The turn had ended. */
export const DETAIL_TURN_OVER = 4;
/** The family's name is taken. */
export const DETAIL_NAME_TAKEN = 5;
/** A key is longer than a page size allows. */
export const DETAIL_KEY = 6;
/** A value is longer than 1 GiB. */
export const DETAIL_VALUE = 7;
/** There is no memory for the transaction. */
export const DETAIL_MEMORY = 8;
/** A page of the file is damaged; the completion's result is its number. */
export const DETAIL_PAGE = 9;
/** A family is somebody's exclusive turn: take the turns of all, and ask again. */
export const DETAIL_BUSY = 10;
/** Something that the transaction has read is not the same any more. */
export const DETAIL_CONFLICT = 11;
