/**
 * Protects the suites of reads and of what changes a database for long: each of them works on every engine,
 * checks what it found, and Manifold gives all of its rows. What they measure at such a scale means nothing.
 */

import { growth } from "../bench/suites/growth.ts";
import { mixed } from "../bench/suites/mixed.ts";
import { reads } from "../bench/suites/reads.ts";
import { removals } from "../bench/suites/removals.ts";
import type { Suite } from "../bench/suites/suite.ts";
import { values } from "../bench/suites/values.ts";
import { vectors } from "../bench/suites/vectors.ts";
import { ZipfRanks } from "../bench/suites/support/zipf.ts";
import { assert, assertEquals } from "./support/assert.ts";
import { thisRuntime } from "./support/child.ts";
import { Random } from "./support/random.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const SCALE = 0.002;

for (const suite of [growth, mixed, reads, removals, values, vectors] as readonly Suite[]) {
  // The peers are the same on both.
  for (const engine of thisRuntime === "bun" ? ["manifold"] : suite.engines) {
    test(`bench: the suite "${suite.name}" on ${engine}`, () =>
      withTempDir(async (dir) => {
        const share = (count: number) => Math.max(1, Math.round(count * SCALE));
        const found = new Set<string>();
        for await (const { row, value } of suite.run({ engine, dir, scale: SCALE, share })) {
          assert(!found.has(row) && suite.rows.some(({ name }) => name === row), row);
          assert(Number.isFinite(value) && value > 0, `${row} is ${value}`);
          found.add(row);
        }
        assert(found.size > 0);
        if (engine === "manifold") assertEquals(found.size, suite.rows.length);
      }));
  }
}

test("bench: ranks by Zipf's law come as often as they should", () => {
  const RANKS = 1000;
  const DRAWS = 200_000;
  for (const exponent of [0.5, 0.99, 1.5]) {
    const random = new Random(1);
    const ranks = new ZipfRanks(RANKS, exponent);
    const counts = new Float64Array(RANKS + 1);
    for (let i = 0; i < DRAWS; i++) counts[ranks.next(random)]++;
    assertEquals(counts[0], 0);
    const weights = Float64Array.from(counts, (_, rank) => rank === 0 ? 0 : rank ** -exponent);
    const all = weights.reduce((sum, weight) => sum + weight);
    const expectAbout = (what: string, count: number, weight: number) => {
      const part = weight / all;
      const deviation = Math.sqrt(DRAWS * part * (1 - part));
      assert(
        Math.abs(count - DRAWS * part) < 5 * deviation,
        `exponent ${exponent}, ${what}: ${count} of ${DRAWS * part}`,
      );
    };
    for (let rank = 1; rank <= 20; rank++) expectAbout(`rank ${rank}`, counts[rank], weights[rank]);
    for (const from of [20, 100, 500]) {
      const sum = (values: Float64Array) => values.subarray(from).reduce((a, b) => a + b);
      expectAbout(`ranks from ${from} on`, sum(counts), sum(weights));
    }
  }
});
