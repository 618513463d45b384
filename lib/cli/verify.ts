/**
 * `verify`: whether a database is sound, and what is damaged.
 *
 * @module
 */

import type { Database } from "../api/database.ts";
import type { VerifyReport } from "../api/verify/report.ts";
import {
  columns,
  count,
  counted,
  type Output,
  printableName,
  type Progress,
  size,
} from "./output.ts";

/** Verifies a database, and shows how far it is. */
export async function verify(db: Database, progress: Progress): Promise<VerifyReport> {
  try {
    return await db.verify({
      onProgress: ({ pagesChecked, pagesTotal }) =>
        progress.show(() =>
          `${count(pagesChecked)} of about ${counted(pagesTotal, "page")} checked`
        ),
    });
  } finally {
    progress.clear();
  }
}

/** Prints a report for people. */
export async function printReport(path: string, report: VerifyReport, out: Output): Promise<void> {
  const { findings, findingsTotal } = report;
  await out.line(
    `${printableName(path)}: ${
      report.ok ? "sound" : `damaged, ${counted(findingsTotal, "finding")}`
    }`,
  );
  await out.line(
    `${counted(report.families, "column family", "column families")}, ` +
      `${counted(report.tables, "table")}, ${counted(report.entries, "entry", "entries")}; ` +
      `${counted(report.pages, "page")} and ${counted(report.overflowValues, "large value")} ` +
      `checked, ${size(report.bytesChecked)}; ${size(report.freeBytes)} free`,
  );
  if (findings.length === 0) return;
  await out.line("");
  const rows = findings.map(({ kind, message }) => [kind, printableName(message)]);
  for (const line of columns(rows, new Set())) await out.line(line);
  if (findings.length < findingsTotal) {
    await out.line(`and ${count(findingsTotal - findings.length)} more`);
  }
  await out.line("");
  await out.line(
    "Copy the file, and the log beside it, before anything else; then restore a backup, or",
  );
  await out.line("copy what can be read with: manifold salvage <damaged> <new>");
}
