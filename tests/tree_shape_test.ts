/** How trees grow and shrink: fill, height, cost in pages, and what a failing `reserve` leaves. */

import { checkTree } from "../lib/tree/check.ts";
import { Cursor } from "../lib/tree/cursor.ts";
import { find, Hit, rank } from "../lib/tree/find.ts";
import { insert } from "../lib/tree/insert.ts";
import { capacityOf, inlineBytesMax, keyBytesMax, pagePrefix } from "../lib/tree/page.ts";
import type { PageWriter } from "../lib/tree/pager.ts";
import { dropTree, removeRange } from "../lib/tree/range.ts";
import { remove } from "../lib/tree/remove.ts";
import { TreeRoot } from "../lib/tree/root.ts";
import { treeStats } from "../lib/tree/stats.ts";
import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "./support/assert.ts";
import { MemoryPager } from "./support/memory_pager.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const PAGE_SIZE = 4096;
const VALUE = new Uint8Array(100).fill(1);

function pagerOf(pageSize = PAGE_SIZE): MemoryPager {
  return new MemoryPager({ pageSize, frames: 64e6 / pageSize });
}

function numberKey(number: number, length = 8): Uint8Array {
  const key = new Uint8Array(length);
  new DataView(key.buffer).setUint32(length - 4, number);
  return key;
}

function put(pager: PageWriter, root: TreeRoot, key: Uint8Array, value = VALUE): boolean {
  return insert(pager, root, key, 0, key.length, value, 0, value.length, false);
}

function expectClean(pager: MemoryPager, root: TreeRoot): void {
  const findings: string[] = [];
  checkTree(pager, root, (finding) => findings.push(finding));
  assertEquals(findings, []);
  const stats = treeStats(pager, root);
  assertEquals(pager.livePages, stats.leafPages + stats.branchPages);
}

test("ascending, descending and grouped ascending loads fill pages", () => {
  const orders: [string, (i: number) => Uint8Array, number][] = [
    ["ascending", (i) => numberKey(i), 0.95],
    ["descending", (i) => numberKey(1e6 - i), 0.95],
    // Ten groups grow in turn, one insert each: nine of them ascend in the middle of the tree.
    ["ten groups", (i) => numberKey((i % 10) * 1e6 + i), 0.85],
  ];
  for (const [name, keyOf, fill] of orders) {
    const pager = pagerOf();
    const root = new TreeRoot();
    for (let i = 0; i < 20_000; i++) put(pager, root, keyOf(i));
    expectClean(pager, root);
    assertGreater(treeStats(pager, root).fill, fill, name);
  }
});

test("an ascending load fills branches too", () => {
  const pager = pagerOf();
  const root = new TreeRoot();
  // Few entries per leaf, so that there are many branches.
  const value = new Uint8Array(900);
  for (let i = 0; i < 12_000; i++) put(pager, root, numberKey(i, 64), value);
  expectClean(pager, root);
  const stats = treeStats(pager, root);
  assertGreater(stats.branchPages, 20);
  assertGreater(stats.branchBytes / (stats.branchPages * capacityOf(PAGE_SIZE)), 0.9);
});

test("splits find longer prefixes", () => {
  const random = Random.fromEnvironment("longer prefixes");
  const pager = pagerOf();
  const root = new TreeRoot();
  for (let i = 0; i < 4000; i++) {
    const key = new Uint8Array(20).fill(i & 7, 0, 12);
    key.set(random.bytes(8), 12);
    put(pager, root, key);
  }
  const cursor = new Cursor(pager);
  let leaves = 0;
  let short = 0;
  for (let more = cursor.seek(root, null, true); more; more = cursor.nextLeaf()) {
    leaves++;
    if (pagePrefix(cursor.chunk.u32, cursor.base) < 12) short++;
  }
  // Only the leaves between two of the eight groups may have none.
  assertLess(short, 10);
  assertGreater(leaves, 100);
});

test("leaves on both ends of removed ranges are merged", () => {
  const pager = pagerOf();
  const root = new TreeRoot();
  for (let i = 0; i < 20_000; i++) put(pager, root, numberKey(i));
  // Of a hundred entries, about three leaves, two are left each time, in different leaves.
  for (let i = 0; i < 20_000; i += 100) {
    const lower = { key: numberKey(i), inclusive: false };
    removeRange(pager, root, lower, { key: numberKey(i + 99), inclusive: false });
  }
  expectClean(pager, root);
  assertEquals(root.count, 400);
  assertLess(treeStats(pager, root).leafPages, 50);
});

test("random loads fill pages to about two thirds", () => {
  const random = Random.fromEnvironment("random load");
  const pager = pagerOf();
  const root = new TreeRoot();
  for (let i = 0; i < 20_000; i++) put(pager, root, random.bytes(16));
  expectClean(pager, root);
  assertGreater(treeStats(pager, root).fill, 0.62);
});

test("removing everything in any order gives back every page", () => {
  const random = Random.fromEnvironment("removing everything");
  for (const order of ["ascending", "descending", "random"]) {
    const pager = pagerOf();
    const root = new TreeRoot();
    const keys = Array.from({ length: 10_000 }, (_, i) => numberKey(i));
    for (const key of keys) put(pager, root, key);
    pager.commit();
    if (order === "descending") keys.reverse();
    if (order === "random") {
      for (let i = keys.length - 1; i > 0; i--) {
        const j = random.int(i + 1);
        [keys[i], keys[j]] = [keys[j], keys[i]];
      }
    }
    for (const [i, key] of keys.entries()) {
      assert(remove(pager, root, key, 0, key.length));
      if (i % 2500 === 0) expectClean(pager, root);
      if (i === 9000) assertGreater(treeStats(pager, root).fill, 0.2, order);
    }
    assertEquals(root.height, 0);
    assertEquals(pager.livePages, 0);
  }
});

