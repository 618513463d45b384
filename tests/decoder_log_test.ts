/**
 * What is decoded from a log, without threads: what was written comes back, round the ring and torn at its end;
 * headers, records and operations that cannot be are refused with file and position.
 */

import { type ErrorCode, ManifoldError } from "../lib/errors.ts";
import { damageError } from "../lib/log/log_damage.ts";
import {
  encodeLogHeader,
  LOG_BYTES_MAX,
  LOG_BYTES_MIN,
  LOG_HEADER_BYTES,
  logPathOf,
  LogReader,
  readLogHeader,
  readOwnLogHeader,
  writeAtPosition,
} from "../lib/log/log_file.ts";
import {
  encodeOperation,
  OP_CREATE_FAMILY,
  OP_DROP_FAMILY,
  OP_SET,
  operationMemory,
  OperationReader,
} from "../lib/log/operations.ts";
import {
  alignRecord,
  readRecordHeader,
  RECORD_ALIGNMENT,
  RECORD_HEADER_BYTES,
  RecordBuilder,
  recordParts,
  recordVerifies,
} from "../lib/log/record.ts";
import { type LogScan, nothingOf, scanLog, type ScanOptions } from "../lib/log/recovery_scan.ts";
import { ID_MAX } from "../lib/memory/family_slots.ts";
import { COUNT_MAX } from "../lib/storage/bytes.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import { withAllocationsUpTo } from "./support/allocation_guard.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
  assertThrows,
} from "./support/assert.ts";
import { MemoryFile } from "./support/local_family.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const PATH = logPathOf("some/file");
const CAPACITY = LOG_BYTES_MIN;
const NONE = new Uint8Array(0);

const checksum = await Checksum.create();
const salt = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
const options: ScanOptions = { path: PATH, salt, generation: 4, checksum };

function assertCode(code: ErrorCode, fn: () => unknown, ...parts: string[]): ManifoldError {
  const error = assertThrows(fn, ManifoldError);
  assertEquals(error.code, code, error.message);
  for (const part of parts) assertStringIncludes(error.message, part);
  return error;
}

/** A log whose ring has never been written. */
function emptyLog(): MemoryFile {
  return new MemoryFile(new Uint8Array(LOG_HEADER_BYTES + CAPACITY), PATH);
}

interface Part {
  readonly family: number;
  readonly version: number;
  readonly operations?: readonly Uint8Array[];
}

function record(
  position: number,
  parts: readonly Part[],
  life: { durable?: number; generation?: number } = {},
): Uint8Array {
  const builder = new RecordBuilder();
  for (const { family, version, operations = [] } of parts) {
    builder.beginPart(family, version);
    for (const bytes of operations) builder.append(bytes, 0, bytes.length);
    builder.endPart();
  }
  return builder.finish(position, { salt, generation: 4, durable: 0, ...life }, checksum).slice();
}

/** Writes records one behind the other; returns the position behind the last. */
function writeRecords(
  file: MemoryFile,
  from: number,
  records: readonly { parts: readonly Part[]; durable?: number; generation?: number }[],
): number {
  let position = from;
  for (const { parts, ...life } of records) {
    const bytes = record(position, parts, life);
    writeAtPosition(file, CAPACITY, position, bytes);
    position += bytes.length;
  }
  return position;
}

const set = encodeOperation(OP_SET, 1, new Uint8Array(4), new Uint8Array(40));
const create = (name: Uint8Array) => encodeOperation(OP_CREATE_FAMILY, 0, NONE, name);

