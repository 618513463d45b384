/**
 * `salvage`: what can still be read of a damaged database, in a new one.
 *
 * @module
 */

import type { SalvageReport } from "../api/salvage/report.ts";
import { salvage } from "../api/salvage/salvage.ts";
import { columns, count, counted, type Output, printableName, type Progress } from "./output.ts";

/** What the report's words for the log mean. */
const LOG: Readonly<Record<SalvageReport["log"], string>> = {
  "not-needed": "the file was closed cleanly",
  "used": "the log was applied",
  "damaged": "the log is damaged, and was applied in part",
  "missing": "the log is missing: commits since the last checkpoint are lost",
  "foreign": "the log is of another database or time: commits since the last checkpoint are lost",
};

/** Salvages into a new file, and shows how far it is. */
export async function salvageInto(
  damaged: string,
  fresh: string,
  progress: Progress,
): Promise<SalvageReport> {
  try {
    return await salvage(damaged, fresh, {
      onProgress: ({ pagesRead, pagesTotal, entries }) =>
        progress.show(() =>
          `${count(pagesRead)} of ${counted(pagesTotal, "page")} read, ` +
          `${counted(entries, "entry", "entries")} copied`
        ),
    });
  } finally {
    progress.clear();
  }
}

/** Prints a report for people. */
export async function printSalvage(
  fresh: string,
  report: SalvageReport,
  out: Output,
): Promise<void> {
  const { losses, lossesTotal } = report;
  await out.line(
    `${counted(report.entries, "entry", "entries")} of ${counted(report.tables, "table")} in ` +
      `${counted(report.families, "column family", "column families")} copied to ` +
      printableName(fresh),
  );
  await out.line(
    report.complete
      ? "nothing is missing"
      : report.entriesLost > 0
      ? `${
        counted(report.entriesLost, "entry is", "entries are")
      } known to be missing, perhaps more`
      : "something may be missing, how much cannot be told",
  );
  await out.line(
    `${LOG[report.log]}; ${counted(report.pagesUnreadable, "page")} could not be used`,
  );
  if (losses.length === 0) return;
  await out.line("");
  const rows = losses.map(({ kind, message, entries }) => [
    kind,
    entries === undefined ? "?" : count(entries),
    printableName(message),
  ]);
  for (const line of columns([["WHAT", "ENTRIES LOST", ""], ...rows], new Set([1]))) {
    await out.line(line);
  }
  if (losses.length < lossesTotal) await out.line(`and ${count(lossesTotal - losses.length)} more`);
}
