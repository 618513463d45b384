/**
 * Who has which pages, without threads: the extents of a file among families, and the pages of a family's
 * segments. No page is given out twice, and none is lost; what a file says of them is believed only if it can be.
 */

import { ManifoldError } from "../lib/errors.ts";
import { allocateControl, Control } from "../lib/memory/control.ts";
import { AllocatorImage } from "../lib/storage/allocator_image.ts";
import { FieldWriter } from "../lib/storage/bytes.ts";
import { type Extent, Extents, EXTENTS_MAX } from "../lib/storage/extents.ts";
import { PageAllocator } from "../lib/storage/page_allocator.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "./support/assert.ts";
import { MemoryFile } from "./support/local_family.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const PAGE_SIZE = 4096;
const FIRST = 2;

/** A table of runs one behind the other: pages and owner, or `null` for free. */
function extentsOf(
  runs: readonly [pages: number, owner: number | null][],
  pagesMax = 1000,
): Extents {
  const extents = new Extents(new Control(allocateControl()), Extents.allocate(), 0, pagesMax);
  let start = FIRST;
  const list: Extent[] = runs.map(([pages, owner]) => {
    start += pages;
    return { start: start - pages, pages, free: owner === null, owner: owner ?? 0 };
  });
  extents.load(list, start);
  return extents;
}

const runsOf = (extents: Extents): [number, number, number | null][] =>
  extents.list().map(({ start, pages, free, owner }) => [start, pages, free ? null : owner]);

test("space: an extent is cut from the free one that fits best, else from the end of the file", () => {
  const extents = extentsOf([[10, null], [1, 1], [5, null], [1, 1], [7, null], [1, 1], [2, null]]);
  assertEquals(extents.take(5, 2), 13, "exactly");
  assertEquals(extents.take(6, 3), 19, "the smallest that is large enough");
  assertEquals(extents.filePages, 29);
  assertEquals(extents.take(11, 4), 27, "the file grows by what its free end lacks");
  assertEquals(extents.filePages, 38);
  assertEquals(extents.take(20, 5), 38);
  assertEquals(runsOf(extents), [
    [2, 10, null],
    [12, 1, 1],
    [13, 5, 2],
    [18, 1, 1],
    [19, 6, 3],
    [25, 1, null],
    [26, 1, 1],
    [27, 11, 4],
    [38, 20, 5],
  ]);
});

test("space: the first extent is as good as any other", () => {
  const extents = extentsOf([[5, null], [1, 1], [9, null], [1, 1]]);
  assertEquals([extents.take(4, 2), extents.take(1, 2)], [2, 6]);
});

test("space: freed neighbours become one, and the file is made as long as they reach", () => {
  const extents = extentsOf([[4, 1], [3, null], [2, 2], [1, 1], [5, 0]]);
  extents.free(({ owner }) => owner === 1);
  assertEquals(runsOf(extents), [[2, 7, null], [9, 2, 2], [11, 1, null], [12, 5, 0]]);
  extents.free(({ start }) => start === 9);
  assertEquals(runsOf(extents), [[2, 10, null], [12, 5, 0]]);
  const file = new MemoryFile();
  extents.extendFile(file, PAGE_SIZE);
  assertEquals(file.size(), 17 * PAGE_SIZE);
  file.truncate(20 * PAGE_SIZE);
  extents.extendFile(file, PAGE_SIZE);
  assertEquals(file.size(), 20 * PAGE_SIZE, "never shorter");
});

test("space: what does not fit the page table or the table of extents is refused and changes nothing", () => {
  const refused = (extents: Extents, pages: number, ...says: string[]): void => {
    const before = runsOf(extents);
    const filePages = extents.filePages;
    const error = assertThrows(() => extents.take(pages, 9), ManifoldError);
    assertEquals(error.code, "too-large");
    for (const part of says) assertStringIncludes(error.message, part);
    assertEquals([runsOf(extents), extents.filePages], [before, filePages]);
  };
  const grown = extentsOf([[4, 1], [3, null]], 20);
  refused(grown, 15, "20 pages", "close and reopen");
  assertEquals(grown.take(14, 1), 6, "the lock is free again, and this much fits");

  const full = extentsOf(Array.from({ length: EXTENTS_MAX }, (_, i) => [2, i % 2 ? null : 1]), 1e6);
  refused(full, 1, `${EXTENTS_MAX} extents`, "compact");
  assertEquals(full.take(2, 9), 4, "one that is not cut");
  const ended = extentsOf(Array.from({ length: EXTENTS_MAX }, () => [1, 1]), 1e6);
  refused(ended, 1, `${EXTENTS_MAX} extents`);
});

