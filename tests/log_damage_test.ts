/**
 * Damaged logs: a torn end is cut in silence; damage before it is refused with what would be lost, and
 * nothing is touched; with `acceptLogLoss` the database goes on with what comes before the damage.
 */

import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bytes as bytesCodec, ManifoldError, open, type OpenOptions, text } from "../mod.ts";
import { encodeOperation, OP_SET } from "../lib/log/operations.ts";
import { alignRecord } from "../lib/log/record.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
  assertThrows,
} from "./support/assert.ts";
import { withAllocationsUpTo } from "./support/allocation_guard.ts";
import { THOROUGH, withFlip } from "./support/damage.ts";
import {
  type Contents,
  contentsAfter,
  makeSample,
  PAGE_SIZE,
  readAll,
  SMALL,
} from "./support/damaged_samples.ts";
import { assertUntouched, filesOf } from "./support/database_process.ts";
import { Forger } from "./support/hostile_file.ts";
import { BytesOpener } from "./support/opened_bytes.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const TIMEOUT_MS = THOROUGH ? 3_600_000 : 120_000;
const LOG_HEADER_BYTES = 4096;

const checksum = await Checksum.create();
const opener = new BytesOpener(checksum, PAGE_SIZE);
const forger = new Forger(checksum);
const sample = await makeSample(SMALL, 34);
const { bytes, log } = sample.crashed;
const meta = forger.meta(bytes);
const records = recordsOf(log);
const life = { salt: meta.salt, generation: meta.generation, durable: 0 };

/** Where the records stand: position and length. */
function recordsOf(log: Uint8Array): { position: number; length: number }[] {
  const view = new DataView(log.buffer, log.byteOffset);
  const found: { position: number; length: number }[] = [];
  for (let position = meta.logPosition; view.getUint32(LOG_HEADER_BYTES + position, true) !== 0;) {
    const length = view.getUint32(LOG_HEADER_BYTES + position + 4, true);
    found.push({ position, length });
    position += alignRecord(length);
  }
  return found;
}

/** Recovers, or tells the error. */
function recover(log: Uint8Array, acceptLogLoss = false): Contents | ManifoldError {
  try {
    const opened = opener.open(bytes, { log: log.slice(), acceptLogLoss });
    for (let count = records.length; count >= 0; count--) {
      const contents = contentsAfter(sample, count);
      if (opened.families().length !== contents.size) continue;
      if (countsMatch(opened, contents)) {
        assertEquals(readAll(opened, contents), []);
        return contents;
      }
    }
    throw new Error("what was recovered is not what any number of records makes");
  } catch (error) {
    if (!(error instanceof ManifoldError)) throw error;
    return error;
  }
}

function countsMatch(opened: ReturnType<BytesOpener["open"]>, contents: Contents): boolean {
  for (const [family, tables] of contents) {
    for (const [table, entries] of tables) {
      if (opened.table(family, table).count(null, null) !== entries.size) return false;
    }
  }
  return true;
}

const sizeOf = (contents: Contents): number =>
  [...contents.values()].reduce(
    (sum, tables) => sum + 1 + [...tables.values()].reduce((all, entries) => all + entries.size, 0),
    0,
  );

test("log damage: the sample's log is one record a step", () => {
  assertEquals(records.length, sample.steps.length);
  const all = recover(log);
  assert(!(all instanceof ManifoldError), String(all));
  assertEquals(sizeOf(all), sizeOf(contentsAfter(sample, records.length)));
});

