/**
 * Kinds of histories. Most are plain: a little of everything, and soon over. Some states need more than that: a log that
 * goes round while a checkpoint is made, transactions past the log on a disk without room. So the others are each of one sort
 * of application, or of trouble. All is checked in all of them.
 *
 * @module
 */

import type { Random } from "../support/random.ts";
import { PAGE_BYTES } from "./machine.ts";
import type { Settings } from "./workload.ts";

/** What a history is made of, drawn once, and what may happen to its processes. */
export interface Kind {
  readonly settings: Settings;
  /** Calls to the system that most processes come to at the most. */
  readonly callsMax: readonly number[];
  /** How many times as long as others its processes last in the place where they are cut. */
  readonly patience: number;
  /** The chance that a process is killed where the power would fail. */
  readonly kills: number;
  /** Which writes fail once the database is open; undefined: now and then any. */
  readonly fails?: Failing;
  readonly schedule: Schedule;
  /** Time that one in four writes takes in the middle, ms. */
  readonly slowWriteMs: number;
  /** The chance of a process whose guests may be terminated, and of that at each turn of one. */
  readonly mortal: number;
  readonly deaths: number;
}

/** Writes that fail: of the keeper, or those to the data file of writing workers; and the chance of each. */
export interface Failing {
  readonly who: "keeper" | "writers";
  readonly chance: number;
}

/** How threads take turns. */
export interface Schedule {
  /** How wild it is: the odds of a switch at the very next operation. */
  readonly wild: number;
  /** Operations without one at the most. */
  readonly longest: number;
  /** The odds that a thread is held up where it was interrupted, and for how long at the most, ms. */
  readonly stalls: number;
  readonly stallMs: number;
  /** Whether the writing workers are spared, so that they get far while others are held up. */
  readonly sparesWriters: boolean;
}

interface Most {
  readonly stepsMax: number;
  readonly clientsMax: number;
}

export function drawKind(random: Random, most: Most): Kind {
  const plain = plainKind(random, most);
  return random.chance(PLAIN) ? plain : random.pick(OTHERS)(plain, random, most);
}

/** The share of plain histories. */
const PLAIN = 0.55;

function plainKind(random: Random, { stepsMax, clientsMax }: Most): Kind {
  const logBytes = random.pick([8192, 16384, 16384, 65536]);
  return {
    settings: {
      clients: 1 + random.int(clientsMax),
      steps: 1 + random.int(stepsMax),
      pageSize: PAGE_BYTES,
      cacheBytes: random.pick([2 ** 18, 2 ** 18, 2 ** 20]),
      logBytes,
      checkpointBytes: random.pick([4096, logBytes / 2, logBytes, logBytes]),
      workers: 1 + random.int(3),
      sharedFamilies: 1 + random.int(2),
      valueBytes: random.pick([100, 3000, 20000]),
      bypass: random.pick([0, 0.1, 0.4]),
      eventual: random.pick([0, 0.2, 0.7]),
      joint: random.pick([0.1, 0.2, 0.7]),
      historyFamilies: 1 + random.int(3),
      historians: random.pick([0, 0, 1, 2]),
      readers: random.chance(0.3) ? 1 : 0,
      restless: false,
    },
    callsMax: [40, 80, 160],
    patience: 1,
    kills: 0.1,
    schedule: {
      wild: random.pick([0.05, 0.3, 0.6, 0.9]),
      longest: random.pick([20, 100, 600, 3000]),
      stalls: random.pick([0, 0.003, 0.03]),
      stallMs: random.pick([0.05, 0.3, 2]),
      sparesWriters: false,
    },
    slowWriteMs: random.pick([0.1, 0.1, 1]),
    mortal: 0.3,
    deaths: 0.003,
  };
}

type Change = (plain: Kind, random: Random, most: Most) => Kind;

/** As many clients as there may be, with as much to do. */
function busy({ stepsMax, clientsMax }: Most): Pick<Settings, "clients" | "steps"> {
  return { clients: clientsMax, steps: stepsMax };
}

/** The smallest log that there can be goes round again and again. */
const smallLog: Change = (plain, _random, most) => ({
  ...plain,
  callsMax: [160, 320],
  settings: {
    ...plain.settings,
    ...busy(most),
    logBytes: 4096,
    checkpointBytes: 4096,
    workers: 3,
    sharedFamilies: 2,
    valueBytes: 100,
    bypass: 0,
  },
});

/** Hardly anybody waits for a sync, and it is the process that dies. */
const eventual: Change = (plain, _random, most) => ({
  ...plain,
  patience: 2,
  kills: 0.7,
  slowWriteMs: 2,
  settings: { ...plain.settings, ...busy(most), eventual: 0.95, workers: 3, sharedFamilies: 3 },
});

/** Transactions past the log, and no room on the disk for checkpoints. */
const fullDisk: Change = (plain, random, most) => ({
  ...plain,
  callsMax: [80, 160, 320],
  fails: { who: "keeper", chance: random.pick([0.1, 0.2, 0.3]) },
  // Long enough for the next checkpoint to begin before a transaction has heard that the one before has failed.
  schedule: { ...plain.schedule, stalls: 0.03, stallMs: random.pick([0.3, 2]) },
  settings: {
    ...plain.settings,
    ...busy(most),
    logBytes: 8192,
    checkpointBytes: 8192,
    workers: 3,
    sharedFamilies: 2,
    bypass: 0.5,
  },
});

/** One that writes large values, and no room on the disk for some of them, though for the log. */
const largeValues: Change = (plain, random, most) => ({
  ...plain,
  callsMax: [80, 160, 320],
  fails: { who: "writers", chance: random.pick([0.2, 0.5]) },
  settings: {
    ...plain.settings,
    clients: 1,
    steps: most.stepsMax,
    historians: 0,
    logBytes: 65536,
    workers: 3,
    valueBytes: 20000,
    bypass: 0,
    eventual: 0,
  },
});

/** Threads that are terminated in the middle of what they send. */
const mortals: Change = (plain, _random, most) => ({
  ...plain,
  mortal: 1,
  deaths: 0.01,
  settings: { ...plain.settings, clients: most.clientsMax, historians: 2 },
});

/**
 * Hardly anything but small writes and short looks, and all but those who write are held up all the time: a reader that
 * has read which version there is, and has not pinned it, a keeper between the versions of two families, while the
 * next versions are published and the pages of theirs are used anew.
 */
const heldUp: Change = (plain, random) => ({
  ...plain,
  schedule: { wild: 0.7, longest: 20, stalls: 0.15, stallMs: 0.1, sparesWriters: true },
  slowWriteMs: 0.01,
  settings: {
    ...plain.settings,
    clients: 1,
    steps: 2,
    historians: 0,
    logBytes: 65536,
    checkpointBytes: 65536,
    workers: 1 + random.int(2),
    sharedFamilies: 1 + random.int(2),
    readers: 6,
    restless: true,
    bypass: 0,
  },
});

/** Twice as often: it takes more than one coincidence. */
const OTHERS: readonly Change[] = [
  smallLog,
  eventual,
  fullDisk,
  largeValues,
  mortals,
  heldUp,
  heldUp,
];