test("decoder: a log's header comes back; what it cannot say, and another log's, is refused", () => {
  const header = { uuid: new Uint8Array(16).fill(9), salt, capacity: CAPACITY, generation: 3 };
  const file = (change: (view: DataView) => void): MemoryFile => {
    const encoded = encodeLogHeader(header, checksum);
    change(new DataView(encoded.buffer));
    checksum.put(encoded.subarray(0, LOG_HEADER_BYTES - 8), encoded, LOG_HEADER_BYTES - 8);
    return new MemoryFile(encoded, PATH);
  };
  const sound = file(() => {});
  assertEquals(readLogHeader(sound, checksum), header);
  assertEquals(readOwnLogHeader(sound, header, checksum), header);
  for (const other of [{ ...header, uuid: salt }, { ...header, salt: header.uuid }]) {
    assertCode("corrupt", () => readOwnLogHeader(sound, other, checksum), PATH, "another database");
  }
  for (const [capacity, generation] of [[LOG_BYTES_MAX, 0], [CAPACITY, COUNT_MAX]]) {
    const bound = { ...header, capacity, generation };
    const encoded = new MemoryFile(encodeLogHeader(bound, checksum), PATH);
    assertEquals(readLogHeader(encoded, checksum), bound);
  }
  const foreign = file((view) => view.setUint8(3, 0));
  assertCode("corrupt", () => readLogHeader(foreign, checksum), PATH, "not the log");
  const flipped = encodeLogHeader(header, checksum);
  flipped[2000] ^= 1;
  for (const bytes of [NONE, flipped.slice(0, 4095), new Uint8Array(4096), flipped]) {
    const damaged = () => readLogHeader(new MemoryFile(bytes, PATH), checksum);
    assertCode("corrupt", damaged, PATH, "not the log", "acceptLogLoss");
  }
  assertCode(
    "unsupported-version",
    () => readLogHeader(file((view) => view.setUint32(12, 2, true)), checksum),
    PATH,
    "log version 2",
  );
  const capacities = [0, -1, NaN, Infinity, CAPACITY - 4096, CAPACITY + 1, 2 ** 33];
  const generations = [-1, 0.5, NaN, COUNT_MAX * 2];
  for (const [at, values] of [[40, capacities], [48, generations]] as const) {
    for (const value of values) {
      const forged = file((view) => view.setFloat64(at, value, true));
      assertCode(
        "corrupt",
        () => readLogHeader(forged, checksum),
        PATH,
        `(${value})`,
        "impossible",
      );
    }
  }
});

test("decoder: a ring is read round its end, and as zeros where its file was never written", () => {
  const random = Random.fromEnvironment("ring");
  const file = emptyLog();
  const written = random.bytes(1000);
  writeAtPosition(file, CAPACITY, 3 * CAPACITY - 300, written);
  const reads: number[] = [];
  const log = new LogReader(file, CAPACITY, (bytes) => reads.push(bytes));
  assertEquals(log.read(3 * CAPACITY - 300, 1000), written);
  assertEquals(log.read(3 * CAPACITY + 100, 10), written.slice(400, 410));
  assertEquals(reads, [CAPACITY], "one read of the whole ring");
  assert(log.holds(CAPACITY - 64, 128), "across the end of a ring that the file has");
  assertEquals(log.findWord(0x12345678, 0, CAPACITY - 64, 64), -1);
  new DataView(file.bytes.buffer).setUint32(LOG_HEADER_BYTES + CAPACITY - 64, 0x12345678, true);
  assertEquals(
    new LogReader(file, CAPACITY).findWord(0x12345678, 0, CAPACITY - 64, 64),
    CAPACITY - 64,
  );

  const long = random.bytes(2 ** 20 + 100);
  const wide = new MemoryFile(new Uint8Array(LOG_HEADER_BYTES + 2 ** 21), PATH);
  writeAtPosition(wide, 2 ** 21, 2 ** 20, long);
  assertEquals(new LogReader(wide, 2 ** 21).read(2 ** 20, long.length), long, "more than a window");

  const short = new MemoryFile(file.bytes.slice(0, LOG_HEADER_BYTES + 800), PATH);
  const head = new LogReader(short, CAPACITY);
  assertEquals(head.read(0, 1000), new Uint8Array([...written.slice(300), ...new Uint8Array(300)]));
  assert(head.holds(0, 800));
  assert(!head.holds(0, 801));
  assert(!head.holds(CAPACITY - 64, 128), "across the end of a ring that the file has not");
});

