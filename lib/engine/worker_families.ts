/**
 * The families of one writing worker: their engines, and whose turn it is in each.
 *
 * @module
 */

import { checkpointBegun } from "../memory/keeper_state.ts";
import { FamilyEngine, type FamilyParts } from "./family.ts";
import type { Request } from "./inbox.ts";
import { Turns } from "./turns.ts";

export interface WorkerFamily {
  readonly engine: FamilyEngine;
  readonly turns: Turns;
}

export class WorkerFamilies {
  readonly #parts: FamilyParts;
  readonly #bySlot = new Map<number, WorkerFamily>();

  constructor(parts: FamilyParts) {
    this.#parts = parts;
  }

  /** The family of a slot; made when the worker meets it first. */
  get(slot: number): WorkerFamily {
    let family = this.#bySlot.get(slot);
    if (family === undefined || family.engine.id !== this.#parts.slots.id(slot)) {
      family?.engine.close();
      family = {
        engine: new FamilyEngine(this.#parts, slot),
        turns: new Turns(this.#parts.control),
      };
      this.#bySlot.set(slot, family);
    }
    return family;
  }

  /**
   * A deleted family is this worker's no more: its pages belong to the keeper now. A checkpoint may still wait for its last
   * state. Returns the requests that waited for a turn.
   */
  forget({ engine, turns }: WorkerFamily): readonly Request[] {
    engine.handOver(checkpointBegun(this.#parts.control));
    engine.close();
    this.#bySlot.delete(engine.slot);
    return turns.waiting;
  }

  /** Hands every family over that the checkpoint in progress waits for; says whether any was. */
  handOver(): boolean {
    const number = checkpointBegun(this.#parts.control);
    let any = false;
    for (const [slot, { engine }] of this.#bySlot) {
      if (this.#parts.slots.id(slot) === engine.id && engine.handOver(number)) any = true;
    }
    return any;
  }

  /** Gives pages back that nobody needs any more; says whether there is more. */
  reclaim(): boolean {
    let more = false;
    for (const { engine } of this.#bySlot.values()) if (engine.reclaim()) more = true;
    return more;
  }

  /** Ends turns whose time is over; when the next lease ends, ms of the worker's clock. */
  expireTurns(now: number): number {
    let next = Infinity;
    for (const { turns } of this.#bySlot.values()) {
      turns.expire(now);
      next = Math.min(next, turns.endsAt);
    }
    return next;
  }

  /** Whether requests wait for a turn that nobody has any more. */
  get hasWaiting(): boolean {
    for (const { turns } of this.#bySlot.values()) {
      if (!turns.held && turns.waiting.length > 0) return true;
    }
    return false;
  }

  /** Takes the requests that wait for a turn that nobody has any more. */
  takeWaiting(): Request[] {
    const requests: Request[] = [];
    for (const { turns } of this.#bySlot.values()) {
      if (!turns.held) requests.push(...turns.waiting.splice(0));
    }
    return requests;
  }

  close(): void {
    for (const { engine } of this.#bySlot.values()) engine.close();
  }
}
