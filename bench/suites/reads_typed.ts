/**
 * Point reads where the engine decodes: the codecs beside plain bytes.
 *
 * @module
 */

import { STRIDE } from "../support/context.ts";
import { type Measurement, roundsPerSecond } from "./support/measurement.ts";
import type { ReadBench } from "./support/read_bench.ts";
import type { Profile, Typed } from "./support/stores/store.ts";

/** Odd: no two of the first 2^32 multiples are the same 32-bit number. */
const SCATTER = 0x9e3779b1;

/** A key of 24 characters, as far from the ones before as a random one. */
function textKey(number: number): string {
  return (Math.imul(number + 1, SCATTER) >>> 0).toString(16).padStart(8, "0").repeat(3);
}

function profile(number: number): Profile {
  return {
    name: `Customer ${number}`,
    visits: number % 1000,
    tags: ["regular", "newsletter"],
    address: { street: `${number % 97 + 1} High Street`, city: "Springfield", zip: "12345-6789" },
  };
}

function typedGet<Kind extends keyof Typed>(
  kind: Kind,
  about: string,
  entry: (number: number) => Typed[Kind],
  /** Of a value, what shows that it is the right one. */
  weigh: (value: Typed[Kind][1]) => number,
): Measurement<ReadBench> {
  const name = `get_${kind}`;
  return {
    name,
    unit: "reads/s",
    better: "more",
    about,
    async measure({ store, keys: { length } }) {
      const table = store.typed(kind);
      const entries = Array.from({ length }, (_, i) => entry(i));
      await table.load(entries);
      const expected = entries.reduce((sum, [, value]) => sum + weigh(value), 0);
      return roundsPerSecond(
        name,
        length,
        expected,
        (round) => weigh(table.get(entries[round * STRIDE % length][0])!),
      );
    },
  };
}

export const typedReads: readonly Measurement<ReadBench>[] = [
  typedGet(
    "text",
    "the same with strings of 24 and 150 characters",
    (number) => [textKey(number), `${number} `.padEnd(150, "lorem ipsum ")],
    (value) => value.length + value.charCodeAt(0),
  ),
  typedGet(
    "json",
    "the same with documents of about 150 bytes as JSON",
    (number) => [textKey(number), profile(number)],
    (value) => value.visits,
  ),
  typedGet(
    "u32",
    "the same with 32-bit numbers as keys and values",
    (number) => [Math.imul(number + 1, SCATTER) >>> 0, number],
    (value) => value,
  ),
];
