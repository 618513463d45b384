/**
 * What names a tree, and limits shared by all that walk one.
 *
 * @module
 */

import { REF_WORDS } from "./pager.ts";

/** More levels than the pages of the largest family can need: every split leaves two children. */
export const HEIGHT_MAX = 40;

/** A tree: what a catalog entry holds. Changing functions change it in place. */
export class TreeRoot {
  /** Reference of the root page; zeros if the tree is empty. */
  readonly ref: Uint32Array = new Uint32Array(REF_WORDS);
  /** Levels of pages; 0 if the tree is empty. */
  height = 0;
  /** Entries. */
  count = 0;

  copyFrom(other: TreeRoot): void {
    this.ref.set(other.ref);
    this.height = other.height;
    this.count = other.count;
  }

  clone(): TreeRoot {
    const root = new TreeRoot();
    root.copyFrom(this);
    return root;
  }
}

/** One end of a range of keys. */
export interface Bound {
  readonly key: Uint8Array;
  readonly inclusive: boolean;
}

/** Frames that one changing operation on a tree of this height holds at most. */
export function framesNeeded(height: number): number {
  return 4 * height + 8;
}
