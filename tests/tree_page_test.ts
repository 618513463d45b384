/** Pages by themselves: cells, room, hints, search, and the structural check under mutation. */

import type { Arena } from "../lib/memory/arena.ts";
import { commonBytes, compareBytes, hintOf } from "../lib/tree/bytes.ts";
import {
  cellAt,
  cellCount,
  cellHasOverflow,
  keyLengthAt,
  leafCellBytes,
  padded,
  payloadAt,
  payloadBytes,
  setCellCount,
  SLOT_BYTES,
} from "../lib/tree/cell.ts";
import { Cursor } from "../lib/tree/cursor.ts";
import { find, Hit } from "../lib/tree/find.ts";
import {
  ascendingRun,
  clearRun,
  freeBytes,
  HEADER_BYTES,
  liveBytes,
  noteInsert,
  PAGE_BRANCH,
  PAGE_LEAF,
  pageCount,
  pagePrefix,
  WORD_GARBAGE,
  WORD_KIND,
  WORD_PREFIX,
  WORD_SLOTS,
  WORD_USED,
} from "../lib/tree/page.ts";
import { checkPage } from "../lib/tree/page_check.ts";
import {
  compact,
  makeRoom,
  putBranch,
  putLeaf,
  rehint,
  removeSlots,
} from "../lib/tree/page_edit.ts";
import { TreeRoot } from "../lib/tree/root.ts";
import { searchBranch, searchLeaf } from "../lib/tree/search.ts";
import { assert, assertEquals, assertGreater, assertMatch } from "./support/assert.ts";
import { blankPage } from "./support/memory_pager.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const PAGE_SIZE = 4096;

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Inserts into the leaf in frame 1 where the search says. */
function put(arena: Arena, key: Uint8Array, value: Uint8Array): void {
  const chunk = arena.chunk(1);
  const base = arena.base(1);
  const slot = ~searchLeaf(chunk, base, key, 0, key.length);
  assert(slot >= 0);
  assert(
    makeRoom(chunk, base, PAGE_SIZE, leafCellBytes(key.length, value.length) + SLOT_BYTES),
  );
  putLeaf(chunk, base, PAGE_SIZE, slot, key, 0, key.length, value, 0, value.length, false);
}

function keysOf(arena: Arena): string[] {
  const { u8, u32 } = arena.chunk(1);
  const base = arena.base(1);
  return Array.from({ length: pageCount(u32, base) }, (_, slot) => {
    const at = cellAt(u32, base, slot) + 4;
    return new TextDecoder().decode(u8.slice(at, at + keyLengthAt(u32, base, slot)));
  });
}

test("hints order as the keys do, as far as they go", () => {
  const random = Random.fromEnvironment("hints");
  for (let i = 0; i < 3000; i++) {
    const a = random.bytes(random.int(7)).map((byte) => byte & 0x81);
    const b = random.bytes(random.int(7)).map((byte) => byte & 0x81);
    const order = Math.sign(compareBytes(a, 0, a.length, b, 0, b.length));
    const hints = Math.sign(hintOf(a, 0, a.length) - hintOf(b, 0, b.length));
    assert(hints === order || hints === 0, `${a} and ${b}`);
  }
  assertEquals(hintOf(bytesOf("abcdef"), 1, 5), 0x62636465);
  assertEquals(hintOf(bytesOf("abcdef"), 4, 2), 0x65660000);
  assertEquals(hintOf(bytesOf("abc"), 3, -1), 0);
  assertEquals(commonBytes(bytesOf("xabc"), 1, bytesOf("abd"), 0, 3), 2);
});

