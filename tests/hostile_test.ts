/**
 * Files from strangers: every checksum is right, and what meta pages and directories say is made to hurt. Opening and reading them
 * ends, with an error that names the place, takes no more memory than the file has bytes, and reads
 * nothing that is not in it.
 */

import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FAMILIES_MAX } from "../lib/memory/family_slots.ts";
import { encodeDirectory } from "../lib/storage/directory.ts";
import { EXTENTS_MAX } from "../lib/storage/extents.ts";
import { assert, assertEquals, assertLess } from "./support/assert.ts";
import { PAGE_SIZE } from "./support/damaged_samples.ts";
import {
  checksum,
  forger,
  GROWS_MIB_MAX,
  openElsewhere,
  openPending,
  refused,
  sample,
} from "./support/forged_sample.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

test("hostile: meta pages that say what no file can be", async () => {
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
    await refused(
      `pages of ${pageSize}`,
      both((_, view) => view.setUint32(32, pageSize, true)),
      "meta",
    );
  }
  await refused("a clean flag of 2", both((_, view) => view.setUint32(36, 2, true)), "meta");
  await refused(
    "a generation of 2^63",
    both((_, view) => view.setUint32(44, 2 ** 31, true)),
    "meta",
  );
  await refused("a position of 2^63", both((_, view) => view.setUint32(60, 2 ** 31, true)), "meta");
  await refused(
    "a directory far behind the end",
    forger.withMeta(bytes, { directoryPage: 2 ** 32 - 1 }),
    "beyond the end",
  );
  await refused(
    "a directory in the meta pages",
    forger.withMeta(bytes, { directoryPage: 0 }),
    "directory",
  );
  await refused(
    "a directory of 4 GiB",
    forger.withMeta(bytes, { directoryBytes: 2 ** 32 - 1 }),
    "beyond the end",
  );
  await refused(
    "a directory of another length",
    forger.withMeta(bytes, { directoryBytes: directoryBytes - 4 }),
    "checksum",
  );
  await refused(
    "a directory from the future",
    forger.withDirectory(bytes, { generation: generation + 1 }),
    "generation",
  );
  const page = bytes.slice(0, 4096);
  const swapped = bytes.slice();
  swapped.copyWithin(0, 4096, 8192);
  swapped.set(page, 4096);
  await refused("meta pages that stand in each other's place", swapped, "meta");
  await openPending();
});

test("hostile: directories with impossible counts, names, ids and places", async () => {
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
  for (const [what, file] of Object.entries(cases)) await refused(what, file, "directory");
  await openPending();
});

test("hostile: more extents than shared memory has room for", async () => {
  const { bytes } = sample;
  const { extents, filePages } = forger.directory(bytes);
  const list = extents.map((extent) => ({ ...extent }));
  for (let i = 0; i <= EXTENTS_MAX; i++) {
    list.push({ start: filePages + i, pages: 1, free: i % 2 === 0, owner: 1 });
  }
  // Its own pages have room for it at the end of the file.
  const file = new Uint8Array((filePages + EXTENTS_MAX + 400) * PAGE_SIZE);
  file.set(bytes);
  await refused(
    "65,537 extents",
    forger.withDirectory(file, { extents: list, filePages: 2 ** 31 }),
  );
  await openPending();
});

test("hostile: files of more than 2^20 pages, and of more than can be reserved, take no memory", async () => {
  const { bytes } = sample;
  const { extents, filePages } = forger.directory(bytes);
  await withTempDir(async (dir) => {
    const paths = [join(dir, "sound")];
    await writeFile(paths[0], bytes);
    for (const pages of [2 ** 20 + 5, 2 ** 28]) {
      const rest = { start: filePages, pages: pages - filePages, free: true, owner: 0 };
      const directory = { extents: [...extents, rest], filePages: pages };
      const path = join(dir, `${pages}`);
      await writeFile(path, forger.withDirectory(bytes, directory));
      // Its pages take no place on the disk.
      await truncate(path, pages * PAGE_SIZE);
      paths.push(path);
    }
    const { outcomes: [, large, huge], grown } = await openElsewhere(paths);
    assertEquals(large, "opened");
    assert(["opened", "too-large"].includes(huge), huge);
    assertLess(grown, GROWS_MIB_MAX);
  });
});
