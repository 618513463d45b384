/**
 * Opens files that somebody has forged, one after the other, and prints what became of each, and by how many MiB
 * the process has grown since it opened the first, at the most. Arguments: paths; the first file is sound.
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { ManifoldError, open } from "../../mod.ts";

/** The most that the process has ever had in memory, MiB. */
function peakMiB(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)![1]) / 1024;
}

async function outcomeOf(path: string): Promise<string> {
  try {
    await using db = await open(path, { readOnly: true, cacheBytes: 2 ** 20 });
    for (const name of db.columnFamilies()) (await db.columnFamily(name)).tables();
    return "opened";
  } catch (error) {
    return error instanceof ManifoldError ? error.code : `another error: ${error}`;
  }
}

const [sound, ...paths] = process.argv.slice(2);
console.log(await outcomeOf(sound));
const before = peakMiB();
for (const path of paths) console.log(await outcomeOf(path));
console.log(String(Math.round(peakMiB() - before)));
