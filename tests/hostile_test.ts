/**
 * Files from strangers: every checksum is right, and what they say is made to hurt. Opening and reading them
 * ends, with an error that names the place, takes no more memory than the file has bytes, and reads
 * nothing that is not in it.
 */

import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bytes as bytesCodec, ManifoldError, open, text } from "../mod.ts";
import { FAMILIES_MAX } from "../lib/memory/family_slots.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import { encodeDirectory } from "../lib/storage/directory.ts";
import { EXTENTS_MAX } from "../lib/storage/extents.ts";
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
import { withAllocationsUpTo } from "./support/allocation_guard.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  AssertionError,
  assertLess,
  assertRejects,
  assertThrows,
} from "./support/assert.ts";
import { changeAll, makeSample, PAGE_SIZE, readAll, SMALL } from "./support/damaged_samples.ts";
import { childWord, Forger } from "./support/hostile_file.ts";
import { assertUntouched } from "./support/database_process.ts";
import { Operations } from "./support/local_family.ts";
import { BYTES_PATH, BytesOpener, entriesOf } from "./support/opened_bytes.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const checksum = await Checksum.create();
const opener = new BytesOpener(checksum, PAGE_SIZE);
const forger = new Forger(checksum);
const sample = await makeSample(SMALL, 33);

/** A forged file must be refused within this time, however busy the machine is, ms. */
const REFUSED_WITHIN_MS = 5000;

function refused(what: string, file: Uint8Array, ...words: string[]): void {
  const began = performance.now();
  try {
    // The names of families are what is decoded twice, as bytes and as strings.
    withAllocationsUpTo(file.length + 2 ** 20, () => opener.open(file, { readOnly: true }));
  } catch (error) {
    if (!(error instanceof ManifoldError)) {
      throw new AssertionError(`${what}: ${error}`, { cause: error });
    }
    assertEquals(error.code, "corrupt", `${what}: ${error.message}`);
    for (const word of [BYTES_PATH, ...words]) {
      assert(error.message.includes(word), `${what}: ${word} is not in: ${error.message}`);
    }
    assertLess(performance.now() - began, REFUSED_WITHIN_MS, what);
    return;
  }
  throw new AssertionError(`${what}: it was opened`);
}

/** The file opens; whoever reads or changes what was forged is refused with all `words`. */
function refusedLater(what: string, file: Uint8Array, ...words: string[]): void {
  const began = performance.now();
  const errors = withAllocationsUpTo(file.length + 2 ** 20, () => {
    const opened = opener.open(file);
    const read = readAll(opened, sample.contents).map(({ error }) => error);
    return [...read, ...changeAll(opened, sample.contents)];
  });
  assertGreater(errors.length, 0, `${what}: nobody noticed`);
  const found = errors.some(({ message }) => words.every((word) => message.includes(word)));
  assert(found, `${what}: ${words.join(", ")} not in ${errors[0].message}`);
  assertLess(performance.now() - began, REFUSED_WITHIN_MS, what);
}

test("hostile: meta pages that say what no file can be", () => {
  const { bytes } = sample;
  const { generation, directoryBytes } = forger.meta(bytes);
  // Both pages are forged, so that there is none to fall back to.
  const both = (change: (page: Uint8Array, view: DataView) => void): Uint8Array => {
    const file = bytes.slice();
    for (const at of [0, 4096]) {
      const page = file.subarray(at, at + 4096);
      change(page, new DataView(page.buffer, at));
      checksum.put(page.subarray(0, 4088), page, 4088);
    }
    return file;
  };
  for (const pageSize of [0, 3, 512, 2048, 4097, 12288, 131072, 2 ** 30, 2 ** 32 - 1]) {
    refused(`pages of ${pageSize}`, both((_, view) => view.setUint32(32, pageSize, true)), "meta");
  }
  refused("a clean flag of 2", both((_, view) => view.setUint32(36, 2, true)), "meta");
  refused("a generation of 2^63", both((_, view) => view.setUint32(44, 2 ** 31, true)), "meta");
  refused("a position of 2^63", both((_, view) => view.setUint32(60, 2 ** 31, true)), "meta");
  refused(
    "a directory far behind the end",
    forger.withMeta(bytes, { directoryPage: 2 ** 32 - 1 }),
    "beyond the end",
  );
  refused(
    "a directory in the meta pages",
    forger.withMeta(bytes, { directoryPage: 0 }),
    "directory",
  );
  refused(
    "a directory of 4 GiB",
    forger.withMeta(bytes, { directoryBytes: 2 ** 32 - 1 }),
    "beyond the end",
  );
  refused(
    "a directory of another length",
    forger.withMeta(bytes, { directoryBytes: directoryBytes - 4 }),
    "checksum",
  );
  refused(
    "a directory from the future",
    forger.withDirectory(bytes, { generation: generation + 1 }),
    "generation",
  );
  const page = bytes.slice(0, 4096);
  const swapped = bytes.slice();
  swapped.copyWithin(0, 4096, 8192);
  swapped.set(page, 4096);
  refused("meta pages that stand in each other's place", swapped, "meta");
});