test(
  "log damage: whichever bit of the log is flipped, recovery is right, cut at a torn end, or refused",
  {
    timeoutMs: TIMEOUT_MS,
  },
  () => {
    const damaged = log.slice();
    const end = records.at(-1)!.position + records.at(-1)!.length;
    let refused = 0;
    let cut = 0;
    let flips = 0;
    for (let at = 0; at < LOG_HEADER_BYTES + end; at++) {
      const position = at - LOG_HEADER_BYTES;
      const i = records.findIndex((one) => position < one.position + alignRecord(one.length));
      const isHead = position < 0 ? at < 56 || at >= 4088 : position - records[i].position < 64;
      if (!THOROUGH && !isHead && at % 11 !== 0) continue;
      for (const bit of isHead || THOROUGH ? [0, 1, 2, 3, 4, 5, 6, 7] : [at % 8]) {
        if (!THOROUGH && isHead && position >= 0 && i % 6 !== bit % 6) continue;
        const result = withFlip(damaged, at, bit, (log) => recover(log));
        flips++;
        const what = `bit ${bit} of byte ${at}, record ${i}`;
        if (position < 0) {
          assert(result instanceof ManifoldError && result.code === "corrupt", what);
          continue;
        }
        const inPadding = position >= records[i].position + records[i].length;
        if (inPadding) {
          assert(!(result instanceof ManifoldError), `${what}: ${result}`);
          continue;
        }
        // The last record, and perhaps the one before, are not known to have been durable.
        if (result instanceof ManifoldError) {
          refused++;
          assertEquals(result.code, "corrupt", what);
          const words = [`position ${records[i].position}`, "acceptLogLoss", "would be lost"];
          for (const word of words) {
            assert(
              result.message.includes(word),
              `${what}: ${result.message}`,
            );
          }
        } else {
          cut++;
          assertGreater(i, records.length - 3, what);
          assertEquals(sizeOf(result), sizeOf(contentsAfter(sample, i)), what);
        }
      }
    }
    console.log(`${flips} flips, of which ${refused} were refused, ${cut} cut off`);
    assertGreater(refused, cut);
  },
);

test("log damage: the error says which versions of which families would be lost", () => {
  const damaged = log.slice();
  damaged[LOG_HEADER_BYTES + records[9].position + 70] ^= 1;
  const error = recover(damaged) as ManifoldError;
  assertEquals(error.code, "corrupt");
  assert(error.message.includes(`${records.length - 10} records behind it`), error.message);
  // Record 9 is a change of "shop", the fourth since the checkpoint; the ones behind it are known.
  const { families } = forger.directory(bytes);
  const { version } = families.find(({ name }) => name === "shop")!.entry;
  const before = sample.steps.slice(0, 9).filter(({ family }) => family === "shop").length;
  const all = sample.steps.filter(({ family }) => family === "shop").length;
  const expected = `versions ${version + before + 1} to ${version + all} of column family "shop"`;
  assert(error.message.includes(expected), `${expected} is not in: ${error.message}`);
  assert(error.message.includes('of column family "late"'), error.message);
});

test("log damage: with acceptLogLoss it is cut at the first bad record, and every family is whole to there", () => {
  for (let i = 0; i < records.length; i++) {
    const damaged = log.slice();
    damaged.fill(
      0,
      LOG_HEADER_BYTES + records[i].position,
      LOG_HEADER_BYTES + records[i].position + 64,
    );
    const result = recover(damaged, true);
    assert(!(result instanceof ManifoldError), `record ${i}: ${result}`);
    assertEquals(sizeOf(result), sizeOf(contentsAfter(sample, i)), `record ${i}`);
  }
  for (const nothing of [new Uint8Array(0), new Uint8Array(5000), log.slice(0, 2000)]) {
    const result = recover(nothing, true);
    assert(!(result instanceof ManifoldError), String(result));
    assertEquals(sizeOf(result), sizeOf(sample.contents));
  }
});

test("log damage: records cut off, zeroed or moved are a torn end or refused, never read as something else", () => {
  for (let i = 0; i < records.length; i++) {
    const at = LOG_HEADER_BYTES + records[i].position;
    const result = recover(log.slice(0, at + (i % 3) * 40));
    assert(!(result instanceof ManifoldError), `cut in record ${i}: ${result}`);
    assertEquals(sizeOf(result), sizeOf(contentsAfter(sample, i)), `cut in record ${i}`);
    const next = records[i + 1];
    if (next === undefined) continue;
    const moved = log.slice();
    moved.copyWithin(
      at,
      LOG_HEADER_BYTES + next.position,
      LOG_HEADER_BYTES + next.position + next.length,
    );
    const other = recover(moved);
    if (!(other instanceof ManifoldError)) assertGreater(i, records.length - 4);
  }
});

