/**
 * Everything that decodes what is in a file, each fed with mutated bytes whose checksums are right again,
 * so that the checks behind the checksums are what is tried.
 *
 * @module
 */

import { DamagedPages } from "../../lib/api/salvage/damaged_pages.ts";
import { plansOfDirectory, plansOfPages } from "../../lib/api/salvage/family_plan.ts";
import { type DamagedHead, readDamagedHead } from "../../lib/api/salvage/head.ts";
import { findRecords } from "../../lib/api/salvage/log_records.ts";
import { PageIndex } from "../../lib/api/salvage/page_index.ts";
import { SalvageNotes } from "../../lib/api/salvage/report.ts";
import { TreeWalk } from "../../lib/api/salvage/tree_walk.ts";
import { Notation } from "../../lib/cli/readable.ts";
import {
  catalogRoot,
  decodeTableEntry,
  EncodedEntry,
  findKeptTable,
} from "../../lib/engine/catalog.ts";
import { changeBytes, putChange, readChange } from "../../lib/engine/change_record.ts";
import { keptState, readKeptChanges } from "../../lib/engine/kept_changes.ts";
import { Refusal } from "../../lib/engine/requests.ts";
import { ManifoldError } from "../../lib/errors.ts";
import { LogReader, readLogHeader } from "../../lib/log/log_file.ts";
import { operationMemory, OperationReader } from "../../lib/log/operations.ts";
import { readRecord, scanLog } from "../../lib/log/recovery_scan.ts";
import { newFamilyEntry, newFamilyState } from "../../lib/memory/family_slots.ts";
import type { Checksum } from "../../lib/storage/checksum.ts";
import { decodeDirectory } from "../../lib/storage/directory.ts";
import { decodeMeta, firstDataPage, readMeta } from "../../lib/storage/meta.ts";
import { PageAllocator } from "../../lib/storage/page_allocator.ts";
import { checkTree } from "../../lib/tree/check.ts";
import { CHECKSUM_BYTES, HEADER_BYTES } from "../../lib/tree/page.ts";
import { TreeRoot } from "../../lib/tree/root.ts";
import { treeStats } from "../../lib/tree/stats.ts";
import { MultimapEntryCodec } from "../../lib/api/codecs/multimap_entry.ts";
import {
  bool,
  bytes,
  type Codec,
  f32Array,
  f64,
  i32,
  i64,
  json,
  text,
  tuple,
  u32,
  u64,
} from "../../mod.ts";
import { MemoryFile, Operations } from "../support/local_family.ts";
import { BytesOpener, entriesOf, type OpenedBytes } from "../support/opened_bytes.ts";
import type { Random } from "../support/random.ts";
import { FAMILIES, type Inputs, MULTIMAP, MULTIMAP_CODECS, PAGE_SIZE, TABLES } from "./inputs.ts";
import { mutate, mutated } from "./mutate.ts";

/** Decodes something that `random` has mutated; throws nothing but what `expected` lets through. */
export type Target = (random: Random) => void;

/** Calls `fn`, which may throw a {@linkcode ManifoldError} and nothing else. */
function expected(fn: () => unknown): void {
  try {
    fn();
  } catch (error) {
    // A refusal says to a caller that what is asked does not go with what is there.
    if (!(error instanceof ManifoldError || error instanceof Refusal)) throw error;
  }
}

const CODECS: readonly Codec<unknown>[] = [
  bool,
  bytes,
  text,
  u32,
  i32,
  u64,
  i64,
  f64,
  json(),
  f32Array(4),
  tuple(text, u32),
  tuple(tuple(bytes, text), f64, bool),
  new MultimapEntryCodec(text, bytes),
  new MultimapEntryCodec(tuple(text, u32), text),
] as Codec<unknown>[];

/** A change of which either value may stand apart. */
const CHANGE = {
  table: new TextEncoder().encode("small\0bytes\0bytes"),
  key: new Uint8Array([1, 2, 3]),
  previous: new Uint8Array(20),
  value: new Uint8Array(30),
};

