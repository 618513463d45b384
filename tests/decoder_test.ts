/**
 * What is decoded from a data file, without threads: what was written comes back, and each thing that no file
 * of ours says is refused with a code and a place. Logs and values are decoded in the tests beside this one.
 */

import { decodeTableEntry, EncodedEntry, findTable, listTables } from "../lib/engine/catalog.ts";
import { type ErrorCode, ManifoldError } from "../lib/errors.ts";
import {
  FAMILIES_MAX,
  type FamilyEntry,
  ID_MAX,
  newFamilyEntry,
  newFamilyState,
} from "../lib/memory/family_slots.ts";
import { COUNT_MAX, FieldReader, FieldWriter } from "../lib/storage/bytes.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import {
  decodeDirectory,
  type Directory,
  directoryLength,
  encodeDirectory,
  extentOf,
} from "../lib/storage/directory.ts";
import { type Extent, EXTENTS_MAX } from "../lib/storage/extents.ts";
import {
  decodeMeta,
  encodeMeta,
  firstDataPage,
  type Meta,
  META_BYTES,
  metaOffset,
  readMeta,
} from "../lib/storage/meta.ts";
import { readOverflow, VALUE_BYTES_MAX, writeOverflow } from "../lib/storage/overflow.ts";
import { PageError } from "../lib/storage/page_error.ts";
import { checkPage } from "../lib/tree/page_check.ts";
import {
  CHECKSUM_BYTES,
  PAGE_OVERFLOW,
  setPageCount,
  WORD_KIND,
  WORD_USED,
} from "../lib/tree/page.ts";
import { HEIGHT_MAX, TreeRoot } from "../lib/tree/root.ts";
import { withAllocationsUpTo } from "./support/allocation_guard.ts";
import {
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
  assertThrows,
} from "./support/assert.ts";
import { LocalDatabase, LocalFamily, MemoryFile } from "./support/local_family.ts";
import { blankPage } from "./support/memory_pager.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const PAGE_SIZE = 4096;
const PATH = "some/file";

const checksum = await Checksum.create();

function assertCode(code: ErrorCode, fn: () => unknown, ...parts: string[]): ManifoldError {
  const error = assertThrows(fn, ManifoldError);
  assertEquals(error.code, code, error.message);
  for (const part of parts) assertStringIncludes(error.message, part);
  return error;
}

test("decoder: fields come back, also beyond the memory at first; the end and numbers above 2^53 are refused", () => {
  const out = new FieldWriter();
  const long = new Uint8Array(5000).fill(7);
  const numbers = [0, 1, 2 ** 32 - 1, 2 ** 32, COUNT_MAX, 2 ** 53 - 1];
  out.u8(200);
  out.align(4);
  for (const number of numbers) out.u53(number);
  out.raw(long);
  out.words(new Uint32Array([1, 2 ** 32 - 1]));
  const written = out.take();

  const input = new FieldReader(written, "the fields");
  assertEquals(input.u8(), 200);
  input.align(4);
  assertEquals(numbers.map(() => input.u53()), numbers);
  assertEquals(input.raw(5000), long);
  const words = new Uint32Array(2);
  input.words(words);
  assertEquals([...words], [1, 2 ** 32 - 1]);
  assertEquals(input.left, 0);
  assertCode("corrupt", () => input.u8(), "the fields ends at byte 5060", "follow byte 5060");
  assertCode("corrupt", () => new FieldReader(written, "it").raw(-1), "it ends");

  const above = new Uint8Array(12);
  above[10] = 0x20; // 2^53, behind four other bytes
  assertCode("corrupt", () => new FieldReader(above, "it", 4).u53(), "above 2^53 at byte 4");
});

const META: Meta = {
  uuid: new Uint8Array(16).fill(1),
  pageSize: PAGE_SIZE,
  clean: true,
  generation: 6,
  salt: new Uint8Array(8).fill(2),
  logPosition: 2 ** 40,
  directoryPage: 9,
  directoryBytes: 100,
  directoryChecksum: new Uint8Array(8).fill(3),
};

/** A meta page with something changed behind its checksum. */
function metaPage(change: (view: DataView) => void, meta = META): Uint8Array {
  const page = encodeMeta(meta, checksum);
  change(new DataView(page.buffer));
  checksum.put(page.subarray(0, META_BYTES - 8), page, META_BYTES - 8);
  return page;
}

