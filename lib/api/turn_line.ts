/**
 * Where the transactions of one thread wait that have lost against others: they are run one after the other
 * under one turn of the family, each on top of those before it, and committed together. So a hundred
 * that change the same key cost one sync, and the one that came first is served first.
 *
 * Invariants: what a function returned or threw is told when the commit of all that it may have seen is
 * durable; if that is refused, it is run again without the others; nobody keeps the turn for long:
 * a function that takes its time is ended, and run again elsewhere.
 *
 * @module
 */

import { FLAG_EVENTUAL } from "../engine/requests.ts";
import { commit, isGone, type Job, releaseParts, runFunction, takeParts } from "./attempt.ts";
import type { FamilyAccess } from "./family_access.ts";
import type { FamilyPart } from "./family_part.ts";
import { captureContext } from "../runtime/async_context.ts";
import { Limits } from "./limits.ts";
import { Turn } from "./turn.ts";

/** A transaction that took longer than this is not for the line, ms. */
export const QUICK_MS = 10;
/** No more functions are begun under a turn that is as old as this, ms. */
const STRETCH_MS = 5;
/** A function that has not ended by then is taken out, ms. */
const FUNCTION_MS = 50;
/** The turn's lease: more than all of that, ms. */
const LEASE_MS = 10_000;
/** How long a family counts as contended behind the last turn of its line, ms. */
const HOT_MS = 20;

/** What became of a transaction in the line; `again`: it has to be run outside. */
export type Outcome =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "error"; readonly error: unknown }
  | { readonly kind: "again" };

interface Member {
  readonly job: Job<unknown>;
  readonly settle: (outcome: Outcome) => void;
  outcome: Outcome;
}

const AGAIN: Outcome = { kind: "again" };

export class TurnLine {
  readonly #access: FamilyAccess;
  readonly #waiting: Member[] = [];
  #serving = false;
  #hotUntil = 0;

  constructor(access: FamilyAccess) {
    this.#access = access;
  }

  /** Whether others have lost lately, so that it is likely that who has lost once will lose again. */
  get isHot(): boolean {
    return this.#serving || performance.now() < this.#hotUntil;
  }

  /** Has a transaction of this family run under a turn, with others. */
  join(job: Job<unknown>): Promise<Outcome> {
    return new Promise((resolve) => {
      const forget = job.limits?.onEnd((error) => {
        const at = this.#waiting.indexOf(member);
        if (at < 0) return; // it is being run, and looks by itself
        this.#waiting.splice(at, 1);
        resolve({ kind: "error", error });
      });
      const settle = (outcome: Outcome): void => {
        forget?.();
        resolve(outcome);
      };
      const within = captureContext();
      const member: Member = { job: { ...job, within }, settle, outcome: AGAIN };
      this.#waiting.push(member);
      if (!this.#serving) this.#serve();
    });
  }

  async #serve(): Promise<void> {
    this.#serving = true;
    while (this.#waiting.length > 0) {
      const served: Member[] = [];
      try {
        await this.#serveTurn(served);
      } catch (error) {
        // Before the first was begun, all were to be served.
        if (served.length === 0) served.push(...this.#waiting.splice(0));
        // What one has done can be why all were refused.
        const again = !isGone(error) && served.length > 1;
        for (const member of served) member.outcome = again ? AGAIN : { kind: "error", error };
      }
      for (const { settle, outcome } of served) settle(outcome);
      this.#hotUntil = performance.now() + HOT_MS;
    }
    this.#serving = false;
  }

  /** Runs those who wait under one turn, and commits what they did. Rejects if that could not be. */
  async #serveTurn(served: Member[]): Promise<void> {
    const [{ job }] = this.#waiting;
    await this.#access.open.lines.passed([this.#access.id]);
    const turn = await Turn.take(this.#access, LEASE_MS, job.what);
    try {
      const parts = takeParts(job.accesses, false);
      let committed: Promise<number> | undefined;
      try {
        const flags = await this.#runAll(parts, turn, served);
        committed = commit(job, parts, [turn], flags);
      } finally {
        releaseParts(parts);
      }
      await committed;
    } finally {
      turn.release();
    }
  }

  /** Returns the flags of the commit. */
  async #runAll(parts: readonly FamilyPart[], turn: Turn, served: Member[]): Promise<number> {
    const [part] = parts;
    const begun = performance.now();
    const limits = new Limits(FUNCTION_MS, undefined, () => "a transaction in line");
    let flags = FLAG_EVENTUAL;
    try {
      do {
        const member = this.#waiting.shift()!;
        served.push(member);
        const before = part.save();
        member.outcome = await run(member.job, parts, limits, turn);
        if (member.outcome.kind === "value") flags &= member.job.flags;
        else part.restore(before);
        part.forgetUnwritten();
      } while (this.#waiting.length > 0 && performance.now() - begun < STRETCH_MS);
    } finally {
      limits.dispose();
    }
    return flags;
  }
}

async function run(
  job: Job<unknown>,
  parts: readonly FamilyPart[],
  limits: Limits,
  turn: Turn,
): Promise<Outcome> {
  try {
    job.limits?.check();
    const value = await runFunction(job, parts, limits, () => turn.release());
    job.limits?.check();
    return { kind: "value", value };
  } catch (error) {
    return error === limits.error ? AGAIN : { kind: "error", error };
  }
}

const lines = new WeakMap<FamilyAccess, TurnLine>();

/** The line of a family in this thread. */
export function lineOf(access: FamilyAccess): TurnLine {
  let line = lines.get(access);
  if (line === undefined) lines.set(access, line = new TurnLine(access));
  return line;
}
