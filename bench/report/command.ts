/**
 * What the commands of this directory share.
 *
 * @module
 */

import process from "node:process";
import { UsageError } from "../support/errors.ts";

/** Runs a command and leaves its exit code; what was asked for wrongly is told without a stack. */
export async function exitWith(command: () => number | Promise<number>): Promise<void> {
  try {
    process.exitCode = await command();
  } catch (error) {
    const asked = error instanceof UsageError ||
      (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
    console.error(asked ? `${(error as Error).message}\nSee --help.` : error);
    process.exitCode = 2;
  }
}

/** @throws {UsageError} unless it is a factor that can be a limit. */
export function limitOf(given: string): number {
  const limit = Number(given);
  if (!(limit >= 1 && limit < Infinity)) throw new UsageError(`--most ${given}: give 1 or more`);
  return limit;
}
