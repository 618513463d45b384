/**
 * Tables of slots in shared memory that are looked through up to the highest slot that was ever taken.
 *
 * Invariant: a slot is counted before it is taken, so that one is always found that a thread had taken when it died.
 *
 * @module
 */

/** Has at least `count` slots looked through; `index` is the word that says how many are. */
export function countSlots(words: Int32Array, index: number, count: number): void {
  let counted = Atomics.load(words, index);
  while (counted < count) {
    const seen = Atomics.compareExchange(words, index, counted, count);
    counted = seen === counted ? count : seen;
  }
}
