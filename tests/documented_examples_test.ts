/**
 * Protects the examples of docs/transactions.md: each of its `ts` blocks is a program that passes the type-checker
 * and prints what the comments behind its `console.log` lines say, in that order.
 */

import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { assertEquals, assertGreater } from "./support/assert.ts";
import { executable, thisRuntime } from "./support/child.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const page = new URL("../docs/transactions.md", import.meta.url);
const mod = new URL("../mod.ts", import.meta.url).href;

interface Example {
  /** The heading above it. */
  readonly heading: string;
  readonly code: string;
  /** What it says that it prints. */
  readonly prints: readonly string[];
}

async function readExamples(): Promise<Example[]> {
  const examples: Example[] = [];
  let heading = "";
  let block: string[] | undefined;
  for (const line of (await readFile(page, "utf8")).split("\n")) {
    if (block !== undefined) {
      if (line === "```") {
        const code = block.join("\n").replaceAll('"@manifold/db"', JSON.stringify(mod));
        const prints = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) =>
          text
        );
        examples.push({ heading, code: `${code}\nexport {};\n`, prints });
        block = undefined;
      } else block.push(line);
    } else if (line === "```ts") block = [];
    else if (line.startsWith("#")) heading = line.replace(/^#+ /, "");
  }
  return examples;
}

async function writeExamples(dir: string, examples: readonly Example[]): Promise<string[]> {
  const files = examples.map((_, i) => `${dir}/example_${i}.ts`);
  await Promise.all(files.map((file, i) => writeFile(file, examples[i].code)));
  return files;
}

/** Runs a program here; the lines that it prints. */
async function linesOf(file: string): Promise<string[]> {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...values: unknown[]) => {
    lines.push(values.map((one) => typeof one === "string" ? one : JSON.stringify(one)).join(" "));
  };
  try {
    await import(pathToFileURL(file).href);
  } finally {
    console.log = log;
  }
  return lines;
}

test("documented examples: they print what they say", () =>
  withTempDir(async (dir) => {
    const examples = await readExamples();
    assertGreater(examples.length, 0);
    const files = await writeExamples(dir, examples);
    for (const [i, { heading, prints }] of examples.entries()) {
      assertEquals(await linesOf(files[i]), prints, heading);
    }
  }));

test(
  "documented examples: they pass the type-checker",
  { ignore: thisRuntime !== "deno" },
  () =>
    withTempDir(async (dir) => {
      const files = await writeExamples(dir, await readExamples());
      const child = spawn(executable("deno"), ["check", "--quiet", ...files], {
        env: { ...process.env, NO_COLOR: "1" },
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (part: string) => output += part);
      }
      const code = await new Promise((resolve) => child.on("close", resolve));
      assertEquals(code, 0, output);
    }),
);
