#!/usr/bin/env bun
/**
 * The command line: looks into a database, and takes its entries out and in.
 *
 * ```sh
 * deno run -R -W jsr:@manifold/db/cli stats shop.manifold
 * bunx --bun manifold stats shop.manifold
 * ```
 *
 * Exit codes: 0 when all is well; 1 when the operation failed or found damage; 2 for wrong usage.
 *
 * @module
 */

import { Command, CommanderError, InvalidArgumentError } from "commander";
import process from "node:process";
import type { Database } from "./lib/api/database.ts";
import { open } from "./lib/api/open.ts";
import { dump, type DumpOptions } from "./lib/cli/dump.ts";
import { BATCH_BYTES, BATCH_ENTRIES, load } from "./lib/cli/load.ts";
import {
  complain,
  counted,
  Output,
  OutputClosed,
  printableName,
  Progress,
  size,
} from "./lib/cli/output.ts";
import { printSalvage, salvageInto } from "./lib/cli/salvage.ts";
import { figuresOf, printFigures } from "./lib/cli/stats.ts";
import { printReport, verify } from "./lib/cli/verify.ts";
import { ManifoldError } from "./lib/errors.ts";

const FAILED = 1;
const WRONG_USAGE = 2;

/** Bytes of the cache: each command goes over the file once. */
const CACHE_BYTES = 64 * 2 ** 20;

/** Thrown when all that there is to say of the damage was printed. */
class DamageFound extends Error {}

/**
 * Runs the command line.
 *
 * @param args What stands behind the program's name.
 * @returns The exit code.
 *
 * @example
 * ```ts no-eval
 * import { main } from "@manifold/db/cli";
 *
 * const code = await main(["stats", "shop.manifold", "--json"]);
 * ```
 */
export async function main(args: readonly string[]): Promise<number> {
  const out = new Output();
  const progress = new Progress();
  try {
    await program(out, progress).parseAsync(args, { from: "user" });
    await out.flush();
    return 0;
  } catch (error) {
    progress.clear();
    if (error instanceof CommanderError) {
      await out.flush();
      return error.exitCode === 0 ? 0 : WRONG_USAGE;
    }
    if (error instanceof OutputClosed) return 0; // as for head: it has seen what it wanted
    if (error instanceof DamageFound) return await out.flush().then(() => FAILED, () => FAILED);
    await complain(`manifold: ${told(error)}`);
    return FAILED;
  }
}

function told(error: unknown): string {
  if (!(error instanceof ManifoldError)) {
    return `this is a defect of the program: ${error instanceof Error ? error.stack : error}`;
  }
  const remedy = error.code === "needs-recovery"
    ? " (give --recover)"
    : error.code === "corrupt"
    ? " (verify tells what is damaged, salvage copies what can be read)"
    : "";
  return `${error.code}: ${error.message}${remedy}`;
}

function program(out: Output, progress: Progress): Command {
  const manifold = new Command("manifold")
    .description("Looks into a Manifold database, and takes its entries out and in.")
    .exitOverride()
    .helpCommand(false)
    .showHelpAfterError("(--help says how it is used)")
    .configureOutput({
      writeOut: (text) => void out.line(text.trimEnd()),
      // Asking the environment for colours would need a permission more.
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText("after", "\nExit codes: 0 all is well, 1 failed or damage found, 2 wrong usage.");

  command(manifold, "stats", "Shows what a database has, and where its bytes are.")
    .argument("<path>", "the database")
    .option("--json", "print one object in JSON")
    .option("--recover", "recover the database first if it was not closed; this writes to it")
    .action((path: string, options: { json?: boolean; recover?: boolean }) =>
      reading(path, options.recover, async (db) => {
        const figures = await figuresOf(db);
        if (options.json) await out.line(JSON.stringify(figures, undefined, 2));
        else await printFigures(figures, out);
      })
    );

  command(manifold, "verify", "Checks every page of a database for damage.")
    .argument("<path>", "the database")
    .option("--json", "print one object in JSON")
    .option("--recover", "recover the database first if it was not closed; this writes to it")
    .action((path: string, options: { json?: boolean; recover?: boolean }) =>
      reading(path, options.recover, async (db) => {
        const report = await verify(db, progress);
        if (options.json) await out.line(JSON.stringify(report, undefined, 2));
        else await printReport(path, report, out);
        if (!report.ok) throw new DamageFound();
      })
    );

  command(manifold, "salvage", "Copies what can be read of a damaged database into a new one.")
    .argument("<damaged>", "the damaged database; it is only read")
    .argument("<new>", "where the new database goes; there must be nothing yet")
    .action(async (damaged: string, fresh: string) => {
      const report = await salvageInto(damaged, fresh, progress);
      await printSalvage(fresh, report, out);
      if (!report.complete) throw new DamageFound();
    });

  command(manifold, "dump", "Writes all entries to the standard output, as lines of JSON.")
    .argument("<path>", "the database")
    .option("--family <name>", "only this column family")
    .option("--table <name>", "only tables of this name")
    .option("--recover", "recover the database first if it was not closed; this writes to it")
    .action((path: string, options: DumpOptions & { recover?: boolean }) =>
      reading(path, options.recover, (db) => dump(db, options, out))
    );

  command(manifold, "load", "Puts the entries of a dump into a database, which is made if missing.")
    .argument("<path>", "the database")
    .argument("[file]", "the dump (default: the standard input)")
    .option(
      "--batch <entries>",
      "entries that are written at once, all or none, if they are not more than " +
        `${size(BATCH_BYTES)}`,
      positiveInteger,
      BATCH_ENTRIES,
    )
    .action(async (path: string, file: string | undefined, options: { batch: number }) => {
      const { entries, tables } = await load(path, { file, batchEntries: options.batch }, progress);
      progress.clear();
      await out.line(
        `${counted(entries, "entry", "entries")} of ${counted(tables, "table")} loaded into ` +
          printableName(path),
      );
    });

  return manifold;
}

function command(manifold: Command, name: string, description: string): Command {
  return manifold.command(name).description(description).allowExcessArguments(false);
}

/** Opens a database to read it, and closes it. */
async function reading(
  path: string,
  recover: boolean | undefined,
  use: (db: Database) => Promise<void>,
): Promise<void> {
  await using db = await open(path, {
    cacheBytes: CACHE_BYTES,
    ...(recover ? { create: false } : { readOnly: true }),
  });
  await use(db);
}

function positiveInteger(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new InvalidArgumentError("It has to be a positive integer.");
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
