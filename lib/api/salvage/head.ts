/**
 * What can still be known of a damaged file as a whole: page size, meta page, directory.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";
import type { Checksum } from "../../storage/checksum.ts";
import type { Directory } from "../../storage/directory.ts";
import type { File } from "../../storage/file.ts";
import { decodeMeta, firstDataPage, type Meta, META_BYTES, readMeta } from "../../storage/meta.ts";
import {
  CHECKSUM_BYTES,
  PAGE_BRANCH,
  PAGE_LEAF,
  PAGE_SIZE_MAX,
  PAGE_SIZE_MIN,
  WORD_KIND,
  WORD_NUMBER,
} from "../../tree/page.ts";
import { readDirectoryBlob } from "../create_file.ts";
import type { SalvageNotes } from "./report.ts";

export interface DamagedHead {
  readonly pageSize: number;
  /** The newest meta page that can be read. */
  readonly meta: Meta | undefined;
  /** The directory that it leads to. */
  readonly directory: Directory | undefined;
  /** Whether there was certainly no newer checkpoint than the directory's. */
  readonly certain: boolean;
}

/** @throws {ManifoldError} `not-a-database`, `unsupported-version`. */
export function readDamagedHead(
  file: File,
  checksum: Checksum,
  notes: SalvageNotes,
): DamagedHead {
  const metas: Meta[] = [];
  const damaged: { offset: number; blank: boolean }[] = [];
  for (const offset of [0, META_BYTES]) {
    const bytes = new Uint8Array(META_BYTES);
    const reading = decodeMeta(bytes.subarray(0, readSome(file, offset, bytes)), checksum);
    if ("meta" in reading) {
      metas.push(reading.meta);
    } else if (reading.problem === "version") {
      readMeta(file, checksum); // says so, unless the other one is of this version
    } else {
      damaged.push({ offset, blank: bytes.every((byte) => byte === 0) });
    }
  }
  metas.sort((a, b) => b.generation - a.generation);
  const newest = metas[0];
  let certain = true;
  for (const { offset, blank } of damaged) {
    // A new file has one meta page only.
    if (blank && newest?.generation === 1) continue;
    certain = false;
    const message = `${file.path}: the meta page at byte ${offset} is damaged`;
    notes.lost({ kind: "meta", message, position: offset, entries: 0 });
  }
  if (newest === undefined) {
    const pageSize = findPageSize(file, checksum);
    if (pageSize === undefined) {
      throw new ManifoldError(
        "not-a-database",
        `${file.path} has neither a meta page nor any other page of a Manifold database; check the path`,
      );
    }
    return { pageSize, meta: undefined, directory: undefined, certain: false };
  }
  const { pageSize } = newest;
  try {
    const directory = readDirectoryBlob(file, newest, checksum);
    return { pageSize, meta: newest, directory, certain };
  } catch (error) {
    if (!(error instanceof ManifoldError)) throw error;
    notes.lost({
      kind: "directory",
      message: error.message,
      page: newest.directoryPage,
      position: newest.directoryPage * pageSize,
      entries: 0,
    });
    return { pageSize, meta: newest, directory: undefined, certain: false };
  }
}

/** The page size of a file without a meta page: that of the first pages that verify. */
function findPageSize(file: File, checksum: Checksum): number | undefined {
  const size = file.size();
  const bytes = new Uint8Array(PAGE_SIZE_MAX);
  for (let at = 2 * META_BYTES; at < size; at += PAGE_SIZE_MIN) {
    const count = readSome(file, at, bytes);
    const words = new Uint32Array(bytes.buffer);
    const kind = words[WORD_KIND] & 0xff;
    if (kind !== PAGE_LEAF && kind !== PAGE_BRANCH) continue;
    const pageSize = at / words[WORD_NUMBER];
    if (
      !Number.isInteger(Math.log2(pageSize)) || pageSize < PAGE_SIZE_MIN ||
      pageSize > PAGE_SIZE_MAX || pageSize > count || words[WORD_NUMBER] < firstDataPage(pageSize)
    ) continue;
    if (checksum.matches(bytes, 0, bytes.subarray(CHECKSUM_BYTES, pageSize))) return pageSize;
  }
  return undefined;
}

function readSome(file: File, offset: number, target: Uint8Array): number {
  try {
    return file.read(offset, target);
  } catch (error) {
    if (error instanceof ManifoldError) return 0;
    throw error;
  }
}