/** Bytes that codecs make something of. */
const ENCODED = [
  '{"a":[1,2,{"b":null}],"c":"\u00e9"}',
  "text with \ud83d\ude00",
  "\x01\x01\x01\x02\x00abc\x00",
  "\x80\x00\x00\x00\x00\x00\x00\x00",
  "",
].map((one) => new TextEncoder().encode(one));

export function makeTargets(inputs: Inputs, checksum: Checksum): Record<string, Target> {
  const opener = new BytesOpener(checksum, PAGE_SIZE);
  const { clean, unclean, log, logEnd, meta } = inputs;
  const at = meta.directoryPage * PAGE_SIZE;
  const directory = clean.slice(at, at + meta.directoryBytes);
  const [{ entry }] = inputs.families;
  const imageAt = entry.image[0] * PAGE_SIZE + HEADER_BYTES;
  const image = clean.slice(imageAt, imageAt + entry.imageBytes);
  const extents = decodeDirectory(directory, "fuzz", firstDataPage(PAGE_SIZE), PAGE_SIZE).extents
    .filter(({ free, owner }) => !free && owner === 1);
  const pages = clean.length / PAGE_SIZE;
  const logged = logTargets(inputs, checksum);

  return {
    meta(random) {
      const file = clean.slice(0, 8192);
      for (const offset of [0, 4096]) {
        const page = file.subarray(offset, offset + 4096);
        mutate(page, random, 0, random.chance(0.9) ? 80 : 4088);
        if (random.chance(0.8)) checksum.put(page.subarray(0, 4088), page, 4088);
        decodeMeta(page, checksum);
      }
      expected(() => readMeta(new MemoryFile(file), checksum));
      decodeMeta(mutated(file, random), checksum);
    },
    directory(random) {
      const changed = mutated(directory, random);
      expected(() => decodeDirectory(changed, "fuzz", firstDataPage(PAGE_SIZE), PAGE_SIZE));
      if (random.chance(0.5)) return;
      const file = clean.slice();
      file.set(changed.subarray(0, PAGE_SIZE), at);
      const put = file.subarray(0, 4096);
      new DataView(put.buffer).setUint32(68, Math.min(changed.length, PAGE_SIZE), true);
      put.set(checksum.of(changed.subarray(0, PAGE_SIZE)), 72);
      checksum.put(put.subarray(0, 4088), put, 4088);
      expected(() => readEverything(opener.open(file)));
    },
    allocatorImage(random) {
      const changed = mutated(image, random);
      const allocator = new PageAllocator(PAGE_SIZE, () => {
        throw new ManifoldError("too-large", "no more");
      });
      expected(() => {
        allocator.restore(changed, extents, "fuzz");
        const last = Math.max(...extents.map((one) => one.start + one.pages));
        for (let i = 0; i < 40; i++) {
          const run = 1 + random.int(3);
          const page = allocator.takeRun(run);
          if (page + run > last) throw new Error(`page ${page} is behind the family's last`);
        }
      });
    },
    catalogEntry(random) {
      const root = new TreeRoot();
      root.height = 2;
      root.count = 100;
      const bytes = new EncodedEntry({ id: 3, codecs: "text\0bytes", root }).now();
      expected(() => decodeTableEntry(mutated(bytes, random)));
    },
    pages(random) {
      const file = clean.slice();
      for (let count = 1 + random.int(2); count > 0; count--) {
        const page = file.subarray(...pageAt(2 + random.int(pages - 2)));
        // Mostly what is behind number, birth and incarnation: with others, nobody looks further.
        const slots = random.chance(0.5) ? 400 : PAGE_SIZE;
        mutate(page, random, random.chance(0.9) ? 24 : 8, slots);
        checksum.put(page.subarray(CHECKSUM_BYTES), page, 0);
      }
      expected(() => readEverything(opener.open(file)));
    },
    overflow(random) {
      const file = clean.slice();
      changeOverflow(file, random, checksum);
      expected(() => readEverything(opener.open(file)));
    },
    file(random) {
      const file = mutated(random.chance(0.5) ? clean : unclean, random);
      if (random.chance(0.5)) expected(() => readEverything(opener.open(file, { readOnly: true })));
      else expected(() => readEverything(opener.open(file, { log: log.slice() })));
    },
    recovery(random) {
      const changed = logged.changedLog(random);
      const acceptLogLoss = random.chance(0.3);
      expected(() => readEverything(opener.open(unclean, { log: changed, acceptLogLoss })));
    },
    scan(random) {
      const file = new MemoryFile(logged.changedLog(random));
      expected(() => {
        const { capacity } = readLogHeader(file, checksum);
        scanLog(new LogReader(file, capacity), random.chance(0.9) ? 0 : random.int(2 ** 20), {
          path: "fuzz",
          salt: meta.salt,
          generation: 4,
          checksum,
          contained: (family) => inputs.families[family - 1]?.entry.version,
        });
      });
    },
    logHeader(random) {
      const header = log.slice(0, 4096);
      mutate(header, random, 0, random.chance(0.9) ? 56 : 4088);
      if (random.chance(0.8)) checksum.put(header.subarray(0, 4088), header, 4088);
      expected(() => readLogHeader(new MemoryFile(mutatedTail(header, random)), checksum));
    },
    operations(random) {
      const start = 4096 + 64 + 16;
      const changed = log.slice(start, start + 4 * random.int(logEnd / 4 - 20));
      mutate(changed, random);
      const reader = new OperationReader();
      expected(() => {
        reader.begin(operationMemory(changed), 0, changed.length);
        while (reader.next()) {
          reader.key();
          reader.value();
        }
      });
    },
    changes(random) {
      if (random.chance(0.5)) {
        const bytes = new Uint8Array(changeBytes(CHANGE));
        putChange(bytes, 0, CHANGE, random.chance(0.2), random.chance(0.2));
        expected(() => readChange(mutated(bytes, random)));
        return;
      }
      const file = clean.slice();
      const view = new DataView(file.buffer);
      for (let page = 2; page < pages; page++) {
        const start = page * PAGE_SIZE;
        const isKept = view.getUint32(start + 40, true) === 3 &&
          view.getUint32(start + 44, true) === 1 && view.getUint32(start + 8, true) === page;
        if (!isKept || file[start + 24] === 3 || random.chance(0.6)) continue;
        const changed = file.subarray(...pageAt(page));
        mutate(changed, random, random.chance(0.3) ? 24 : PAGE_SIZE - 1500);
        checksum.put(changed.subarray(CHECKSUM_BYTES), changed, 0);
      }
      if (random.chance(0.3)) changeOverflow(file, random, checksum);
      expected(() => {
        const opened = opener.open(file);
        expected(() => readKept(opened, "kept"));
        for (const change of CHANGES) {
          const operations = new Operations();
          change(operations, operations.open("small"), new TextEncoder().encode("key-3"));
          expected(() => opened.attempt("kept", operations));
        }
      });
    },
    dump(random) {
      const name = random.chance(0.5)
        ? random.pick(CODEC_NAMES)
        : mutated(random.pick(CODEC_NAMES), random);
      const notation = new Notation(lenient.decode(name));
      const kind = random.int(4);
      const input = kind === 0
        ? random.bytes(random.int(20))
        : kind === 1
        ? random.pick(UNUSUAL)
        : mutated(random.pick(kind === 2 ? ENCODED : READABLE), random);
      const written = notation.write(input);
      if (written !== undefined) {
        const again = notation.read(JSON.parse(written));
        if (Buffer.compare(again, input) !== 0) throw new Error(`${written} says something else`);
      }
      let json: unknown;
      try {
        json = JSON.parse(lenient.decode(input));
      } catch {
        return; // no line of a dump either
      }
      expected(() => notation.read(json));
    },
    salvage(random) {
      const file = random.chance(0.5) ? clean.slice() : unclean.slice();
      for (let count = random.int(4); count > 0; count--) {
        const page = file.subarray(...pageAt(2 + random.int(pages - 2)));
        mutate(page, random, random.chance(0.7) ? 24 : 0, random.chance(0.5) ? 400 : PAGE_SIZE);
        if (random.chance(0.8)) checksum.put(page.subarray(CHECKSUM_BYTES), page, 0);
      }
      if (random.chance(0.5)) changeOverflow(file, random, checksum);
      for (const offset of [0, 4096]) {
        if (random.chance(0.6)) continue;
        const page = file.subarray(offset, offset + 4096);
        mutate(page, random, 0, 80);
        if (random.chance(0.7)) checksum.put(page.subarray(0, 4088), page, 4088);
      }
      const changed = random.chance(0.3) ? undefined : logged.changedLog(random);
      if (changed !== undefined && random.chance(0.3)) mutate(changed, random, 0, 56);
      salvageAll(mutatedTail(file, random), changed, checksum);
    },
    codecs(random) {
      const codec = random.pick(CODECS);
      const input = random.chance(0.3)
        ? random.bytes(random.int(40))
        : mutated(random.pick(ENCODED), random);
      expected(() => codec.decode(input));
    },
  };
}

