/**
 * B+trees over pages: layout, search, changes, cursors, checks. Knows pages and references, not
 * files or threads.
 *
 * @module
 */

export { checkTree } from "./check.ts";
export { Cursor } from "./cursor.ts";
export { find, Hit, rank } from "./find.ts";
export { insert } from "./insert.ts";
export { type EntryRun, insertRun } from "./insert_run.ts";
export { checkPage } from "./page_check.ts";
export { type PageReader, type PageWriter, REF_WORDS } from "./pager.ts";
export { countRange, dropTree, removeRange } from "./range.ts";
export { remove } from "./remove.ts";
export { type Bound, framesNeeded, HEIGHT_MAX, TreeRoot } from "./root.ts";
export { type TreeStats, treeStats } from "./stats.ts";
