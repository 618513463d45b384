// Run by npm after an install. The npm package of Deno replaces its launcher in node_modules/.bin by the
// program itself; a Deno task that says "deno" would then run that program as if it were JavaScript.
const { existsSync, lstatSync, rmSync, symlinkSync } = require("node:fs");

const link = "node_modules/.bin/deno";
if (existsSync("node_modules/deno/bin.cjs") && lstatSync(link).isSymbolicLink()) {
  rmSync(link);
  symlinkSync("../deno/bin.cjs", link);
}