test("log damage: a record that skips a version is damage, found before anything is written", () => {
  const { families } = forger.directory(bytes);
  const { id, entry } = families[0];
  const operations = encodeOperation(OP_SET, 1, new Uint8Array([1]), new Uint8Array([2]));
  const end = records.at(-1)!.position + alignRecord(records.at(-1)!.length);
  const last = entry.version +
    sample.steps.filter(({ family }) => family === families[0].name).length;
  for (const [version, due] of [[last + 2, last + 1], [last, last + 1], [last + 1000, last + 1]]) {
    const forged = forger.withRecord(log, end, life, [{ family: id, version, operations }]);
    const error = recover(forged) as ManifoldError;
    assertEquals(error.code, "corrupt");
    assert(
      error.message.includes(`makes version ${version} of family ${id}, where ${due}`),
      error.message,
    );
    assert(error.message.includes(`position ${end}`), error.message);
    const accepted = recover(forged, true);
    assert(!(accepted instanceof ManifoldError), String(accepted));
    assertEquals(sizeOf(accepted), sizeOf(contentsAfter(sample, records.length)));
  }
});

test("log damage: hostile headers and records are refused in bounded time and memory", {
  timeoutMs: TIMEOUT_MS,
}, () => {
  const end = records.at(-1)!.position + alignRecord(records.at(-1)!.length);
  const operations = encodeOperation(OP_SET, 1, new Uint8Array([1]), new Uint8Array([2]));
  const refused = (what: string, log: Uint8Array, ...words: string[]): void => {
    const began = performance.now();
    const error = withAllocationsUpTo(
      log.length + 2 ** 20,
      () => assertThrows(() => opener.open(bytes, { log }), ManifoldError, undefined, what),
    );
    assertEquals(error.code, "corrupt", `${what}: ${error.message}`);
    for (const word of ["-log", ...words]) {
      assert(error.message.includes(word), `${what}: ${error.message}`);
    }
    assertLess(performance.now() - began, 10_000, what);
  };
  for (const capacity of [0, -4096, 1, 4097, 2 ** 18 + 64, 2 ** 33, 2 ** 53, NaN, Infinity]) {
    refused(`capacity ${capacity}`, forger.withLogHeader(log, { capacity }), "capacity");
  }
  for (const generation of [-1, 0.5, NaN, 2 ** 60]) {
    refused(`generation ${generation}`, forger.withLogHeader(log, { generation }), "generation");
  }
  refused("another uuid", forger.withLogHeader(log, { uuid: new Uint8Array(16) }), "another");
  refused("another salt", forger.withLogHeader(log, { salt: new Uint8Array(8) }), "another");
  const record = (change: (bytes: Uint8Array, view: DataView) => void): Uint8Array => {
    const forged = forger.withRecord(log, end, life, [{ family: 1, version: 99, operations }]);
    return forger.withRecordBytes(
      forged,
      LOG_HEADER_BYTES + end,
      (one) => change(one, new DataView(one.buffer)),
    );
  };
  const part = `record at position ${end}`;
  refused("2^32 parts", record((_, view) => view.setUint32(40, 2 ** 32 - 1, true)), part);
  refused("family 0", record((_, view) => view.setUint32(64, 0, true)), part);
  refused("family 2^31", record((_, view) => view.setUint32(64, 2 ** 31, true)), part);
  refused(
    "operations behind its end",
    record((_, view) => view.setUint32(68, 2 ** 32 - 4, true)),
    part,
  );
  refused("operations of 15 bytes", record((_, view) => view.setUint32(68, 15, true)), part);
  refused("version 2^52 and more", record((_, view) => view.setUint32(76, 2 ** 21, true)), part);
  refused(
    "a later generation",
    record((_, view) => view.setUint32(24, 10 ** 6, true)),
    "checkpoint",
  );
  // Each 64 bytes begin a record as long as the log that does not verify.
  const maze = log.slice();
  const view = new DataView(maze.buffer);
  for (let at = end + 64; at + 64 < maze.length - LOG_HEADER_BYTES; at += 64) {
    maze.copyWithin(LOG_HEADER_BYTES + at, LOG_HEADER_BYTES, LOG_HEADER_BYTES + 64);
    view.setUint32(LOG_HEADER_BYTES + at + 4, maze.length - LOG_HEADER_BYTES - at, true);
    view.setUint32(LOG_HEADER_BYTES + at + 8, at, true);
  }
  refused("a maze of beginnings", maze, "broken records");
});

