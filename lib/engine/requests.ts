/**
 * What a caller can ask a family's worker, through the write queue (lib/memory/write_ring.ts).
 *
 * | kind | argument | payload | completed with |
 * |---|---|---|---|
 * | 1 transaction | token of the turn, or 0 | with the flag *reads*: what was read (reads.ts); operations | entries removed |
 * | 2 turn | lease in ms | | token of the turn |
 * | 3 release | token | | |
 * | 4 create family | | name | |
 * | 5 drop family | | | |
 *
 * A transaction longer than one entry comes in parts; the argument of its first part is in that part,
 * and parts of one transaction share the request's number.
 *
 * @module
 */

export const REQUEST_TRANSACTION = 1;
export const REQUEST_TURN = 2;
export const REQUEST_RELEASE = 3;
export const REQUEST_CREATE = 4;
export const REQUEST_DROP = 5;

/** Resolves when the log has it, not when it is synced. */
export const FLAG_EVENTUAL = 1;
/** The first and the last part of a transaction; both are set on one that is whole. */
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
/** Something that the transaction has read is not the same any more. */
export const DETAIL_CONFLICT = 10;
