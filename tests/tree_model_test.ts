/**
 * Trees against a sorted array: the same random operations on both, over key shapes, page sizes and
 * a hostile pager. After them the tree holds the same entries, its check is clean, every page and
 * extent that is live is reached from the root, and roots of earlier versions read as they did.
 */

import { compareBytes } from "../lib/tree/bytes.ts";
import { isOverflow } from "../lib/tree/cell.ts";
import { cellAt, keyLengthAt, payloadAt } from "../lib/tree/cell.ts";
import { Cursor } from "../lib/tree/cursor.ts";
import { checkTree } from "../lib/tree/check.ts";
import { find, Hit, rank } from "../lib/tree/find.ts";
import { insert } from "../lib/tree/insert.ts";
import { type EntryRun, insertRun } from "../lib/tree/insert_run.ts";
import { inlineBytesMax, keyBytesMax, OVERFLOW_PAYLOAD_BYTES } from "../lib/tree/page.ts";
import { countRange, dropTree, removeRange } from "../lib/tree/range.ts";
import { remove } from "../lib/tree/remove.ts";
import { type Bound, TreeRoot } from "../lib/tree/root.ts";
import { treeStats } from "../lib/tree/stats.ts";
import { assert, assertEquals } from "./support/assert.ts";
import { thisRuntime } from "./support/child.ts";
import { MemoryPager } from "./support/memory_pager.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

/** Of the operations: Bun takes some ten times as long for each. */
const SHARE = thisRuntime === "bun" ? 0.4 : 1;

interface Entry {
  key: Uint8Array;
  value: Uint8Array;
  overflow: boolean;
}

type Shape = (random: Random, keyMax: number, counter: number) => Uint8Array;

const SHAPES: Record<string, Shape> = {
  random: (random) => random.bytes(random.int(25)),
  "few letters": (random) => {
    const key = new Uint8Array(random.int(9));
    for (let i = 0; i < key.length; i++) key[i] = random.pick([0, 0, 1, 255]);
    return key;
  },
  ascending: (_random, _keyMax, counter) => counterKey(8, counter),
  descending: (_random, _keyMax, counter) => counterKey(8, 0xffffffff - counter),
  "ascending groups": (random, _keyMax, counter) => {
    const key = counterKey(9, counter);
    key[0] = random.int(5);
    return key;
  },
  "shared prefixes": (random, keyMax) => {
    const key = new Uint8Array(random.int(keyMax >> 2)).fill(7);
    key.set(random.bytes(Math.min(3, key.length)), key.length - Math.min(3, key.length));
    return key;
  },
  "long keys": (random, keyMax) => {
    const key = new Uint8Array(keyMax - random.int(3)).fill(9);
    key.set(random.bytes(2), random.pick([0, key.length - 2]));
    return key;
  },
  mixed: (random, keyMax, counter) => random.pick(PURE_SHAPES)(random, keyMax, counter),
};
const PURE_SHAPES = Object.values(SHAPES).slice(0, -1);

function counterKey(length: number, counter: number): Uint8Array {
  const key = new Uint8Array(length);
  new DataView(key.buffer).setUint32(length - 4, counter);
  return key;
}

interface Options {
  pageSize: number;
  shape: string;
  operations: number;
  overflowChance: number;
  hostile: boolean;
  /** Entries that the model swings around. */
  size: number;
}

/** Entries, one behind the other in one memory. */
class Run implements EntryRun {
  readonly memory: { readonly u8: Uint8Array };
  at = -1;
  keyOffset = 0;
  keyLength = 0;
  valueOffset = 3;
  valueLength = 0;
  readonly #entries: readonly Entry[];

  constructor(entries: readonly Entry[]) {
    const u8 = new Uint8Array(
      3 + entries.reduce((sum, one) => sum + one.key.length + one.value.length, 0),
    );
    let at = 3;
    for (const { key, value } of entries) {
      u8.set(key, at);
      u8.set(value, at + key.length);
      at += key.length + value.length;
    }
    this.memory = { u8 };
    this.#entries = entries;
    this.nextEntry();
  }