test("a leaf keeps its keys in order and its prefix as long as the first keys allow", () => {
  const arena = blankPage(PAGE_SIZE);
  const { u32 } = arena.chunk(1);
  const base = arena.base(1);
  put(arena, bytesOf("user/b"), bytesOf("1"));
  assertEquals(pagePrefix(u32, base), 6);
  put(arena, bytesOf("user/a"), bytesOf("22"));
  assertEquals(pagePrefix(u32, base), 5);
  put(arena, bytesOf("user/ba"), bytesOf("333"));
  assertEquals(pagePrefix(u32, base), 5);
  put(arena, bytesOf("us"), bytesOf(""));
  assertEquals(pagePrefix(u32, base), 2);
  put(arena, bytesOf(""), bytesOf("4444"));
  assertEquals(pagePrefix(u32, base), 0);
  assertEquals(keysOf(arena), ["", "us", "user/a", "user/b", "user/ba"]);
  assertEquals(checkPage(arena.chunk(1), base, PAGE_SIZE), null);
  removeSlots(arena.chunk(1), base, PAGE_SIZE, 0, 2);
  rehint(arena.chunk(1), base);
  assertEquals(pagePrefix(u32, base), 5);
  assertEquals(keysOf(arena), ["user/a", "user/b", "user/ba"]);
});

test("search finds a key against any prefix, and says where others belong", () => {
  const random = Random.fromEnvironment("search in pages");
  const texts = ["", "a", "ab", "abc", "abd", "b", "\0", "a\0", "a\0\0\0\0\0", "abcabcabc", "ÿ"];
  const [leaf, branch] = [blankPage(PAGE_SIZE), blankPage(PAGE_SIZE)];
  for (let round = 0; round < 400; round++) {
    const head = "p".repeat(random.int(6));
    const chosen = new Set<string>();
    while (chosen.size < 1 + random.int(6)) chosen.add(head + random.pick(texts));
    blankPage(PAGE_SIZE, PAGE_LEAF, 0, leaf);
    for (const text of chosen) put(leaf, bytesOf(text), bytesOf(text));
    if (random.chance(0.5)) rehint(leaf.chunk(1), leaf.base(1));
    const keys = keysOf(leaf);
    blankPage(PAGE_SIZE, PAGE_BRANCH, 1, branch);
    const ref = new Uint32Array(4);
    for (const [slot, text] of ["", ...keys.filter((key) => key !== "")].entries()) {
      const key = bytesOf(text);
      const base = branch.base(1);
      putBranch(branch.chunk(1), base, PAGE_SIZE, slot, ref, 0, 1, false, key, 0, key.length);
    }
    for (const text of [...texts, ...texts.map((t) => head + t), "p", "q", "o", ...keys]) {
      const key = bytesOf(text);
      const before = keys.filter((other) => {
        const bytes = bytesOf(other);
        return compareBytes(bytes, 0, bytes.length, key, 0, key.length) < 0;
      }).length;
      const expected = keys.includes(text) ? before : ~before;
      assertEquals(searchLeaf(leaf.chunk(1), leaf.base(1), key, 0, key.length), expected);
      const empty = keys.includes("") ? 1 : 0;
      const child = before + (keys.includes(text) ? 1 : 0) - empty;
      assertEquals(
        searchBranch(branch.chunk(1), branch.base(1), key, 0, key.length),
        Math.max(child, 0),
      );
    }
  }
});

test("removed cells are garbage until the page is compacted for room", () => {
  const arena = blankPage(PAGE_SIZE);
  const chunk = arena.chunk(1);
  const base = arena.base(1);
  const value = new Uint8Array(388);
  for (let i = 0; i < 10; i++) put(arena, bytesOf(`k${i}`), value.fill(i));
  const live = liveBytes(chunk.u32, base);
  removeSlots(chunk, base, PAGE_SIZE, 2, 4);
  assertEquals(liveBytes(chunk.u32, base), live - 2 * (396 + SLOT_BYTES));
  assertEquals(chunk.u32[(base >> 2) + WORD_GARBAGE], 2 * 396);
  assertEquals(checkPage(chunk, base, PAGE_SIZE), null);
  assert(freeBytes(chunk.u32, base, PAGE_SIZE) < 500);
  assert(makeRoom(chunk, base, PAGE_SIZE, 800));
  assertEquals(chunk.u32[(base >> 2) + WORD_GARBAGE], 0);
  assertEquals(
    freeBytes(chunk.u32, base, PAGE_SIZE),
    PAGE_SIZE - HEADER_BYTES - liveBytes(chunk.u32, base),
  );
  assertEquals(checkPage(chunk, base, PAGE_SIZE), null);
  assertEquals(keysOf(arena), ["k0", "k1", "k4", "k5", "k6", "k7", "k8", "k9"]);
  for (let slot = 0; slot < 8; slot++) {
    const cell = cellAt(chunk.u32, base, slot);
    assertEquals(payloadBytes(chunk.u32, cell), 388);
    assertEquals(chunk.u8[payloadAt(cell, 2) + 387], slot < 2 ? slot : slot + 2);
  }
  assertEquals(makeRoom(chunk, base, PAGE_SIZE, PAGE_SIZE), false);
  removeSlots(chunk, base, PAGE_SIZE, 0, 8);
  assertEquals(freeBytes(chunk.u32, base, PAGE_SIZE), PAGE_SIZE - HEADER_BYTES);
});