test("hostile: directories with impossible counts, names, ids and places", () => {
  const { bytes } = sample;
  const { families, extents, nextFamilyId, filePages } = forger.directory(bytes);
  const [first, second] = families;
  const own = extents.find((extent) => !extent.free && extent.owner === first.id)!;
  const others = extents.find((extent) => !extent.free && extent.owner === second.id)!;
  const word = (at: number, value: number): Uint8Array => {
    const directory = encodeDirectory(forger.directory(bytes));
    new DataView(directory.buffer).setUint32(at, value, true);
    return forger.withDirectoryBytes(bytes, directory);
  };
  const withExtents = (change: (list: typeof extents[0][]) => void): Uint8Array => {
    const list = extents.map((extent) => ({ ...extent }));
    change(list);
    return forger.withDirectory(bytes, { extents: list });
  };
  const cases: Record<string, Uint8Array> = {
    "another magic": word(0, 0),
    "no next family id": word(4, 0),
    "a next family id of 2^32": word(4, 2 ** 32 - 1),
    "a generation of 2^63": word(12, 2 ** 31),
    "2^32 families": word(20, 2 ** 32 - 1),
    "one family more than there is": word(20, families.length + 1),
    "more families than slots": word(20, FAMILIES_MAX),
    "family 0": forger.withFamily(bytes, {}, { id: 0 }),
    "family ids twice": forger.withFamily(bytes, {}, { id: second.id }),
    "an id not given out yet": forger.withFamily(bytes, {}, { id: nextFamilyId }),
    "names twice": forger.withFamily(bytes, {}, { name: second.name }),
    "an empty name": forger.withFamily(bytes, {}, { name: "" }),
    "a name with a NUL": forger.withFamily(bytes, {}, { name: "a\0b" }),
    "a name of 256 bytes": forger.withFamily(bytes, {}, { name: "n".repeat(256) }),
    "a name of 1 MiB": forger.withFamily(bytes, {}, { name: "n".repeat(2 ** 20) }),
    "a name of 2^32 bytes": word(24 + 64, 2 ** 32 - 1),
    "a name that is not UTF-8": word(24 + 68, 0xffffffff),
    "version 0": forger.withFamily(bytes, { version: 0 }),
    "a version near 2^53": forger.withFamily(bytes, { version: 2 ** 53 - 1 }),
    "a catalog of 41 levels": forger.withFamily(bytes, { height: 41 }),
    "a catalog of 2^32 levels": forger.withFamily(bytes, { height: 2 ** 32 - 1 }),
    "tables on no level": forger.withFamily(bytes, { height: 0 }),
    "levels without tables": forger.withFamily(bytes, { tables: 0 }),
    "2^32 tables": forger.withFamily(bytes, { tables: 2 ** 32 - 1 }),
    "a next table of 2^32": forger.withFamily(bytes, { nextTableId: 2 ** 32 - 1 }),
    "an image of 4 GiB": forger.withFamily(bytes, { imageBytes: 2 ** 32 - 1 }),
    "an image longer than its extents need": forger.withFamily(bytes, {
      imageBytes: first.entry.imageBytes + 4096,
    }),
    "an image in another family": forger.withFamily(bytes, {
      image: new Uint32Array([others.start, 1, 0, 1]),
    }),
    "a catalog in another family": forger.withFamily(bytes, {
      root: new Uint32Array([others.start, 1, 0, 1]),
    }),
    "a catalog in the meta pages": forger.withFamily(bytes, { root: new Uint32Array(4) }),
    "a catalog behind the end": forger.withFamily(bytes, {
      root: new Uint32Array([2 ** 32 - 1, 1, 0, 1]),
    }),
    "extents that overlap": withExtents((list) => list[1].start--),
    "extents with a gap": withExtents((list) => list[1].start++),
    "an extent of no pages": withExtents((list) => list.splice(1, 0, { ...list[1], pages: 0 })),
    "an extent that wraps": withExtents((list) => list.at(-1)!.pages = 2 ** 32 - 1),
    "an extent of an unknown family": withExtents((list) => {
      list.push({ start: filePages, pages: 1, free: false, owner: 12345 });
    }),
    "its own pages free": withExtents((list) =>
      list.filter(({ owner, free }) => !free && owner === 0).forEach((one) => one.free = true)
    ),
    "a family's pages free": withExtents((list) =>
      list.filter(({ start }) => start === own.start).forEach((one) => one.free = true)
    ),
    "more pages than the file": withExtents((list) => list.at(-1)!.pages += 1),
    "another number of pages": forger.withDirectory(bytes, { filePages: filePages + 1 }),
    "bytes behind its end": forger.withDirectoryBytes(
      bytes,
      new Uint8Array([...encodeDirectory(forger.directory(bytes)), 0, 0, 0, 0]),
    ),
    "2^32 extents": forger.withDirectoryBytes(
      bytes,
      (() => {
        const directory = encodeDirectory({ ...forger.directory(bytes), extents: [] });
        new DataView(directory.buffer).setUint32(directory.length - 4, 2 ** 32 - 1, true);
        return directory;
      })(),
    ),
  };
  for (const [what, file] of Object.entries(cases)) refused(what, file, "directory");
});

