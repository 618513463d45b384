/**
 * Protects what a recovery makes of a log: the same as was made when the log was written, though it applies many records'
 * writes in the order of their keys, however much of the log it has in memory at once.
 */

import { catalogRoot, listTables } from "../lib/engine/catalog.ts";
import { CHANGES_TABLE, entryValue } from "../lib/engine/kept_changes.ts";
import { replay } from "../lib/engine/recovery.ts";
import { ManifoldError } from "../lib/errors.ts";
import { LOG_HEADER_BYTES, LogReader, writeAtPosition } from "../lib/log/log_file.ts";
import {
  encodeOperation,
  OP_CREATE_FAMILY,
  OP_DROP_TABLE,
  OP_SET,
  operationMemory,
} from "../lib/log/operations.ts";
import { RecordBuilder } from "../lib/log/record.ts";
import { newFamilyState } from "../lib/memory/family_slots.ts";
import { putU53 } from "../lib/storage/bytes.ts";
import { checkTree } from "../lib/tree/check.ts";
import { Cursor } from "../lib/tree/cursor.ts";
import { assert, assertEquals, assertGreater, assertThrows } from "./support/assert.ts";
import { LocalDatabase, type LocalFamily, MemoryFile, Operations } from "./support/local_family.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const CAPACITY = 2 ** 21;
const PATH = "replayed-log";
const LIFE = { salt: new Uint8Array(8).fill(7), generation: 1, durable: 0 };
const FAMILIES = ["plain", "other", "keeps its changes"];
const KEEPING = 2;

/** All tables of a family as they are published, hidden ones included: entries as text. */
function contentsOf({ source, slot }: LocalFamily): Map<string, string[]> {
  const { store, epochs } = source.memory;
  const state = newFamilyState();
  const tables = new Map<string, string[]>();
  epochs.enter();
  try {
    source.read(state);
    store.family = slot;
    const findings: string[] = [];
    checkTree(store, catalogRoot(state), (finding) => findings.push(finding));
    for (const { name, entry } of listTables(store, state)) {
      const entries: string[] = [];
      const cursor = new Cursor(store);
      checkTree(store, entry.root, (finding) => findings.push(finding));
      for (let more = cursor.seek(entry.root, null, true); more; more = cursor.next()) {
        const at = cursor.keyOffset(cursor.slot);
        const key = cursor.chunk.u8.slice(at, at + cursor.keyLength(cursor.slot));
        entries.push(`${key} = ${entryValue({ values: store }, cursor)}`);
      }
      assertEquals(entry.root.count, entries.length);
      tables.set(`${entry.id} ${name}`, entries);
    }
    assertEquals(findings, []);
  } finally {
    epochs.leave();
  }
  return tables;
}

async function newFamilies(cacheBytes: number): Promise<LocalFamily[]> {
  const database = await LocalDatabase.create({ pageSize: 4096, cacheBytes });
  return FAMILIES.map((name) => database.family(name));
}

/** A log that is written while its families are. */
class Written {
  readonly families: LocalFamily[];
  readonly file = new MemoryFile(new Uint8Array(LOG_HEADER_BYTES + CAPACITY), PATH);
  readonly from: number;
  end: number;

  private constructor(families: LocalFamily[], from: number) {
    this.families = families;
    this.from = this.end = from;
  }

  static async create(from: number): Promise<Written> {
    return new Written(await newFamilies(4 * 2 ** 20), from);
  }

  /** A record with transactions of some of the families; its position. */
  record(
    parts: readonly (readonly [family: number, transactions: readonly Uint8Array[]])[],
  ): number {
    const record = new RecordBuilder();
    record.clear();
    for (const [family, transactions] of parts) {
      const { engine } = this.families[family];
      record.beginPart(engine.id, engine.version + 1);
      engine.beginGroup();
      for (const bytes of transactions) {
        engine.apply(operationMemory(bytes), 0, bytes.length, record);
      }
      record.endPart();
      engine.seal();
      engine.publish();
      engine.afterPublish();
      engine.reclaim();
    }
    return this.append(record);
  }

  append(record: RecordBuilder): number {
    const position = this.end;
    const { checksum } = this.families[0].database.writer;
    const bytes = record.finish(position, LIFE, checksum);
    writeAtPosition(this.file, CAPACITY, position, bytes);
    this.end += bytes.length;
    return position;
  }

  /** Replays what the log has up to `end`; `versions` are the families' last. */
  replayTo(
    families: readonly LocalFamily[],
    versions: readonly number[],
    end: number,
    pieceBytes: number,
  ): void {
    const { writer } = families[0].database;
    families.forEach(({ slot }, i) => {
      const isNew = versions[i] > writer.slots.version(slot);
      writer.slots.setRecoverTo(slot, isNew ? versions[i] : 0);
    });
    replay(
      writer,
      () => new LogReader(this.file, CAPACITY),
      (slot) => families.find((family) => family.slot === slot)!.engine,
      { path: PATH, salt: LIFE.salt, worker: 0, from: this.from, end, pieceBytes },
    );
  }
}

function creation(): Uint8Array {
  const key = new Uint8Array(8);
  putU53(new DataView(key.buffer), 0, 60_000);
  return encodeOperation(OP_CREATE_FAMILY, 0, key, new TextEncoder().encode(FAMILIES[KEEPING]));
}

/** Few keys, so that each is written many times; many of them begin alike. */
function randomKey(random: Random): Uint8Array {
  const key = new Uint8Array(random.pick([1, 3, 6, 11]));
  key[key.length - 1] = random.int(40);
  if (key.length > 5) key[2] = random.int(3);
  return key;
}

