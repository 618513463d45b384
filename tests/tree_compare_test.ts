/**
 * Protects the comparison of two versions of a tree, by which transactions are validated: exact in every range, whatever
 * splits, merges and removals lie between the versions, and without reading what both share.
 */

import fc from "fast-check";
import { compareBytes } from "../lib/api/bytes_order.ts";
import { treesDiffer } from "../lib/tree/compare.ts";
import { insert } from "../lib/tree/insert.ts";
import { removeRange } from "../lib/tree/range.ts";
import { remove } from "../lib/tree/remove.ts";
import { type Bound, TreeRoot } from "../lib/tree/root.ts";
import { assert, assertEquals, assertLess } from "./support/assert.ts";
import { MemoryPager } from "./support/memory_pager.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const PAGE_SIZE = 4096;

function keyOf(number: number): Uint8Array {
  const key = new Uint8Array(3 + number % 3);
  new DataView(key.buffer).setUint16(0, number);
  return key;
}

/** A tree and what is in it; a value that is a reference to an extent stands for itself. */
class Versions {
  readonly pager: MemoryPager;
  readonly root = new TreeRoot();
  entries = new Map<number, string>();

  constructor(hostile: boolean) {
    this.pager = new MemoryPager({ pageSize: PAGE_SIZE, frames: 4000, hostile });
  }

  set(number: number, value: number, length: number): void {
    const key = keyOf(number);
    const bytes = new Uint8Array(length).fill(value);
    insert(this.pager, this.root, key, 0, key.length, bytes, 0, length, false);
    this.entries.set(number, `${value} ${length}`);
  }

  delete(number: number): void {
    const key = keyOf(number);
    remove(this.pager, this.root, key, 0, key.length);
    this.entries.delete(number);
  }

  deleteRange(from: number, to: number): void {
    removeRange(this.pager, this.root, bound(from, true), bound(to, false));
    for (const number of [...this.entries.keys()]) {
      if (isInside(number, bound(from, true), bound(to, false))) this.entries.delete(number);
    }
  }
}

function bound(number: number, inclusive: boolean): Bound {
  return { key: keyOf(number), inclusive };
}

function isInside(number: number, lower: Bound | null, upper: Bound | null): boolean {
  const key = keyOf(number);
  const low = lower === null ? 1 : compareBytes(key, lower.key);
  const high = upper === null ? -1 : compareBytes(key, upper.key);
  return (low > 0 || low === 0 && lower!.inclusive) && (high < 0 || high === 0 && upper!.inclusive);
}

/** Whether the models differ in a range. */
function expected(
  a: Map<number, string>,
  b: Map<number, string>,
  lower: Bound | null,
  upper: Bound | null,
): boolean {
  for (const number of new Set([...a.keys(), ...b.keys()])) {
    if (isInside(number, lower, upper) && a.get(number) !== b.get(number)) return true;
  }
  return false;
}

const KEYS = 1200;
const number = fc.nat(KEYS - 1);
const change = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("set"), at: number, length: fc.nat(300) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("delete"), at: number, length: fc.nat(9) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("range"), at: number, length: fc.nat(400) }),
  },
);
const oneBound = fc.option(fc.record({ at: number, inclusive: fc.boolean() }));

test("compare: two versions differ in a range exactly if what is in it does", () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat(2),
      fc.boolean(),
      fc.array(change, { maxLength: 60 }),
      fc.array(fc.tuple(oneBound, oneBound), { minLength: 20, maxLength: 20 }),
      (seed, size, hostile, changes, ranges) => {
        const random = new Random(seed);
        const versions = new Versions(hostile);
        const count = [0, 20, KEYS][size];
        for (let i = 0; i < count; i++) {
          versions.set(random.int(KEYS), random.int(3), 20 + random.int(200));
        }
        const before = versions.root.clone();
        const entries = new Map(versions.entries);
        versions.pager.version++;
        const changed: number[] = [];
        for (const { kind, at, length } of changes) {
          changed.push(at);
          if (kind === "set") versions.set(at, length % 3, 20 + length);
          else if (kind === "delete") versions.delete(at);
          else versions.deleteRange(at, Math.min(KEYS - 1, at + length));
        }
        const check = (lower: Bound | null, upper: Bound | null): void => {
          const order = lower === null || upper === null ? -1 : compareBytes(lower.key, upper.key);
          if (order > 0 || order === 0 && !(lower!.inclusive && upper!.inclusive)) return;
          const wanted = expected(entries, versions.entries, lower, upper);
          const { pager, root } = versions;
          assertEquals(treesDiffer(pager, before, root, lower, upper), wanted);
          assertEquals(treesDiffer(pager, root, before, lower, upper), wanted);
        };
        check(null, null);
        for (const [low, high] of ranges) {
          check(low && bound(low.at, low.inclusive), high && bound(high.at, high.inclusive));
        }
        for (const at of [...changed, random.int(KEYS), random.int(KEYS)]) {
          check(bound(at, true), bound(at, true));
          check(bound(at, false), bound(Math.min(KEYS - 1, at + 3), false));
          check(bound(Math.max(0, at - 3), true), bound(at, false));
        }
      },
    ),
    { numRuns: 150 },
  );
});

test("compare: an overflow value is the same by its reference", () => {
  const versions = new Versions(false);
  const { pager, root } = versions;
  const key = keyOf(7);
  const put = (): void => {
    const payload = new Uint8Array(pager.createOverflow(5000).buffer);
    insert(pager, root, key, 0, key.length, payload, 0, 20, true);
  };
  put();
  const before = root.clone();
  pager.version++;
  versions.set(8, 1, 20);
  const at: Bound = { key, inclusive: true };
  assertEquals(treesDiffer(pager, before, root, at, at), false);
  put();
  assertEquals(treesDiffer(pager, before, root, at, at), true);
});

test("compare: only what differs is read, and the way to it", () => {
  const pager = new MemoryPager({ pageSize: PAGE_SIZE, frames: 20_000 });
  const root = new TreeRoot();
  const key = (i: number): Uint8Array => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setUint32(4, i);
    return bytes;
  };
  const put = (i: number, value: number): void => {
    const bytes = new Uint8Array(100).fill(value);
    insert(pager, root, key(i), 0, 8, bytes, 0, 100, false);
  };
  for (let i = 0; i < 100_000; i++) put(i * 2, 1);
  assert(root.height >= 3);
  const loadsOf = (a: TreeRoot, lower: Bound | null, upper: Bound | null): number => {
    const before = pager.loads;
    assertEquals(treesDiffer(pager, a, root, lower, upper), false);
    return pager.loads - before;
  };
  const before = root.clone();
  assertEquals(loadsOf(before, null, null), 0);
  pager.version++;
  put(100_000, 2);
  const { height } = root;
  // A key beside the one that was changed, one far away, and everything but that key.
  const next: Bound = { key: key(100_002), inclusive: true };
  assertLess(loadsOf(before, next, next), 4 * height + 4);
  const far: Bound = { key: key(10), inclusive: true };
  assertLess(loadsOf(before, far, far), 4 * height);
  const changed: Bound = { key: key(100_000), inclusive: false };
  // Slots of the branches on the way are passed over one by one; their pages stay where they are.
  const fanout = 200;
  assertLess(loadsOf(before, null, changed), 2 * (height * fanout + 100));
  assertLess(loadsOf(before, changed, null), 2 * (height * fanout + 100));
});
