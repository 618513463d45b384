/**
 * What a database does when memory cannot be had: to be run with a limit of the address space, which it makes lower
 * once its database is open. Prints `passed` at the end. Deno needs `--expose-gc`.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { ManifoldError, open, openInMemory, text } from "../../mod.ts";
import { assert, assertEquals, assertGreater } from "./assert.ts";

const MIB = 2 ** 20;
const SMALL = { cacheBytes: MIB, logBytes: MIB, maxWorkers: 1 };
const HUGE = { ...SMALL, cacheBytes: 65_536 * MIB };
/** What this process may take once its database is open. */
const ROOM = 256 * MIB;
/** More than goes through a worker's write queue at once. */
const QUEUE_PIECES = 45;
const PIECE = new Uint8Array(MIB / 5);
const LARGE = new Uint8Array(2 * MIB);

/** The message of the `too-large` with which a call is refused; undefined if it is not. */
async function refusalOf(call: () => unknown): Promise<string | undefined> {
  try {
    await call();
    return undefined;
  } catch (error) {
    if (error instanceof ManifoldError && error.code === "too-large") return error.message;
    throw error;
  }
}

/** Gives back what this thread has no use for: a failing allocation is not always a reason to collect. */
function collect(): void {
  const { Bun, gc } = globalThis as { Bun?: { gc(force: boolean): void }; gc?: () => void };
  if (Bun === undefined) gc!();
  else Bun.gc(true);
}

function leaveRoom(bytes: number): void {
  const [, kib] = readFileSync("/proc/self/status", "utf8").match(/^VmSize:\s+(\d+) kB/m)!;
  const most = Number(kib) * 1024 + bytes;
  const { status } = spawnSync("prlimit", [`--pid=${process.pid}`, `--as=${most}`]);
  assertEquals(status, 0);
}

const path = process.argv[2];
const db = await open(path, SMALL);
const family = await db.columnFamily("f");
const table = family.table("t", { key: text });
await table.set("small", new Uint8Array(10));
const before = db.stats();
leaveRoom(ROOM);

// A value, twice as large each time, until there is no memory for it.
let accepted = 0;
let refusal: string | undefined;
for (let bytes = 16 * MIB; refusal === undefined; bytes *= 2) {
  collect();
  const value = new Uint8Array(bytes);
  refusal = await refusalOf(() => table.set("large", value));
  if (refusal === undefined) accepted++;
}
assertGreater(accepted, 0);
assert(refusal.includes("no memory"), refusal);
assertEquals([...table.keys()], ["large", "small"]);

// What was refused has left nothing, and the rest goes on. The worker may not have collected all yet.
collect();
for (let i = 0; i < QUEUE_PIECES; i++) {
  await table.set("piece", PIECE, { durability: "eventual" });
}
await table.set("large", LARGE);
await table.set("small", new Uint8Array(20));
accepted += QUEUE_PIECES + 2;
await db.checkpoint();
const { families, commits, pins, threads, logBytesUsed, checkpoints, cache } = db.stats();
assertEquals(families[0].version, before.families[0].version + accepted);
assertEquals(commits, before.commits + accepted);
assertEquals(pins, 0);
assertEquals(threads, before.threads);
assertEquals(logBytesUsed, 0);
assertEquals(checkpoints.failed, 0);
assertEquals(cache.dirty, 0);
assertEquals(table.get("small")?.length, 20);
assertEquals(table.get("large")?.length, LARGE.length);
await db.close();

const tooLarge = await refusalOf(() => open(`${path}-huge`, HUGE));
assert(tooLarge?.includes("cacheBytes"), tooLarge);
const { logBytes: _, ...hugeInMemory } = HUGE;
assert(await refusalOf(() => openInMemory(hugeInMemory)) !== undefined);
console.log("passed");