function randomTransaction(random: Random, family: LocalFamily): Uint8Array {
  const operations = new Operations();
  // A table is dropped by a transaction of its own.
  const known = [...idsOf(family)];
  if (known.length > 0 && random.chance(0.05)) {
    const [name, id] = random.pick(known);
    return operations.drop(id, name).take();
  }
  for (let i = random.int(3); i >= 0; i--) {
    const name = random.pick(["ants", "bees", "cats", "dogs"]);
    const table = operations.open(name);
    for (let n = random.int(12); n >= 0; n--) {
      if (random.chance(0.7)) {
        const length = random.int(random.chance(0.05) ? 9000 : 60);
        operations.set(table, randomKey(random), random.bytes(length));
      } else if (random.chance(0.9)) {
        operations.delete(table, randomKey(random));
      } else {
        const lower = { key: randomKey(random), inclusive: random.chance(0.5) };
        const upper = { key: randomKey(random), inclusive: random.chance(0.5) };
        operations.deleteRange(table, random.chance(0.1) ? null : lower, upper);
      }
    }
  }
  return operations.take();
}

/** Names and ids of the tables. */
function idsOf({ source, slot }: LocalFamily): Map<string, number> {
  const { store, epochs } = source.memory;
  const state = newFamilyState();
  epochs.enter();
  try {
    source.read(state);
    store.family = slot;
    const visible = [...listTables(store, state)].filter(({ name }) => name !== CHANGES_TABLE);
    return new Map(visible.map(({ name, entry }) => [name, entry.id]));
  } finally {
    epochs.leave();
  }
}

test("replay: whatever a log has, and however much of it is in memory at once, the same comes out of it", async () => {
  const random = Random.fromEnvironment("replay");
  for (let round = 0; round < 6; round++) {
    const written = await Written.create(random.chance(0.5) ? CAPACITY - 64 * 300 : 0);
    written.record([[KEEPING, [creation()]]]);
    let middle: { versions: number[]; end: number } | undefined;
    const versionsNow = () => written.families.map(({ engine }) => engine.version);
    for (let i = 0; i < 150; i++) {
      const parts = written.families.map((family, n) =>
        [
          n,
          Array.from({ length: 1 + random.int(3) }, () => randomTransaction(random, family)),
        ] as const
      );
      // The second of two transactions may not know any more what the first has dropped.
      const chosen = parts.filter(() => random.chance(0.5)).map(([n, all]) => {
        const drop = all.find((one) => one[0] === OP_DROP_TABLE);
        return [n, drop === undefined ? all : [drop]] as const;
      });
      written.record(chosen);
      if (i === 70) middle = { versions: versionsNow(), end: written.end };
    }
    const expected = written.families.map(contentsOf);
    assertGreater(expected[KEEPING].get(`1 ${CHANGES_TABLE}`)!.length, 3);
    for (const pieceBytes of [64, 2000, 20_000, 2 ** 20]) {
      for (const isTwice of [false, true]) {
        const families = await newFamilies(random.pick([2 ** 19, 4 * 2 ** 20]));
        const { versions, end } = middle!;
        // What the families contain already is there for the second time.
        if (isTwice) written.replayTo(families, versions, end, pieceBytes);
        written.replayTo(families, versionsNow(), written.end, pieceBytes);
        assertEquals(families.map(({ engine }) => engine.version), versionsNow());
        assertEquals(families.map(contentsOf), expected);
      }
    }
  }
});

/** A log of one table, of which each record sets one key. */
async function singles(
  keys: readonly number[],
): Promise<{ written: Written; positions: number[] }> {
  const written = await Written.create(0);
  const positions = keys.map((key) => {
    const operations = new Operations();
    operations.set(operations.open("ants"), new Uint8Array([key]), new Uint8Array(20));
    return written.record([[0, [operations.take()]]]);
  });
  return { written, positions };
}

test("replay: a write that has waited and cannot be applied is told with its record's position", async () => {
  const { written, positions } = await singles([5, 4, 9, 2, 7]);
  const versions = written.families.map(({ engine }) => engine.version);
  for (const code of ["corrupt", "io"] as const) {
    const families = await newFamilies(2 ** 20);
    const { engine } = families[0];
    engine.pager.reserve = () => {
      throw new ManifoldError(code, "broken");
    };
    const error = assertThrows(
      () => written.replayTo(families, versions, written.end, 2 ** 20),
      ManifoldError,
      "broken",
    );
    assertEquals(error.code, code);
    if (code === "io") continue;
    assert(error.message.includes(`record at position ${positions[3]} `), error.message);
  }
});

test("replay: an operation that the log cannot have is told with its record's position, and nothing is published", async () => {
  const { written } = await singles([5, 4, 9]);
  const { engine } = written.families[0];
  const record = new RecordBuilder();
  record.clear();
  record.beginPart(engine.id, engine.version + 1);
  const bytes = encodeOperation(OP_SET, 77, new Uint8Array([1]), new Uint8Array(3));
  record.append(bytes, 0, bytes.length);
  record.endPart();
  const position = written.append(record);
  for (const pieceBytes of [64, 2 ** 20]) {
    const families = await newFamilies(2 ** 20);
    const error = assertThrows(
      () => written.replayTo(families, [engine.version + 1, 0, 0], written.end, pieceBytes),
      ManifoldError,
      `record at position ${position} cannot be applied`,
    );
    assertEquals(error.code, "corrupt");
    assertEquals(families[0].engine.version, 0);
    families[0].engine.discard();
    written.replayTo(families, [engine.version, 0, 0], position, pieceBytes);
    assertEquals(contentsOf(families[0]), contentsOf(written.families[0]));
  }
});
