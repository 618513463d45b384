/**
 * A decoder that is given any bytes returns or throws a `ManifoldError`, soon, and takes no more memory than
 * the input explains. This is a slice of `deno task fuzz`, another one in each run.
 */

import { fuzz } from "./fuzz/run.ts";
import { REGRESSIONS } from "./fuzz/regressions.ts";
import { assertEquals, assertGreater } from "./support/assert.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

test("fuzz: mutations of everything that is decoded, and those that failed once", async () => {
  for (const { seed, what } of REGRESSIONS) assertEquals((await fuzz(seed, 1)).cases, 1, what);
  const { seed } = Random.fromEnvironment("fuzz");
  const { cases, targets } = await fuzz(seed, 1500);
  assertEquals(cases, 1500);
  assertGreater(Object.keys(targets).length, 10, "every target had its turn");
});
