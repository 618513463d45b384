/**
 * Counts what an engine is asked to make durable.
 *
 * @module
 */

import type { Engine } from "./engine.ts";

const COMMITTING: ReadonlySet<keyof Engine> = new Set(
  ["load", "put", "commit", "remove", "loadCounters", "addOne", "addOneToTwo"] as const,
);

export class CommitCounter {
  /** The same engine, counted. Not for what is timed: it costs something. */
  readonly engine: Engine;
  #count = 0;

  constructor(engine: Engine) {
    this.engine = new Proxy(engine, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== "function" || !COMMITTING.has(name as keyof Engine)) return method;
        return (...args: unknown[]) => {
          this.#count++;
          return method.apply(target, args);
        };
      },
    });
  }

  /** Commits since it was last asked. */
  take(): number {
    const count = this.#count;
    this.#count = 0;
    return count;
  }
}