test("decoder: a disk that gives less of the log than the file has is an error, not the log's end", () => {
  class StingyFile extends MemoryFile {
    override read(offset: number, memory: Uint8Array, from = 0, length = memory.length): number {
      return super.read(offset, memory, from, length >> 1);
    }
  }
  const log = new LogReader(new StingyFile(emptyLog().bytes, PATH), CAPACITY);
  assertCode("io", () => log.read(0, 64), PATH, `of ${CAPACITY} bytes at ${LOG_HEADER_BYTES}`);
});

test("decoder: a record is put together in memory that grows, and is what its parts were", () => {
  const builder = new RecordBuilder();
  const large = new Uint8Array(5 * 2 ** 20).fill(3);
  for (const operations of [large, set]) {
    builder.clear();
    builder.beginPart(7, COUNT_MAX);
    const at = builder.append(operations, 0, operations.length);
    builder.setTable(at, 0x01020304);
    assertEquals(builder.partBytes, operations.length);
    builder.endPart();
    builder.beginPart(8, 1);
    builder.append(set, 0, set.length);
    builder.dropPart();
    assertEquals([builder.parts, builder.length], [1, at + operations.length]);
    const bytes = builder.finish(640, { salt, generation: 2 ** 34, durable: 2 ** 35 }, checksum);
    assertEquals(bytes.length % RECORD_ALIGNMENT, 0);
    const header = readRecordHeader(bytes, 640, salt)!;
    const length = at + operations.length;
    assertEquals(header, {
      length,
      position: 640,
      generation: 2 ** 34,
      durable: 2 ** 35,
      parts: 1,
    });
    assert(recordVerifies(bytes.subarray(0, length), checksum));
    const [part] = recordParts(bytes, header, PATH);
    assertEquals(part, { family: 7, version: COUNT_MAX, from: at, to: length });
    assertEquals(new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 4, true), 0x01020304);
    assertEquals(bytes.slice(at + 8, length), operations.slice(8));
    assertEquals(readRecordHeader(bytes, 704, salt), undefined, "another position");
    assertEquals(readRecordHeader(bytes, 640, new Uint8Array(8)), undefined, "another life");
    assertEquals(readRecordHeader(bytes.subarray(0, 63), 640, salt), undefined, "cut off");
    bytes[length - 1] ^= 1;
    assert(!recordVerifies(bytes.subarray(0, length), checksum));
  }
  withAllocationsUpTo(2 ** 20, () => {
    const error = assertCode(
      "too-large",
      () => builder.append(large, 0, large.length),
      "no memory",
    );
    assertInstanceOf(error.cause, Error);
  });
});

test("decoder: a record that is made one without parts stays in its place, and counts", () => {
  const file = emptyLog();
  const builder = new RecordBuilder();
  builder.beginPart(3, 1);
  builder.append(set, 0, set.length);
  builder.endPart();
  assertEquals(builder.body.length, 16 + set.length);
  const life = { salt, generation: 4, durable: 0 };
  const bytes = builder.finish(64, life, checksum).slice();
  const { length } = readRecordHeader(bytes, 64, salt)!;
  bytes.set(builder.voidHeader(64, length, life, checksum));
  // The checksum is of all its bytes: those behind the header count as they are.
  writeAtPosition(file, CAPACITY, 64, bytes);
  const next = { parts: [{ family: 3, version: 1, operations: [set] }] };
  const end = writeRecords(file, 64 + bytes.length, [next]);
  const scan = scanLog(new LogReader(file, CAPACITY), 64, options);
  assertEquals([scan.end, scan.records, scan.damage], [end, 2, undefined]);
  assertEquals(scan.families.get(3)?.last, 1);
});

