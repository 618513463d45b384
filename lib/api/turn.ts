/**
 * A family's exclusive turn, from the side of who takes it (lib/engine/turns.ts).
 *
 * @module
 */

import { REQUEST_RELEASE, REQUEST_TURN } from "../engine/requests.ts";
import { type FamilyAccess, NO_OPERATIONS } from "./family_access.ts";
import type { Limits } from "./limits.ts";

/** Held until it is used for a commit, which ends it, or released. */
export class Turn {
  readonly #access: FamilyAccess;
  readonly #what: () => string;
  readonly #token: number;
  #over = false;

  private constructor(access: FamilyAccess, token: number, what: () => string) {
    this.#access = access;
    this.#token = token;
    this.#what = what;
  }

  /**
   * Waits for the turn, which then lasts `leaseMs`. Rejects as `submit`, and with the limits' error. `hasOther`: the
   * caller has another one already, for which all that is under way may wait.
   */
  static async take(
    access: FamilyAccess,
    leaseMs: number,
    what: () => string,
    limits?: Limits,
    hasOther = false,
  ): Promise<Turn> {
    const client = access.open.client();
    const granted = access.submit(
      client,
      REQUEST_TURN,
      0,
      leaseMs,
      NO_OPERATIONS,
      what,
      hasOther,
    );
    try {
      const token = await (limits === undefined ? granted : limits.race(granted));
      return new Turn(access, token, what);
    } catch (error) {
      granted.then((token) => new Turn(access, token, what).release(), () => {});
      throw error;
    }
  }

  /** The token, for the commit that ends the turn. */
  use(): number {
    this.#over = true;
    return this.#token;
  }

  /** Ends it without a commit, if it has not ended. */
  release(): void {
    if (this.#over) return;
    this.#over = true;
    const { open } = this.#access;
    const { client } = open.session;
    // It fails only together with the database, which ends the turn, too.
    this.#access
      .submit(client!, REQUEST_RELEASE, 0, this.#token, NO_OPERATIONS, this.#what, true)
      .catch(() => {});
  }
}
