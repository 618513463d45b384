/**
 * Many histories, and the shortest of those that break a promise.
 *
 * @module
 */

import { build, type Patch } from "./build.ts";
import type { Machine } from "./machine.ts";
import {
  Broken,
  Counts,
  HISTORIES,
  type Limits,
  machineFor,
  simulate,
  WORKLOAD,
} from "./simulation.ts";
import { SMALL, TELLING } from "./small.ts";

/** What a history is made of unless it is to be short. */
export const FULL: Limits = { processes: 20, stepsMax: 40, clientsMax: 3 };

const ENTRIES = ["mod.ts", "workers/run_worker.ts", WORKLOAD, HISTORIES];

/** The database, turned and ready to run. */
export class Simulator {
  readonly counts = new Counts();
  readonly machine: Machine;

  /** `patches`: what is changed in the shipped code, to see whether that is found out. */
  constructor(patches: readonly Patch[] = []) {
    this.machine = machineFor(build(ENTRIES, [...SMALL, ...TELLING, ...patches]));
  }

  /**
   * Histories of `seed`, `seed + step`, and so on, until there were so many power cuts and seeds. Throws
   * {@linkcode Broken}.
   */
  run(
    seed: number,
    { cuts, seeds, step = 1, limits = FULL }: {
      cuts: number;
      seeds: number;
      step?: number;
      limits?: Limits;
    },
    onProgress: (counts: Counts) => void = () => {},
  ): void {
    const { counts } = this;
    for (let i = 0; counts.cuts < cuts || i < seeds; i++) {
      counts.add(this.history(seed + i * step, limits));
      onProgress(counts);
    }
  }

  /** Switches a breakage on, as one of `patches` knows it; undefined: none. */
  set broken(name: string | undefined) {
    this.machine.kernel.breakage = name ?? "";
  }

  /** Looks for a history that breaks a promise while a breakage is on; within so many power cuts. */
  catches(
    breakage: string,
    seed: number,
    cuts: number,
  ): { cuts: number; error: Broken } | undefined {
    this.broken = breakage;
    let done = 0;
    try {
      for (let i = 0; done < cuts; i++) done += this.history(seed + i, FULL).cuts;
      return undefined;
    } catch (error) {
      if (error instanceof Broken) return { cuts: done, error };
      throw error;
    } finally {
      this.broken = undefined;
    }
  }

  history(seed: number, limits: Limits): Counts {
    this.machine.kernel.errors.length = 0;
    return simulate(this.machine, seed, limits);
  }
}

/** Histories that are tried of each size. */
const TRIES = 40;

/** Looks for a shorter history that breaks a promise, in fewer processes with fewer steps. */
export function shortest(simulator: Simulator, broken: Broken): Broken {
  let best = broken;
  for (const clientsMax of [1, 2, 3]) {
    for (const processes of [2, 3, 5]) {
      for (const stepsMax of [2, 4, 8, 16]) {
        for (let i = 0; i < TRIES; i++) {
          try {
            simulator.history(broken.seed + i, { processes, stepsMax, clientsMax });
          } catch (error) {
            if (!(error instanceof Broken)) throw error;
            if (error.history.length < best.history.length) best = error;
          }
        }
        if (best !== broken) return best;
      }
    }
  }
  return best;
}