test("decoder: parts that cannot be are refused with record and part", () => {
  const sound = record(128, [{ family: 1, version: 1, operations: [set] }, {
    family: 2,
    version: 9,
  }]);
  const second = RECORD_HEADER_BYTES + 16 + set.length;
  const cases: [part: number, (view: DataView) => void][] = [
    [2, (view) => view.setUint32(40, 3, true)], // more parts than there are
    [0, (view) => view.setUint32(RECORD_HEADER_BYTES, 0, true)],
    [0, (view) => view.setUint32(RECORD_HEADER_BYTES, ID_MAX + 1, true)],
    [0, (view) => view.setUint32(RECORD_HEADER_BYTES + 4, 1000, true)],
    [0, (view) => view.setUint32(RECORD_HEADER_BYTES + 4, set.length - 1, true)],
    [1, (view) => view.setBigUint64(second + 8, 0n, true)],
    [1, (view) => view.setBigUint64(second + 8, BigInt(COUNT_MAX) + 1n, true)],
  ];
  for (const [part, change] of cases) {
    const bytes = sound.slice();
    change(new DataView(bytes.buffer));
    const header = readRecordHeader(bytes, 128, salt)!;
    assertCode(
      "corrupt",
      () => recordParts(bytes, header, PATH),
      `${PATH}: part ${part} of the log's record at position 128`,
    );
  }
});

test("decoder: operations that leave their part, or are of no kind, are refused", () => {
  const reader = new OperationReader();
  const next = (bytes: Uint8Array): boolean => {
    reader.begin(operationMemory(bytes), 0, bytes.length);
    return reader.next();
  };
  assert(!next(NONE));
  assert(next(encodeOperation(OP_SET, 6, new Uint8Array([1, 2]), new Uint8Array([3]))));
  assertEquals([reader.table, [...reader.key()], [...reader.value()]], [6, [1, 2], [3]]);
  assert(!reader.next());
  const changed = (at: number, to: number): Uint8Array => {
    const bytes = set.slice();
    bytes[at] = to;
    return bytes;
  };
  const damaged = [changed(0, 0), changed(0, 9), changed(3, 1), changed(11, 0x80), set.slice(0, 8)];
  for (const bytes of damaged) assertCode("corrupt", () => next(bytes), "operation at byte 0");
});

test("decoder: a scan reads families' names, versions and ends, to where the log ends", () => {
  const file = emptyLog();
  const name = new TextEncoder().encode("shop");
  const end = writeRecords(file, 640, [
    { parts: [{ family: 3, version: 1, operations: [create(name)] }, { family: 4, version: 8 }] },
    // Behind a part without operations, a family whose id could be taken for the kind of one.
    { parts: [{ family: 5, version: 1 }, { family: OP_CREATE_FAMILY, version: 6 }] },
    { parts: [{ family: 3, version: 2, operations: [set] }] },
    {
      parts: [{
        family: 3,
        version: 3,
        operations: [encodeOperation(OP_DROP_FAMILY, 0, NONE, NONE)],
      }],
    },
  ]);
  const scan = scanLog(new LogReader(file, CAPACITY), 640, options);
  assertEquals([scan.end, scan.records, scan.damage], [end, 4, undefined]);
  assertEquals([...scan.families], [
    [3, { first: 1, last: 3, dropped: true, name: "shop" }],
    [4, { first: 8, last: 8, dropped: false }],
    [5, { first: 1, last: 1, dropped: false }],
    [7, { first: 6, last: 6, dropped: false }],
  ]);
  assertCode(
    "corrupt",
    () => scanLog(new LogReader(file, CAPACITY), 641, options),
    PATH,
    "position 641",
  );
  assertCode(
    "corrupt",
    () => scanLog(new LogReader(file, CAPACITY), 640, { ...options, generation: 3 }),
    `${PATH}: the log's record at position 640 was written after checkpoint 4`,
  );
  writeRecords(file, 640, [{ parts: [{ family: 3, version: 1, operations: [create(NONE)] }] }]);
  assertCode(
    "corrupt",
    () => scanLog(new LogReader(file, CAPACITY), 640, options),
    `${PATH}: the log's record at position 640 makes family 3 without a name`,
  );
});

