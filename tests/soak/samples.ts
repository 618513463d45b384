/**
 * What the soak measures while everything rests, and the judgement of it.
 *
 * @module
 */

import { readdirSync, readlinkSync, statSync } from "node:fs";
import process from "node:process";
import type { Database, DatabaseHandle } from "../../mod.ts";
import type { SharedMemory } from "../../lib/engine/thread_memory.ts";
import { WriteRing } from "../../lib/memory/write_ring.ts";
import type { FileFigures } from "../support/file_check.ts";

const MIB = 2 ** 20;

/** One look at the database and at its process. */
export interface Sample {
  readonly seconds: number;
  /** Threads that were terminated so far. */
  readonly terminated: number;
  /** Memory of the process under load, and when all rest and have collected their garbage; MiB. */
  readonly loadedMiB: number;
  readonly residentMiB: number;
  readonly fileMiB: number;
  /** Pages that the checkpoint needs, MiB. */
  readonly usedMiB: number;
  readonly extents: number;
  readonly families: number;
  readonly pins: number;
  /** Bytes that wait in the write queues. */
  readonly queued: number;
  readonly retired: number;
  /** Frames in somebody's hands, with pages to be written, and with pages that no family is charged with. */
  readonly owned: number;
  readonly dirty: number;
  readonly uncharged: number;
  /** Threads that use the database, and those of the process. */
  readonly threads: number;
  readonly systemThreads: number;
  readonly descriptors: number;
  /** Of those: of the database's file and of its log. */
  readonly ownDescriptors: number;
}

/** Threads and descriptors are counted where the system lists them, on Linux. */
function listed(directory: string): string[] {
  return process.platform === "linux" ? readdirSync(directory) : [];
}

/** What the descriptors of this process refer to. */
function openPaths(): string[] {
  const paths: string[] = [];
  for (const name of listed("/proc/self/fd")) {
    try {
      paths.push(readlinkSync(`/proc/self/fd/${name}`));
    } catch (error) {
      // The listing itself had one.
      if ((error as { code?: unknown }).code !== "ENOENT") throw error;
    }
  }
  return paths;
}

/** Memory of the process now, MiB. */
export function residentMiB(): number {
  return process.memoryUsage().rss / MIB;
}

/** What is there while nobody works. */
export function look(
  db: Database,
  handle: DatabaseHandle,
): Omit<
  Sample,
  "seconds" | "terminated" | "loadedMiB" | "residentMiB" | "usedMiB" | "extents"
> {
  const { shared } = handle.parts as { shared: SharedMemory };
  const { families, cache, pins, threads } = db.stats();
  const paths = openPaths();
  const charged = families.reduce((sum, { frames }) => sum + frames, 0);
  return {
    fileMiB: statSync(db.path).size / MIB,
    families: families.length,
    pins,
    queued: shared.rings.reduce((sum, ring) => sum + new WriteRing(ring).waitingBytes, 0),
    retired: families.reduce((sum, { retiredPages }) => sum + retiredPages, 0),
    owned: cache.owned,
    dirty: cache.dirty,
    uncharged: cache.clean + cache.dirty - charged,
    threads,
    systemThreads: listed("/proc/self/task").length,
    descriptors: paths.length,
    ownDescriptors: paths.filter((path) => path === db.path || path === `${db.path}-log`).length,
  };
}

/** The figures of a sample that come from the file. */
export function fileFigures(figures: FileFigures, pageSize: number) {
  return { usedMiB: figures.usedPages * pageSize / MIB, extents: figures.extents };
}

