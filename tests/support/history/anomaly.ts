/**
 * What a history cannot be explained with.
 *
 * | code | name | what |
 * |---|---|---|
 * | `G0` | dirty write | a cycle of transactions that overwrote each other |
 * | `G1a` | aborted read | what was read was never committed |
 * | `G1b` | intermediate read | what was read is not what its transaction left |
 * | `G1c` | circular information flow | each read or overwrote what the one before had written |
 * | `G-single` | lost update, read skew, phantom | the same with one that missed a write of the next |
 * | `G2-item` | write skew | with several of them |
 * | `G2` | predicate write skew | and what was missed was read by a range or a count |
 * | `long fork` | long fork | two readers see two writes in different orders |
 * | `internal`, `order`, `garbage`, `duplicate` | | what no database should be able to do |
 *
 * A code with `-realtime` behind it needs the order in which transactions ended and began, besides.
 *
 * @module
 */

export interface Anomaly {
  readonly code: string;
  readonly name: string;
  /** Those in question, by their numbers in the history. */
  readonly transactions: readonly number[];
  readonly message: string;
}
