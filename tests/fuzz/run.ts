/**
 * Runs mutations: case n of a run has the seed of the run plus n, and that seed alone repeats it.
 *
 * @module
 */

import { Checksum } from "../../lib/storage/checksum.ts";
import { withAllocationsUpTo } from "../support/allocation_guard.ts";
import { Random } from "../support/random.ts";
import { makeInputs } from "./inputs.ts";
import { makeTargets } from "./targets.ts";

/** More than any input, and far less than its bytes can ask for. */
const ALLOCATION_MAX = 4 * 2 ** 20;
/** No case may take longer, however busy the machine is, ms. */
const CASE_MS_MAX = 10_000;

/** Targets that read whole files; the others are drawn so many times as often. */
const HEAVY = new Set(["directory", "pages", "overflow", "file", "recovery", "changes", "salvage"]);
const LIGHT_WEIGHT = 4;

export interface FuzzReport {
  readonly cases: number;
  /** Cases of each target. */
  readonly targets: Record<string, number>;
  readonly slowestMs: number;
}

/** Throws for the first case that fails, with its seed. */
export async function fuzz(seed: number, count: number, only?: string): Promise<FuzzReport> {
  const checksum = await Checksum.create();
  const targets = makeTargets(await makeInputs(checksum), checksum);
  const names = Object.keys(targets).filter((name) => only === undefined || name === only);
  if (names.length === 0) throw new Error(`no such target: ${only}`);
  const drawn = names.flatMap((name) => HEAVY.has(name) ? [name] : Array(LIGHT_WEIGHT).fill(name));
  const done: Record<string, number> = {};
  let slowestMs = 0;
  withAllocationsUpTo(ALLOCATION_MAX, () => {
    for (let i = 0; i < count; i++) {
      const random = new Random(seed + i);
      const name = random.pick(drawn);
      const began = performance.now();
      try {
        targets[name](random);
        const ms = performance.now() - began;
        if (ms > CASE_MS_MAX) throw new Error(`it took ${ms} ms`);
        slowestMs = Math.max(slowestMs, ms);
      } catch (cause) {
        const target = only === undefined ? "" : ` --only ${only}`;
        throw new Error(
          `target ${name}: repeat with --seed ${seed + i} --count 1${target}: ${cause}`,
          {
            cause,
          },
        );
      }
      done[name] = (done[name] ?? 0) + 1;
    }
  });
  return { cases: count, targets: done, slowestMs };
}
