/**
 * The crash runs: a process that writes from several threads is killed again and again, and the next
 * one must find everything that was acknowledged. One file goes through all of it.
 *
 * @module
 */

import { stat } from "node:fs/promises";
import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "./assert.ts";
import { type Child, type Exit, type RuntimeName, spawnScript } from "./child.ts";
import { EXIT_CODE, type Found } from "./crash_child.ts";
import { LOG_BYTES } from "./crash_family.ts";
import { CRASH_THREADS } from "./crash_messages.ts";
import { lookAt } from "./database_process.ts";
import { exists } from "./fs.ts";
import type { Random } from "./random.ts";

const script = new URL("./crash_child.ts", import.meta.url);

/** Acknowledgements before a kill, at the least; up to so many more. */
const ACKNOWLEDGED_MIN = 1000;
const ACKNOWLEDGED_MORE = 1500;
/** A kill comes so much after what it waited for, ms. */
const KILL_WITHIN_MS = 15;
/** A file that has more than this keeps what it should give back. */
const FILE_BYTES_MAX = 96 * 2 ** 20;

/** How a process comes to its end. `recovery`: while it opens the file that a kill has left. */
export type End = "writes" | "checkpoint" | "recovery" | "SIGTERM" | "exit" | "end";

/** What has come of the runs so far. */
export interface CrashCounts {
  kills: number;
  /** Of those: between the beginning and the end of a checkpoint that was asked for. */
  inCheckpoint: number;
  /** Of those: while the log was being applied. */
  inRecovery: number;
  /** Of those: the log had wrapped around since it was begun. */
  wrapped: number;
  /** Openings that had something in the log to apply. */
  replays: number;
  /** Acknowledged writes, transactions and steps. */
  acknowledged: number;
}

