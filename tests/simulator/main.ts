/**
 * `deno task simulate --seed S --cuts N`: histories one after the other until the power has failed `N`
 * times. The first that breaks a promise is made shorter and printed; the exit code is 1 then.
 *
 * | option | what |
 * |---|---|
 * | `--seed S` | the first history's seed, one more for each next; else drawn |
 * | `--cuts N` | power cuts, 5,000 unless told |
 * | `--seeds M` | histories at the least, 200 unless told |
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { Broken, type Counts, PLACES } from "./simulation.ts";
import { shortest, Simulator } from "./simulator.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    cuts: { type: "string", default: "5000" },
    seeds: { type: "string", default: "200" },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const cuts = Number(values.cuts);
const seeds = Number(values.seeds);
console.log(`simulation: seed ${seed}, ${cuts} power cuts`);
const simulator = new Simulator();
const started = performance.now();
let told = started;
try {
  simulator.run(seed, { cuts, seeds }, (counts) => {
    if (performance.now() - told < 30_000) return;
    told = performance.now();
    console.log(`${counts.cuts} power cuts so far`);
  });
} catch (error) {
  if (!(error instanceof Broken)) throw error;
  const short = shortest(simulator, error);
  console.log(short.report());
  console.log(
    `\nrepeat it with: deno task simulate --seed ${error.seed} --cuts 1 --seeds 1 (the whole history of this seed)`,
  );
  process.exit(1);
}
print(simulator.counts, (performance.now() - started) / 1000);

function print(counts: Counts, seconds: number): void {
  const share = Math.round(counts.cutsUnsynced / counts.cuts * 100);
  console.log(
    `${counts.histories} histories, ${counts.cuts} power cuts (${share} % with unsynced sectors), ` +
      `${counts.kills} kills, ${counts.terminated} threads terminated, ${counts.faults} calls failed, ${counts.acknowledged} of ` +
      `${counts.steps} steps acknowledged, ${counts.conflicted} of ${counts.transactions} recorded transactions met a conflict, in ${
        seconds.toFixed(1)
      } s: ` +
      `${(counts.cuts / seconds).toFixed(1)} cuts/s`,
  );
  for (const place of PLACES) {
    console.log(`  ${String(counts.places[place]).padStart(8)} in the middle of ${place}`);
  }
}
