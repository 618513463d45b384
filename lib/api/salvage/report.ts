/**
 * What `salvage` takes and tells.
 *
 * @module
 */

/**
 * Options of `salvage`.
 *
 * @example
 * ```ts
 * import type { SalvageOptions } from "@manifold/db";
 *
 * const options: SalvageOptions = {
 *   onProgress: ({ pagesRead, pagesTotal }) => console.log(`${pagesRead} of ${pagesTotal} pages`),
 * };
 * console.log(typeof options.onProgress);
 * ```
 */
export interface SalvageOptions {
  /**
   * Called some hundred times a second at the most: pages read so far, how many the file has (some are read
   * twice, many not at all), and entries copied.
   */
  readonly onProgress?: (
    progress: { pagesRead: number; pagesTotal: number; entries: number },
  ) => void;
  /** Ends it: it rejects with `aborted`, and there is no new file. */
  readonly signal?: AbortSignal;
}

/**
 * Something of a damaged database that could not be read, or not with certainty.
 *
 * @example
 * ```ts
 * import type { SalvageLoss } from "@manifold/db";
 *
 * const print = ({ message, entries }: SalvageLoss) => console.log(message, entries ?? "unknown");
 * console.log(typeof print);
 * ```
 */
export interface SalvageLoss {
  /**
   * What:
   *
   * - `meta`, `directory`, `allocator-image`: bookkeeping of the file; what it said was found in other ways;
   * - `catalog`: part of a catalog; tables were found by their pages, and may have lost their names;
   * - `branch`: a page that leads to others; these were looked for, and `entries` says how many are missing;
   * - `leaf`: a page with entries;
   * - `value`: an overflow value; its entry is missing;
   * - `doubtful`: older pages were taken for want of better ones: they may have entries that were changed
   *   or deleted since;
   * - `log`: commits after the last checkpoint.
   */
  readonly kind:
    | "meta"
    | "directory"
    | "allocator-image"
    | "catalog"
    | "branch"
    | "leaf"
    | "value"
    | "doubtful"
    | "log";
  /** The same for people, with the place. */
  readonly message: string;
  /** The column family. */
  readonly family?: string;
  /** The table. */
  readonly table?: string;
  /** The page's number. */
  readonly page?: number;
  /** Where it begins, in bytes of the file; for `log`, the position in the log. */
  readonly position?: number;
  /** Keys, encoded, from here on are concerned; missing: from the first. */
  readonly from?: Uint8Array;
  /** Keys up to here, without it; missing: to the last. */
  readonly to?: Uint8Array;
  /** Entries that are missing because of it; missing when nobody can tell. */
  readonly entries?: number;
}

/**
 * What `salvage` has copied, and what not.
 *
 * @example
 * ```ts
 * import type { SalvageReport } from "@manifold/db";
 *
 * const print = (report: SalvageReport) => {
 *   console.log(`${report.entries} entries copied, ${report.entriesLost} or more lost`);
 *   for (const { message } of report.losses) console.log(message);
 * };
 * console.log(typeof print);
 * ```
 */
export interface SalvageReport {
  /** Whether certainly nothing is missing, although something may have been damaged. */
  readonly complete: boolean;
  /** Column families of the new database. */
  readonly families: number;
  /** Its tables. */
  readonly tables: number;
  /** Its entries. */
  readonly entries: number;
  /** Entries that are known to be missing. */
  readonly entriesLost: number;
  /** Pages that were read, in all passes. */
  readonly pagesRead: number;
  /** Pages that are referred to and could not be used. */
  readonly pagesUnreadable: number;
  /**
   * What became of the log: `not-needed` after a clean close, `used`, `damaged` when not all of it could be
   * used, `missing`, or `foreign` when it is that of another database or time.
   */
  readonly log: "not-needed" | "used" | "damaged" | "missing" | "foreign";
  /** Records of the log that were applied. */
  readonly logRecordsUsed: number;
  /** What is missing or in doubt; the first 1,000. */
  readonly losses: readonly SalvageLoss[];
  /** How many losses there are in all. */
  readonly lossesTotal: number;
}

/** Losses that are kept. */
const LOSSES_MAX = 1000;

/** The report in the making. */
export class SalvageNotes {
  pagesRead = 0;
  pagesUnreadable = 0;
  /** Entries copied so far, for the progress. */
  copied = 0;
  log: SalvageReport["log"] = "not-needed";
  logRecordsUsed = 0;
  readonly #losses: SalvageLoss[] = [];
  #total = 0;
  #entriesLost = 0;
  #complete = true;

  /** Notes a loss. Bookkeeping that was replaced exactly is one of no entries. */
  lost(loss: SalvageLoss): void {
    this.#total++;
    this.#entriesLost += loss.entries ?? 0;
    if (loss.entries !== 0) this.#complete = false;
    if (this.#losses.length < LOSSES_MAX) this.#losses.push(loss);
  }

  /** The report, with what the new database has. */
  finish(there: { families: number; tables: number; entries: number }): SalvageReport {
    const { families, tables, entries } = there;
    return {
      complete: this.#complete,
      families,
      tables,
      entries,
      entriesLost: this.#entriesLost,
      pagesRead: this.pagesRead,
      pagesUnreadable: this.pagesUnreadable,
      log: this.log,
      logRecordsUsed: this.logRecordsUsed,
      losses: this.#losses,
      lossesTotal: this.#total,
    };
  }
}
