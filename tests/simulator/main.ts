/**
 * `deno task simulate --seed S --cuts N`: histories until the power has failed `N` times. The first that breaks a promise is made
 * shorter and printed; the exit code is 1 then, and if a
 * run of 5,000 power cuts or more did not have enough of everything.
 *
 * | option | what |
 * |---|---|
 * | `--seed S` | the first history's seed, one more for each next; else drawn |
 * | `--cuts N` | power cuts, 5,000 unless told |
 * | `--seeds M` | histories at the least, 200 unless told |
 * | `--processes P` | that share the work; unless told, one for each processor |
 * | `--lives L`, `--steps N`, `--clients C` | processes of a history, one after the other, steps of a client in one, clients: at the most |
 *
 * A history depends on its seed alone; which are made, when there are several processes, on the number of these, too.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { inShares, parseShare, processesFor, say, type Share } from "./shares.ts";
import { Broken, Counts, type Limits, PLACES } from "./simulation.ts";
import { FULL, shortest, Simulator } from "./simulator.ts";

/** What a share says: how far it is, and of the history that broke a promise. */
interface Said {
  readonly counts?: Omit<Counts, "add">;
  readonly broken?: {
    readonly seed: number;
    readonly report: string;
    /** The shortest that was found. */
    readonly short: { readonly seed: number; readonly limits: Limits };
  };
}

/** How often the progress is told, ms. */
const TELL_MS = 30_000;

/** A run of so many power cuts is a long one, and must have so much of everything. */
const LONG_CUTS = 5000;
const HISTORIES_MIN = 200;
const UNSYNCED_MIN = 0.8;
const PLACE_MIN = 50;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    cuts: { type: "string", default: "5000" },
    seeds: { type: "string", default: "200" },
    processes: { type: "string" },
    lives: { type: "string", default: `${FULL.processes}` },
    steps: { type: "string", default: `${FULL.stepsMax}` },
    clients: { type: "string", default: `${FULL.clientsMax}` },
    share: { type: "string" },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const until = { cuts: Number(values.cuts), seeds: Number(values.seeds) };
const limits: Limits = {
  processes: Number(values.lives),
  stepsMax: Number(values.steps),
  clientsMax: Number(values.clients),
};
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
  args.push(...optionsOf(limits));
  const code = await inShares<Said>(
    import.meta.url,
    args,
    processes,
    ({ counts, broken }, index) => {
      if (broken !== undefined) {
        console.log(broken.report);
        const { short } = broken;
        console.log(`\nrepeat it with: ${repeat(short.seed, short.limits)}`);
        console.log(`the whole history that it was found in: ${repeat(broken.seed, limits)}`);
      }
      if (counts === undefined) return;
      latest[index] = counts;
      if (performance.now() - told < TELL_MS) return;
      told = performance.now();
      console.log(`${sum().cuts} power cuts so far`);
    },
  );
  if (code !== 0) return code;
  const counts = sum();
  print(counts, (performance.now() - started) / 1000);
  if (until.cuts < LONG_CUTS) return 0;
  const short = tooFew(counts);
  for (const what of short) console.log(`TOO FEW: ${what}`);
  return short.length === 0 ? 0 : 1;
}

/** What a long run has to have met and has not: then it shows less than it seems to. */
function tooFew({ histories, cuts, cutsUnsynced, places }: Counts): string[] {
  const short: string[] = [];
  if (histories < HISTORIES_MIN) {
    short.push(`${histories} histories, of ${HISTORIES_MIN} at the least`);
  }
  if (cutsUnsynced < UNSYNCED_MIN * cuts) {
    short.push(
      `${cutsUnsynced} of ${cuts} power cuts with unsynced sectors, of ${UNSYNCED_MIN * 100} %`,
    );
  }
  for (const place of PLACES) {
    // Names change rarely.
    if (place === "names" || places[place] >= PLACE_MIN) continue;
    short.push(`${places[place]} power cuts in the middle of ${place}, of ${PLACE_MIN}`);
  }
  return short;
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
    simulator.run(seed + index, { ...mine, limits }, (counts) => {
      if (performance.now() - told < TELL_MS / of) return;
      told = performance.now();
      say({ counts });
    });
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    const short = shortest(simulator, error);
    const report = short.report();
    say({
      broken: { seed: error.seed, report, short: { seed: short.seed, limits: short.limits } },
    });
    return 1;
  }
  say({ counts: simulator.counts });
  return 0;
}

function optionsOf({ processes, stepsMax, clientsMax }: Limits): string[] {
  return ["--lives", `${processes}`, "--steps", `${stepsMax}`, "--clients", `${clientsMax}`];
}

/** The command that makes one history. */
function repeat(seed: number, limits: Limits): string {
  const options = ["--seed", `${seed}`, "--cuts", "1", "--seeds", "1", "--processes", "1"];
  return `deno task simulate ${[...options, ...optionsOf(limits)].join(" ")}`;
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