test("log damage: operations that cannot be are refused with record and family", () => {
  const { id, name, entry } = forger.directory(bytes).families[0];
  const end = records.at(-1)!.position + alignRecord(records.at(-1)!.length);
  const version = entry.version + sample.steps.filter(({ family }) => family === name).length + 1;
  const refused = (what: string, operations: Uint8Array, part = { family: id, version }): void => {
    const forged = forger.withRecord(log, end, life, [{ ...part, operations }]);
    const error = withAllocationsUpTo(
      2 ** 21,
      () => assertThrows(() => opener.open(bytes, { log: forged }), ManifoldError, undefined, what),
    );
    assertEquals(error.code, "corrupt", `${what}: ${error.message}`);
    assert(error.message.includes(`position ${end}`), `${what}: ${error.message}`);
  };
  const key = new Uint8Array([1]);
  const none = new Uint8Array(0);
  const words = (...values: number[]): Uint8Array => new Uint8Array(new Uint32Array(values).buffer);
  refused("an unknown kind", words(9, 1, 0));
  refused("kind 0", words(0, 1, 0));
  refused("a value of 4 GiB", words(1 | 1 << 16, 1, 2 ** 32 - 1, 0));
  refused("a key of 64 KiB", words(1 | 0xffff << 16, 1, 0, 0));
  refused("cut short", words(1, 1));
  refused("an unknown table", encodeOperation(OP_SET, 77, key, key));
  refused("a table by its place", encodeOperation(OP_SET, 2 ** 31, key, key));
  refused("a key beyond a quarter page", encodeOperation(OP_SET, 1, new Uint8Array(2000), key));
  for (
    const [what, table, tableName, codecs] of [
      ["table 0", 0, "new", "text\0bytes"],
      ["table 2^31", 2 ** 31, "new", "text\0bytes"],
      ["a table id twice", 1, "new", "text\0bytes"],
      ["a table name twice", 50, "stock", "text\0bytes"],
      ["a table name of 60,000 bytes", 50, "n".repeat(60_000), "text\0bytes"],
      ["an empty table name", 50, "", "text\0bytes"],
      ["codec names of 60,000 bytes", 50, "new", "c".repeat(60_000)],
    ] as const
  ) {
    const utf8 = new TextEncoder();
    refused(what, encodeOperation(5, table, utf8.encode(tableName), utf8.encode(codecs)));
  }
  refused(
    "a drop of a table and a write to it",
    new Uint8Array([
      ...encodeOperation(6, 1, none, none),
      ...encodeOperation(OP_SET, 1, key, key),
    ]),
  );
  const created = { family: 1000, version: 1 };
  refused("a family without a name", encodeOperation(7, 0, none, none), created);
  refused(
    "a family of a long name",
    encodeOperation(7, 0, none, new Uint8Array(300).fill(97)),
    created,
  );
});

const SMALL_OPTIONS: OpenOptions = {
  pageSize: PAGE_SIZE,
  cacheBytes: 2 ** 20,
  logBytes: 2 ** 18,
  maxWorkers: 2,
};