test("hostile: more extents than shared memory has room for", () => {
  const { bytes } = sample;
  const { extents, filePages } = forger.directory(bytes);
  const list = extents.map((extent) => ({ ...extent }));
  for (let i = 0; i <= EXTENTS_MAX; i++) {
    list.push({ start: filePages + i, pages: 1, free: i % 2 === 0, owner: 1 });
  }
  // Its own pages have room for it at the end of the file.
  const file = new Uint8Array((filePages + EXTENTS_MAX + 400) * PAGE_SIZE);
  file.set(bytes);
  refused("65,537 extents", forger.withDirectory(file, { extents: list, filePages: 2 ** 31 }));
});

/** The pages of a tree that are in force: a branch of a table, one of its leaves, and the catalog's leaf. */
function placesIn(file: Uint8Array): { branch: number; leaf: number; catalog: number } {
  const { entry } = forger.directory(file).families[0];
  const catalog = entry.root[0];
  const view = new DataView(file.buffer, file.byteOffset);
  const u32 = new Uint32Array(file.slice(catalog * PAGE_SIZE, (catalog + 1) * PAGE_SIZE).buffer);
  const cell = cellAt(u32, 0, 0);
  const root = payloadAt(cell, keyLengthAt(u32, 0, 0)) + 8;
  const branch = view.getUint32(catalog * PAGE_SIZE + root, true);
  assertEquals(view.getUint8(branch * PAGE_SIZE + WORD_KIND * 4), PAGE_BRANCH);
  const words = new Uint32Array(file.slice(branch * PAGE_SIZE, (branch + 1) * PAGE_SIZE).buffer);
  return { branch, catalog, leaf: words[cellAt(words, 0, 0) >> 2] };
}

/** Makes a slot of a branch refer to a page of the file, as it says of itself. */
function referTo(file: Uint8Array, from: number, slots: number[], to: number): Uint8Array {
  const view = new DataView(file.buffer, file.byteOffset);
  return forger.withPage(file, from, (page) => {
    for (const slot of slots) {
      const word = childWord(page, slot);
      for (
        const [i, field] of [WORD_NUMBER, WORD_BIRTH_LOW, WORD_BIRTH_LOW + 1, WORD_INCARNATION]
          .entries()
      ) {
        page.u32[word + i] = view.getUint32(to * PAGE_SIZE + field * 4, true);
      }
    }
  });
}

/** Changes the root that the catalog has for its first table. */
function withTableEntry(file: Uint8Array, change: (words: Uint32Array) => void): Uint8Array {
  return forger.withPage(file, placesIn(file).catalog, (page) => {
    const cell = cellAt(page.u32, 0, 0);
    const at = payloadAt(cell, keyLengthAt(page.u32, 0, 0)) >> 2;
    change(page.u32.subarray(at, at + 8));
  });
}

