/**
 * What `salvage` decodes of a damaged file and its log before it copies anything: it takes what can be had,
 * notes what cannot, and stops at nothing but a file that is none.
 */

import { findRecords } from "../lib/api/salvage/log_records.ts";
import { readDamagedHead } from "../lib/api/salvage/head.ts";
import { SalvageNotes, type SalvageReport } from "../lib/api/salvage/report.ts";
import { ManifoldError } from "../lib/errors.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import { encodeMeta, type Meta, metaOffset } from "../lib/storage/meta.ts";
import { makeInputs, PAGE_SIZE } from "./fuzz/inputs.ts";
import { assertEquals, assertThrows } from "./support/assert.ts";
import { Forger } from "./support/hostile_file.ts";
import { MemoryFile } from "./support/local_family.ts";
import { test } from "./support/test.ts";

const checksum = await Checksum.create();
const forger = new Forger(checksum);
const { clean, unclean, log, meta } = await makeInputs(checksum);

function report(notes: SalvageNotes): SalvageReport {
  return notes.finish({ families: 0, tables: 0, entries: 0 });
}

/** A file whose meta pages are these, by their places; blank where there is none. */
function withMetas(...metas: Partial<Meta>[]): Uint8Array {
  const file = clean.slice();
  file.fill(0, 0, 8192);
  for (const change of metas) {
    const one = { ...meta, ...change };
    file.set(encodeMeta(one, checksum), metaOffset(one.generation));
  }
  return file;
}

test("decoder: the head of a damaged file is what can be had of meta pages, directory and pages", () => {
  const head = (file: Uint8Array): [string[], number, number | undefined, boolean, boolean] => {
    const notes = new SalvageNotes();
    const found = readDamagedHead(new MemoryFile(file), checksum, notes);
    const kinds = report(notes).losses.map(({ kind }) => kind);
    const { pageSize, directory, certain } = found;
    return [kinds, pageSize, found.meta?.generation, directory !== undefined, certain];
  };
  assertEquals(head(clean), [[], PAGE_SIZE, 4, true, true]);
  assertEquals(head(withMetas({})), [["meta"], PAGE_SIZE, 4, true, false]);
  // The directory is of generation 4: meta pages of others do not lead to it.
  assertEquals(head(withMetas({ generation: 1 })), [["directory"], PAGE_SIZE, 1, false, false]);
  assertEquals(head(withMetas({ generation: 3 }))[0], ["meta", "directory"]);
  assertEquals(head(withMetas()), [["meta", "meta"], PAGE_SIZE, undefined, false, false]);
  const older = forger.withMetaBytes(clean, (bytes) => bytes[12] = 9);
  assertEquals(head(older).slice(0, 3), [["directory"], PAGE_SIZE, 3]);
  const foreign = withMetas();
  for (let at = 8192; at < foreign.length; at += PAGE_SIZE) foreign[at + 100] ^= 1;
  for (const file of [foreign, new Uint8Array(0), new Uint8Array(100_000)]) {
    assertEquals(assertThrows(() => head(file), ManifoldError).code, "not-a-database");
  }
  const newer = forger.withMetaBytes(withMetas({}), (bytes) => bytes[12] = 9);
  assertEquals(assertThrows(() => head(newer), ManifoldError).code, "unsupported-version");
});

test("decoder: meta pages that the disk does not give are missing, not the end", () => {
  class FailingFile extends MemoryFile {
    override read(offset: number, ...rest: [Uint8Array, number?, number?]): number {
      if (offset < 8192) throw new ManifoldError("io", "the disk is broken");
      return super.read(offset, ...rest);
    }
  }
  const notes = new SalvageNotes();
  const { pageSize } = readDamagedHead(new FailingFile(clean.slice()), checksum, notes);
  assertEquals([pageSize, report(notes).lossesTotal], [PAGE_SIZE, 2]);
});

test("decoder: the records of a damaged log are found as far as anything says which they are", () => {
  const open = forger.meta(unclean);
  const find = (
    log: Uint8Array | undefined,
    meta: Meta | undefined,
    certain = true,
  ): [number | undefined, string, number] => {
    const notes = new SalvageNotes();
    const file = log && new MemoryFile(log.slice());
    const found = findRecords(file, "the log", meta, certain, checksum, notes);
    const { log: state, lossesTotal } = report(notes);
    return [found?.positions.length, state, lossesTotal];
  };
  const all = find(log, open)[0]!;
  assertEquals(find(log, open), [all, "used", 0]);
  assertEquals(find(log, open, false), [all, "used", 0]);
  assertEquals(find(log, undefined, false), [all, "used", 0]);
  assertEquals(find(log, meta), [undefined, "not-needed", 0]);
  assertEquals(find(undefined, meta), [undefined, "not-needed", 0]);
  assertEquals(find(undefined, open), [undefined, "missing", 1]);
  assertEquals(find(undefined, meta, false), [undefined, "missing", 0]);
  // A log that was begun after the newest meta page that is left.
  const later = { ...meta, salt: new Uint8Array(8), generation: 2 };
  assertEquals(find(log, later, false), [all, "used", 0]);

  const broken = log.slice().fill(0, 0, 64);
  assertEquals(find(broken, meta), [undefined, "not-needed", 0]);
  assertEquals(find(broken, meta, false), [undefined, "damaged", 1]);
  assertEquals(find(broken, undefined, false), [undefined, "damaged", 1]);
  assertEquals(find(broken, open), [all, "damaged", 1]);
  const foreign = forger.withLogHeader(log, { uuid: new Uint8Array(16) });
  assertEquals(find(foreign, open), [undefined, "foreign", 1]);
  assertEquals(find(foreign, meta), [undefined, "not-needed", 0]);
  assertEquals(find(foreign, meta, false), [undefined, "foreign", 0]);
  const second = 4096 + Math.ceil(new DataView(log.buffer).getUint32(4100, true) / 64) * 64;
  const damaged = log.slice();
  damaged[second + 70] ^= 1;
  assertEquals(find(damaged, open), [all - 1, "damaged", 1]);
  assertEquals(find(damaged, open, false), [all - 1, "damaged", 1]);
  const torn = log.slice().fill(0, second);
  assertEquals(find(torn, open), [1, "used", 0]);
  // A record that says another position than where it stands.
  const moved = log.slice();
  moved.copyWithin(4096 + 2 ** 17, 4096, second);
  assertEquals(find(moved, undefined, false), [all, "used", 0]);
});
