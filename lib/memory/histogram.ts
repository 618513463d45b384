/**
 * Histograms of durations: how many values fell into each of a fixed number of buckets, exact below 16 and
 * then sixteen to each power of two, so that what is read back is off by a thirty-second at the most.
 *
 * | words (f64) | what |
 * |---|---|
 * | 0 | the largest value, exact |
 * | 1–448 | counts of the buckets |
 *
 * Invariant: one thread writes a histogram, with plain accesses; whoever reads it meanwhile may miss the last values.
 *
 * @module
 */

/** Buckets to a power of two. */
const STEPS = 16;
const STEP_BITS = 4;
/** Values from here on count as this one. */
const VALUE_MAX = 2 ** 31 - 1;
const BUCKETS = (31 - STEP_BITS + 1) * STEPS;
const COUNTS = 1;

/** Words (f64) of a histogram. */
export const HISTOGRAM_WORDS = COUNTS + BUCKETS;

/** What is told of many values: how many they are, and how they are spread. */
export interface Spread {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Adds a value, at least 0, to the histogram at `at`. */
export function record(f64: Float64Array, at: number, value: number): void {
  f64[at + COUNTS + bucketOf(value)]++;
  if (value > f64[at]) f64[at] = value;
}

function bucketOf(value: number): number {
  const whole = Math.floor(Math.min(value, VALUE_MAX));
  if (whole < STEPS) return whole;
  const shift = 31 - STEP_BITS - Math.clz32(whole);
  return shift * STEPS + (whole >>> shift);
}

/** The middle of a bucket. */
function middleOf(bucket: number): number {
  if (bucket < STEPS) return bucket + 0.5;
  const shift = Math.floor(bucket / STEPS) - 1;
  return (STEPS + bucket % STEPS + 0.5) * 2 ** shift;
}

/** Adds the histogram at `at` to another one, which nobody else sees. */
export function addHistogram(f64: Float64Array, at: number, to: Float64Array): void {
  to[0] = Math.max(to[0], f64[at]);
  for (let i = COUNTS; i < HISTOGRAM_WORDS; i++) to[i] += f64[at + i];
}

/** Of the values of a histogram; all 0 if there are none. */
export function spreadOf(histogram: Float64Array): Spread {
  let count = 0;
  for (let i = COUNTS; i < HISTOGRAM_WORDS; i++) count += histogram[i];
  const [max] = histogram;
  return {
    count,
    p50: quantile(histogram, count, 0.5, max),
    p95: quantile(histogram, count, 0.95, max),
    p99: quantile(histogram, count, 0.99, max),
    max,
  };
}

/** The value that `share` of all do not exceed. */
function quantile(histogram: Float64Array, count: number, share: number, max: number): number {
  const rank = Math.ceil(count * share);
  let seen = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    seen += histogram[COUNTS + bucket];
    if (seen >= rank && seen > 0) return Math.min(middleOf(bucket), max);
  }
  return 0;
}
