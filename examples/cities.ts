/**
 * A tour on real data: 135,233 places of the world in several column families with indexes, questions
 * to them, and a process killed in the middle of writing.
 *
 * `deno task demo`, `bun run examples/cities.ts`. `--small` takes the 5,000 biggest places, `--keep DIR`
 * keeps the database in a directory that is made for it.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { open } from "../mod.ts";
import { crash, WRITER_ARGUMENT, writeUntilKilled } from "./cities/crash.ts";
import { load } from "./cities/load.ts";
import { readPlaces } from "./cities/places.ts";
import { format, questionsOf } from "./cities/questions.ts";
import { formatMicros, formatRate, printTable, Progress } from "./cities/report.ts";
import { openSchema, type Schema, tablesOf } from "./cities/schema.ts";

const SMALL_PLACES = 5000;
/** Acknowledged writes after which the child is killed. */
const KILL_AFTER = 20_000;
const KILL_AFTER_SMALL = 2000;
/** How long a question is repeated to time it, ms. */
const ASK_MS = 100;

async function loadAndAsk(path: string, limit: number): Promise<void> {
  const places = readPlaces(limit);
  await using db = await open(path);
  const schema = await openSchema(db);

  console.log(`\nLoading ${format(places.length)} places`);
  const start = performance.now();
  let entries: number;
  {
    using progress = new Progress(places.length);
    entries = await load(schema, places, (count) => progress.add(count));
  }
  const ms = performance.now() - start;
  showTables(schema);
  console.log(
    `  ${format(entries)} entries, all durable, in ${(ms / 1000).toFixed(2)} s: ` +
      `${formatRate(entries, ms)} entries/s`,
  );

  console.log("\nAsking");
  showAnswers(schema);
}

function showTables(schema: Schema): void {
  printTable(
    ["family", "table", "key", "value", "entries>", "height>", "MiB>", "fill>"],
    tablesOf(schema).map(({ family, name, key, value, stats }) => [
      family,
      name,
      key,
      value,
      format(stats.entries),
      `${stats.height}`,
      ((stats.keyBytes + stats.valueBytes + stats.overflowBytes) / 2 ** 20).toFixed(1),
      `${(stats.fill * 100).toFixed(0)} %`,
    ]),
  );
}

function showAnswers(schema: Schema): void {
  for (const { ask, how, answer } of questionsOf(schema)) {
    const answers = answer();
    const shown = answers.slice(0, 3).join("; ");
    const more = answers.length > 3 ? `; ${answers.length - 3} more` : "";
    const micros = formatMicros(timeOf(answer));
    console.log(`  ${ask.padEnd(50)} ${how.padEnd(32)} ${micros.padStart(6)} µs`);
    console.log(`    ${shown}${more}`);
  }
}

/** Microseconds of a call, the mean over repeated ones. */
function timeOf(call: () => unknown): number {
  const start = performance.now();
  let calls = 0;
  let now = start;
  while (now < start + ASK_MS) {
    call();
    calls++;
    now = performance.now();
  }
  return (now - start) / calls * 1000;
}

/** Whether everything acknowledged was there. */
async function crashAndShow(path: string, kill: number): Promise<boolean> {
  console.log("\nKilling a process while 64 callers write in it");
  const { acknowledged, missing, unheard, openMs } = await crash(
    fileURLToPath(import.meta.url),
    path,
    kill,
  );
  console.log(`  SIGKILL after ${format(acknowledged)} acknowledged writes`);
  console.log(`  opened again, and recovered, in ${openMs.toFixed(0)} ms`);
  console.log(
    missing === 0
      ? `  all ${format(acknowledged)} are there, and ${format(unheard)} that were on their way`
      : `  ${format(missing)} ACKNOWLEDGED WRITES ARE MISSING`,
  );
  return missing === 0;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      small: { type: "boolean", default: false },
      keep: { type: "string" },
      [WRITER_ARGUMENT.slice(2)]: { type: "string" },
    },
  });
  const childPath = values[WRITER_ARGUMENT.slice(2)];
  if (typeof childPath === "string") return await writeUntilKilled(childPath);

  const keep = values.keep as string | undefined;
  const dir = keep ?? await mkdtemp(join(tmpdir(), "manifold-cities-"));
  try {
    if (keep !== undefined) await mkdir(keep, { recursive: true });
    const path = join(dir, "cities.manifold");
    if (existsSync(path)) throw new Error(`${path} exists; give --keep another directory`);
    await loadAndAsk(path, values.small ? SMALL_PLACES : Infinity);
    const kept = await crashAndShow(path, values.small ? KILL_AFTER_SMALL : KILL_AFTER);
    if (keep !== undefined) console.log(`\nThe database is ${path}`);
    if (!kept) process.exitCode = 1;
  } finally {
    if (keep === undefined) await rm(dir, { recursive: true, force: true });
  }
}

await main();
