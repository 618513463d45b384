/**
 * The directory: one blob, written anew by each checkpoint, from which an open finds everything.
 *
 * | field | |
 * |---|---|
 * | u32 | magic `MDIR` |
 * | u32 | next family id |
 * | u53 | generation of the checkpoint |
 * | u32 | pages of the file |
 * | u32 | families, then each: id, version (u53), catalog root (4 × u32), height, tables, next table id, image (4 × u32), bytes of the image, pages, bytes of the name (u32 each), name, zeros up to a multiple of 4 |
 * | u32 | extents, then each: first page, pages, owner (0xFFFFFFFF free, 0 directory, else family id) |
 *
 * Its checksum stands in the meta page.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import {
  decodeName,
  FAMILIES_MAX,
  type FamilyEntry,
  ID_MAX,
  NAME_BYTES_MAX,
  newFamilyEntry,
} from "../memory/family_slots.ts";
import { HEADER_BYTES } from "../tree/page.ts";
import { HEIGHT_MAX } from "../tree/root.ts";
import { COUNT_MAX, FieldReader, FieldWriter } from "./bytes.ts";
import { type Extent, EXTENTS_MAX } from "./extents.ts";

const MAGIC = 0x5249444d;
const FREE_OWNER = 0xffffffff;
const HEAD_BYTES = 28;
const FAMILY_BYTES = 68;
const EXTENT_BYTES = 12;

/** The longest directory: no memory is taken for more. */
export const DIRECTORY_BYTES_MAX = HEAD_BYTES + FAMILIES_MAX * (FAMILY_BYTES + NAME_BYTES_MAX + 1) +
  EXTENTS_MAX * EXTENT_BYTES;

export interface DirectoryFamily {
  readonly id: number;
  readonly name: string;
  readonly entry: FamilyEntry;
}

export interface Directory {
  readonly nextFamilyId: number;
  readonly generation: number;
  readonly filePages: number;
  readonly families: readonly DirectoryFamily[];
  readonly extents: readonly Extent[];
}

export function encodeDirectory(directory: Directory): Uint8Array {
  const out = new FieldWriter();
  out.u32(MAGIC);
  out.u32(directory.nextFamilyId);
  out.u53(directory.generation);
  out.u32(directory.filePages);
  out.u32(directory.families.length);
  for (const { id, name, entry } of directory.families) {
    out.u32(id);
    out.u53(entry.version);
    out.words(entry.root);
    out.u32(entry.height);
    out.u32(entry.tables);
    out.u32(entry.nextTableId);
    out.words(entry.image);
    out.u32(entry.imageBytes);
    out.u32(entry.pages);
    const bytes = new TextEncoder().encode(name);
    out.u32(bytes.length);
    out.raw(bytes);
    out.align(4);
  }
  out.u32(directory.extents.length);
  for (const extent of directory.extents) {
    out.u32(extent.start);
    out.u32(extent.pages);
    out.u32(extent.free ? FREE_OWNER : extent.owner);
  }
  return out.take();
}

/**
 * How long the directory is that `bytes` begin with; for one whose meta page is lost.
 * @throws {ManifoldError} `corrupt` when it is longer than they are.
 */
export function directoryLength(bytes: Uint8Array, path: string): number {
  const input = new FieldReader(bytes, `the directory of ${path}`);
  input.raw(20); // up to the number of families
  for (let families = input.u32(); families > 0; families--) {
    input.raw(64); // up to the bytes of the name
    input.raw(input.u32());
    input.align(4);
  }
  input.raw(input.u32() * 12);
  return input.at;
}

/**
 * @param firstPage The first page that extents can begin at.
 * @param pageSize Bytes of a page.
 * @throws {ManifoldError} `corrupt` when the blob contradicts itself, or says what no file can be.
 */