test("decoder: positions, versions and generations go on beyond 2^32", () => {
  const from = 2 ** 32 - 128;
  const generation = 2 ** 32;
  const version = 2 ** 32 - 2;
  const high = { ...options, generation, contained: () => version };
  const records = Array.from({ length: 5 }, (_, i) => ({
    parts: [{ family: 3, version: version + 1 + i, operations: [set] }],
    durable: from + i * 64,
    generation: generation - (i < 2 ? 1 : 0),
  }));
  const file = emptyLog();
  const end = writeRecords(file, from, records);
  const scanFrom = (position: number) => scanLog(new LogReader(file, CAPACITY), position, high);
  assertEquals(scanFrom(from), {
    end,
    records: 5,
    families: new Map([[3, { first: version + 1, last: version + 5, dropped: false }]]),
    damage: undefined,
  });
  assertCode(
    "corrupt",
    () => scanLog(new LogReader(file, CAPACITY), from, { ...high, generation: generation - 1 }),
    `was written after checkpoint ${generation}`,
  );
  // The same records, as if 2^32 were 0: none of them counts.
  assertEquals([0, 128].map((position) => scanFrom(position).records), [0, 0]);
  const size = (end - from) / records.length;
  const second = from + size;
  const at = LOG_HEADER_BYTES + second % CAPACITY;
  file.bytes[at + 70] ^= 1;
  const { end: cut, damage } = scanFrom(from);
  assertEquals([cut, damage?.records], [second, 3]);
  assertEquals([...damage!.families], [[3, { first: version + 2, last: version + 5 }]]);
  assertStringIncludes(damage!.why, `durable up to ${from + 4 * 64}`);
});

test("decoder: a ring that is full of records ends where it began; one longer than the ring is none", () => {
  const file = emptyLog();
  const operations = new Uint8Array(CAPACITY / 2 - RECORD_HEADER_BYTES - 16);
  operations.set(set);
  const parts = (version: number) => [{ family: ID_MAX, version, operations: [operations] }];
  assertEquals(writeRecords(file, 0, [{ parts: parts(1) }, { parts: parts(2) }]), CAPACITY);
  const { end, records, damage } = scanOf(file);
  assertEquals([end, records, damage], [CAPACITY, 2, undefined]);
  new DataView(file.bytes.buffer).setUint32(LOG_HEADER_BYTES + 4, 0xffffffff, true);
  withAllocationsUpTo(2 ** 21, () => assertEquals(scanOf(file).end, 0));
});

test("decoder: a record as long as the ring that has the first one inside is not followed round", () => {
  const file = emptyLog();
  const first = record(0, [{ family: 1, version: 1 }]);
  const head = RECORD_HEADER_BYTES + 16;
  const operations = new Uint8Array(CAPACITY - head);
  operations.set(set);
  operations.set(first, operations.length - first.length);
  const second = record(first.length, [{ family: 1, version: 2, operations: [operations] }]);
  assertEquals(second.length, CAPACITY);
  writeAtPosition(file, CAPACITY, first.length, second);
  assertCode(
    "corrupt",
    () => scanLog(new LogReader(file, CAPACITY), 0, options),
    `${PATH}: the log goes round in a circle`,
  );
});

function scanOf(file: MemoryFile, more: Partial<ScanOptions> = {}): LogScan {
  return scanLog(new LogReader(file, CAPACITY), 0, { ...options, ...more });
}