/** Changes some of the overflow extents. */
function changeOverflow(file: Uint8Array, random: Random, checksum: Checksum): void {
  const view = new DataView(file.buffer);
  for (let page = 2; page < file.length / PAGE_SIZE; page++) {
    const start = page * PAGE_SIZE;
    if (view.getUint32(start + 8, true) !== page || file[start + 24] !== 3) continue;
    if (random.chance(0.7)) continue;
    const end = Math.min(file.length, start + HEADER_BYTES + view.getUint32(start + 32, true));
    mutate(file, random, start + 8, Math.min(end, start + 100));
    file.set(checksum.of(file.subarray(start + CHECKSUM_BYTES, end)), start);
  }
}

function pageAt(page: number): [number, number] {
  return [page * PAGE_SIZE, (page + 1) * PAGE_SIZE];
}

function mutatedTail(bytes: Uint8Array, random: Random): Uint8Array {
  return random.chance(0.9) ? bytes : bytes.slice(0, random.int(bytes.length));
}

function logTargets({ log, logEnd }: Inputs, checksum: Checksum) {
  const records: [number, number][] = [];
  const view = new DataView(log.buffer);
  for (let at = 4096; at < 4096 + logEnd;) {
    const length = view.getUint32(at + 4, true);
    records.push([at, at + length]);
    at += Math.ceil(length / 64) * 64;
  }
  return {
    /** The log with some records changed, most of them with the right checksum again. */
    changedLog(random: Random): Uint8Array {
      const changed = log.slice();
      for (let count = 1 + random.int(3); count > 0; count--) {
        const [from, to] = random.pick(records);
        // Position and salt stay: with others, nobody looks further.
        const first = random.chance(0.8) ? 64 : 24;
        mutate(changed, random, from + (random.chance(0.1) ? 4 : first), to);
        if (random.chance(0.9)) {
          changed.fill(0, from + 48, from + 56);
          changed.set(checksum.of(changed.subarray(from, to)), from + 48);
        }
      }
      return changed;
    },
  };
}