test("decoder: a meta page comes back; what it cannot say is damage, whatever its checksum", () => {
  assertEquals(decodeMeta(encodeMeta(META, checksum), checksum), { meta: META });
  const largest = { ...META, pageSize: 65536, generation: COUNT_MAX, logPosition: COUNT_MAX };
  assertEquals(decodeMeta(encodeMeta(largest, checksum), checksum), { meta: largest });
  assertEquals(decodeMeta(new Uint8Array(META_BYTES - 1), checksum), { problem: "foreign" });
  assertEquals(decodeMeta(new Uint8Array(META_BYTES), checksum), { problem: "foreign" });
  const flipped = encodeMeta(META, checksum);
  flipped[100] ^= 1;
  assertEquals(decodeMeta(flipped, checksum), { problem: "damaged" });
  const newer = metaPage((view) => view.setUint32(12, 9, true));
  assertEquals(decodeMeta(newer, checksum), { problem: "version", version: 9 });
  const changes: ((view: DataView) => void)[] = [
    (view) => view.setUint32(32, 2048, true),
    (view) => view.setUint32(32, 2 ** 17, true),
    (view) => view.setUint32(32, 5000, true),
    (view) => view.setUint32(36, 2, true),
    (view) => view.setBigUint64(40, 0n, true),
    (view) => view.setBigUint64(40, BigInt(COUNT_MAX) + 1n, true),
    (view) => view.setBigUint64(56, BigInt(COUNT_MAX) + 1n, true),
  ];
  for (const change of changes) {
    assertEquals(decodeMeta(metaPage(change), checksum), { problem: "damaged" }, `${change}`);
  }
  assertEquals([4096, 8192, 65536].map(firstDataPage), [2, 1, 1]);
});

test("decoder: the newest meta page that stands where it belongs counts", () => {
  const file = (even: Uint8Array, odd: Uint8Array): MemoryFile => {
    const both = new MemoryFile(undefined, PATH);
    both.write(metaOffset(6), even);
    both.write(metaOffset(7), odd);
    return both;
  };
  const of = (generation: number) => encodeMeta({ ...META, generation }, checksum);
  const none = new Uint8Array(META_BYTES);
  assertEquals(readMeta(file(of(6), of(7)), checksum).generation, 7);
  assertEquals(readMeta(file(of(8), of(7)), checksum).generation, 8);
  assertEquals(readMeta(file(of(6), none), checksum).generation, 6);
  assertEquals(readMeta(file(of(6), of(8)), checksum).generation, 6, "8 is not where it belongs");
  const edge = (a: number, b: number): number => {
    const both = new MemoryFile(undefined, PATH);
    for (const generation of [a, b]) both.write(metaOffset(generation), of(generation));
    return readMeta(both, checksum).generation;
  };
  assertEquals(edge(2 ** 32 - 2, 2 ** 32 - 1), 2 ** 32 - 1);
  assertEquals(edge(2 ** 32 - 1, 2 ** 32), 2 ** 32);
  assertEquals(edge(2 ** 32 + 1, 2 ** 32), 2 ** 32 + 1);
  const newer = metaPage((view) => view.setUint32(12, 9, true));
  assertCode("corrupt", () => readMeta(file(of(7), none), checksum), PATH, "both meta pages");
  assertCode("unsupported-version", () => readMeta(file(none, newer), checksum), PATH, "version 9");
  assertCode("not-a-database", () => readMeta(file(none, none), checksum), PATH);
  assertCode("not-a-database", () => readMeta(new MemoryFile(undefined, PATH), checksum), PATH);
});

interface Draft {
  nextFamilyId: number;
  generation: number;
  filePages: number;
  families: { id: number; name: string; entry: FamilyEntry }[];
  extents: Extent[];
}

const FIRST_PAGE = 2;

