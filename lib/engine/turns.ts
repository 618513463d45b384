/**
 * A family's exclusive turn: a lease during which the family's worker applies the holder's
 * transaction and nobody else's.
 *
 * Invariants: a turn names its thread and ends with it; it ends when its lease does, and then its
 * token is worth nothing; others' requests wait meanwhile in the order in which they came.
 *
 * @module
 */

import type { Control } from "../memory/control.ts";
import { isAlive } from "../memory/threads.ts";
import type { Request } from "./inbox.ts";

interface Turn {
  readonly token: number;
  readonly thread: number;
  readonly session: number;
  readonly endsAt: number;
}

/** The turn of one family, and who waits for it. */
export class Turns {
  readonly #control: Control;
  #turn: Turn | undefined;
  #lastToken = 0;
  /** Requests that wait for the turn to end, or for being applied alone. */
  readonly waiting: Request[] = [];

  constructor(control: Control) {
    this.#control = control;
  }

  get held(): boolean {
    return this.#turn !== undefined;
  }

  /** When the lease ends, in ms of the worker's clock; Infinity if nobody holds the turn. */
  get endsAt(): number {
    return this.#turn?.endsAt ?? Infinity;
  }

  /** Whether a request with this token belongs to the present turn. */
  matches(token: number): boolean {
    return this.#turn?.token === token;
  }

  /** Gives the turn to whoever asked; returns the token. */
  grant(request: Request, now: number): number {
    this.#lastToken = (this.#lastToken % 0x7fffffff) + 1;
    this.#turn = {
      token: this.#lastToken,
      thread: request.thread,
      session: request.session,
      endsAt: now + request.argument,
    };
    return this.#lastToken;
  }

  end(): void {
    this.#turn = undefined;
  }

  /** Ends a turn whose lease is over or whose thread is dead. */
  expire(now: number): void {
    const turn = this.#turn;
    if (turn === undefined) return;
    if (turn.endsAt <= now || !isAlive(this.#control, turn.thread, turn.session)) this.end();
  }
}
