/**
 * The check of what every opening begins with: both meta pages, the directory, the length of the file.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";
import type { FamilyEntry } from "../../memory/family_slots.ts";
import { equalBytes } from "../../storage/bytes.ts";
import type { Checksum } from "../../storage/checksum.ts";
import type { Directory } from "../../storage/directory.ts";
import type { File } from "../../storage/file.ts";
import { decodeMeta, type Meta, META_BYTES, metaOffset } from "../../storage/meta.ts";
import { readDirectoryBlob } from "../create_file.ts";
import type { PinnedFamily } from "./pinned_families.ts";
import type { VerifyFinding } from "./report.ts";

/** What the file says of the durable checkpoint, and what is wrong with that. */
export interface FileHead {
  /** The directory of the checkpoint whose versions are pinned. */
  readonly directory: Directory | undefined;
  /** Pages that the directory takes. */
  readonly directoryPages: number;
  readonly findings: readonly VerifyFinding[];
  readonly bytes: number;
}

/** Reads meta pages and directory, and compares them with what is pinned. */
export function readHead(
  file: File,
  pageSize: number,
  checksum: Checksum,
  families: readonly PinnedFamily[],
): FileHead {
  const findings: VerifyFinding[] = [];
  const metas = readMetas(file, checksum, findings);
  const newest = metas[0];
  let bytes = 2 * META_BYTES;
  if (newest === undefined) return { directory: undefined, directoryPages: 0, findings, bytes };
  const problems: VerifyFinding[] = [];
  for (const meta of metas) {
    const position = meta.directoryPage * pageSize;
    const say = (kind: VerifyFinding["kind"], message: string) => {
      if (meta === newest) problems.push({ kind, message, page: meta.directoryPage, position });
    };
    let directory: Directory;
    try {
      directory = readDirectoryBlob(file, meta, checksum);
    } catch (error) {
      if (!(error instanceof ManifoldError)) throw error;
      say("directory", error.message);
      continue;
    }
    const difference = differenceTo(directory, families);
    if (difference !== undefined) {
      say("directory", `${file.path}: the directory at byte ${position} ${difference}`);
      continue;
    }
    bytes += meta.directoryBytes;
    const length = directory.filePages * pageSize;
    if (file.size() < length) {
      findings.push({
        kind: "truncated",
        message: `${file.path} has ${file.size()} bytes, its directory says ${length}`,
        position: file.size(),
      });
    }
    const directoryPages = Math.ceil(meta.directoryBytes / pageSize);
    return { directory, directoryPages, findings, bytes };
  }
  // Neither meta page leads to what is pinned: what is wrong with the newest one's directory counts.
  findings.push(...problems);
  return { directory: undefined, directoryPages: 0, findings, bytes };
}

/** The meta pages that can be read, newest first. */
function readMetas(file: File, checksum: Checksum, findings: VerifyFinding[]): Meta[] {
  const found: { meta: Meta; offset: number }[] = [];
  const wrong: { offset: number; how: string; blank: boolean }[] = [];
  for (const offset of [0, META_BYTES]) {
    const bytes = new Uint8Array(META_BYTES);
    let count = 0;
    let how: string | undefined;
    try {
      count = file.read(offset, bytes);
    } catch (error) {
      how = error instanceof Error ? error.message : String(error);
    }
    const reading = decodeMeta(bytes.subarray(0, count), checksum);
    if ("meta" in reading) found.push({ meta: reading.meta, offset });
    else {
      const blank = bytes.every((byte) => byte === 0);
      wrong.push({ offset, how: how ?? "does not verify", blank });
    }
  }
  found.sort((a, b) => b.meta.generation - a.meta.generation);
  const say = (offset: number, how: string) => {
    const message = `${file.path}: the meta page at byte ${offset} ${how}`;
    findings.push({ kind: "meta", message, position: offset });
  };
  for (const { offset, how, blank } of wrong) {
    // The second meta page of a new file is written when it is changed first.
    if (!(blank && found[0]?.meta.generation === 1)) say(offset, how);
  }
  for (const { meta, offset } of found) {
    if (metaOffset(meta.generation) !== offset) {
      say(offset, `has generation ${meta.generation}, which belongs to the other place`);
    }
  }
  if (found.length === 2) {
    const [newer, older] = found;
    if (older.meta.generation !== newer.meta.generation - 1) {
      say(
        older.offset,
        `has generation ${older.meta.generation}, where ${
          newer.meta.generation - 1
        } comes before ` +
          `that of the other: a write was lost`,
      );
    }
    const same = older.meta.pageSize === newer.meta.pageSize &&
      equalBytes(older.meta.uuid, newer.meta.uuid);
    if (!same) say(older.offset, "is that of another database");
  }
  return found.map(({ meta }) => meta);
}

/** What a directory says otherwise than the durable state; undefined if it is that of it. */
function differenceTo(
  directory: Directory,
  families: readonly PinnedFamily[],
): string | undefined {
  const entries = new Map(directory.families.map((family) => [family.id, family]));
  for (const { id, name, checkpoint } of families) {
    const there = entries.get(id);
    if (checkpoint === undefined) {
      if (there === undefined) continue;
      return `has column family "${name}", which no checkpoint has yet`;
    }
    if (there === undefined) return `lacks column family "${name}"`;
    if (there.name !== name) return `calls column family "${name}" "${there.name}"`;
    if (!sameEntry(there.entry, checkpoint)) {
      return `has version ${there.entry.version} of column family "${name}", and the checkpoint in ` +
        `force version ${checkpoint.version}; or their roots differ`;
    }
  }
  return undefined;
}

function sameEntry(a: FamilyEntry, b: FamilyEntry): boolean {
  return a.version === b.version && a.height === b.height && a.tables === b.tables &&
    a.nextTableId === b.nextTableId && a.imageBytes === b.imageBytes && a.pages === b.pages &&
    a.root.every((word, i) => word === b.root[i]) &&
    a.image.every((word, i) => word === b.image[i]);
}
