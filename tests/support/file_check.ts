/**
 * The structure of a database's file as its newest checkpoint left it, read by a reader of its own
 * that knows nothing of an open database: every tree is whole, and every page belongs to exactly one
 * of them.
 *
 * Only for a file that nobody writes to meanwhile: closed, left by a crash, or opened and not written yet.
 *
 * @module
 */

import { readDirectory } from "../../lib/api/create_file.ts";
import { catalogRoot, listTables } from "../../lib/engine/catalog.ts";
import { allocateSharedMemory, ThreadMemory } from "../../lib/engine/thread_memory.ts";
import { FAMILY_LIVE } from "../../lib/memory/family_slots.ts";
import { runtime } from "../../lib/runtime/runtime.ts";
import { Checksum } from "../../lib/storage/checksum.ts";
import type { Directory, DirectoryFamily } from "../../lib/storage/directory.ts";
import { AllocatorImage } from "../../lib/storage/allocator_image.ts";
import { DIRECTORY_OWNER } from "../../lib/storage/extents.ts";
import type { File } from "../../lib/storage/file.ts";
import { readMeta } from "../../lib/storage/meta.ts";
import { overflowPages, readOverflow } from "../../lib/storage/overflow.ts";
import { PageAllocator } from "../../lib/storage/page_allocator.ts";
import { checkTree } from "../../lib/tree/check.ts";
import type { TreeRoot } from "../../lib/tree/root.ts";
import { collectPages } from "./tree_pages.ts";

/** What was found to be in order. */
export interface FileFigures {
  /** Pages of the file, of all families' segments, and of those the ones in use. */
  readonly filePages: number;
  readonly segmentPages: number;
  readonly usedPages: number;
  /** Runs of pages that the file is cut into. */
  readonly extents: number;
}

/** Checks the file's structure. Throws with all findings. */
export async function checkFile(path: string): Promise<FileFigures> {
  const checksum = await Checksum.create();
  const file = runtime.openFile(path, { write: false, create: false });
  try {
    return checkOpenFile(file, checksum);
  } finally {
    file.close();
  }
}

function checkOpenFile(file: File, checksum: Checksum): FileFigures {
  const meta = readMeta(file, checksum);
  const directory = readDirectory(file, meta, checksum);
  const { pageSize } = meta;
  const shared = allocateSharedMemory({
    pageSize,
    cacheBytes: 256 * pageSize,
    pagesMax: directory.filePages,
    workers: 1,
    ringBytes: 65536,
  });
  const memory = new ThreadMemory(shared, file, checksum);
  const findings: string[] = [];
  checkExtents(directory, meta.directoryPage, (finding) => findings.push(finding));
  let segmentPages = 0;
  let usedPages = 0;
  for (const family of directory.families) {
    const { segments, used } = checkFamily(memory, directory, family, (finding) => {
      findings.push(`family ${family.name}: ${finding}`);
    });
    segmentPages += segments;
    usedPages += used;
  }
  if (findings.length > 0) throw new Error(`${file.path}:\n${findings.join("\n")}`);
  const { filePages, extents } = directory;
  return { filePages, segmentPages, usedPages, extents: extents.length };
}

type Report = (finding: string) => void;

/** Each extent has an owner that exists, and the directory exactly one: its own. */
function checkExtents(directory: Directory, directoryPage: number, report: Report): void {
  const ids = new Set(directory.families.map(({ id }) => id));
  const own = directory.extents.filter(({ free, owner }) => !free && owner === DIRECTORY_OWNER);
  if (own.length !== 1 || own[0].start !== directoryPage) {
    report(`the directory at page ${directoryPage} has the extents ${JSON.stringify(own)}`);
  }
  for (const { start, free, owner } of directory.extents) {
    if (!free && owner !== DIRECTORY_OWNER && !ids.has(owner)) {
      report(`the extent at page ${start} belongs to family ${owner}, which there is not`);
    }
  }
}

/** The trees of a family are whole, and the allocator image says of each page whether they need it. */
function checkFamily(
  memory: ThreadMemory,
  directory: Directory,
  { id, name, entry }: DirectoryFamily,
  report: Report,
): { segments: number; used: number } {
  const { store, slots, epochs, arena } = memory;
  const slot = slots.take(id, name, 0, FAMILY_LIVE);
  store.family = slot;
  store.familyName = name;
  const pages = new Set<number>();
  const check = (root: TreeRoot, what: string): void => {
    checkTree(store, root, (finding) => report(`${what}: ${finding}`));
    if (root.height > 0) collectPages(store, root, pages);
  };
  const allocator = new PageAllocator(arena.pageSize, () => {
    throw new Error("nothing is taken");
  });
  const extents = directory.extents.filter(({ free, owner }) => !free && owner === id);
  let image: AllocatorImage | undefined;
  epochs.enter();
  try {
    if (entry.imageBytes > 0) {
      const bytes = readOverflow(store, entry.image, 0, entry.imageBytes);
      image = new AllocatorImage(bytes, "the image");
      allocator.restore(bytes, extents, "the image");
      const count = overflowPages(entry.imageBytes, arena.pageSize);
      for (let i = 0; i < count; i++) pages.add(entry.image[0] + i);
    }
    check(catalogRoot(entry), "the catalog");
    const ids = new Set<number>();
    for (const table of listTables(store, entry)) {
      check(table.entry.root, `table ${table.name}`);
      ids.add(table.entry.id);
      if (table.entry.id >= entry.nextTableId) {
        report(`table ${table.name}: its id is not used yet`);
      }
    }
    if (ids.size !== entry.tables) report(`${ids.size} table ids for ${entry.tables} tables`);
  } finally {
    epochs.leave();
  }
  for (const page of pages) {
    if (!image?.isUsed(page)) report(`page ${page} is in use and was given back`);
  }
  if (allocator.used !== pages.size) {
    report(`${allocator.used} pages are taken, ${pages.size} are needed`);
  }
  if (entry.pages !== pages.size) report(`it says ${entry.pages} pages and needs ${pages.size}`);
  return { segments: allocator.pages, used: allocator.used };
}
