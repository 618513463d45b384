/**
 * `Database.verify`: checks a database while it is in use.
 *
 * What is on the disk is checked as of the durable checkpoint, what is in memory as of the published
 * versions; both are pinned meanwhile, so that nothing that is looked at changes or is given away.
 * Nothing is written, and the cache stays as it is.
 *
 * @module
 */

import { CLOSED, databaseState, FAILED, failure } from "../../memory/database_state.ts";
import { keepAlive } from "../../runtime/keep_alive.ts";
import { after, inStretches } from "../../runtime/pause.ts";
import { Checksum } from "../../storage/checksum.ts";
import type { Extent } from "../../storage/extents.ts";
import { MemoryFile } from "../../storage/memory_file.ts";
import type { OpenSession } from "../family_access.ts";
import { closedError } from "../request_error.ts";
import { type FileHead, readHead } from "./checked_file.ts";
import { PageCopies } from "./checked_pages.ts";
import { FamilyCheck } from "./family_check.ts";
import { PageMarks } from "./page_marks.ts";
import { pinFamilies, type PinnedFamily, releaseFamilies } from "./pinned_families.ts";
import {
  checkNotAborted,
  checkVerifyOptions,
  ReportBuilder,
  type VerifyOptions,
  type VerifyReport,
} from "./report.ts";

/** A checkpoint that ends in between makes pins and file disagree: they are taken again so often. */
const ATTEMPTS = 10;
const ATTEMPT_PAUSE_MS = 10;

/** @throws {ManifoldError} `invalid-argument`, `aborted`, `closed`, `failed`, `too-large`. */
export async function verifyDatabase(
  open: OpenSession,
  options: VerifyOptions | undefined,
): Promise<VerifyReport> {
  checkVerifyOptions("verify", options);
  const release = keepAlive();
  try {
    const checksum = await Checksum.create();
    return await new Verification(open, options ?? {}, checksum).run();
  } finally {
    release();
  }
}

class Verification {
  readonly #open: OpenSession;
  readonly #options: VerifyOptions;
  readonly #checksum: Checksum;
  readonly #report = new ReportBuilder();
  #families: readonly PinnedFamily[] = [];

  constructor(open: OpenSession, options: VerifyOptions, checksum: Checksum) {
    this.#open = open;
    this.#options = options;
    this.#checksum = checksum;
  }

  async run(): Promise<VerifyReport> {
    try {
      const head = await this.#pin();
      for (const finding of head?.findings ?? []) this.#report.add(finding);
      this.#report.checked(head?.directoryPages ?? 0, head?.bytes ?? 0);
      const total = this.#pagesTotal(head);
      const live = await this.#open.session.memory.extents.listed();
      await inStretches(this.#check(head, live), () => {
        this.#options.onProgress?.({
          pagesChecked: this.#report.pages,
          pagesTotal: Math.max(total, this.#report.pages),
        });
        this.#checkGoesOn();
      });
      const { pages } = this.#report;
      this.#options.onProgress?.({ pagesChecked: pages, pagesTotal: pages });
      return this.#report.finish();
    } finally {
      // Once the session has closed, the thread's pins are gone.
      if (!this.#open.closed) releaseFamilies(this.#open.session.memory, this.#families);
    }
  }

  /** Pins the families, and reads what the file has of the checkpoint; nothing of a database in memory. */
  async #pin(): Promise<FileHead | undefined> {
    const { memory, path } = this.#open.session;
    for (let attempt = 1;; attempt++) {
      this.#checkGoesOn();
      this.#families = pinFamilies(memory);
      if (memory.file instanceof MemoryFile) return undefined;
      const head = readHead(memory.file, memory.shared.pageSize, this.#checksum, this.#families);
      // The keeper may be writing just now: only what stays wrong is wrong.
      if (head.findings.length === 0) return head;
      if (attempt === ATTEMPTS) {
        // A checkpoint that the failure has ended half-way may be in the file, in place of what is pinned.
        const isLeftOver = head.directory === undefined &&
          databaseState(memory.control) === FAILED;
        if (isLeftOver) throw failure(memory.control, path);
        return head;
      }
      releaseFamilies(memory, this.#families);
      this.#families = [];
      await after(ATTEMPT_PAUSE_MS);
    }
  }

  /** `live`: the extents as they are now. */
  *#check(head: FileHead | undefined, live: readonly Extent[]): Generator<void> {
    const { memory } = this.#open.session;
    const extents = head?.directory?.extents ?? live;
    const report = this.#report;
    const copies = new PageCopies({
      file: memory.file,
      checksum: this.#checksum,
      arena: memory.arena,
      frames: memory.frames,
      epochs: memory.epochs,
      report,
    });
    const filePages = Math.max(memory.extents.filePages, head?.directory?.filePages ?? 0);
    const parts = { copies, marks: new PageMarks(filePages), report };
    let free = pagesOf(extents, (extent) => extent.free);
    for (const { id, name, published, checkpoint } of this.#families) {
      const check = new FamilyCheck(parts, { id, name }, checkpoint?.version ?? -1);
      const before = report.pages;
      let used: number | undefined;
      if (checkpoint !== undefined) used = yield* check.checkpoint(checkpoint, extents);
      if (checkpoint?.version !== published.version) yield* check.published(published, live);
      // What a family has that the directory does not know yet counts as free there.
      if (checkpoint !== undefined || head === undefined) {
        free += pagesOf(extents, (extent) => !extent.free && extent.owner === id) -
          (used ?? report.pages - before);
      }
      report.families++;
      report.tables += published.tables;
      report.entries += check.entries;
    }
    report.freeBytes = Math.max(0, free) * memory.shared.pageSize;
  }

  /** Pages that will be looked at, about. */
  #pagesTotal(head: FileHead | undefined): number {
    const { slots } = this.#open.session.memory;
    let pages = head?.directoryPages ?? 0;
    for (const { slot, checkpoint } of this.#families) {
      pages += checkpoint?.pages ?? slots.frames(slot);
    }
    return pages;
  }

  #checkGoesOn(): void {
    this.#open.check();
    const { session } = this.#open;
    // In an attached thread: the host has closed, and others may write the file now.
    if (databaseState(session.memory.control) === CLOSED) throw closedError(session.path);
    checkNotAborted("verify", this.#options.signal);
  }
}

function pagesOf(extents: readonly Extent[], counts: (extent: Extent) => boolean): number {
  let pages = 0;
  for (const extent of extents) if (counts(extent)) pages += extent.pages;
  return pages;
}
