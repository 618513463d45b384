/**
 * `deno task simulate:breakages --cuts N`: every breakage must be caught within `N` power cuts, 5,000
 * unless told. The exit code is 1 if one is not.
 *
 * | option | what |
 * |---|---|
 * | `--seed S` | the first history's seed, 1 unless told |
 * | `--cuts N` | power cuts that each may take |
 * | `--only NAME` | this one; may be given several times |
 * | `--processes P` | that share the work; unless told, one for each processor |
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { BREAKAGE_PATCHES, BREAKAGES } from "./breakages.ts";
import { inShares, parseShare, processesFor, say, type Share } from "./shares.ts";
import { Simulator } from "./simulator.ts";

/** What became of a breakage; `cuts` is undefined if it was not caught. */
interface Said {
  readonly name: string;
  readonly cuts?: number;
  readonly message?: string;
}

/** So many of those that took longest are told at the end. */
const SLOWEST = 5;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    cuts: { type: "string", default: "5000" },
    only: { type: "string", multiple: true },
    processes: { type: "string" },
    share: { type: "string" },
  },
});
const names = BREAKAGES.map(({ name }) => name).filter((name) =>
  values.only?.includes(name) ?? true
);
const share = parseShare(values.share);
if (share === undefined) process.exitCode = await runAll();
else runShare(share);

async function runAll(): Promise<number> {
  for (const name of values.only ?? []) {
    if (!names.includes(name)) throw new Error(`there is no breakage "${name}"`);
  }
  const caught: { name: string; cuts: number }[] = [];
  const args = ["--seed", values.seed, "--cuts", values.cuts];
  for (const name of names) args.push("--only", name);
  const processes = processesFor(values.processes, names.length);
  const code = await inShares<Said>(
    import.meta.url,
    args,
    processes,
    ({ name, cuts, message }) => {
      if (cuts !== undefined) caught.push({ name, cuts });
      console.log(
        cuts === undefined
          ? `NOT CAUGHT  ${name}`
          : `${String(cuts).padStart(6)} cuts  ${name}: ${message}`,
      );
    },
  );
  if (code !== 0) return code;
  const slowest = caught.sort((a, b) => b.cuts - a.cuts).slice(0, SLOWEST);
  console.log(
    `${caught.length} of ${names.length} caught within ${values.cuts} power cuts, the slowest: ` +
      slowest.map(({ name, cuts }) => `${name} (${cuts})`).join(", "),
  );
  return caught.length < names.length ? 1 : 0;
}

function runShare({ index, of }: Share): void {
  const simulator = new Simulator(BREAKAGE_PATCHES);
  for (let i = index; i < names.length; i += of) {
    const caught = simulator.catches(names[i], Number(values.seed), Number(values.cuts));
    say({ name: names[i], cuts: caught?.cuts, message: caught?.error.message.split("\n")[0] });
  }
}
