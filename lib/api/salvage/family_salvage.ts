/**
 * Copies one family: the tables of its catalog, or those that its pages show, and their entries.
 *
 * @module
 */

import { catalogRoot, decodeTableEntry, type TableEntry } from "../../engine/catalog.ts";
import { CHANGES_TABLE } from "../../engine/kept_changes.ts";
import { ManifoldError } from "../../errors.ts";
import { decodeText } from "../../memory/utf8.ts";
import type { ColumnFamily } from "../column_family.ts";
import type { DamagedPages } from "./damaged_pages.ts";
import type { FamilyPlan } from "./family_plan.ts";
import type { FoundPage, PageIndex } from "./page_index.ts";
import type { RawTarget, SalvageTarget } from "./target.ts";
import { TreeWalk } from "./tree_walk.ts";

export interface SalvageParts {
  readonly pages: DamagedPages;
  readonly target: SalvageTarget;
  /** All pages of the file; made when it is asked for first. */
  readonly index: () => Promise<PageIndex>;
  /** Lets others run, and ends it when the signal says so. */
  readonly pause: () => Promise<void> | undefined;
}

/** A family of the new database, while it is being filled. */
export interface SalvagedFamily {
  readonly plan: FamilyPlan;
  readonly family: ColumnFamily;
  /** Its tables by the ids that they had. */
  readonly tables: Map<number, RawTarget>;
}

interface PlannedTable {
  readonly id: number;
  readonly name: string | undefined;
  readonly codecs: string;
  /** Undefined if it is not known where its tree begins. */
  readonly entry: TableEntry | undefined;
}

/** What a table is called by whose codecs nobody knows. */
const UNKNOWN_CODECS = "bytes\0bytes";

export async function salvageFamily(
  parts: SalvageParts,
  plan: FamilyPlan,
): Promise<SalvagedFamily> {
  const family = await parts.target.family(plan.name, plan.id);
  const tables = new Map<number, RawTarget>();
  for (const planned of await planTables(parts, plan, family.name)) {
    const { id, name, codecs } = planned;
    if (name === CHANGES_TABLE) continue; // what was kept of changes leads up to a state that is no more
    const table = parts.target.table(family, name, id, codecs);
    await salvageTable(parts, plan, family.name, table, planned);
    await parts.target.make(family, table);
    tables.set(id, table);
  }
  return { plan, family, tables };
}

async function planTables(
  parts: SalvageParts,
  plan: FamilyPlan,
  family: string,
): Promise<PlannedTable[]> {
  const { pages } = parts;
  const walk = new TreeWalk(pages, { family });
  const tables = new Map<number, PlannedTable>();
  const note = async (entries: Iterable<{ key: Uint8Array; value: Uint8Array } | undefined>) => {
    for (const item of entries) {
      await parts.pause();
      if (item === undefined) continue;
      const entry = decoded(item.value);
      if (entry === undefined || tables.has(entry.id)) continue;
      const name = decodeText(item.key);
      tables.set(entry.id, { id: entry.id, name, codecs: entry.codecs, entry });
    }
  };
  if (plan.entry !== undefined) await note(walk.from(catalogRoot(plan.entry)));
  if (plan.entry !== undefined && !walk.lostAny) return [...tables.values()];

  const index = await parts.index();
  if (plan.isUsed !== undefined) await note(walk.found(usedPages(index, plan, 0)));
  // Names do not change: any catalog that ever was can give those that are missing.
  const lost = walk.lostAny || plan.isUsed === undefined || tables.size === 0;
  if (lost) await noteOldNames(parts, plan, index, tables);
  if (plan.isUsed !== undefined) {
    for (const id of index.tables(plan.id)) {
      if (id === 0 || tables.has(id) || usedPages(index, plan, id).length === 0) continue;
      tables.set(id, { id, name: undefined, codecs: UNKNOWN_CODECS, entry: undefined });
    }
  }
  walk.report({ entries: hasAllPages(plan, index, walk) ? 0 : undefined });
  return [...tables.values()].sort((a, b) => a.id - b.id);
}

/**
 * Whether every page in use can be found but for those of the catalog that are known to be lost: else there may have
 * been a table of which nothing is left.
 */