/** Reads and changes all there is, whatever it is; what cannot be read is passed over. */
function readEverything(opened: OpenedBytes): void {
  const { store, epochs } = opened.memory;
  for (const family of opened.families()) {
    let tables = TABLES;
    expected(() => tables = opened.tables(family));
    expected(() => readKept(opened, family));
    for (const name of [...tables, ...FAMILIES].slice(0, 5)) {
      const codecs = name === MULTIMAP ? MULTIMAP_CODECS : "bytes\0bytes";
      const table = opened.table(family, name, codecs);
      const key = new TextEncoder().encode("key-0011");
      expected(() => table.get(key));
      expected(() => table.count({ key, inclusive: true }, null));
      expected(() => table.at(17));
      for (const reverse of [false, true]) {
        expected(() => {
          let left = 2000;
          for (const [key] of entriesOf(table, reverse)) {
            if (name === MULTIMAP) expected(() => ENTRIES.decode(key));
            if (--left === 0) break;
          }
        });
      }
      expected(() => {
        const found = table.resolve();
        if (found === undefined) return;
        epochs.enter();
        try {
          treeStats(store, found.root);
          checkTree(store, found.root, () => {});
        } finally {
          epochs.leave();
        }
      });
      for (const change of CHANGES) {
        const operations = new Operations();
        change(operations, operations.open(name, codecs), key);
        expected(() => opened.attempt(family, operations));
      }
    }
  }
}