/** A directory that is possible: family 1 with pages 2 to 5, family 2 with 10 to 14, 7 to 9 free. */
function draft(): Draft {
  const one: FamilyEntry = newFamilyEntry();
  Object.assign(one, {
    version: 5,
    height: 1,
    tables: 2,
    nextTableId: 3,
    imageBytes: 12,
    pages: 4,
  });
  one.root.set([3, 4, 0, 99]);
  one.image.set([5, 5, 0, 99]);
  const two: FamilyEntry = newFamilyEntry();
  Object.assign(two, { version: COUNT_MAX, nextTableId: ID_MAX });
  return {
    nextFamilyId: 3,
    generation: 2 ** 33,
    filePages: 15,
    families: [{ id: 1, name: "é", entry: one }, { id: 2, name: "two", entry: two }],
    extents: [
      { start: 2, pages: 4, free: false, owner: 1 },
      { start: 6, pages: 1, free: false, owner: 0 },
      { start: 7, pages: 3, free: true, owner: 0 },
      { start: 10, pages: 5, free: false, owner: 2 },
    ],
  };
}

function decoded(encoded: Uint8Array): Directory {
  return decodeDirectory(encoded, PATH, FIRST_PAGE, PAGE_SIZE);
}

test("decoder: a directory comes back, and its length is found with anything behind it", () => {
  const encoded = encodeDirectory(draft());
  assertEquals(decoded(encoded), draft());
  const followed = new Uint8Array(encoded.length + 77).fill(0xff);
  followed.set(encoded);
  assertEquals(directoryLength(followed, PATH), encoded.length);
  const largest = draft();
  largest.nextFamilyId = largest.families[1].id = ID_MAX;
  largest.families[1].id--;
  largest.extents[3].owner = largest.families[1].id;
  Object.assign(largest.families[0].entry, { height: HEIGHT_MAX, tables: ID_MAX });
  largest.families[0].entry.root[0] = 2;
  assertEquals(decoded(encodeDirectory(largest)), largest);
  const cut = draft();
  Object.assign(cut, { families: [], filePages: FIRST_PAGE + EXTENTS_MAX });
  cut.extents = Array.from(
    { length: EXTENTS_MAX },
    (_, i) => ({ start: FIRST_PAGE + i, pages: 1, free: true, owner: 0 }),
  );
  assertEquals(decoded(encodeDirectory(cut)).extents.length, EXTENTS_MAX);
  const { extents } = draft();
  assertEquals(
    [1, 2, 5, 6, 7, 9, 10, 14, 15].map((page) => extentOf(extents, page)?.start),
    [undefined, 2, 2, 6, 7, 7, 10, 10, undefined],
  );
  const empty = { ...draft(), families: [], extents: [], filePages: FIRST_PAGE };
  assertEquals(decoded(encodeDirectory(empty)), empty);
  for (let length = 0; length < encoded.length; length++) {
    assertCode("corrupt", () => decoded(encoded.slice(0, length)), PATH);
    assertCode("corrupt", () => directoryLength(encoded.slice(0, length), PATH), PATH);
  }
});