test("counts of branch cells go beyond 32 bits, beside the overflow flag", () => {
  const words = new Uint32Array(6);
  for (const count of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 5, 2 ** 52 + 3]) {
    for (const overflow of [false, true]) {
      setCellCount(words, 0, count, overflow);
      assertEquals(cellCount(words, 0), count);
      assertEquals(cellHasOverflow(words, 0), overflow);
    }
  }
});

test("a run is seen after three inserts in a row and ends elsewhere", () => {
  const arena = blankPage(PAGE_SIZE);
  const { u32 } = arena.chunk(1);
  const base = arena.base(1);
  for (const slot of [0, 1, 2]) {
    assertEquals(ascendingRun(u32, base, slot), false);
    noteInsert(u32, base, slot);
  }
  assertEquals(ascendingRun(u32, base, 3), true);
  assertEquals(ascendingRun(u32, base, 2), false);
  noteInsert(u32, base, 0);
  assertEquals(ascendingRun(u32, base, 1), false);
  for (let slot = 1; slot < 20; slot++) noteInsert(u32, base, slot);
  assertEquals(ascendingRun(u32, base, 20), true);
  clearRun(u32, base);
  assertEquals(ascendingRun(u32, base, 20), false);
});

/** A full leaf or branch with some garbage, in frame 1. */
function samplePage(random: Random, kind: number, used?: Arena): Arena {
  const arena = blankPage(PAGE_SIZE, kind, kind === PAGE_LEAF ? 0 : 1, used);
  const chunk = arena.chunk(1);
  const base = arena.base(1);
  if (kind === PAGE_LEAF) {
    for (let i = 0; i < 25; i++) {
      const key = bytesOf(`key ${random.next32()}`);
      if (searchLeaf(chunk, base, key, 0, key.length) < 0) put(arena, key, random.bytes(i * 3));
    }
  } else {
    const ref = new Uint32Array(4);
    for (let i = 0; i < 25; i++) {
      const key = bytesOf(i === 0 ? "" : `key ${String(i).padStart(3, "0")}`);
      putBranch(chunk, base, PAGE_SIZE, i, ref, 0, 5, false, key, 0, key.length);
    }
  }
  removeSlots(chunk, base, PAGE_SIZE, 3, 6);
  if (random.chance(0.3)) compact(chunk, base, PAGE_SIZE);
  return arena;
}

test("checkPage accepts pages, and what it accepts of mutated pages can be read", () => {
  const random = Random.fromEnvironment("checkPage under mutation");
  const hit = new Hit();
  let accepted = 0;
  let refused = 0;
  // One for all: thousands of shared memories hold the collector up.
  const arena = blankPage(PAGE_SIZE);
  for (let round = 0; round < 6000; round++) {
    const leaf = random.chance(0.7);
    samplePage(random, leaf ? PAGE_LEAF : PAGE_BRANCH, arena);
    const chunk = arena.chunk(1);
    const base = arena.base(1);
    if (round % 50 === 0) assertEquals(checkPage(chunk, base, PAGE_SIZE), null);
    for (let n = 1 + random.int(3); n > 0; n--) {
      const at = base + 8 + random.int(random.pick([32, 200, PAGE_SIZE - 8]));
      if (random.chance(0.5)) chunk.u8[at] ^= 1 << random.int(8);
      else chunk.u32[at >> 2] = random.pick([0, 0xffffffff, 0x7fffffff, random.next32()]);
    }
    if (checkPage(chunk, base, PAGE_SIZE) !== null) {
      refused++;
      continue;
    }
    accepted++;
    const key = bytesOf(`key ${random.next32()}`);
    const count = pageCount(chunk.u32, base);
    const slot = leaf
      ? searchLeaf(chunk, base, key, 0, key.length)
      : searchBranch(chunk, base, key, 0, key.length);
    assert((slot < 0 ? ~slot : slot) <= count);
    if (!leaf) continue;
    const pager = { arena, pagesMax: () => 1, load: () => 1 };
    const root = new TreeRoot();
    root.height = 1;
    root.count = count;
    find(pager, root, key, 0, key.length, hit);
    const cursor = new Cursor(pager);
    let entries = 0;
    for (let more = cursor.seek(root, null, true); more; more = cursor.next()) {
      const end = cursor.valueOffset(cursor.slot) + cursor.valueLength(cursor.slot);
      assert(cursor.keyOffset(cursor.slot) >= base && end <= base + PAGE_SIZE);
      assert(padded(cursor.keyLength(cursor.slot)) <= PAGE_SIZE / 4);
      entries++;
    }
    assertEquals(entries, count);
  }
  assertGreater(accepted, 500);
  assertGreater(refused, 500);
});

