/**
 * A slice of the simulation (`deno task simulate` makes it long): the database as it ships, on a
 * machine that loses power, whose threads switch anywhere, and whose disk may fail.
 */

import { BREAKAGE_PATCHES, BREAKAGES, QUICK } from "./simulator/breakages.ts";
import { Broken, PLACES } from "./simulator/simulation.ts";
import { shortest, Simulator } from "./simulator/simulator.ts";
import { assert, assertEquals, assertGreater, assertThrows } from "./support/assert.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

/** Power cuts of the slice, and breakages that it has to notice. */
const CUTS = 200;
const BROKEN = 3;
/** The most cuts in which a quick breakage may go unnoticed: many times what it takes. */
const BROKEN_CUTS = 1000;

const LONG = { timeoutMs: 300_000 };

const simulator = new Simulator(BREAKAGE_PATCHES);

test("simulator: what was acknowledged survives power cuts, kills and failing disks", LONG, () => {
  const random = Random.fromEnvironment("simulator");
  simulator.run(random.int(2 ** 31), { cuts: CUTS, seeds: 1 });
  const { counts } = simulator;
  console.log(JSON.stringify(counts));
  assertGreater(counts.cutsUnsynced, counts.cuts * 0.7);
  assertGreater(counts.kills, 0);
  // Names change rarely: a short slice may not cut the power there.
  for (const place of PLACES) assert(counts.places[place] > 0 || place === "names", place);
});

test("simulator: a history repeats itself", () => {
  const seed = 12;
  const limits = { processes: 3, stepsMax: 12, clientsMax: 3 };
  const { kernel } = simulator.machine;
  const runs = [0, 1].map(() => {
    const before = kernel.steps;
    const counts = simulator.history(seed, limits);
    return { counts: { ...counts }, steps: kernel.steps - before, now: kernel.now };
  });
  assertGreater(runs[0].steps, 100);
  assertEquals(runs[1], runs[0]);
});

test("simulator: rules that are broken are missed", LONG, () => {
  const random = Random.fromEnvironment("simulator, broken rules");
  const quick = BREAKAGES.filter(({ name }) => QUICK.has(name));
  assertEquals(quick.length, QUICK.size);
  for (let i = 0; i < BROKEN; i++) {
    const { name } = random.pick(quick);
    const caught = simulator.catches(name, random.int(2 ** 31), BROKEN_CUTS);
    assert(caught !== undefined, `${name}: not noticed in ${BROKEN_CUTS} power cuts`);
    console.log(`${name}: noticed after ${caught.cuts} power cuts`);
  }
});

test("simulator: what breaks a promise is made shorter, and can be repeated", LONG, () => {
  const name = "reuse a page one version too early";
  const caught = simulator.catches(name, 1, BROKEN_CUTS);
  assert(caught !== undefined, name);
  simulator.broken = name;
  try {
    const short = shortest(simulator, caught.error);
    console.log(`${caught.error.history.length} lines became ${short.history.length}`);
    assert(short.history.length <= caught.error.history.length, "it has become longer");
    for (let i = 0; i < 2; i++) {
      const { seed, limits } = short;
      const again = assertThrows(() => simulator.history(seed, limits), Broken);
      assertEquals(again.message, short.message);
      assertEquals(again.history, short.history);
    }
  } finally {
    simulator.broken = undefined;
  }
});
