/**
 * Which families a damaged file has, at which versions, and what is known of their pages.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";
import type { FamilyEntry } from "../../memory/family_slots.ts";
import { AllocatorImage } from "../../storage/allocator_image.ts";
import type { Directory } from "../../storage/directory.ts";
import type { DamagedPages } from "./damaged_pages.ts";
import type { PageIndex } from "./page_index.ts";

export interface FamilyPlan {
  readonly id: number;
  readonly name: string | undefined;
  /** The version that the pages give; -1 if nobody can tell. */
  readonly version: number;
  /** Roots of that version; undefined if they have to be found. */
  readonly entry: FamilyEntry | undefined;
  /** Which pages that version uses; undefined if nobody can tell. */
  readonly image: AllocatorImage | undefined;
  /** Whether a page is in use in that version; undefined if nobody can tell. */
  readonly isUsed: ((page: number) => boolean) | undefined;
  /** The newest version that a page of the family tells of: beyond `version`, the log has to lead to it. */
  readonly newest: number;
}

/** The families of a checkpoint that was certainly the last. */
export function plansOfDirectory(pages: DamagedPages, directory: Directory): FamilyPlan[] {
  return directory.families.map(({ id, name, entry }) => {
    const image = readImage(pages, entry.image, entry.imageBytes, name);
    if (typeof image !== "string") {
      const isUsed = (page: number) => image.isUsed(page);
      return { id, name, version: entry.version, entry, image, isUsed, newest: entry.version };
    }
    pages.notes.lost({
      kind: "allocator-image",
      message: `the allocator image of column family "${name}": ${image}`,
      family: name,
      page: entry.image[0],
      position: entry.image[0] * pages.pageSize,
      entries: 0,
    });
    return { ...UNKNOWN_PAGES, id, name, version: entry.version, entry, newest: entry.version };
  });
}

/**
 * The families of a file whose last checkpoint is not known for certain: the newest allocator image of
 * each says which version it had, and which pages that uses.
 *
 * @param directory Of an earlier checkpoint, perhaps.
 */
export function plansOfPages(
  pages: DamagedPages,
  directory: Directory | undefined,
  index: PageIndex,
): FamilyPlan[] {
  const known = new Map(directory?.families.map((family) => [family.id, family]) ?? []);
  // A family that the directory could have had and does not was deleted before.
  const later = index.families.filter((id) => id >= (directory?.nextFamilyId ?? 0));
  const plans: FamilyPlan[] = [];
  for (const id of [...known.keys(), ...later]) {
    const family = known.get(id);
    plans.push(planOfPages(pages, id, family?.name, family?.entry, index));
  }
  return plans;
}

const UNKNOWN_PAGES = { image: undefined, isUsed: undefined };

/** Images that are compared: the newest ones. */
const IMAGES_MAX = 4;

function planOfPages(
  pages: DamagedPages,
  id: number,
  name: string | undefined,
  entry: FamilyEntry | undefined,
  index: PageIndex,
): FamilyPlan {
  // An image whose checkpoint came to nothing lacks pages that were never written: the newest of
  // those of which the least is missing.
  let best: { image: AllocatorImage; version: number; missing: number } | undefined;
  let compared = 0;
  const newest = index.newestVersion(id);
  for (const { ref, bytes, birth: version } of index.images(id)) {
    if (entry !== undefined && version < entry.version) break;
    if (compared === IMAGES_MAX && version !== entry?.version) continue;
    const image = readImage(pages, ref, bytes, name ?? `family-${id}`);
    if (typeof image === "string") continue;
    compared++;
    const missing = index.missing(id, image, version).length;
    if (best === undefined || missing < best.missing) best = { image, version, missing };
  }
  if (best === undefined) {
    return { ...UNKNOWN_PAGES, id, name, version: entry?.version ?? -1, entry, newest };
  }
  const { image, version } = best;
  const isOfEntry = version === entry?.version;
  return {
    id,
    name,
    version,
    entry: isOfEntry ? entry : undefined,
    image,
    isUsed: (page) => image.isUsed(page),
    newest,
  };
}

/** An allocator image; or why it cannot be used. */
function readImage(
  pages: DamagedPages,
  ref: Uint32Array,
  length: number,
  family: string,
): AllocatorImage | string {
  const bytes = pages.readValue(ref, 0, length, family);
  if (typeof bytes === "string") return bytes;
  try {
    return new AllocatorImage(bytes, "it");
  } catch (error) {
    if (error instanceof ManifoldError) return error.message;
    throw error;
  }
}
