/**
 * Transpiles the package as registries do: every `.ts` becomes a `.js`, import specifiers too. Runs
 * on Deno, which has a transpiler. Arguments: from where, to where.
 */

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import * as nodeModule from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";

const { stripTypeScriptTypes } = nodeModule as unknown as {
  stripTypeScriptTypes(code: string, options: { mode: "transform" }): string;
};
const [from, to] = process.argv.slice(2);

for (const root of ["mod.ts", "lib", "workers"]) {
  const files = root.endsWith(".ts") ? [root] : (await readdir(join(from, root), {
    recursive: true,
  })).filter((name) => name.endsWith(".ts")).map((name) => join(root, name));
  for (const file of files) {
    const code = stripTypeScriptTypes(await readFile(join(from, file), "utf8"), {
      mode: "transform",
    });
    const target = join(to, file.replace(/\.ts$/, ".js"));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, code.replace(/((?:from|import)\s*\(?\s*"\.[^"]*)\.ts"/g, '$1.js"'));
  }
}
