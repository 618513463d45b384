/**
 * Files from strangers: every checksum is right, and what pages say is made to hurt. Opening and reading them
 * ends, with an error that names the place, takes no more memory than the file has bytes, and reads
 * nothing that is not in it.
 */

import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bytes as bytesCodec, ManifoldError, open, text } from "../mod.ts";
import type { Chunk } from "../lib/memory/arena.ts";
import { cellAt, isOverflow, keyLengthAt, payloadAt } from "../lib/tree/cell.ts";
import {
  PAGE_BRANCH,
  PAGE_LEAF,
  pageCount,
  WORD_BIRTH_LOW,
  WORD_INCARNATION,
  WORD_KIND,
  WORD_NUMBER,
} from "../lib/tree/page.ts";
import { REF_WORDS } from "../lib/tree/pager.ts";
import { treeStats } from "../lib/tree/stats.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
  assertThrows,
} from "./support/assert.ts";
import { changeAll, PAGE_SIZE, readAll } from "./support/damaged_samples.ts";
import { assertUntouched } from "./support/database_process.ts";
import { salvageBytes } from "./support/damage_tools.ts";
import {
  forger,
  foundByVerify,
  opener,
  placesIn,
  referTo,
  REFUSED_WITHIN_MS,
  refusedLater,
  sample,
  withTableEntry,
} from "./support/forged_sample.ts";
import { childWord } from "./support/hostile_file.ts";
import { Operations } from "./support/local_family.ts";
import { BYTES_PATH, entriesOf } from "./support/opened_bytes.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

test("hostile: trees that lead to themselves, to their parent, elsewhere, or everywhere", async () => {
  const { bytes } = sample;
  const { branch } = placesIn(bytes);
  const other = forger.pages(bytes, PAGE_BRANCH, true).find((page) => page !== branch)!;
  await refusedLater(
    "a branch below itself",
    referTo(bytes, branch, [0], branch),
    `page ${branch} `,
    "level",
  );
  await refusedLater(
    "a branch below a branch",
    referTo(bytes, branch, [0], other),
    `page ${other} `,
  );
  await refusedLater(
    "a child beyond the table of pages",
    forger.withPage(bytes, branch, (page) => {
      page.u32[childWord(page, 0)] = 2 ** 32 - 1;
    }),
    `page ${2 ** 32 - 1} `,
  );
  await refusedLater(
    "a child behind the end",
    forger.withPage(bytes, branch, (page) => {
      page.u32[childWord(page, 0)] = bytes.length / PAGE_SIZE + 5;
    }),
    "bytes are in the file",
  );
  await refusedLater(
    "a child in the meta pages",
    forger.withPage(bytes, branch, (page) => {
      page.u32[childWord(page, 0)] = 1;
    }),
    "page 1 ",
  );
  // As many levels as the root's height says, each the same page: every walk must end with the first.
  const tall = withTableEntry(bytes, (words) => words[1] = 40);
  await refusedLater("a tree of 40 levels", tall, `page ${branch} `, "level 39");
  await refusedLater(
    "a leaf as the root",
    withTableEntry(bytes, (words) => {
      words[1] = 1;
    }),
    `page ${branch} `,
    "level 0",
  );
});

test("hostile: a tree in which every page is reached by more ways than there are pages", async () => {
  const { bytes } = sample;
  const { branch, leaf } = placesIn(bytes);
  const { families, extents, filePages } = forger.directory(bytes);
  const levels = 30;
  let file: Uint8Array = new Uint8Array(bytes.length + levels * PAGE_SIZE);
  file.set(bytes);
  // Level by level a branch whose children are all the one below: 2^30 ways to one leaf, or more.
  for (let level = 1; level < levels; level++) {
    const page = filePages + level;
    file.copyWithin(page * PAGE_SIZE, branch * PAGE_SIZE, (branch + 1) * PAGE_SIZE);
    file = forger.withPage(file, page, ({ u32 }) => {
      u32[WORD_NUMBER] = page;
      u32[WORD_KIND] = (u32[WORD_KIND] & 0xffff0000) | PAGE_BRANCH | (level << 8);
    });
    const slots = pageCount(new Uint32Array(file.slice().buffer), page * PAGE_SIZE);
    assertGreater(slots, 1);
    const all = Array.from({ length: slots }, (_, slot) => slot);
    file = referTo(file, page, all, level === 1 ? leaf : page - 1);
  }
  file = forger.withDirectory(file, {
    filePages: filePages + levels,
    extents: [...extents, { start: filePages, pages: levels, free: false, owner: families[0].id }],
  });
  const top = filePages + levels - 1;
  const view = new DataView(file.buffer, top * PAGE_SIZE);
  file = withTableEntry(file, (words) => {
    words[1] = levels;
    words[2] = top;
    words[3] = view.getUint32(WORD_BIRTH_LOW * 4, true);
    words[4] = view.getUint32((WORD_BIRTH_LOW + 1) * 4, true);
    words[5] = view.getUint32(WORD_INCARNATION * 4, true);
  });
  const opened = opener.open(file, { readOnly: true });
  for (const reverse of [false, true]) {
    const began = performance.now();
    let entries = 0;
    const error = assertThrows(
      () => {
        for (const _ of entriesOf(opened.table("shop", "stock"), reverse)) entries++;
      },
      ManifoldError,
      "more pages",
    );
    assertEquals(error.code, "corrupt");
    assert(error.message.includes(BYTES_PATH) && error.message.includes(`"stock"`), error.message);
    assertLess(performance.now() - began, REFUSED_WITHIN_MS);
    assertGreater(entries, 0);
  }
  await foundByVerify("a tree of 2^30 ways", file);
  assert(!(await salvageBytes(file, sample, "a tree of 2^30 ways") instanceof ManifoldError));
  const { memory } = opened;
  const { root: tree } = opened.table("shop", "stock").resolve()!;
  memory.epochs.enter();
  assertThrows(() => treeStats(memory.store, tree), ManifoldError, "more pages");
  memory.epochs.leave();
  const changed = changeAll(opener.open(file), sample.contents);
  assert(changed.some(({ message }) => message.includes("in use")), changed[0].message);
});

