/**
 * How a living thread is told from a dead one: what the runtimes do differently.
 *
 * @module
 */

/** Names a thread, or a claim of a thread, in two words; the first is never 0. */
export type LifeName = readonly [first: number, second: number];

/** A thread's claim to be alive. */
export interface Life {
  readonly name: LifeName;
  /** Ends the claim. */
  end(): void;
}

/** How a runtime tells a living thread from a dead one. */
export interface LivenessProbe {
  /** Makes a claim for this thread; `serial` is unique for the database, and not 0. */
  claim(databaseId: string, serial: number): Promise<Life>;
  /** The same for the host, which may live as long as the process does. */
  claimHost(databaseId: string, serial: number): Promise<Life>;
  /** For each name whether its claim stands and its thread lives. */
  alive(databaseId: string, names: readonly LifeName[]): Promise<boolean[]>;
}
