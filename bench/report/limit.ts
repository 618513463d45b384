import { UsageError } from "../support/errors.ts";

/** @throws {UsageError} unless it is a factor that can be a limit. */
export function limitOf(given: string): number {
  const limit = Number(given);
  if (!(limit >= 1 && limit < Infinity)) throw new UsageError(`--most ${given}: give 1 or more`);
  return limit;
}
