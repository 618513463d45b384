/**
 * Simulated threads whose transactions are recorded, so that the history over all crashes can be checked for a
 * serial order. This module runs inside the simulation.
 *
 * @module
 */

import { attach, type DatabaseHandle, ManifoldError } from "../../mod.ts";
import { act, look, readEverything, type World } from "../support/history/clients.ts";
import type { Outcome } from "../support/history/history.ts";
import { type Place, placeIn } from "../support/history/objects.ts";
import { guarded, isRefusal, type Scene } from "./workload.ts";

/** Callers of a thread at once, and what each does at the most. */
const CALLERS = 3;
const ACTS_MAX = 14;

/** Objects of each kind in a family, at the most: few, so that callers meet. */
const SLOTS_MAX = 3;

/** Refusals after which nothing of a transaction is there, now or after a recovery. */
const REFUSED: readonly string[] = ["conflict", "disk-full", "timeout"];

/** Reads what there is, and then lets some callers at the objects of the history. */
export async function historian(
  scene: Scene,
  handle: DatabaseHandle,
  name: string,
): Promise<void> {
  if (scene.isClosing) return;
  await guarded(scene, async () => {
    const db = await attach(handle);
    const places: Place[] = [];
    for (let i = 0; i < scene.settings.historyFamilies; i++) {
      places.push(placeIn(await db.columnFamily(`history${i}`), i));
    }
    const world: World = {
      db,
      places,
      board: scene.board,
      slots: 1 + scene.below(SLOTS_MAX),
      pause: () => Promise.resolve(),
      judge(error: unknown): Outcome {
        if (error instanceof ManifoldError && REFUSED.includes(error.code)) return "aborted";
        if (!isRefusal(scene, error)) throw error;
        return "unknown";
      },
      ran: (attempts, isCommitted) => {
        if (isCommitted) scene.transacted(attempts);
      },
    };
    readEverything(world, `${name}, at first`);
    const callers: Promise<void>[] = [];
    for (let i = 0; i < CALLERS; i++) callers.push(call(scene, world, `${name}.${i}`));
    await Promise.all(callers);
    await db.close();
  });
}

async function call(scene: Scene, world: World, name: string): Promise<void> {
  await guarded(scene, async () => {
    // Who does nothing but look meets more moments.
    const onlyLooks = scene.chance(0.3);
    const acts = scene.below(onlyLooks ? 2 * ACTS_MAX : ACTS_MAX);
    for (let left = acts; left > 0 && !scene.isClosing; left--) {
      if (onlyLooks) await look(world, name);
      else await act(world, name);
    }
  });
}