/** One file, and the processes that write to it, one after the other. */
export class CrashRun {
  readonly counts: CrashCounts = {
    kills: 0,
    inCheckpoint: 0,
    inRecovery: 0,
    wrapped: 0,
    replays: 0,
    acknowledged: 0,
  };
  readonly #path: string;
  readonly #random: Random;
  /** What is acknowledged. */
  readonly #known = {
    writes: new Array<number>(CRASH_THREADS).fill(0),
    steps: new Array<number>(CRASH_THREADS).fill(0),
    churn: 0,
  };
  /** How long the last openings took from their first line, ms. */
  #openingMs = 100;
  /** Whether the file has a log to be applied. */
  #toRecover = false;

  constructor(path: string, random: Random) {
    this.#path = path;
    this.#random = random;
  }

  /** Starts a process, lets it write, and brings it to its end. */
  async once(runtime: RuntimeName, end: End): Promise<void> {
    const child = spawnScript(runtime, script, [this.#path]);
    try {
      const opened = await this.#open(child, end);
      let inCheckpoint = false;
      if (opened && await this.#verified(child, end)) {
        inCheckpoint = await this.#write(child, end);
      }
      this.#checkEnd(await child.exited, end, child);
      await this.#lookAfter(end, opened, inCheckpoint);
    } finally {
      child.kill("SIGKILL");
    }
  }

  /** What is there now, by a last process. */
  async verify(runtime: RuntimeName): Promise<void> {
    await this.once(runtime, "end");
  }

  /** Waits until the process has opened the file; false if it was killed before. */
  async #open(child: Child, end: End): Promise<boolean> {
    assertEquals(await child.nextLine(), "opening", child.stderr());
    const began = performance.now();
    let timer: ReturnType<typeof setTimeout> | undefined;
    if (end === "recovery") {
      timer = setTimeout(() => child.kill("SIGKILL"), this.#random.next() * this.#openingMs);
    }
    const { value: line, done } = await child.lines.next();
    clearTimeout(timer);
    if (done && end === "recovery") return false;
    const replayed = /^opened (\d+)$/.exec(line ?? "");
    assert(replayed !== null, `the child says ${line}: ${child.stderr()}`);
    this.#openingMs += (performance.now() - began - this.#openingMs) / 4;
    if (Number(replayed[1]) > 0) this.counts.replays++;
    return true;
  }

  /** Compares what the process has found; false if it was killed before it could say, a little late. */
  async #verified(child: Child, end: End): Promise<boolean> {
    const { value: line, done } = await child.lines.next();
    if (done && end === "recovery") return false;
    const found = /^verified (.*)$/.exec(line ?? "");
    assert(found !== null, `the child says ${line}: ${child.stderr()}`);
    this.#compare(child, JSON.parse(found[1]));
    return true;
  }

  #compare(child: Child, found: Found): void {
    const known = this.#known;
    const say = `found ${JSON.stringify(found)}, acknowledged ${JSON.stringify(known)}`;
    for (let thread = 0; thread < CRASH_THREADS; thread++) {
      const what = `a write of thread ${thread} is lost: ${say}; ${child.stderr()}`;
      assertGreaterOrEqual(found.writes[thread], known.writes[thread], what);
      // A thread has one transaction under way.
      const step = `transactions of thread ${thread}: ${say}`;
      assertGreaterOrEqual(found.steps[thread], known.steps[thread], step);
      assertLessOrEqual(found.steps[thread], known.steps[thread] + 1, step);
    }
    assertGreaterOrEqual(found.churn, known.churn, `a family has come back or is lost: ${say}`);
    Object.assign(known, found);
  }

  /** Reads what the process acknowledges and ends it; says whether that was during a checkpoint. */
  async #write(child: Child, end: End): Promise<boolean> {
    const enough = this.counts.acknowledged + ACKNOWLEDGED_MIN +
      this.#random.int(ACKNOWLEDGED_MORE);
    let checkpoint = false;
    let ending = false;
    for await (const line of child.lines) {
      const [what, first, second] = line.split(" ");
      if (what === "checkpoint") checkpoint = first === "begins";
      else if (what === "write") this.#acknowledged(this.#known.writes, Number(first), second);
      else if (what === "step") this.#acknowledged(this.#known.steps, Number(first), second);
      else if (what === "churn") {
        this.#known.churn = Number(first);
        this.counts.acknowledged++;
      } else if (what !== "over") throw new Error(`the child says ${line}`);
      // What it has said before it ends counts as well.
      if (ending || this.counts.acknowledged < enough) continue;
      if (end === "checkpoint" && line !== "checkpoint begins") continue;
      ending = true;
      setTimeout(() => this.#end(child, end), this.#random.next() * KILL_WITHIN_MS);
    }
    return checkpoint;
  }

  #acknowledged(of: number[], thread: number, n: string): void {
    of[thread] = Number(n);
    this.counts.acknowledged++;
  }

  #end(child: Child, end: End): void {
    if (end === "exit" || end === "end") child.send(end);
    else child.kill(end === "SIGTERM" ? "SIGTERM" : "SIGKILL");
  }

  #checkEnd(exit: Exit, end: End, child: Child): void {
    const expected = end === "exit"
      ? { code: EXIT_CODE, signal: null }
      : end === "end"
      ? { code: 0, signal: null }
      : { code: null, signal: end === "SIGTERM" ? "SIGTERM" : "SIGKILL" };
    assertEquals(exit, expected, `${end}: ${child.stderr()}`);
  }

  async #lookAfter(end: End, opened: boolean, inCheckpoint: boolean): Promise<void> {
    const { counts } = this;
    const killed = end === "writes" || end === "checkpoint" || end === "recovery";
    if (killed) counts.kills++;
    if (killed && inCheckpoint) counts.inCheckpoint++;
    if (!opened && this.#toRecover) counts.inRecovery++;
    // The first process may not live to name the file.
    if (!opened && counts.acknowledged === 0 && !(await exists(this.#path))) return;
    const { meta, records } = await lookAt(this.#path);
    this.#toRecover = records.length > 0;
    const tail = records.at(-1);
    if (killed && tail !== undefined && tail.position + tail.length > LOG_BYTES) counts.wrapped++;
    assert(opened || end === "recovery");
    if (end !== "recovery") assert(!meta.clean, "a process that does not close leaves its log");
    assertLessOrEqual((await stat(this.#path)).size, FILE_BYTES_MAX, "the file grows");
  }
}

/** Kills as often as told, and more often until enough of them were where they should be. */
export async function killOften(
  run: CrashRun,
  kills: number,
  random: Random,
  runtimeOf: (kill: number) => RuntimeName,
  onKill: (counts: CrashCounts) => void = () => {},
): Promise<void> {
  const { counts } = run;
  const inCheckpointMin = Math.floor(kills / 8);
  const inRecoveryMin = Math.floor(kills / 10);
  while (
    counts.kills < kills || counts.inCheckpoint < inCheckpointMin ||
    counts.inRecovery < inRecoveryMin
  ) {
    assert(counts.kills < 3 * kills + 10, `too few of the kills hit: ${JSON.stringify(counts)}`);
    const dice = random.next();
    const end = dice < 0.25 ? "recovery" : dice < 0.6 ? "checkpoint" : "writes";
    await run.once(runtimeOf(counts.kills), end);
    onKill(counts);
  }
  await run.verify(runtimeOf(counts.kills));
  assertGreaterOrEqual(counts.replays, counts.kills / 3, "recoveries with something to apply");
}

/** The counts in one line. */
export function describeCounts(counts: CrashCounts): string {
  return `${counts.kills} kills (${counts.inCheckpoint} during a checkpoint, ` +
    `${counts.inRecovery} during a recovery, ${counts.wrapped} with a log that had wrapped around), ` +
    `${counts.replays} recoveries with something to apply, ${counts.acknowledged} acknowledgements`;
}