/** What "shop" has, in a database that is opened, read and closed. */
async function shopOf(path: string, options: OpenOptions): Promise<[string, Uint8Array][]> {
  await using db = await open(path, options);
  const shop = (await db.columnFamily("shop", { create: false })).table("stock", {
    key: text,
    value: bytesCodec,
  });
  return [...shop.entries()];
}

test("log damage: through open, without acceptLogLoss no byte is touched; with it, the rest is kept and goes on", async () => {
  await withTempDir(async (dir) => {
    const damaged = log.slice();
    damaged[LOG_HEADER_BYTES + records[12].position + 70] ^= 1;
    const foreign = forger.withLogHeader(log, { uuid: new Uint8Array(16).fill(7) });
    const cases: [string, Uint8Array | undefined, number][] = [
      ["damaged", damaged, 12],
      ["foreign", foreign, 0],
      ["header", log.slice(100), 0],
      ["missing", undefined, 0],
    ];
    for (const [name, logBytes, kept] of cases) {
      const path = join(dir, `${name}.manifold`);
      await writeFile(path, bytes);
      if (logBytes !== undefined) await writeFile(`${path}-log`, logBytes);
      const before = await filesOf(path);
      const error = await assertRejects(
        () => open(path, SMALL_OPTIONS),
        ManifoldError,
        `${path}-log`,
      );
      assertEquals(error.code, "corrupt", name);
      assert(error.message.includes("acceptLogLoss"), error.message);
      if (name === "damaged") {
        assert(error.message.includes(`position ${records[12].position}`), error.message);
        assert(error.message.includes(`of column family "other"`), error.message);
      }
      await assertUntouched(path, before);
      const readOnly = await assertRejects(
        () => open(path, { readOnly: true, acceptLogLoss: true }),
        ManifoldError,
      );
      assertEquals(readOnly.code, "needs-recovery");
      await assertUntouched(path, before);

      const expected = [...contentsAfter(sample, kept).get("shop")!.get("stock")!];
      assertEquals(await shopOf(path, { ...SMALL_OPTIONS, acceptLogLoss: true }), expected, name);
      const names = (await readdir(dir)).filter((one) => one.startsWith(name)).sort();
      const aside = logBytes === undefined ? [] : [`${name}.manifold-log-lost`];
      assertEquals(names, [`${name}.manifold`, ...aside], "the log that was given up is kept");
      if (logBytes !== undefined) {
        assertEquals(new Uint8Array(await readFile(`${path}-log-lost`)), logBytes);
        await rm(`${path}-log-lost`);
      }
      // It is a sound database again: no option is needed, and it can be written.
      {
        await using db = await open(path, SMALL_OPTIONS);
        const shop = (await db.columnFamily("shop")).table("stock", {
          key: text,
          value: bytesCodec,
        });
        await shop.set("zzz", new Uint8Array([1]));
        expected.push(["zzz", new Uint8Array([1])]);
      }
      assertEquals(await shopOf(path, { readOnly: true }), expected, name);
    }
  });
});

test("log damage: acceptLogLoss changes nothing where nothing is lost", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "sound.manifold");
    await writeFile(path, bytes);
    const torn = log.slice();
    torn[LOG_HEADER_BYTES + records.at(-1)!.position + 70] ^= 1;
    await writeFile(`${path}-log`, torn);
    const options = { ...SMALL_OPTIONS, acceptLogLoss: true };
    const expected = [...contentsAfter(sample, records.length - 1).get("shop")!.get("stock")!];
    assertEquals(await shopOf(path, options), expected);
    assertEquals(await shopOf(path, options), expected, "also when it is clean");
    assertEquals(await readdir(dir), ["sound.manifold"], "nothing was set aside");
    const error = await assertRejects(
      () => open(path, { acceptLogLoss: "yes" as unknown as boolean }),
      ManifoldError,
      "acceptLogLoss",
    );
    assertEquals(error.code, "invalid-argument");
  });
});
