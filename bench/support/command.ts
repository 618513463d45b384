/**
 * What the benchmarks' commands share.
 *
 * @module
 */

import process from "node:process";
import { UnavailableError, UsageError } from "./errors.ts";

/** Runs a command and leaves its exit code; what was asked for wrongly, or is missing, is told without a stack. */
export async function exitWith(command: () => number | Promise<number>): Promise<void> {
  try {
    process.exitCode = await command();
  } catch (error) {
    const asked = error instanceof UsageError ||
      (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
    const missing = error instanceof UnavailableError;
    const { message } = error as Error;
    console.error(asked ? `${message}\nSee --help.` : missing ? message : error);
    process.exitCode = missing ? 1 : 2;
  }
}