  nextEntry(): boolean {
    if (++this.at >= this.#entries.length) return false;
    const { key, value } = this.#entries[this.at];
    this.keyOffset = this.valueOffset + this.valueLength;
    this.keyLength = key.length;
    this.valueOffset = this.keyOffset + key.length;
    this.valueLength = value.length;
    return true;
  }
}

/** A tree, and what it must hold. */
class Pair {
  readonly pager: MemoryPager;
  readonly root = new TreeRoot();
  readonly entries: Entry[] = [];
  readonly hit = new Hit();
  readonly cursor: Cursor;
  counter = 0;

  constructor(readonly options: Options, readonly random: Random) {
    this.pager = new MemoryPager({
      pageSize: options.pageSize,
      frames: Math.ceil(120e6 / options.pageSize),
      chunkBytes: options.pageSize * 64,
      hostile: options.hostile,
    });
    this.cursor = new Cursor(this.pager);
  }

  /** First index whose key is not before the key. */
  lowerBound(key: Uint8Array): number {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.entries[middle].key;
      if (compareBytes(other, 0, other.length, key, 0, key.length) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  has(index: number, key: Uint8Array): boolean {
    return index < this.entries.length && same(this.entries[index].key, key);
  }

  someKey(): Uint8Array {
    if (this.entries.length > 0 && this.random.chance(0.4)) {
      return this.random.pick(this.entries).key;
    }
    const keyMax = keyBytesMax(this.options.pageSize);
    return SHAPES[this.options.shape](this.random, keyMax, this.counter++);
  }

  someValue(key: Uint8Array): Entry {
    const { random, options } = this;
    const room = inlineBytesMax(options.pageSize) - key.length;
    const wish = random.chance(0.1) ? room : random.int(random.pick([2, 40, 300, 900]));
    if (wish > room || random.chance(options.overflowChance)) {
      return { key, value: this.pager.createOverflow(random.int(1e6)), overflow: true };
    }
    return { key, value: random.bytes(Math.max(wish, 0)), overflow: false };
  }

  insert(): void {
    const entry = this.someValue(this.someKey());
    const { key, value, overflow } = entry;
    const index = this.lowerBound(key);
    const there = this.has(index, key);
    // Somewhere inside larger arrays: offsets must be used.
    const bytes = new Uint8Array(new SharedArrayBuffer(5 + key.length + value.length));
    bytes.set(key, 5);
    bytes.set(value, 5 + key.length);
    const { pager, root } = this;
    const at = 5 + key.length;
    const replaced = insert(
      pager,
      root,
      bytes,
      5,
      key.length,
      bytes,
      at,
      value.length,
      overflow,
    );
    assertEquals(replaced, there);
    this.entries.splice(index, there ? 1 : 0, entry);
  }

  /** Sets several entries, mostly in the order of their keys, some of them more than once. */
  insertRun(): void {
    const { pager, root, random } = this;
    const entries: Entry[] = [];
    const near = random.chance(0.5) ? random.int(this.entries.length + 1) : -1;
    for (let i = random.int(40); i >= 0; i--) {
      const key = near >= 0 && near + i < this.entries.length && random.chance(0.7)
        ? this.entries[near + i].key
        : this.someKey();
      const room = inlineBytesMax(this.options.pageSize) - key.length;
      // As long as a reference to an overflow value: the least that any key has room for.
      const most = Math.max(OVERFLOW_PAYLOAD_BYTES, room);
      entries.push({ key, value: random.bytes(Math.min(most, random.int(300))), overflow: false });
    }
    entries.sort((a, b) => compareBytes(a.key, 0, a.key.length, b.key, 0, b.key.length));
    if (random.chance(0.3)) entries.push(...entries.splice(random.int(entries.length), 2));
    const run = new Run(entries);
    while (run.at < entries.length) {
      const before = run.at;
      const { count } = root;
      const set = insertRun(pager, root, run);
      assertEquals(run.at - before, set);
      const added = entries.slice(before, run.at).filter((entry) => this.#put(entry)).length;
      assertEquals(root.count - count, added);
      if (set > 0) continue;
      const { memory: { u8 }, keyOffset, keyLength, valueOffset, valueLength } = run;
      insert(pager, root, u8, keyOffset, keyLength, u8, valueOffset, valueLength, false);
      this.#put(entries[run.at]);
      run.nextEntry();
    }
    assertEquals(root.count, this.entries.length);
  }

  /** Puts an entry into the model; says whether it is new. */
  #put(entry: Entry): boolean {
    const index = this.lowerBound(entry.key);
    const there = this.has(index, entry.key);
    this.entries.splice(index, there ? 1 : 0, entry);
    return !there;
  }

  remove(): void {
    const key = this.someKey();
    const index = this.lowerBound(key);
    const there = this.has(index, key);
    assertEquals(remove(this.pager, this.root, key, 0, key.length), there);
    if (there) this.entries.splice(index, 1);
  }

  someBound(): Bound | null {
    if (this.random.chance(0.1)) return null;
    return { key: this.someKey(), inclusive: this.random.chance(0.5) };
  }

  /** Index of the first entry behind the bound's side: `behind` counts an entry at the bound as before. */
  indexOf(bound: Bound, behind: boolean): number {
    const index = this.lowerBound(bound.key);
    return behind && this.has(index, bound.key) ? index + 1 : index;
  }

  removeRange(): void {
    let lower = this.someBound();
    let upper = this.someBound();
    let from = lower === null ? 0 : this.indexOf(lower, !lower.inclusive);
    let to = upper === null ? this.entries.length : this.indexOf(upper, upper.inclusive);
    // Mostly small ranges: the tree is to grow.
    if (to - from > 40 && this.random.chance(0.93)) {
      const length = this.random.int(40);
      from = this.random.int(this.entries.length - length);
      to = from + length;
      lower = { key: this.entries[from].key, inclusive: true };
      upper = { key: this.entries[to].key, inclusive: false };
    }
    const expected = Math.max(to - from, 0);
    assertEquals(countRange(this.pager, this.root, lower, upper), expected);
    assertEquals(removeRange(this.pager, this.root, lower, upper), expected);
    if (expected > 0) this.entries.splice(from, expected);
  }

  /** Reads around a key in every way. */
  read(): void {
    const { pager, root, hit, cursor, random, entries } = this;
    const key = this.someKey();
    const index = this.lowerBound(key);
    const there = this.has(index, key);
    assertEquals(find(pager, root, key, 0, key.length, hit), there);
    if (there) {
      const entry = entries[index];
      assertEquals(hit.overflow, entry.overflow);
      assertEquals(
        hit.chunk.u8.slice(hit.valueOffset, hit.valueOffset + hit.valueLength),
        entry.value,
      );
    }
    assertEquals(rank(pager, root, key, 0, key.length, false), index);
    const behind = there ? index + 1 : index;
    assertEquals(rank(pager, root, key, 0, key.length, true), behind);

    const inclusive = random.chance(0.5);
    cursor.seek(root, key, inclusive);
    this.expectWalk(inclusive ? index : behind);
    cursor.seekReverse(root, key, inclusive);
    this.expectWalk((inclusive ? behind : index) - 1);
    const place = random.int(entries.length + 2) - 1;
    cursor.seekIndex(root, place);
    this.expectWalk(place);
  }

  /** The cursor stands at this index, and random steps from there lead where they should. */
  expectWalk(index: number): void {
    const forward = this.random.chance(0.5);
    for (let steps = this.random.int(30);; steps--) {
      const inside = index >= 0 && index < this.entries.length;
      assertEquals(this.cursor.valid, inside);
      if (!inside) return;
      expectEntry(this.cursor, this.entries[index]);
      if (steps === 0) return;
      const ahead = this.random.chance(0.9) === forward;
      assertEquals(
        ahead ? this.cursor.next() : this.cursor.previous(),
        this.cursor.valid,
      );
      index += ahead ? 1 : -1;
    }
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return compareBytes(a, 0, a.length, b, 0, b.length) === 0;
}

function expectEntry(cursor: Cursor, entry: Entry): void {
  const { u8 } = cursor.chunk;
  const { slot } = cursor;
  const key = cursor.keyOffset(slot);
  const value = cursor.valueOffset(slot);
  assert(
    compareBytes(u8, key, cursor.keyLength(slot), entry.key, 0, entry.key.length) === 0,
    "the cursor's key",
  );
  assert(
    compareBytes(u8, value, cursor.valueLength(slot), entry.value, 0, entry.value.length) === 0,
    "the cursor's value",
  );
  assertEquals(cursor.overflow(slot), entry.overflow);
}

/** All entries, in both directions, and the structure. */
function expectTree(pager: MemoryPager, root: TreeRoot, entries: Entry[]): void {
  const findings: string[] = [];
  checkTree(pager, root, (finding) => findings.push(finding));
  assertEquals(findings, []);
  assertEquals(root.count, entries.length);
  const cursor = new Cursor(pager);
  let index = 0;
  for (let more = cursor.seek(root, null, true); more; more = cursor.next()) {
    expectEntry(cursor, entries[index++]);
  }
  assertEquals(index, entries.length);
  for (let more = cursor.seekReverse(root, null, true); more; more = cursor.previous()) {
    expectEntry(cursor, entries[--index]);
  }
  assertEquals(index, 0);
}

/** Every live page and extent is reached from the root, once. */
function expectNoLeak(pager: MemoryPager, root: TreeRoot): void {
  const stats = treeStats(pager, root);
  assertEquals(pager.livePages, stats.leafPages + stats.branchPages);
  const cursor = new Cursor(pager);
  const extents = new Set<number>();
  for (let more = cursor.seek(root, null, true); more; more = cursor.next()) {
    const u32 = cursor.chunk.u32;
    const cell = cellAt(u32, cursor.base, cursor.slot);
    const payload = payloadAt(cell, keyLengthAt(u32, cursor.base, cursor.slot));
    if (isOverflow(u32, cell)) extents.add(u32[payload >> 2]);
  }
  assertEquals(extents.size, stats.overflowValues);
  assertEquals(pager.liveExtents, stats.overflowValues);
}

function run(options: Options, random: Random): void {
  const pair = new Pair(options, random);
  const { pager, root } = pair;
  let snapshots: { root: TreeRoot; entries: Entry[] }[] = [];
  for (let i = 0; i < options.operations; i++) {
    // Waves: mostly inserts until the size is reached, then mostly removes down to nearly nothing.
    const wave = (i / options.operations * 4) % 2;
    const growing = wave < 1.2 && pair.entries.length < options.size;
    const dice = random.next();
    if (dice < (growing ? 0.015 : 0.005)) pair.insertRun();
    else if (dice < (growing ? 0.75 : 0.25)) pair.insert();
    else if (dice < 0.85) pair.remove();
    else if (dice < (growing ? 0.851 : 0.87)) pair.removeRange();
    else pair.read();
    if (random.chance(0.02)) pager.commit();
    if (random.chance(0.003)) {
      pager.commit();
      snapshots.push({ root: root.clone(), entries: pair.entries.slice() });
      if (snapshots.length > 3) {
        for (const snapshot of snapshots) expectTree(pager, snapshot.root, snapshot.entries);
        snapshots = [];
        pager.prune();
      }
    }
    if (random.chance(0.004)) {
      expectTree(pager, root, pair.entries);
      expectNoLeak(pager, root);
    }
  }
  expectTree(pager, root, pair.entries);
  expectNoLeak(pager, root);
  for (const snapshot of snapshots) expectTree(pager, snapshot.root, snapshot.entries);
  dropTree(pager, root);
  assertEquals(pager.livePages, 0);
  assertEquals(pager.liveExtents, 0);
}

const SIZES: Record<string, number> = { "long keys": 250, "shared prefixes": 800 };

for (const shape of Object.keys(SHAPES)) {
  test(`tree against a model: ${shape}`, () => {
    const random = Random.fromEnvironment(`tree against a model, ${shape}`);
    for (const hostile of [true, false]) {
      run({
        pageSize: 4096,
        shape,
        operations: (hostile ? 8000 : 2500) * SHARE,
        overflowChance: hostile ? 0.03 : 0.3,
        hostile,
        size: SIZES[shape] ?? 4000,
      }, random);
    }
  });
}

test("tree against a model: larger pages", () => {
  const random = Random.fromEnvironment("tree against a model, larger pages");
  for (const pageSize of [8192, 16384, 65536]) {
    run({
      pageSize,
      shape: "mixed",
      operations: 2500 * SHARE,
      overflowChance: 0.02,
      hostile: true,
      size: 1200,
    }, random);
  }
});