const COLUMNS: [title: string, of: (sample: Sample) => number][] = [
  ["s", (one) => one.seconds],
  ["killed", (one) => one.terminated],
  ["loaded MiB", (one) => one.loadedMiB],
  ["rest MiB", (one) => one.residentMiB],
  ["file MiB", (one) => one.fileMiB],
  ["in use MiB", (one) => one.usedMiB],
  ["extents", (one) => one.extents],
  ["families", (one) => one.families],
  ["pins", (one) => one.pins],
  ["queued B", (one) => one.queued],
  ["retired", (one) => one.retired],
  ["owned", (one) => one.owned],
  ["dirty", (one) => one.dirty],
  ["uncharged", (one) => one.uncharged],
  ["threads", (one) => one.threads],
  ["OS threads", (one) => one.systemThreads],
  ["fds", (one) => one.descriptors],
  ["own fds", (one) => one.ownDescriptors],
];

/** The head of the table that {@linkcode row} fills. */
export function head(): string {
  return COLUMNS.map(([title]) => title.padStart(10)).join(" ");
}

export function row(sample: Sample): string {
  return COLUMNS.map(([, of]) => String(Math.round(of(sample) * 10) / 10).padStart(10)).join(" ");
}

/** What may be at rest, and by how much things may grow after the warm-up. */
export interface Limits {
  readonly threads: number;
  readonly families: number;
  /** Each writing worker keeps a few frames for what comes next. */
  readonly owned: number;
  readonly ownDescriptors: number;
  readonly fileMiB: number;
  readonly residentGrowthMiB: number;
  /** What the runtime loses with each thread that is terminated. */
  readonly lostMiBPerThread: number;
}

/** The part of the samples that is warm-up. */
const WARM_UP_PART = 0.25;

/** What is wrong with the samples. */
export function judge(samples: readonly Sample[], limits: Limits): string[] {
  const wrong: string[] = [];
  for (const sample of samples) {
    const most = (what: keyof Sample, limit: number): void => {
      if (sample[what] <= limit) return;
      wrong.push(
        `after ${Math.round(sample.seconds)} s: ${what} ${sample[what]}, at most ${limit}`,
      );
    };
    for (const what of ["pins", "queued", "retired", "dirty"] as const) most(what, 0);
    if (sample.uncharged < 0) wrong.push(`after ${sample.seconds} s: ${sample.uncharged} frames`);
    most("uncharged", 0);
    most("threads", limits.threads);
    most("families", limits.families);
    most("owned", limits.owned);
    most("ownDescriptors", limits.ownDescriptors);
    most("fileMiB", limits.fileMiB);
  }
  const { growthMiB, terminated } = residentGrowth(samples);
  const most = limits.residentGrowthMiB + terminated * limits.lostMiBPerThread;
  if (growthMiB > most) {
    wrong.push(
      `the process has grown by ${growthMiB.toFixed(1)} MiB since it was warm, at most ` +
        `${most.toFixed(1)} with ${terminated} threads terminated`,
    );
  }
  return wrong;
}

/**
 * How the memory that the process keeps has grown since it was warm: from the mean of the earlier half to that
 * of the later one, and how many threads were terminated between those; and by the slope of a straight
 * line through all (least squares).
 */
export function residentGrowth(samples: readonly Sample[]): {
  growthMiB: number;
  terminated: number;
  slopeMiBPerMinute: number;
} {
  const warm = samples.slice(Math.floor(samples.length * WARM_UP_PART));
  const [early, late] = halves(warm.map((one) => one.residentMiB));
  const minutes = warm.map((one) => one.seconds / 60);
  const [x, y] = [mean(minutes), mean(warm.map((one) => one.residentMiB))];
  let above = 0;
  let below = 0;
  warm.forEach((one, i) => {
    above += (minutes[i] - x) * (one.residentMiB - y);
    below += (minutes[i] - x) ** 2;
  });
  const [killedEarly, killedLate] = halves(warm.map((one) => one.terminated));
  return {
    growthMiB: mean(late) - mean(early),
    terminated: mean(killedLate) - mean(killedEarly),
    slopeMiBPerMinute: above / below,
  };
}

function halves(numbers: readonly number[]): [number[], number[]] {
  const middle = Math.floor(numbers.length / 2);
  return [numbers.slice(0, middle), numbers.slice(middle)];
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0) / numbers.length;
}