test("the longest keys with the longest values make trees of several levels", () => {
  for (const pageSize of [4096, 65536]) {
    const random = Random.fromEnvironment(`longest keys, ${pageSize}`);
    const pager = new MemoryPager({ pageSize, frames: 4096, hostile: true });
    const root = new TreeRoot();
    const payload = () => pager.createOverflow(5);
    const long = keyBytesMax(pageSize);
    const keys: Uint8Array[] = [];
    for (let i = 0; i < 400; i++) {
      const key = new Uint8Array(random.chance(0.8) ? long : random.int(long)).fill(3);
      const tail = random.bytes(Math.min(key.length, 2));
      key.set(tail, key.length - tail.length);
      if (insert(pager, root, key, 0, key.length, payload(), 0, 20, true)) continue;
      keys.push(key);
    }
    expectClean(pager, root);
    assertGreater(root.height, 3);
    // And the other extreme beside them: short keys with all the room for values.
    const value = new Uint8Array(inlineBytesMax(pageSize) - 8);
    for (let i = 0; i < 200; i++) put(pager, root, numberKey(random.next32()), value);
    expectClean(pager, root);
    for (const key of keys) assert(remove(pager, root, key, 0, key.length));
    expectClean(pager, root);
    assertEquals(pager.liveExtents, 0);
  }
});

test("removing a range reads branches, and leaves only where overflow values are", () => {
  const pager = pagerOf();
  const root = new TreeRoot();
  for (let i = 0; i < 50_000; i++) put(pager, root, numberKey(i));
  const leaves = treeStats(pager, root).leafPages;
  pager.commit();
  const before = { loads: pager.loads, edits: pager.edits };
  const removed = removeRange(
    pager,
    root,
    { key: numberKey(1000), inclusive: true },
    { key: numberKey(49_000), inclusive: false },
  );
  assertEquals(removed, 48_000);
  assertLess(pager.loads - before.loads, leaves / 4);
  assertLess(pager.edits - before.edits, 30);
  expectClean(pager, root);
  const key = numberKey(49_000);
  assertEquals(rank(pager, root, key, 0, key.length, false), 1000);
  dropTree(pager, root);
  assertEquals(pager.livePages, 0);
});

test("a remove that finds nothing, and an empty range, copy no page", () => {
  const pager = pagerOf();
  const root = new TreeRoot();
  for (let i = 0; i < 2000; i++) put(pager, root, numberKey(2 * i));
  pager.commit();
  const edits = pager.edits;
  assertEquals(remove(pager, root, numberKey(7), 0, 8), false);
  assertEquals(
    removeRange(
      pager,
      root,
      { key: numberKey(6), inclusive: false },
      { key: numberKey(8), inclusive: false },
    ),
    0,
  );
  assertEquals(
    removeRange(
      pager,
      root,
      { key: numberKey(900), inclusive: true },
      { key: numberKey(20), inclusive: true },
    ),
    0,
  );
  assertEquals(pager.edits, edits);
});

test("a failing reserve leaves the tree as it was", () => {
  const pager = pagerOf();
  const root = new TreeRoot();
  for (let i = 0; i < 3000; i++) put(pager, root, numberKey(i));
  const before = root.clone();
  const full: PageWriter = {
    arena: pager.arena,
    load: (words, index, level, cold) => pager.load(words, index, level, cold),
    pagesMax: () => pager.pagesMax(),
    edit: (words, index, level) => pager.edit(words, index, level),
    create: (kind, level, words, index) => pager.create(kind, level, words, index),
    free: (words, index) => pager.free(words, index),
    freeOverflow: (words, index) => pager.freeOverflow(words, index),
    reserve() {
      throw new Error("disk full");
    },
  };
  const bound = { key: numberKey(100), inclusive: true };
  const empty = new TreeRoot();
  assertThrows(() => put(full, empty, numberKey(1)), Error, "disk full");
  assertThrows(() => put(full, root, numberKey(9999)), Error, "disk full");
  assertThrows(() => put(full, root, numberKey(5)), Error, "disk full");
  assertThrows(() => remove(full, root, numberKey(5), 0, 8), Error, "disk full");
  assertThrows(() => removeRange(full, root, bound, null), Error, "disk full");
  assertThrows(() => dropTree(full, root), Error, "disk full");
  assertEquals(empty, new TreeRoot());
  assertEquals(root, before);
  expectClean(pager, root);
});

test("an empty tree has no root page and answers everything", () => {
  const pager = pagerOf();
  const root = new TreeRoot();
  const key = numberKey(1);
  const cursor = new Cursor(pager);
  assertEquals(find(pager, root, key, 0, 8, new Hit()), false);
  assertEquals(rank(pager, root, key, 0, 8, true), 0);
  assertEquals(remove(pager, root, key, 0, 8), false);
  assertEquals(removeRange(pager, root, null, null), 0);
  assertEquals(cursor.seek(root, null, true), false);
  assertEquals(cursor.seekReverse(root, key, true), false);
  assertEquals(cursor.seekIndex(root, 0), false);
  assertEquals(cursor.next() || cursor.previous() || cursor.nextLeaf(), false);
  expectClean(pager, root);
  put(pager, root, new Uint8Array(0));
  assertEquals([root.height, root.count], [1, 1]);
  assertEquals(removeRange(pager, root, null, null), 1);
  assertEquals([root.height, root.count, pager.livePages], [0, 0, 0]);
});