/** An allocator whose segments come from the places given, then one behind the other; and what it asked for. */
function allocatorAt(
  places: number[],
  pageSize = PAGE_SIZE,
): { allocator: PageAllocator; asked: number[] } {
  const asked: number[] = [];
  let end = 100_000;
  const allocator = new PageAllocator(pageSize, (pages) => {
    asked.push(pages);
    end += pages;
    return places.shift() ?? end - pages;
  });
  return { allocator, asked };
}

test("space: segments grow with the family, and a run larger than the largest has its own", () => {
  const { allocator, asked } = allocatorAt([], 65536);
  assertEquals(allocator.takeRun(1), 100_000);
  for (let i = 1; i < 100; i++) allocator.takeOne();
  assertEquals(asked.slice(0, 9), [1, 2, 2, 2, 2, 3, 3, 4, 5]);
  allocator.takeRun(1000);
  allocator.takeRun(2000);
  assertEquals(asked.slice(-2), [1024, 2000], "a tenth more, up to 64 MiB; then what is needed");
  assertEquals(allocator.used, 3100);
  assertEquals(allocator.pages, asked.reduce((sum, pages) => sum + pages, 0));
});

test("space: a run is found between pages in use, over words that are full", () => {
  const { allocator, asked } = allocatorAt([100, 500]);
  allocator.takeRun(16);
  assertEquals(allocator.takeRun(200), 500);
  assertEquals(asked, [16, 221]);
  allocator.giveBack(531, 1);
  allocator.giveBack(600, 2);
  assertEquals(allocator.takeRun(3), 700, "behind what is too short");
  assertEquals(allocator.takeRun(2), 600);
  assertEquals(allocator.takeOne(), 531);
  assertEquals(allocator.takeOne(), 703);
  allocator.giveBack(100, 8);
  assertEquals(allocator.takeRun(8), 100, "exactly, from a segment's first page on");
  assertEquals(allocator.takeRun(18), 100_237, "17 are left, so a new segment");
});

test("space: a page is retired once, in one segment, while it is in use", () => {
  const { allocator } = allocatorAt([500, 100, 300]);
  for (let i = 0; i < 48; i++) allocator.takeOne(); // three segments of 16, the later ones before the first
  assert(allocator.retire(100, 16));
  assert(allocator.retire(515, 1));
  for (
    const [page, pages] of [[99, 1], [116, 1], [299, 1], [510, 7], [9999, 1], [514, 2], [105, 1]]
  ) {
    assert(!allocator.retire(page, pages), `${pages} pages at ${page}`);
  }
  assert(allocator.retire(514, 1), "a refusal has noted nothing");
  allocator.keep(105, 1);
  assert(!allocator.retire(106, 1), "only one was kept");
  assert(allocator.retire(105, 1));
  assert(allocator.retire(301, 2));
  assert(allocator.retire(303, 1), "nothing behind a run was noted");
  allocator.giveBack(310, 2);
  assert(!allocator.retire(310, 1), "not in use");
  assert(!new PageAllocator(PAGE_SIZE, () => 0).retire(1, 1), "of nobody");
});