test("checkPage names what is wrong", () => {
  const random = Random.fromEnvironment("checkPage by case");
  const cases: [number, RegExp, (u32: Uint32Array, page: number, slots: number) => void][] = [
    [PAGE_LEAF, /kind/, (u32, page) => u32[page + WORD_KIND] ^= 0x10],
    [PAGE_LEAF, /level/, (u32, page) => u32[page + WORD_KIND] ^= 0x100],
    [PAGE_BRANCH, /level/, (u32, page) => u32[page + WORD_KIND] ^= 0x100],
    [PAGE_LEAF, /no slots/, (u32, page) => u32[page + WORD_KIND] &= 0xffff],
    [PAGE_LEAF, /do not fit/, (u32, page) => u32[page + WORD_KIND] |= 0xffff0000],
    [PAGE_LEAF, /do not fit/, (u32, page) => u32[page + WORD_USED] = 0xfffffff0],
    [PAGE_LEAF, /aligned/, (u32, page) => u32[page + WORD_USED] += 2],
    [PAGE_LEAF, /outside/, (u32, _page, slots) => u32[slots + 5] &= ~0xffff],
    [PAGE_LEAF, /outside/, (u32, _page, slots) => u32[slots + 5] ^= 2],
    [PAGE_LEAF, /outside/, (u32, _page, slots) => u32[slots + 5] |= 0xfffc],
    // Eight bytes of the head are on the page, the rest behind it.
    [PAGE_BRANCH, /outside/, (u32, _page, slots) => u32[slots + 5] = PAGE_SIZE - 8 | 0x70000],
    [PAGE_LEAF, /key of/, (u32, _page, slots) => u32[slots + 5] |= 0xf0000000],
    [PAGE_LEAF, /leaves the page/, (u32, page, slots) => {
      u32[page + ((u32[slots + 5] & 0xffff) >> 2)] = PAGE_SIZE;
    }],
    [PAGE_LEAF, /leaves the page/, (u32, page, slots) => {
      u32[page + ((u32[slots + 5] & 0xffff) >> 2)] = 0x7fffffff;
    }],
    [PAGE_LEAF, /overflow payload/, (u32, page, slots) => {
      u32[page + ((u32[slots + 5] & 0xffff) >> 2)] ^= 0x80000000;
    }],
    [PAGE_LEAF, /prefix/, (u32, page) => u32[page + WORD_PREFIX] = 200],
    [PAGE_LEAF, /garbage/, (u32, page) => u32[page + WORD_GARBAGE] += 4],
    [PAGE_BRANCH, /first key/, (u32, _page, slots) => u32[slots + 1] = u32[slots + 3]],
  ];
  for (const [kind, message, damage] of cases) {
    const arena = samplePage(random, kind);
    const chunk = arena.chunk(1);
    const base = arena.base(1);
    assertEquals(checkPage(chunk, base, PAGE_SIZE), null);
    damage(chunk.u32, base >> 2, (base >> 2) + WORD_SLOTS);
    assertMatch(checkPage(chunk, base, PAGE_SIZE) ?? "accepted", message);
  }
});
