/**
 * What a database does when memory cannot be had: to be run with a limit of the address space. Prints
 * `passed` at the end.
 *
 * @module
 */

import process from "node:process";
import { ManifoldError, open, openInMemory, text } from "../../mod.ts";
import { assert, assertEquals, assertRejects } from "./assert.ts";

const MIB = 2 ** 20;
const SMALL = { cacheBytes: MIB, logBytes: MIB, maxWorkers: 1 };
const HUGE = { ...SMALL, cacheBytes: 65_536 * MIB };

async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call();
    return "accepted";
  } catch (error) {
    if (error instanceof ManifoldError) return error.code;
    throw error;
  }
}

const path = process.argv[2];
const error = await assertRejects(() => open(path, HUGE), ManifoldError) as ManifoldError;
assertEquals(error.code, "too-large");
assert(error.message.includes("cacheBytes"), error.message);
const { logBytes: _, ...hugeInMemory } = HUGE;
assertEquals(await codeOf(() => openInMemory(hugeInMemory)), "too-large");

const db = await open(path, SMALL);
const table = (await db.columnFamily("f")).table("t", { key: text });
await table.set("small", new Uint8Array(10));
let stored = 0;
for (let bytes = 16 * MIB; bytes <= 256 * MIB; bytes *= 2) {
  let value: Uint8Array;
  try {
    value = new Uint8Array(bytes);
  } catch {
    break; // there is none for this process itself
  }
  const code = await codeOf(() => table.set("large", value));
  assert(["accepted", "too-large"].includes(code), code);
  if (code === "accepted") stored = bytes;
}
const read = await codeOf(() => assertEquals(table.get("large")?.length, stored));
assert(["accepted", "too-large"].includes(read), read);
assertEquals(table.get("small")?.length, 10);
await table.set("small", new Uint8Array(20));
await db.close();
console.log("passed");