const ENTRIES = new MultimapEntryCodec(text, bytes);

/** Reads the changes that a family keeps, if it keeps any. */
function readKept({ memory }: OpenedBytes, family: string): void {
  const { store, epochs, slots } = memory;
  const state = newFamilyState();
  slots.read(slots.find(family), state);
  store.familyName = family;
  epochs.enter();
  try {
    const table = findKeptTable(store, state);
    if (table === undefined) return;
    const { since } = keptState(store, table.root);
    const position = { version: since + 1, index: 0, count: 0 };
    for (let i = 0; i < 30; i++) {
      const kept = { pager: store, root: table.root, values: store };
      if (readKeptChanges(kept, position, 4096).length === 0) return;
    }
  } finally {
    epochs.leave();
  }
}

/** Takes from a damaged file all that `salvage` would, and from its log: nothing but a file that is none stops it. */
function salvageAll(file: Uint8Array, log: Uint8Array | undefined, checksum: Checksum): void {
  const notes = new SalvageNotes();
  const source = new MemoryFile(file);
  let head: DamagedHead | undefined;
  expected(() => head = readDamagedHead(source, checksum, notes));
  if (head === undefined) return;
  const { pageSize, meta, directory, certain } = head;
  const pages = new DamagedPages(source, checksum, pageSize, notes);
  const index = new PageIndex();
  for (const _ of index.build(pages)) { /* to its end */ }
  const plans = plansOfPages(pages, index.directory ?? directory, index);
  if (directory !== undefined) plans.push(...plansOfDirectory(pages, directory));
  for (const { id, entry, image, version } of plans) {
    if (image !== undefined) index.missing(id, image, version);
    const walks = index.tables(id).map((table) => {
      const walk = new TreeWalk(pages, { family: `${id}` });
      return [walk, walk.found(index.pages(id, table))] as const;
    });
    const catalog = new TreeWalk(pages, { family: `${id}` });
    const roots = catalogRoot(entry ?? newFamilyEntry());
    for (const [walk, entries] of [[catalog, catalog.from(roots)] as const, ...walks]) {
      for (const _ of entries) { /* to its end */ }
      for (const _ of walk.guessed(index.pages(id, 0), { leaves: 0, entries: 0 })) { /* as well */ }
      walk.report();
    }
  }
  const logFile = log && new MemoryFile(log);
  for (const sure of [true, false]) {
    const found = findRecords(logFile, "fuzz-log", meta, certain && sure, checksum, notes);
    for (const position of found?.positions ?? []) {
      readRecord(found!.reader, position, found!.salt, undefined);
    }
  }
  notes.finish({ families: 0, tables: 0, entries: 0 });
}

/** Names of codecs as a dump has them. */
const CODEC_NAMES = [
  "text",
  "bytes",
  "json",
  "u64",
  "i32",
  "f64",
  "none",
  "f32Array(4)",
  "tuple(text,u32)",
  "multimap(tuple(text,bool),i64)",
  "somebody's",
].map((name) => new TextEncoder().encode(name));

const READABLE = ['"text"', "[1,2,3,4]", '["a",7]', '[["a",true],"-5"]', '"12345"', "null", "-7.5"]
  .map((json) => new TextEncoder().encode(json));

/** What decodes to the same as other bytes. */
const UNUSUAL = [
  ...[" [1, 2]", '"\\u0041"', "1.50", "-0", '{"a":1,"a":2}'].map((one) =>
    new TextEncoder().encode(one)
  ),
  new Uint8Array(8).fill(0xff),
  new Uint8Array(16).fill(0xff),
  new Uint8Array(1).fill(2),
];

const lenient = new TextDecoder();

const CHANGES: readonly ((operations: Operations, table: number, key: Uint8Array) => void)[] = [
  (operations, table, key) => operations.set(table, key, new Uint8Array(500)),
  (operations, table, key) => operations.delete(table, key),
  (operations, table, key) => operations.deleteRange(table, { key, inclusive: true }, null),
  (operations, table) => operations.deleteRange(table, null, null),
];
