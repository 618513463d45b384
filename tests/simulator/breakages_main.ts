/**
 * `deno task simulate:breakages --cuts N`: every breakage must be caught within `N` power cuts, 5,000
 * unless told. The exit code is 1 if one is not.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { BREAKAGE_PATCHES, BREAKAGES } from "./breakages.ts";
import { Simulator } from "./simulator.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    cuts: { type: "string", default: "5000" },
    only: { type: "string", multiple: true },
  },
});
const simulator = new Simulator(BREAKAGE_PATCHES);
let missed = 0;
for (const { name } of BREAKAGES) {
  if (values.only !== undefined && !values.only.includes(name)) continue;
  const caught = simulator.catches(name, Number(values.seed), Number(values.cuts));
  if (caught === undefined) missed++;
  console.log(
    caught === undefined
      ? `NOT CAUGHT  ${name}`
      : `${String(caught.cuts).padStart(6)} cuts  ${name}: ${caught.error.message.split("\n")[0]}`,
  );
}
process.exit(missed === 0 ? 0 : 1);