test("hostile: pages, cells, overflow values and catalog entries that say what cannot be", async () => {
  const { bytes } = sample;
  const { leaf, catalog } = placesIn(bytes);
  const page = (number: number, change: (page: Chunk) => void): Uint8Array =>
    forger.withPage(bytes, number, change);
  const words = ({ u32 }: Chunk, at: number, value: number): void => void (u32[at] = value);
  await refusedLater(
    "65,535 slots",
    page(leaf, (one) => {
      one.u32[WORD_KIND] |= 0xffff0000;
    }),
    `page ${leaf} `,
    "slots",
  );
  await refusedLater("no slots", page(leaf, (one) => words(one, WORD_KIND, PAGE_LEAF)), "no slots");
  await refusedLater(
    "an unknown kind",
    page(leaf, (one) => {
      one.u32[WORD_KIND] = (one.u32[WORD_KIND] & ~0xff) | 9;
    }),
    "kind 9",
  );
  await refusedLater(
    "cells of 4 GiB",
    page(leaf, (one) => words(one, 8, 2 ** 32 - 4)),
    `page ${leaf} `,
  );
  await refusedLater(
    "a prefix longer than its keys",
    page(leaf, (one) => {
      one.u32[7] |= 0xffff;
    }),
    "prefix",
  );
  await refusedLater(
    "a payload of 2 GiB",
    page(leaf, (one) => {
      one.u32[cellAt(one.u32, 0, 0) >> 2] = 2 ** 31 - 1;
    }),
    "leaves the page",
  );
  await refusedLater(
    "a key of 64 KiB",
    page(leaf, (one) => {
      one.u32[13] |= 0xffff0000;
    }),
    "key of 65535 bytes",
  );
  for (const length of [2 ** 32 - 1, 2 ** 30 + 1, 2 ** 30, bytes.length]) {
    const [holder] = overflowLeaves(bytes);
    await refusedLater(
      `an overflow value of ${length} bytes`,
      page(holder, ({ u32 }) => {
        for (let slot = 0; slot < pageCount(u32, 0); slot++) {
          const cell = cellAt(u32, 0, slot);
          if (!isOverflow(u32, cell)) continue;
          u32[(payloadAt(cell, keyLengthAt(u32, 0, slot)) >> 2) + REF_WORDS] = length;
        }
      }),
      "fit the file",
    );
  }
  const entries: Record<string, (words: Uint32Array) => void> = {
    "table 0": (entry) => entry[0] = 0,
    "table 2^32": (entry) => entry[0] = 2 ** 32 - 1,
    "41 levels": (entry) => entry[1] = 41,
    "2^32 levels": (entry) => entry[1] = 2 ** 32 - 1,
    "no level": (entry) => entry[1] = 0,
    "no entries": (entry) => entry[6] = entry[7] = 0,
    "2^63 entries": (entry) => entry[7] = 2 ** 31,
  };
  for (const [what, change] of Object.entries(entries)) {
    await refusedLater(
      `${what} in a catalog's entry`,
      withTableEntry(bytes, change),
      "entry of a catalog",
    );
  }
  await refusedLater(
    "a catalog's entry cut short",
    page(catalog, (one) => {
      one.u32[cellAt(one.u32, 0, 0) >> 2] -= 32;
      one.u32[9] += 32;
    }),
    "too short",
  );
  await refusedLater(
    "a catalog with fewer tables than it says",
    forger.withFamily(bytes, { tables: 1 }),
    "1 tables",
  );
});