test("decoder: a directory that says what no file can be is refused with what it says", () => {
  const wide: Extent = { start: 2, pages: 40000, free: false, owner: 1 };
  const cases: [string, (one: Draft) => void][] = [
    ["the next family id 0", (one) => one.nextFamilyId = 0],
    ["the next family id 2147483648", (one) => one.nextFamilyId = ID_MAX + 1],
    ["impossible family id 0", (one) => one.families[0].id = 0],
    ["impossible family id 3", (one) => one.families[1].id = 3],
    ["impossible family id 1", (one) => one.families[1].id = 1],
    ["impossible name of family 2", (one) => one.families[1].name = ""],
    ["impossible name of family 2", (one) => one.families[1].name = "a\0b"],
    ["impossible name of family 2", (one) => one.families[1].name = "x".repeat(256)],
    ['two families of the name "é"', (one) => one.families[1].name = "é"],
    ["at version 0", (one) => one.families[0].entry.version = 0],
    ["at version 4503599627370497", (one) => one.families[0].entry.version = COUNT_MAX + 1],
    ["catalog has 41 levels", (one) => one.families[0].entry.height = HEIGHT_MAX + 1],
    ["0 levels hold 2 tables", (one) => one.families[0].entry.height = 0],
    ["1 levels hold 0 tables", (one) => one.families[0].entry.tables = 0],
    ["it has 2147483648 tables", (one) => one.families[0].entry.tables = ID_MAX + 1],
    ["its next table is 0", (one) => one.families[0].entry.nextTableId = 0],
    ["its next table is 2147483648", (one) => one.families[0].entry.nextTableId = ID_MAX + 1],
    ["a gap or an overlap at page 8", (one) => one.extents[2].start = 8],
    ["a gap or an overlap at page 10", (one) => one.extents[3].pages = 0],
    ["an unknown family 7", (one) => one.extents[3].owner = 7],
    ["describes 15 pages of 16", (one) => one.filePages = 16],
    ["describes 2 pages of 15", (one) => one.extents = []],
    [
      'an allocator image of 13 bytes for family "é"',
      (one) => one.families[0].entry.imageBytes = 13,
    ],
    ['an allocator image of 12 bytes for family "é"', (one) => one.extents[0].owner = 2],
    ['"é" to page 8, which is not its own', (one) => one.families[0].entry.root[0] = 8],
    ['"é" to page 6, which is not its own', (one) => one.families[0].entry.root[0] = 6],
    ['"é" to page 10, which is not its own', (one) => one.families[0].entry.image[0] = 10],
    ['"é" to page 15, which is not its own', (one) => one.families[0].entry.image[0] = 15],
    ['"é" to page 1, which is not its own', (one) => one.families[0].entry.image[0] = 1],
    // An image of two pages that begins on the last page of its family.
    ['"é" to page 40001, which is not its own', (one) => {
      Object.assign(one, { extents: [wide], filePages: 40002 });
      one.families[0].entry.imageBytes = PAGE_SIZE;
      one.families[0].entry.image[0] = 40001;
    }],
    ['"é" to page 3, which is not its own', (one) => {
      Object.assign(one, { extents: [], filePages: FIRST_PAGE });
      one.families[0].entry.imageBytes = 0;
    }],
  ];
  for (const [says, change] of cases) {
    const one = draft();
    change(one);
    assertCode("corrupt", () => decoded(encodeDirectory(one)), PATH, says, "restore a backup");
  }
  const raw: [string, (view: DataView) => void][] = [
    ["its magic", (view) => view.setUint8(0, 0)],
    [`${FAMILIES_MAX} families`, (view) => view.setUint32(20, FAMILIES_MAX, true)],
    ["impossible name of family 1", (view) => view.setUint8(92, 0xff)],
    [`${EXTENTS_MAX + 1} extents`, (view) => {
      view.setUint32(view.byteLength - 4 * 12 - 4, EXTENTS_MAX + 1, true);
    }],
  ];
  for (const [says, change] of raw) {
    const encoded = encodeDirectory(draft());
    change(new DataView(encoded.buffer));
    assertCode("corrupt", () => decoded(encoded), PATH, says);
  }
  const longer = new Uint8Array(encodeDirectory(draft()).length + 3);
  longer.set(encodeDirectory(draft()));
  assertCode("corrupt", () => decoded(longer), "goes on for 3 bytes behind its end");
});

/** A file that claims a length, whatever it has. */
class ClaimingFile extends MemoryFile {
  claimed = 0;

  override size(): number {
    return this.claimed;
  }
}

test("decoder: overflow values of every length come back; one that is not the one referred to is refused", async () => {
  const { writer: { store } } = await LocalDatabase.create({ pageSize: PAGE_SIZE });
  store.familyName = "shop";
  const random = Random.fromEnvironment("overflow values");
  const ref = new Uint32Array([0, 7, 3, 2, 99]);
  // Up to 64 KiB in one write with the header, beyond in two.
  for (const length of [0, 1, 4048, 4049, 65536, 65537, 200_000]) {
    const value = random.bytes(length);
    writeOverflow(store, ref, 1, 5, 6, value);
    assertEquals(readOverflow(store, ref, 1, length), value, `${length} bytes`);
  }
  const refused = (says: string, changed: readonly number[], length: number): void => {
    const error = assertCode(
      "corrupt",
      () => readOverflow(store, new Uint32Array(changed), 0, length),
      `at page ${changed[0]} (byte ${changed[0] * PAGE_SIZE})`,
      '"shop"',
      says,
    );
    assertInstanceOf(error, PageError);
    assertEquals(error.page, changed[0]);
  };
  writeOverflow(store, ref, 1, 5, 6, random.bytes(100));
  refused("a write was lost", [7, 4, 2, 99], 100);
  refused("a write was lost", [7, 3, 1, 99], 100);
  refused("a write was lost", [7, 3, 2, 98], 100);
  refused("checksum", [7, 3, 2, 99], 99);
  refused("do not fit the file", [7, 3, 2, 99], VALUE_BYTES_MAX + 1);
  refused("do not fit the file", [7, 3, 2, 99], store.file.size());
  const moved = new Uint8Array(148);
  store.file.read(7 * PAGE_SIZE, moved);
  for (const word of [WORD_KIND, WORD_USED]) {
    const forged = moved.slice();
    forged[word * 4] ^= 1;
    forged.set(checksum.of(forged.subarray(CHECKSUM_BYTES)));
    store.file.write(7 * PAGE_SIZE, forged);
    refused("a write was lost", [7, 3, 2, 99], 100);
  }
  store.file.write(7 * PAGE_SIZE, moved);
  store.file.write(9 * PAGE_SIZE, moved);
  refused("a write was lost", [9, 3, 2, 99], 100);
  store.file.write(7 * PAGE_SIZE + 60, new Uint8Array([moved[60] ^ 1]));
  refused("checksum", [7, 3, 2, 99], 100);
});

