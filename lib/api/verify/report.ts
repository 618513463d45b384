/**
 * What `Database.verify` takes and tells.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";
import { describe } from "../codecs/describe.ts";

/**
 * Options of `Database.verify`.
 *
 * @example
 * ```ts
 * import { openInMemory, type VerifyOptions } from "@manifold/db";
 *
 * const options: VerifyOptions = {
 *   onProgress: ({ pagesChecked, pagesTotal }) => console.log(`${pagesChecked} of ${pagesTotal}`),
 *   signal: AbortSignal.timeout(60_000),
 * };
 * await using db = await openInMemory();
 * console.log((await db.verify(options)).ok);
 * ```
 */
export interface VerifyOptions {
  /**
   * Called some hundred times a second at the most, and at the end: pages checked so far, and how many there
   * are, about; both are the same at the end.
   */
  readonly onProgress?: (progress: { pagesChecked: number; pagesTotal: number }) => void;
  /** Ends it: it rejects with `aborted`. */
  readonly signal?: AbortSignal;
}

/**
 * One thing that is wrong.
 *
 * @example
 * ```ts
 * import { openInMemory, type VerifyFinding } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const findings: readonly VerifyFinding[] = (await db.verify()).findings;
 * for (const { kind, message, position } of findings) console.log(kind, position, message);
 * ```
 */
export interface VerifyFinding {
  /**
   * What is wrong:
   *
   * - `meta`: one of the two meta pages: a power cut can tear the one that is being written, and nothing is
   *   lost by that; the next write of the database makes it anew;
   * - `directory`: the directory;
   * - `truncated`: the file is shorter than the directory says;
   * - `extent`: a page, or a segment, that is not in its family's part of the file;
   * - `allocator-image`: the record of which pages of a family are in use cannot be read or contradicts
   *   itself;
   * - `unreadable`: a page that the file does not have, or that the disk refuses to read;
   * - `checksum`: a page, an overflow value or an allocator image whose checksum is wrong;
   * - `page-number`: a page that says it is another one;
   * - `reference`: a page that is not the one referred to, by its birth or incarnation: a write was lost;
   * - `birth`: something that is younger than what refers to it;
   * - `owner`: a page that says it is of another family or table;
   * - `structure`: a page, or a tree, that cannot be walked as it is;
   * - `key-order`: keys out of order, or on the wrong page;
   * - `count`: a number of entries that is not that of the entries;
   * - `catalog`: what a catalog says of a table;
   * - `owned-twice`: a page that is referred to from two places;
   * - `not-allocated`: pages in use that count as free;
   * - `leaked`: pages that count as in use and that nothing refers to: space is lost, nothing else.
   */
  readonly kind:
    | "meta"
    | "directory"
    | "truncated"
    | "extent"
    | "allocator-image"
    | "unreadable"
    | "checksum"
    | "page-number"
    | "reference"
    | "birth"
    | "owner"
    | "structure"
    | "key-order"
    | "count"
    | "catalog"
    | "owned-twice"
    | "not-allocated"
    | "leaked";
  /** The same for people, with the place. */
  readonly message: string;
  /** The column family. */
  readonly family?: string;
  /** The table; missing for what belongs to the family as a whole. */
  readonly table?: string;
  /** The page's number. */
  readonly page?: number;
  /** Where it begins, in bytes of the file. */
  readonly position?: number;
}

/**
 * What `Database.verify` has found.
 *
 * @example
 * ```ts
 * import { openInMemory, type VerifyReport } from "@manifold/db";
 *
 * await using db = await openInMemory();
 * const report: VerifyReport = await db.verify();
 * console.log(`${report.entries} entries on ${report.pages} pages: ${report.ok ? "sound" : "damaged"}`);
 * ```
 */
export interface VerifyReport {
  /** Whether nothing is wrong. */
  readonly ok: boolean;
  /** Column families. */
  readonly families: number;
  /** Tables of all families. */
  readonly tables: number;
  /** Entries of all tables, as their catalogs count them. */
  readonly entries: number;
  /** Pages that were checked, those of overflow values and allocator images included; each once. */
  readonly pages: number;
  /** Overflow values that were checked. */
  readonly overflowValues: number;
  /** Bytes that were read and checked. */
  readonly bytesChecked: number;
  /** Bytes of the file that the next writes can use before it has to grow, as of the last checkpoint. */
  readonly freeBytes: number;
  /** What is wrong; the first 1,000. */
  readonly findings: readonly VerifyFinding[];
  /** How many findings there were in all. */
  readonly findingsTotal: number;
}

/** Findings that are kept. */
const FINDINGS_MAX = 1000;

/** The report in the making. */
export class ReportBuilder {
  families = 0;
  tables = 0;
  entries = 0;
  pages = 0;
  overflowValues = 0;
  bytesChecked = 0;
  freeBytes = 0;
  readonly #findings: VerifyFinding[] = [];
  readonly #messages = new Set<string>();
  #total = 0;

  /** Adds a finding, unless it is there: a page of two versions may be met twice. */
  add(finding: VerifyFinding): void {
    if (this.#messages.has(finding.message)) return;
    this.#total++;
    if (this.#findings.length === FINDINGS_MAX) return;
    this.#findings.push(finding);
    this.#messages.add(finding.message);
  }

  /** Something of `pages` pages was read and checked. */
  checked(pages: number, bytes: number): void {
    this.pages += pages;
    this.bytesChecked += bytes;
  }

  finish(): VerifyReport {
    const { families, tables, entries, pages, overflowValues, bytesChecked, freeBytes } = this;
    return {
      ok: this.#total === 0,
      families,
      tables,
      entries,
      pages,
      overflowValues,
      bytesChecked,
      freeBytes,
      findings: this.#findings,
      findingsTotal: this.#total,
    };
  }
}

/** @throws {ManifoldError} `invalid-argument` */
export function checkVerifyOptions(what: string, options: unknown): void {
  if (options === undefined) return;
  if (typeof options !== "object" || options === null) {
    throw new ManifoldError(
      "invalid-argument",
      `${what}: the options are ${describe(options)}; give an object`,
    );
  }
  const { onProgress, signal } = options as VerifyOptions;
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw new ManifoldError(
      "invalid-argument",
      `${what}: onProgress is ${describe(onProgress)}; give a function`,
    );
  }
  if (signal !== undefined && typeof signal?.aborted !== "boolean") {
    throw new ManifoldError(
      "invalid-argument",
      `${what}: signal is ${describe(signal)}; give an AbortSignal`,
    );
  }
}

/** @throws {ManifoldError} `aborted` */
export function checkNotAborted(what: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new ManifoldError("aborted", `${what} was ended by its signal`, { cause: signal.reason });
}
