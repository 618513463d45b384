/**
 * Copies what can still be read of a damaged database into a new one.
 *
 * Invariants: the damaged files are opened for reading and locked against writers; the new file gets its
 * name when it is whole and closed.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";
import { logPathOf } from "../../log/log_file.ts";
import { keepAlive } from "../../runtime/keep_alive.ts";
import { inStretches, Stretches } from "../../runtime/pause.ts";
import { directoryOf, pathOf } from "../../runtime/paths.ts";
import { runtime } from "../../runtime/runtime.ts";
import { Checksum } from "../../storage/checksum.ts";
import type { File } from "../../storage/file.ts";
import type { Database } from "../database.ts";
import { open } from "../open.ts";
import { checkNotAborted, checkVerifyOptions, type VerifyReport } from "../verify/report.ts";
import { DamagedPages } from "./damaged_pages.ts";
import { plansOfDirectory, plansOfPages } from "./family_plan.ts";
import { type SalvagedFamily, salvageFamily, type SalvageParts } from "./family_salvage.ts";
import { readDamagedHead } from "./head.ts";
import { findRecords } from "./log_records.ts";
import { LogSalvage } from "./log_salvage.ts";
import { PageIndex } from "./page_index.ts";
import { SalvageNotes, type SalvageOptions, type SalvageReport } from "./report.ts";
import { SalvageTarget } from "./target.ts";

/**
 * Copies everything that can still be read of a damaged database into a new file, and says what could
 * not. The damaged file and its log are only read.
 *
 * Every page says under its checksum which family and table it is of, so that what a damaged page led to
 * is found without it. Tables keep the names of their codecs; families and tables whose names are lost
 * are called `family-1`, `table-1` by their ids.
 *
 * @param damagedPath The path of the damaged file, or a `file:` URL. It must not be open.
 * @param newPath Where the new database goes.
 * @param options `onProgress`, `signal`.
 * @returns What was copied, and what is missing.
 * @throws {ManifoldError} `invalid-argument`; `not-found`; `already-exists` when there is something at
 * `newPath`; `locked` when the damaged file is open; `not-a-database` when nothing in it is a page of a
 * database; `unsupported-version`; `aborted`; `permission-denied`; `disk-full`; `io`.
 *
 * @example
 * ```ts no-eval
 * import { salvage } from "@manifold/db";
 *
 * const report = await salvage("notes.manifold", "notes-salvaged.manifold");
 * console.log(`${report.entries} entries copied`);
 * for (const { message } of report.losses) console.log(message);
 * ```
 */
export async function salvage(
  damagedPath: string | URL,
  newPath: string | URL,
  options?: SalvageOptions,
): Promise<SalvageReport> {
  checkVerifyOptions("salvage", options);
  const from = pathOf(damagedPath);
  const to = pathOf(newPath);
  checkFree(to);
  const release = keepAlive();
  const checksum = await Checksum.create();
  let file: File | undefined;
  let log: File | undefined;
  try {
    file = runtime.openFile(from, { write: false, create: false });
    if (!file.lock(false)) throw locked(from);
    const logPath = logPathOf(from);
    if (runtime.kind(logPath) === "file") {
      log = runtime.openFile(logPath, { write: false, create: false, noFollow: true });
      // Workers of a host that is gone hold a lock on it as long as they can write.
      if (!log.lock(true)) throw locked(from);
    }
    return await new Salvage({ file, log, logPath, to, checksum, options: options ?? {} }).run();
  } finally {
    log?.close();
    file?.close();
    release();
  }
}

interface SalvageSources {
  readonly file: File;
  readonly log: File | undefined;
  readonly logPath: string;
  readonly to: string;
  readonly checksum: Checksum;
  readonly options: SalvageOptions;
}

class Salvage {
  readonly #sources: SalvageSources;
  readonly #notes = new SalvageNotes();
  readonly #stretches: Stretches;
  #pagesTotal = 0;
  #index: PageIndex | undefined;