test("hostile: trees that lead to themselves, to their parent, elsewhere, or everywhere", () => {
  const { bytes } = sample;
  const { branch } = placesIn(bytes);
  const other = forger.pages(bytes, PAGE_BRANCH, true).find((page) => page !== branch)!;
  refusedLater(
    "a branch below itself",
    referTo(bytes, branch, [0], branch),
    `page ${branch} `,
    "level",
  );
  refusedLater("a branch below a branch", referTo(bytes, branch, [0], other), `page ${other} `);
  refusedLater(
    "a child beyond the table of pages",
    forger.withPage(bytes, branch, (page) => {
      page.u32[childWord(page, 0)] = 2 ** 32 - 1;
    }),
    `page ${2 ** 32 - 1} `,
  );
  refusedLater(
    "a child behind the end",
    forger.withPage(bytes, branch, (page) => {
      page.u32[childWord(page, 0)] = bytes.length / PAGE_SIZE + 5;
    }),
    "bytes are in the file",
  );
  refusedLater(
    "a child in the meta pages",
    forger.withPage(bytes, branch, (page) => {
      page.u32[childWord(page, 0)] = 1;
    }),
    "page 1 ",
  );
  // As many levels as the root's height says, each the same page: every walk must end with the first.
  const tall = withTableEntry(bytes, (words) => words[1] = 40);
  refusedLater("a tree of 40 levels", tall, `page ${branch} `, "level 39");
  refusedLater(
    "a leaf as the root",
    withTableEntry(bytes, (words) => {
      words[1] = 1;
    }),
    `page ${branch} `,
    "level 0",
  );
});

test("hostile: a tree in which every page is reached by more ways than there are pages", () => {
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
  const { memory } = opened;
  const { root: tree } = opened.table("shop", "stock").resolve()!;
  memory.epochs.enter();
  assertThrows(() => treeStats(memory.store, tree), ManifoldError, "more pages");
  memory.epochs.leave();
  const changed = changeAll(opener.open(file), sample.contents);
  assert(changed.some(({ message }) => message.includes("in use")), changed[0].message);
});

test("hostile: pages, cells, overflow values and catalog entries that say what cannot be", () => {
  const { bytes } = sample;
  const { leaf, catalog } = placesIn(bytes);
  const page = (number: number, change: (page: Chunk) => void): Uint8Array =>
    forger.withPage(bytes, number, change);
  const words = ({ u32 }: Chunk, at: number, value: number): void => void (u32[at] = value);
  refusedLater(
    "65,535 slots",
    page(leaf, (one) => {
      one.u32[WORD_KIND] |= 0xffff0000;
    }),
    `page ${leaf} `,
    "slots",
  );
  refusedLater("no slots", page(leaf, (one) => words(one, WORD_KIND, PAGE_LEAF)), "no slots");
  refusedLater(
    "an unknown kind",
    page(leaf, (one) => {
      one.u32[WORD_KIND] = (one.u32[WORD_KIND] & ~0xff) | 9;
    }),
    "kind 9",
  );
  refusedLater("cells of 4 GiB", page(leaf, (one) => words(one, 8, 2 ** 32 - 4)), `page ${leaf} `);
  refusedLater(
    "a prefix longer than its keys",
    page(leaf, (one) => {
      one.u32[7] |= 0xffff;
    }),
    "prefix",
  );
  refusedLater(
    "a payload of 2 GiB",
    page(leaf, (one) => {
      one.u32[cellAt(one.u32, 0, 0) >> 2] = 2 ** 31 - 1;
    }),
    "leaves the page",
  );
  refusedLater(
    "a key of 64 KiB",
    page(leaf, (one) => {
      one.u32[13] |= 0xffff0000;
    }),
    "key of 65535 bytes",
  );
  for (const length of [2 ** 32 - 1, 2 ** 30 + 1, 2 ** 30, bytes.length]) {
    const [holder] = overflowLeaves(bytes);
    refusedLater(
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
    refusedLater(
      `${what} in a catalog's entry`,
      withTableEntry(bytes, change),
      "entry of a catalog",
    );
  }
  refusedLater(
    "a catalog's entry cut short",
    page(catalog, (one) => {
      one.u32[cellAt(one.u32, 0, 0) >> 2] -= 32;
      one.u32[9] += 32;
    }),
    "too short",
  );
  refusedLater(
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

test("hostile: allocator images that are another family's, or give away what is in use", () => {
  const { bytes } = sample;
  const [{ entry }] = forger.directory(bytes).families;
  const image = (change: (words: Uint32Array) => void): Uint8Array =>
    forger.withExtent(bytes, entry.image[0], entry.imageBytes, (_, value) => {
      const words = new Uint32Array(value.slice().buffer);
      change(words);
      value.set(new Uint8Array(words.buffer));
    });
  refusedLater("a segment elsewhere", image((words) => words[0] += 1), "allocator image");
  refusedLater(
    "a segment of 2^32 pages",
    image((words) => words[1] = 2 ** 32 - 1),
    "allocator image",
  );
  refusedLater("a segment of no pages", image((words) => words[1] = 0), "allocator image");
  refusedLater(
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
