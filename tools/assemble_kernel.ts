/**
 * Assembles `lib/memory/kernel.wat` into `lib/memory/kernel_wasm.ts`.
 *
 * @module
 */

import { readFile, writeFile } from "node:fs/promises";
import wabt from "wabt";

const SOURCE = new URL("../lib/memory/kernel.wat", import.meta.url);
/** The module made of it. */
export const KERNEL_MODULE = new URL("../lib/memory/kernel_wasm.ts", import.meta.url);

const LINE_CHARACTERS = 96;

/** The text of the module that holds the assembled kernel. */
export async function assembleKernel(): Promise<string> {
  const { parseWat } = await wabt();
  const parsed = parseWat("kernel.wat", await readFile(SOURCE, "utf8"), {
    threads: true,
    bulk_memory: true,
  });
  const { buffer } = parsed.toBinary({});
  parsed.destroy();
  const base64 = btoa(String.fromCharCode(...buffer));
  const lines: string[] = [];
  for (let at = 0; at < base64.length; at += LINE_CHARACTERS) {
    lines.push(`  "${base64.slice(at, at + LINE_CHARACTERS)}"`);
  }
  return `/**
 * The kernel (kernel.wat), assembled by \`deno task kernel\`: not to be edited by hand.
 *
 * @module
 */

/** A WebAssembly module in base64. */
export const KERNEL_WASM = ${lines.join(" +\n").trimStart()};
`;
}

if (import.meta.main) {
  await writeFile(KERNEL_MODULE, await assembleKernel());
}