function hasAllPages(
  { id, image, version }: FamilyPlan,
  index: PageIndex,
  walk: TreeWalk,
): boolean {
  if (image === undefined) return false;
  const lost = walk.lostPages;
  return index.missing(id, image, version).every((page) => lost.includes(page));
}

/** Adds tables that some earlier catalog had, newest first. */
async function noteOldNames(
  parts: SalvageParts,
  plan: FamilyPlan,
  index: PageIndex,
  tables: Map<number, PlannedTable>,
): Promise<void> {
  const names = new Set([...tables.values()].map(({ name }) => name));
  const leaves = index.pages(plan.id, 0).filter(({ level }) => level === 0);
  for (const leaf of leaves.toSorted((a, b) => b.birth - a.birth)) {
    await parts.pause();
    const walk = new TreeWalk(parts.pages, { family: "" });
    for (const item of walk.found([leaf])) {
      const entry = item && decoded(item.value);
      if (item === undefined || entry === undefined || tables.has(entry.id)) continue;
      const name = decodeText(item.key);
      if (names.has(name)) continue; // it was made anew since, under another id
      // A table without pages in use is empty, or was deleted.
      if (plan.isUsed !== undefined && usedPages(index, plan, entry.id).length === 0) continue;
      names.add(name);
      tables.set(entry.id, { id: entry.id, name, codecs: entry.codecs, entry: undefined });
    }
  }
}

async function salvageTable(
  parts: SalvageParts,
  plan: FamilyPlan,
  family: string,
  table: RawTarget,
  planned: PlannedTable,
): Promise<void> {
  const { pages, target, pause } = parts;
  const walk = new TreeWalk(pages, { family, table: table.name });
  const { entry } = planned;
  if (entry !== undefined) {
    await target.copy(table, walk.from(entry.root), pause);
    if (!walk.lostBranches) return walk.report();
  }
  const index = await parts.index();
  if (plan.isUsed !== undefined) {
    await target.copy(table, walk.found(usedPages(index, plan, planned.id)), pause);
    return walk.report();
  }
  const all = index.pages(plan.id, planned.id);
  const doubt = (how: string): void =>
    pages.notes.lost({
      kind: "doubtful",
      message: `${pages.file.path}: table "${table.name}" of column family "${family}": ${how}`,
      family,
      table: table.name,
    });
  if (entry === undefined) {
    const root = newestRoot(all);
    if (root === undefined) {
      walk.loseAll(0, "it is not known where the tree begins");
    } else {
      await target.copy(table, walk.found([root]), pause);
      doubt(
        `the newest tree that was found, of version ${root.birth}, was taken: there may have been a newer one`,
      );
    }
  }
  if (walk.lostBranches) {
    const taken = { leaves: 0, entries: 0 };
    await target.copy(table, walk.guessed(all, taken), pause);
    if (taken.leaves > 0) {
      doubt(
        `${taken.entries} entries come from ${taken.leaves} leaves that nothing refers to, the newest ` +
          "first: some may have been changed or deleted since",
      );
    }
  }
  walk.report();
}

/** The root of the newest tree: each change of a table makes a new one. Undefined if it is missing. */
function newestRoot(pages: readonly FoundPage[]): FoundPage | undefined {
  let newest: FoundPage | undefined;
  let highest = 0;
  for (const page of pages) {
    highest = Math.max(highest, page.level);
    const isNewer = newest === undefined || page.birth > newest.birth ||
      (page.birth === newest.birth && page.level > newest.level);
    if (isNewer) newest = page;
  }
  return newest?.level === highest ? newest : undefined;
}

/** The pages of a table that the plan's version uses. */
function usedPages(index: PageIndex, plan: FamilyPlan, table: number): FoundPage[] {
  const { isUsed, version } = plan;
  return index.pages(plan.id, table).filter(({ ref, birth }) =>
    birth <= version && isUsed!(ref[0])
  );
}

function decoded(value: Uint8Array): TableEntry | undefined {
  try {
    const entry = decodeTableEntry(value);
    return entry.id === 0 ? undefined : entry;
  } catch (error) {
    if (error instanceof ManifoldError) return undefined;
    throw error;
  }
}