test("decoder: damage is told from a torn end by what stands behind it, with what would be lost", () => {
  const file = emptyLog();
  const name = new TextEncoder().encode("made in the log");
  const hole = writeRecords(file, 0, [
    { parts: [{ family: 1, version: 1, operations: [create(name)] }] },
  ]);
  const behind = (durable: number) =>
    writeRecords(file, hole + RECORD_ALIGNMENT, [
      { parts: [{ family: 1, version: 3 }, { family: 2, version: 12 }], durable },
      { parts: [{ family: 1, version: 4 }, { family: 3, version: 2 }, { family: 4, version: 1 }] },
      { parts: [{ family: 5, version: 6 }, { family: 6, version: 1 }], durable },
    ]);
  behind(hole);
  assertEquals(scanOf(file).damage, undefined, "records that do not say that it was durable here");
  behind(hole + 1);
  const contained = (family: number) => family === 2 ? 9 : undefined;
  const scan = scanOf(file, { contained });
  assertEquals([scan.end, scan.records, scan.damage?.records], [hole, 1, 3]);
  assertEquals(
    scan.damage!.why,
    `a record behind it, at ${hole + 64}, says that the log was durable up to ${hole + 1}`,
  );
  assertEquals([...scan.damage!.families], [
    [1, { first: 2, last: 4 }], // the log has version 1
    [2, { first: 10, last: 12 }], // the file has version 9
    [3, { first: 2, last: 2 }],
    [4, { first: 1, last: 1 }],
    [5, { first: 6, last: 6 }],
    [6, { first: 1, last: 1 }],
  ]);
  const error = damageError(
    PATH,
    scan,
    scan.damage!,
    (id) => id === 2 ? "x".repeat(50) : undefined,
  );
  assertEquals(error.code, "corrupt");
  assertStringIncludes(
    error.message,
    `${PATH}: the log is damaged at position ${hole}: ${
      scan.damage!.why
    }. Everything from there on would be lost: ` +
      '3 records behind it can be read; lost would be versions 2 to 4 of column family "made in the log", ' +
      `versions 10 to 12 of column family "${"x".repeat(40)}…", versions 2 to 2 of family 3, ` +
      "versions 1 to 1 of family 4, versions of 2 more. ",
  );
});

test("decoder: a version that is left out is damage at its record", () => {
  const file = emptyLog();
  const gap = writeRecords(file, 0, [{ parts: [{ family: 1, version: 1 }] }]);
  writeRecords(file, gap, [{ parts: [{ family: 1, version: 3 }] }]);
  const known = { contained: () => 0 };
  const scan = scanOf(file, known);
  assertEquals([scan.end, scan.damage?.records], [gap, 1]);
  assertStringIncludes(scan.damage!.why, "makes version 3 of family 1, where 2 should follow");
  assertStringIncludes(
    damageError(PATH, scan, scan.damage!, () => "y".repeat(40)).message,
    `lost would be versions 2 to 3 of column family "${"y".repeat(40)}". Put a sound log back`,
  );
  writeRecords(file, gap, [{ parts: [{ family: 1, version: 1 }] }]);
  assertStringIncludes(
    scanOf(file, known).damage!.why,
    "makes version 1 of family 1, where 2 should",
  );
  writeRecords(file, 0, [{ parts: [{ family: 1, version: 2 }] }]);
  const atOnce = scanOf(file, known);
  assertEquals([atOnce.end, atOnce.damage?.records], [0, 2], "at the very beginning");
  const nothing = nothingOf(128, "it is missing");
  assertStringIncludes(
    damageError(PATH, nothing, nothing.damage!, () => undefined).message,
    "position 128: it is missing. Everything from there on would be lost: no record behind it can be read",
  );
});

test("decoder: a log made of beginnings of records is given up, not read for hours", () => {
  const file = emptyLog();
  for (let position = 0; position < CAPACITY; position += RECORD_ALIGNMENT) {
    const bytes = record(position, []);
    new DataView(bytes.buffer).setUint32(4, alignRecord(CAPACITY), true);
    writeAtPosition(file, CAPACITY, position, bytes);
  }
  assertCode("corrupt", () => scanOf(file), `${PATH}: behind position 0`, "broken records");
});