test("space: an image says which pages are in use, to those who go on and those who look", () => {
  const random = Random.fromEnvironment("allocator images");
  for (let round = 0; round < 30; round++) {
    const { allocator } = allocatorAt([5000, 900, 2000, 100]);
    const runs: [page: number, pages: number][] = [];
    const held = new Set<number>();
    for (let i = 0; i < 150; i++) {
      if (runs.length > 0 && random.chance(0.3)) {
        const [[page, pages]] = runs.splice(random.int(runs.length), 1);
        allocator.giveBack(page, pages);
        for (let n = 0; n < pages; n++) held.delete(page + n);
      } else {
        const pages = random.chance(0.7) ? 1 : 1 + random.int(40);
        const page = allocator.takeRun(pages);
        runs.push([page, pages]);
        for (let n = 0; n < pages; n++) {
          assert(!held.has(page + n), `page ${page + n} is given out twice`);
          held.add(page + n);
        }
      }
    }
    assertEquals(allocator.used, held.size);
    // The image stands on pages of a run that is not in its version.
    const [own] = runs;
    const absent = runs.slice(0, random.int(5) + 1);
    const image = allocator.image(absent.flat(), own[0], 1);
    assertEquals(image.length, allocator.imageBytes);
    for (const [page, pages] of absent) for (let n = 0; n < pages; n++) held.delete(page + n);
    held.add(own[0]);
    assertEquals(allocator.imagePages, held.size);

    const seen = new AllocatorImage(image, "it");
    assertEquals(seen.used, held.size);
    const all = seen.segments.flatMap(({ start, pages }) =>
      Array.from({ length: pages }, (_, i) => start + i)
    );
    assertEquals(all.filter((page) => seen.isUsed(page)), [...held].sort((a, b) => a - b));
    for (const { start, pages } of seen.segments) {
      assert(!seen.isUsed(start - 1) || held.has(start - 1));
      assert(!seen.isUsed(start + pages) || held.has(start + pages));
    }

    // A segment that was taken after the image is free.
    const extents = [...seen.segments, { start: 900_000, pages: 40 }];
    const { allocator: restored } = allocatorAt([]);
    restored.restore(image, extents, "it");
    assertEquals([restored.used, restored.pages], [held.size, allocator.pages + 40]);
    for (let free = restored.pages - restored.used; free > 0; free--) {
      const page = restored.takeOne();
      assert(!held.has(page), `page ${page} is given out twice`);
      held.add(page);
    }
    assertEquals(restored.image([], own[0], 1).length, restored.imageBytes);
    assertEquals(restored.imagePages, restored.pages, "all pages, and none behind a segment's end");
  }
});

test("space: an image that is not its family's is refused by both", () => {
  const image = (...segments: [start: number, pages: number][]): Uint8Array => {
    const out = new FieldWriter();
    for (const [start, pages] of segments) {
      out.u32(start);
      out.u32(pages);
      out.words(new Uint32Array(Math.ceil(pages / 32)));
    }
    return out.take();
  };
  const extents = [{ start: 10, pages: 16 }, { start: 40, pages: 33 }];
  const restored = (bytes: Uint8Array): PageAllocator => {
    const { allocator } = allocatorAt([]);
    allocator.restore(bytes, extents, "the image");
    return allocator;
  };
  const refused = (fn: () => unknown, says: string): void => {
    const error = assertThrows(fn, ManifoldError);
    assertEquals(error.code, "corrupt");
    assertStringIncludes(error.message, `the image ${says}`);
  };
  assertEquals(restored(new Uint8Array(0)).takeOne(), 10);
  assertEquals(restored(image([10, 16], [40, 33])).pages, 49);
  const notOurs = "that is not the family's, or out of order";
  refused(() => restored(image([10, 17], [40, 33])), "gives 17 pages to the segment at page 10");
  refused(() => restored(image([40, 33], [10, 16])), `has a segment at page 10 ${notOurs}`);
  refused(() => restored(image([0, 16])), `has a segment at page 0 ${notOurs}`);
  refused(() => restored(image([11, 16])), `has a segment at page 11 ${notOurs}`);
  refused(() => restored(image([10, 16], [10, 16])), `has a segment at page 10 ${notOurs}`);
  refused(() => restored(image([10, 16]).slice(0, 10)), "ends at byte 10");

  const looked = (bytes: Uint8Array) => () => new AllocatorImage(bytes, "the image");
  assert(!looked(new Uint8Array(0))().isUsed(10));
  refused(looked(image([10, 0])), "has a segment of 0 pages at page 10");
  refused(looked(image([10, 16], [25, 3])), "has a segment of 3 pages at page 25");
  refused(looked(image([10, 33]).slice(0, 12)), "has a segment of 33 pages at page 10");
  refused(looked(image([10, 33]).slice(0, 6)), "ends at byte 6");
});