export function decodeDirectory(
  bytes: Uint8Array,
  path: string,
  firstPage: number,
  pageSize: number,
): Directory {
  const what = `the directory of ${path}`;
  const input = new FieldReader(bytes, what);
  const damaged = (how: string): never => {
    throw new ManifoldError("corrupt", `${what} ${how} (byte ${input.at}); restore a backup`);
  };
  if (input.u32() !== MAGIC) damaged("does not begin with its magic");
  const nextFamilyId = input.u32();
  if (nextFamilyId === 0 || nextFamilyId > ID_MAX) {
    damaged(`has the next family id ${nextFamilyId}`);
  }
  const generation = input.u53();
  const filePages = input.u32();
  const familyCount = input.u32();
  if (familyCount >= FAMILIES_MAX) damaged(`has ${familyCount} families`);
  const families: DirectoryFamily[] = [];
  const ids = new Set<number>();
  const names = new Set<string>();
  for (let i = 0; i < familyCount; i++) {
    const id = input.u32();
    if (id === 0 || id >= nextFamilyId || ids.has(id)) damaged(`has an impossible family id ${id}`);
    ids.add(id);
    const entry = decodeEntry(input);
    const name = decodeName(input.raw(input.u32())) ??
      damaged(`has an impossible name of family ${id}`);
    if (names.has(name)) damaged(`has two families of the name ${JSON.stringify(name)}`);
    names.add(name);
    input.align(4);
    const problem = entryProblem(entry);
    if (problem !== undefined) damaged(`says of family "${name}" ${problem}`);
    families.push({ id, name, entry });
  }
  const extents = decodeExtents(input, firstPage, ids, damaged);
  const end = extents.length === 0 ? firstPage : extents.at(-1)!.start + extents.at(-1)!.pages;
  if (end !== filePages) damaged(`describes ${end} pages of ${filePages}`);
  if (input.left > 0) damaged(`goes on for ${input.left} bytes behind its end`);
  const problem = placesProblem(families, extents, pageSize);
  if (problem !== undefined) damaged(problem);
  return { nextFamilyId, generation, filePages, families, extents };
}

function decodeEntry(input: FieldReader): FamilyEntry {
  const entry = newFamilyEntry();
  entry.version = input.u53();
  input.words(entry.root);
  entry.height = input.u32();
  entry.tables = input.u32();
  entry.nextTableId = input.u32();
  input.words(entry.image);
  entry.imageBytes = input.u32();
  entry.pages = input.u32();
  return entry;
}

/** What cannot be of a family, whatever the file looks like. */
function entryProblem(entry: FamilyEntry): string | undefined {
  const { version, height, tables, nextTableId } = entry;
  if (version === 0 || version > COUNT_MAX) return `that it is at version ${version}`;
  if (height > HEIGHT_MAX) return `that its catalog has ${height} levels`;
  if ((height === 0) !== (tables === 0)) return `that ${height} levels hold ${tables} tables`;
  if (tables > ID_MAX) return `that it has ${tables} tables`;
  if (nextTableId === 0 || nextTableId > ID_MAX) return `that its next table is ${nextTableId}`;
  return undefined;
}

function decodeExtents(
  input: FieldReader,
  firstPage: number,
  ids: ReadonlySet<number>,
  damaged: (how: string) => never,
): Extent[] {
  const count = input.u32();
  if (count > EXTENTS_MAX) damaged(`has ${count} extents`);
  const extents: Extent[] = [];
  let next = firstPage;
  for (let i = 0; i < count; i++) {
    const start = input.u32();
    const pages = input.u32();
    const owner = input.u32();
    if (start !== next || pages === 0) damaged(`has a gap or an overlap at page ${start}`);
    next = start + pages;
    const free = owner === FREE_OWNER;
    if (!free && owner !== 0 && !ids.has(owner)) {
      damaged(`gives pages to an unknown family ${owner}`);
    }
    extents.push({ start, pages, free, owner: free ? 0 : owner });
  }
  return extents;
}

/** A family's catalog and allocator image must be where its pages are, and the image no longer than they need. */
function placesProblem(
  families: readonly DirectoryFamily[],
  extents: readonly Extent[],
  pageSize: number,
): string | undefined {
  const imageBytes = new Map<number, number>();
  for (const { free, owner, pages } of extents) {
    if (free) continue;
    imageBytes.set(owner, (imageBytes.get(owner) ?? 0) + 8 + Math.ceil(pages / 32) * 4);
  }
  for (const { id, name, entry } of families) {
    if (entry.imageBytes > (imageBytes.get(id) ?? 0)) {
      return `has an allocator image of ${entry.imageBytes} bytes for family "${name}"`;
    }
    const runs: [number, number][] = [];
    if (entry.imageBytes > 0) {
      runs.push([entry.image[0], Math.ceil((HEADER_BYTES + entry.imageBytes) / pageSize)]);
    }
    if (entry.height > 0) runs.push([entry.root[0], 1]);
    for (const [page, pages] of runs) {
      const extent = extentOf(extents, page);
      if (
        extent === undefined || extent.free || extent.owner !== id ||
        page + pages > extent.start + extent.pages
      ) {
        return `leads family "${name}" to page ${page}, which is not its own`;
      }
    }
  }
  return undefined;
}

/** The extent that holds a page. */
export function extentOf(extents: readonly Extent[], page: number): Extent | undefined {
  let low = 0;
  let high = extents.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (extents[middle].start <= page) low = middle;
    else high = middle - 1;
  }
  const extent = extents[low];
  return extent !== undefined && page >= extent.start && page < extent.start + extent.pages
    ? extent
    : undefined;
}
