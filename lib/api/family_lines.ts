/**
 * What keeps one thread's writes to a family in the order of the calls although a joint transaction reaches
 * the family by way of another worker, and may have to be sent again.
 *
 * Invariants: while a joint transaction of this thread is not decided, nothing that was asked for later of one of
 * its families is sent; it is itself sent when all that was asked for before is.
 *
 * @module
 */

export class FamilyLines {
  /** By family: settled when all that waits there is sent, and decided if it is a joint transaction. */
  readonly #ends = new Map<number, Promise<void>>();

  /** Whether anything that is asked of the family now has to wait. */
  waits(family: number): boolean {
    return this.#ends.has(family);
  }

  /** Sends something to a family that {@linkcode waits} says has to wait. */
  send<T>(family: number, send: () => Promise<T>): Promise<T> {
    const before = this.#ends.get(family)!;
    const sent = before.then(send);
    this.#setEnd([family], before.then(nothing));
    return sent;
  }

  /** Has a joint transaction over families decided in its order. */
  decide(families: readonly number[], commit: () => Promise<void>): Promise<void> {
    const before: Promise<void>[] = [];
    for (const family of families) {
      const end = this.#ends.get(family);
      if (end !== undefined) before.push(end);
    }
    const decided = before.length === 0 ? commit() : Promise.all(before).then(commit);
    this.#setEnd(families, decided.then(nothing, nothing));
    return decided;
  }

  /** Settled when nothing that was asked for so far waits at these families. */
  async passed(families: readonly number[]): Promise<void> {
    await Promise.all(families.map((family) => this.#ends.get(family)));
  }

  /** Settled when nothing waits. */
  async idle(): Promise<void> {
    while (this.#ends.size > 0) await Promise.all([...this.#ends.values()]);
  }

  #setEnd(families: readonly number[], end: Promise<void>): void {
    for (const family of families) this.#ends.set(family, end);
    end.then(() => {
      for (const family of families) {
        if (this.#ends.get(family) === end) this.#ends.delete(family);
      }
    });
  }
}

function nothing(): void {}
