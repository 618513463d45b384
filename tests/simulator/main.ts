/**
 * `deno task simulate --seed S --cuts N`: histories until the power has failed `N` times. The first that breaks a promise is made
 * shorter and printed; the exit code is 1 then.
 *
 * | option | what |
 * |---|---|
 * | `--seed S` | the first history's seed, one more for each next; else drawn |
 * | `--cuts N` | power cuts, 5,000 unless told |
 * | `--seeds M` | histories at the least, 200 unless told |
 * | `--processes P` | that share the work; unless told, one for each processor |
 *
 * A history depends on its seed alone; which are made, when there are several processes, on the number of these, too.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { inShares, parseShare, processesFor, say, type Share } from "./shares.ts";
import { Broken, Counts, PLACES } from "./simulation.ts";
import { shortest, Simulator } from "./simulator.ts";

/** What a share says: how far it is, and of the history that broke a promise. */
interface Said {
  readonly counts?: Omit<Counts, "add">;
  readonly broken?: { readonly seed: number; readonly report: string };
}

/** How often the progress is told, ms. */
const TELL_MS = 30_000;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    cuts: { type: "string", default: "5000" },
    seeds: { type: "string", default: "200" },
    processes: { type: "string" },
    share: { type: "string" },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const until = { cuts: Number(values.cuts), seeds: Number(values.seeds) };
const share = parseShare(values.share);
if (share === undefined) process.exitCode = await runAll();
else process.exitCode = runShare(share);

async function runAll(): Promise<number> {
  const processes = processesFor(values.processes, until.seeds);
  console.log(`simulation: seed ${seed}, ${until.cuts} power cuts, in ${processes} processes`);
  const started = performance.now();
  let told = started;
  const latest: Omit<Counts, "add">[] = [];
  const sum = (): Counts => {
    const all = new Counts();
    for (const one of latest) if (one !== undefined) all.add(one);
    return all;
  };
  const args = ["--seed", `${seed}`, "--cuts", `${until.cuts}`, "--seeds", `${until.seeds}`];
  const code = await inShares<Said>(
    import.meta.url,
    args,
    processes,
    ({ counts, broken }, index) => {
      if (broken !== undefined) {
        console.log(broken.report);
        console.log(
          `\nrepeat it with: deno task simulate --seed ${broken.seed} --cuts 1 --seeds 1 (the whole history of this seed)`,
        );
      }
      if (counts === undefined) return;
      latest[index] = counts;
      if (performance.now() - told < TELL_MS) return;
      told = performance.now();
      console.log(`${sum().cuts} power cuts so far`);
    },
  );
  if (code === 0) print(sum(), (performance.now() - started) / 1000);
  return code;
}

function runShare({ index, of }: Share): number {
  const simulator = new Simulator();
  let told = performance.now();
  const mine = {
    cuts: Math.ceil(until.cuts / of),
    seeds: Math.ceil(until.seeds / of),
    step: of,
  };
  try {
    simulator.run(seed + index, mine, (counts) => {
      if (performance.now() - told < TELL_MS / of) return;
      told = performance.now();
      say({ counts });
    });
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    const report = shortest(simulator, error).report();
    say({ broken: { seed: error.seed, report } });
    return 1;
  }
  say({ counts: simulator.counts });
  return 0;
}

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