  constructor(sources: SalvageSources) {
    this.#sources = sources;
    this.#stretches = new Stretches(() => this.#between());
  }

  async run(): Promise<SalvageReport> {
    const { to, file, checksum } = this.#sources;
    const head = readDamagedHead(file, checksum, this.#notes);
    const pages = new DamagedPages(file, checksum, head.pageSize, this.#notes);
    this.#pagesTotal = Math.floor(file.size() / head.pageSize);
    this.#between();
    // Not under its name before it is whole.
    const making = `${to}-salvage-${crypto.randomUUID().slice(0, 8)}`;
    try {
      const db = await open(making, {
        pageSize: head.pageSize,
        durability: "eventual",
        maxWorkers: 1, // one family is copied after the other
      });
      let there: VerifyReport;
      try {
        await this.#fill(db, head, pages);
        there = await verified(db, to);
      } finally {
        await db.close();
      }
      checkFree(to);
      runtime.rename(making, to);
      runtime.syncDirectory(directoryOf(to));
      const report = this.#notes.finish(there);
      this.#between();
      return report;
    } catch (error) {
      for (const path of [making, logPathOf(making)]) {
        if (runtime.kind(path) === "file") runtime.remove(path);
      }
      throw error;
    }
  }

  async #fill(
    db: Database,
    head: ReturnType<typeof readDamagedHead>,
    pages: DamagedPages,
  ): Promise<void> {
    const { file, log, logPath, checksum } = this.#sources;
    const parts: SalvageParts = {
      pages,
      target: new SalvageTarget(db, this.#notes),
      index: () => this.#findPages(pages),
      pause: () => this.#stretches.pause(),
    };
    const { meta, directory, certain } = head;
    let plans;
    if (directory !== undefined && certain) {
      const size = directory.filePages * head.pageSize;
      if (file.size() < size) {
        const message = `${file.path} has ${file.size()} bytes of ${size}: it was cut off`;
        this.#notes.lost({ kind: "directory", message, position: file.size(), entries: 0 });
      }
      plans = plansOfDirectory(pages, directory);
    } else {
      const index = await parts.index();
      // A directory is written once the pages that it leads to are durable: the newest one is good.
      const older = (directory?.generation ?? -1) < (index.directory?.generation ?? -1);
      plans = plansOfPages(pages, older ? index.directory : directory, index);
    }
    const families: SalvagedFamily[] = [];
    for (const plan of plans) families.push(await salvageFamily(parts, plan));
    const records = findRecords(log, logPath, meta, certain, checksum, this.#notes);
    const later = new LogSalvage(parts, families);
    if (records !== undefined) await later.apply(records);
    later.reportOlder();
  }

  async #findPages(pages: DamagedPages): Promise<PageIndex> {
    if (this.#index !== undefined) return this.#index;
    this.#index = new PageIndex();
    await inStretches(this.#index.build(pages), () => this.#between());
    return this.#index;
  }

  #between(): void {
    const { options } = this.#sources;
    const { pagesRead, copied } = this.#notes;
    options.onProgress?.({ pagesRead, pagesTotal: this.#pagesTotal, entries: copied });
    checkNotAborted("salvage", options.signal);
  }
}

/** Checks what was written, and says how much it is. */
async function verified(db: Database, path: string): Promise<VerifyReport> {
  await db.checkpoint();
  const report = await db.verify();
  if (report.ok) return report;
  throw new ManifoldError(
    "io",
    `salvage: what was written to ${path} is damaged already: ${report.findings[0].message}; ` +
      "give a path on another disk",
  );
}

function checkFree(path: string): void {
  for (const taken of [path, logPathOf(path)]) {
    if (runtime.kind(taken) === undefined) continue;
    throw new ManifoldError(
      "already-exists",
      `salvage: there is something at ${taken}; give a path that is free`,
    );
  }
}

function locked(path: string): ManifoldError {
  return new ManifoldError(
    "locked",
    `${path} is open, in this process or another one; close it before it is salvaged`,
  );
}
