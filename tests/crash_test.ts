/**
 * Protects the first promise: nothing acknowledged is ever lost. A process that writes from two
 * threads is killed by SIGKILL at random moments, some of them in the middle of a checkpoint, and
 * the next one must find every acknowledged write, no batch by half, and no write without those of
 * its family before it. One file goes through all of it.
 *
 * MANIFOLD_CRASH_KILLS makes it longer; MANIFOLD_SEED repeats its choices, though not their timing.
 */

import process from "node:process";
import { assert, assertEquals, assertGreaterOrEqual } from "./support/assert.ts";
import { type Child, type RuntimeName, spawnScript, thisRuntime } from "./support/child.ts";
import { Random } from "./support/random.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const KILLS = Number(process.env.MANIFOLD_CRASH_KILLS || 30);
const MIXED_KILLS = Math.ceil(KILLS / 5);
const ACKNOWLEDGED_MIN = 1000;

const child = new URL("./support/crash_child.ts", import.meta.url);

/** What is known of the file. */
interface Known {
  a: number;
  b: number;
  /** Kills after which there was something in the log to apply. */
  replays: number;
  /** Kills between the beginning and the end of a checkpoint. */
  inCheckpoint: number;
  /** Acknowledged writes. */
  acknowledged: number;
}

async function verified(running: Child, known: Known): Promise<void> {
  const line = await running.nextLine();
  const found = /^verified (\d+) (\d+) (\d+)$/.exec(line);
  assert(found !== null, line);
  const [replayed, a, b] = found.slice(1).map(Number);
  assertGreaterOrEqual(a, known.a, "an acknowledged write of family a is lost");
  assertGreaterOrEqual(b, known.b, "an acknowledged write of family b is lost");
  known.a = a;
  known.b = b;
  if (replayed > 0) known.replays++;
}

/** Lets a child write and kills it. */
async function writeAndKill(
  runtime: RuntimeName,
  path: string,
  known: Known,
  more: number,
  inCheckpoint: boolean,
): Promise<void> {
  const running = spawnScript(runtime, child, [path]);
  try {
    await verified(running, known);
    const before = known.a + known.b;
    let checkpoint = false;
    let killed = false;
    for await (const line of running.lines) {
      const [what, second] = line.split(" ");
      if (what === "checkpoint") checkpoint = second === "begins";
      else if (what === "a" || what === "b") known[what] = Number(second);
      else throw new Error(`the child says ${line}`);
      const enough = known.a + known.b - before >= ACKNOWLEDGED_MIN + more;
      if (killed || !enough || (inCheckpoint && line !== "checkpoint begins")) continue;
      killed = true; // what it had said before counts as well
      running.kill("SIGKILL");
    }
    const { signal } = await running.exited;
    assertEquals(signal, "SIGKILL", running.stderr());
    if (checkpoint) known.inCheckpoint++;
    known.acknowledged += known.a + known.b - before;
  } finally {
    running.kill("SIGKILL");
  }
}

async function killOften(
  name: string,
  kills: number,
  runtimeOf: (kill: number) => RuntimeName,
): Promise<void> {
  await withTempDir(async (dir) => {
    const random = Random.fromEnvironment(name);
    const path = `${dir}/c.manifold`;
    const known: Known = { a: 0, b: 0, replays: 0, inCheckpoint: 0, acknowledged: 0 };
    const started = performance.now();
    const checkpointsMin = Math.floor(kills / 6);
    let kill = 0;
    while (kill < kills || known.inCheckpoint < checkpointsMin) {
      assert(kill < 3 * kills, `${known.inCheckpoint} kills during a checkpoint`);
      await writeAndKill(runtimeOf(kill), path, known, random.int(1500), random.chance(0.4));
      kill++;
    }
    // What the last kill has left.
    const last = spawnScript(runtimeOf(kill), child, [path]);
    try {
      await verified(last, known);
    } finally {
      last.kill("SIGKILL");
      await last.exited;
    }
    assertGreaterOrEqual(known.replays, kill / 2, "recoveries with something to apply");
    console.log(
      `${name}: ${kill} kills, ${known.inCheckpoint} during a checkpoint, ${known.replays} with a ` +
        `replay, ${known.acknowledged} acknowledged writes, ${
          Math.round(performance.now() - started)
        } ms`,
    );
  });
}

test(
  `crash: nothing acknowledged is lost by ${KILLS} kills`,
  { timeoutMs: 60_000 + KILLS * 10_000 },
  () => killOften("crash", KILLS, () => thisRuntime),
);

test(
  `crash: nothing acknowledged is lost by ${MIXED_KILLS} kills of one runtime after the other`,
  { timeoutMs: 60_000 + MIXED_KILLS * 10_000 },
  () => killOften("mixed crash", MIXED_KILLS, (kill) => kill % 2 === 0 ? "deno" : "bun"),
);