/** Leaves of tables, in force or not, that have an overflow value. */
function overflowLeaves(file: Uint8Array): number[] {
  const { leaf } = placesIn(file);
  const u32 = new Uint32Array(file.slice().buffer);
  const found = forger.pages(file, PAGE_LEAF, true).filter((page) => {
    const base = page * PAGE_SIZE;
    for (let slot = 0; slot < pageCount(u32, base); slot++) {
      if (isOverflow(u32, cellAt(u32, base, slot))) return true;
    }
    return false;
  });
  // Of the first table, the last leaf in force: the one that its branch refers to.
  const { branch } = placesIn(file);
  const words = u32.subarray(branch * PAGE_SIZE / 4, (branch + 1) * PAGE_SIZE / 4);
  const last = words[cellAt(words, 0, pageCount(words, 0) - 1) >> 2];
  return [last, ...found.filter((page) => page !== leaf)];
}

test("hostile: allocator images that are another family's, or give away what is in use", async () => {
  const { bytes } = sample;
  const [{ entry }] = forger.directory(bytes).families;
  const image = (change: (words: Uint32Array) => void): Uint8Array =>
    forger.withExtent(bytes, entry.image[0], entry.imageBytes, (_, value) => {
      const words = new Uint32Array(value.slice().buffer);
      change(words);
      value.set(new Uint8Array(words.buffer));
    });
  await refusedLater("a segment elsewhere", image((words) => words[0] += 1), "allocator image");
  await refusedLater(
    "a segment of 2^32 pages",
    image((words) => words[1] = 2 ** 32 - 1),
    "allocator image",
  );
  await refusedLater("a segment of no pages", image((words) => words[1] = 0), "allocator image");
  await refusedLater(
    "every page free",
    image((words) => words[2] = 0),
    "not among the family's pages in use",
  );
  // Bits behind the end of the segment do not make pages there.
  const opened = opener.open(image((words) => words[2] &= 0xffff));
  assertEquals(readAll(opened, sample.contents), []);
  for (let i = 0; i < 8; i++) {
    const operations = new Operations();
    const table = operations.open("stock", "text\0bytes");
    for (let n = 0; n < 100; n++) {
      operations.set(table, new Uint8Array([i, n]), new Uint8Array(900));
    }
    opened.commit("shop", operations);
  }
  for (const { start, pages, free, owner } of opened.memory.extents.list()) {
    if (free || owner !== 1) continue;
    const inside = opened.memory.frames.census();
    assert(inside.dirty > 0 && start + pages <= opened.memory.extents.filePages);
  }
});

test("hostile: through open, forged files are refused with the place and stay as they are", async () => {
  await withTempDir(async (dir) => {
    const { bytes } = sample;
    const { branch } = placesIn(bytes);
    const path = join(dir, "forged.manifold");
    const files = [
      forger.withFamily(bytes, { height: 2 ** 32 - 1 }),
      forger.withFamily(bytes, {}, { name: "n".repeat(2 ** 16) }),
      forger.withDirectory(bytes, { nextFamilyId: 2 ** 32 - 1 }),
      forger.withMeta(bytes, { directoryBytes: 2 ** 32 - 1 }),
    ];
    for (const file of files) {
      await writeFile(path, file);
      for (const readOnly of [true, false]) {
        const error = await assertRejects(() => open(path, { readOnly }), ManifoldError, path);
        assertEquals(error.code, "corrupt");
        await assertUntouched(path, [file, null]);
      }
      // A terabyte that is not there does not make it another file.
      await truncate(path, 2 ** 40);
      const error = await assertRejects(() => open(path, { readOnly: true }), ManifoldError, path);
      assertEquals(error.code, "corrupt");
    }
    await writeFile(path, referTo(bytes, branch, [0], branch));
    await using db = await open(path, { cacheBytes: 2 ** 20, maxWorkers: 1 });
    const table = (await db.columnFamily("shop")).table("stock", { key: text, value: bytesCodec });
    for (
      const use of [
        () => table.entries().toArray(),
        () => table.stats(),
        () => table.deleteRange({}),
        () => table.set("key-000000", new Uint8Array(5)),
      ]
    ) {
      const words = `page ${branch} (at byte ${branch * PAGE_SIZE})`;
      const error = await assertRejects(async () => await use(), ManifoldError, words);
      assertEquals(error.code, "corrupt");
      assert(error.message.includes(path) && error.message.includes("stock"), error.message);
    }
  });
});