test("decoder: an overflow value whose file is cut off, or that memory does not hold, is refused", () => {
  const file = new ClaimingFile(new Uint8Array(2 * PAGE_SIZE), PATH);
  const source = { arena: { pageSize: PAGE_SIZE }, file, checksum, familyName: "shop" };
  const ref = new Uint32Array([1, 3, 0, 99]);
  file.claimed = 2 ** 31;
  assertCode(
    "corrupt",
    () => readOverflow(source, ref, 0, PAGE_SIZE),
    PATH,
    "the file ends inside it",
  );
  withAllocationsUpTo(2 ** 20, () => {
    const error = assertCode(
      "too-large",
      () => readOverflow(source, ref, 0, VALUE_BYTES_MAX),
      "1073741824 bytes",
    );
    assertInstanceOf(error.cause, Error);
  });
});

test("decoder: entries of a catalog come back; those that cannot be, and more than there should be, are refused", async () => {
  const root = new TreeRoot();
  Object.assign(root, { height: 2, count: 2 ** 40 });
  root.ref.set([1, 2, 3, 4]);
  const entry = { id: 7, codecs: "text\0bytes", root };
  assertEquals(decodeTableEntry(new EncodedEntry(entry).now()), entry);
  const bare = { id: ID_MAX, codecs: "", root };
  assertEquals(decodeTableEntry(new EncodedEntry(bare).now()), bare);
  assertCode("corrupt", () => decodeTableEntry(new Uint8Array(31)), "too short");
  const says = (id: number, height: number, count: number): void => {
    const changed = Object.assign(new TreeRoot(), { height, count });
    const encoded = new EncodedEntry({ id, codecs: "a\0b", root: changed }).now();
    assertCode(
      "corrupt",
      () => decodeTableEntry(encoded),
      `table ${id} has ${count} entries on ${height}`,
    );
  };
  says(0, 1, 1);
  says(ID_MAX + 1, 1, 1);
  says(1, HEIGHT_MAX + 1, 1);
  says(1, 1, COUNT_MAX + 1);
  says(1, 0, 1);
  says(1, 1, 0);

  const family = await LocalFamily.create();
  const { store, epochs, slots } = family.database.writer;
  const name = (text: string) => new TextEncoder().encode(text);
  assertEquals(listTables(store, newFamilyState()), []);
  assertEquals(findTable(store, newFamilyState(), name("a")), undefined);
  for (const name of ["a", "b"]) family.write(name, () => {});
  const state = newFamilyState();
  slots.read(family.slot, state);
  epochs.enter();
  assertEquals(listTables(store, state).map(({ name }) => name), ["a", "b"]);
  assertCode("corrupt", () => listTables(store, { ...state, tables: 1 }), "more than its 1 tables");
  assertEquals(findTable(store, state, name("b"))?.id, 2);
  assertEquals(findTable(store, state, name("ab")), undefined);
  epochs.leave();
});

test("decoder: the header of an overflow extent is a page without slots", () => {
  const arena = blankPage(PAGE_SIZE, PAGE_OVERFLOW, 0);
  const base = arena.base(1);
  setPageCount(arena.chunk(1).u32, base, 0);
  assertEquals(checkPage(arena.chunk(1), base, PAGE_SIZE), null);
  setPageCount(arena.chunk(1).u32, base, 1);
  assertEquals(checkPage(arena.chunk(1), base, PAGE_SIZE), "overflow page with slots");
});
