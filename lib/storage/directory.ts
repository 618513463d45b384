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
import { type FamilyEntry, newFamilyEntry } from "../memory/family_slots.ts";
import { decodeText } from "../memory/utf8.ts";
import { FieldReader, FieldWriter } from "./bytes.ts";
import type { Extent } from "./extents.ts";

const MAGIC = 0x5249444d;
const FREE_OWNER = 0xffffffff;

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
 * @throws {ManifoldError} `corrupt` when the blob contradicts itself.
 */
export function decodeDirectory(bytes: Uint8Array, path: string, firstPage: number): Directory {
  const what = `the directory of ${path}`;
  const input = new FieldReader(bytes, what);
  const damaged = (how: string): never => {
    throw new ManifoldError("corrupt", `${what} ${how} (byte ${input.at}); restore a backup`);
  };
  if (input.u32() !== MAGIC) damaged("does not begin with its magic");
  const nextFamilyId = input.u32();
  const generation = input.u53();
  const filePages = input.u32();
  const familyCount = input.u32();
  const families: DirectoryFamily[] = [];
  const ids = new Set<number>();
  for (let i = 0; i < familyCount; i++) {
    const id = input.u32();
    if (id === 0 || id >= nextFamilyId || ids.has(id)) damaged(`has an impossible family id ${id}`);
    ids.add(id);
    const entry = newFamilyEntry();
    entry.version = input.u53();
    input.words(entry.root);
    entry.height = input.u32();
    entry.tables = input.u32();
    entry.nextTableId = input.u32();
    input.words(entry.image);
    entry.imageBytes = input.u32();
    entry.pages = input.u32();
    const name = decodeText(input.raw(input.u32()));
    input.align(4);
    families.push({ id, name, entry });
  }
  const extentCount = input.u32();
  const extents: Extent[] = [];
  let next = firstPage;
  for (let i = 0; i < extentCount; i++) {
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
  if (next !== filePages) damaged(`describes ${next} pages of ${filePages}`);
  return { nextFamilyId, generation, filePages, families, extents };
}
