/**
 * Damaged files: whatever bit, sector, page or end of a file is not what was written, every read gives
 * what was stored or a `corrupt` that names the place, and every change is made or refused. Never a wrong
 * value, another kind of error, or an end that does not come.
 *
 * `deno task corrupt` flips every bit; otherwise a part of them is, another one with each seed.
 */

import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bytes as bytesCodec, ManifoldError, open, text } from "../mod.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import { assert, assertEquals, assertGreater, AssertionError } from "./support/assert.ts";
import { damage, THOROUGH, WatchedFile, withFlip } from "./support/damage.ts";
import {
  changeAll,
  type Contents,
  type Finding,
  LARGE,
  makeSample,
  PAGE_SIZE,
  readAll,
  type Sample,
  SMALL,
} from "./support/damaged_samples.ts";
import { assertUntouched } from "./support/database_process.ts";
import { BYTES_PATH, BytesOpener, type OpenedBytes } from "./support/opened_bytes.ts";
import { Random } from "./support/random.ts";
import { salvageBytes, verifyOpened } from "./support/damage_tools.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const TIMEOUT_MS = THOROUGH ? 3_600_000 : 180_000;
const CODES = ["corrupt", "not-a-database", "unsupported-version", "needs-recovery"];

const opener = new BytesOpener(await Checksum.create(), PAGE_SIZE);
const small = await makeSample(SMALL, 31);

/** The error with which an opening is refused, or what was opened. */
function tryOpen(bytes: Uint8Array, readOnly: boolean): OpenedBytes | ManifoldError {
  try {
    return opener.open(bytes, { readOnly });
  } catch (error) {
    if (!(error instanceof ManifoldError)) {
      throw new AssertionError(`opening threw ${error}`, { cause: error });
    }
    assert(CODES.includes(error.code), `${error.code}: ${error.message}`);
    assert(error.message.includes(BYTES_PATH), error.message);
    return error;
  }
}

/** What happens to a reader and to a writer of damaged bytes. */
interface Outcome {
  readonly refused?: ManifoldError;
  readonly findings: Finding[];
  /** Changes that were refused. */
  readonly refusals: ManifoldError[];
}

function examine(bytes: Uint8Array, contents: Contents, what: string, change: boolean): Outcome {
  try {
    const opened = tryOpen(bytes, true);
    if (opened instanceof ManifoldError) return { refused: opened, findings: [], refusals: [] };
    const findings = readAll(opened, contents);
    if (!change) return { findings, refusals: [] };
    const writable = tryOpen(bytes, false);
    if (writable instanceof ManifoldError) throw new Error("only readers could open it");
    const refusals = changeAll(writable, contents);
    // A change that was refused, or taken back, has changed nothing that is read.
    assertEquals(readAll(writable, contents).length, findings.length);
    return { findings, refusals };
  } catch (error) {
    throw new AssertionError(`${what}: ${(error as Error).message}`, { cause: error });
  }
}

/** Runs of bytes that a reader or a writer of the whole file reads. */
function readRuns(sample: Sample): [number, number][] {
  const file = new WatchedFile(sample.bytes.slice(), BYTES_PATH);
  const opened = opener.open(sample.bytes, { file });
  assertEquals(readAll(opened, sample.contents), []);
  for (const slot of opened.memory.slots.used()) opened.engine(slot);
  return file.runs();
}

test("corruption: the samples are sound", () => {
  assertEquals(examine(small.bytes, small.contents, "sample", true).findings, []);
});

test(
  "corruption: a flipped bit of a page, a meta page or the directory is found, and named, by whoever meets it",
  { timeoutMs: TIMEOUT_MS },
  () => {
    const random = Random.fromEnvironment("flips");
    const bytes = small.bytes.slice();
    const { directoryPage } = metaOf(bytes);
    const phase = random.int(STRIDE);
    let flips = 0;
    let met = 0;
    for (const [from, to] of readRuns(small)) {
      for (let at = from; at < to; at++) {
        const inMeta = at < 8192;
        const isHead = inMeta ? at % 4096 < 80 || at % 4096 >= 4088 : at % PAGE_SIZE < 48;
        if (!THOROUGH && !isHead && at % STRIDE !== phase) continue;
        for (const bit of isHead || THOROUGH ? ALL_BITS : [random.int(8)]) {
          const what = `bit ${bit} of byte ${at}`;
          const { refused, findings } = withFlip(
            bytes,
            at,
            bit,
            (damaged) => examine(damaged, small.contents, what, bit === 0 && at % 7 === 0),
          );
          flips++;
          if (refused !== undefined || findings.length > 0) met++;
          if (inMeta) continue;
          const page = Math.floor(at / PAGE_SIZE);
          if (page === directoryPage) {
            assertEquals(refused?.code, "corrupt", what);
            assert(refused!.message.includes(`directory at byte ${page * PAGE_SIZE}`), what);
            continue;
          }
          assertEquals(refused, undefined, what);
          // An extent of several pages is named by its first.
          for (const { error } of findings) {
            const named = Number(/page (\d+) \((?:at )?byte /.exec(error.message)?.[1]);
            assert(named <= page && named >= page - 2, `${what}: ${error.message}`);
          }
        }
      }
    }
    console.log(`${flips} flips, of which ${met} were met by reads`);
    assertGreater(met, flips / 2);
  },
);

const ALL_BITS = [0, 1, 2, 3, 4, 5, 6, 7];
/** Of the bytes behind the headers, one of so many is damaged. */
const STRIDE = 61;

function metaOf(bytes: Uint8Array): { directoryPage: number; newest: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const [a, b] = [0, 4096].map((at) => view.getUint32(at + 40, true));
  const newest = a > b ? 0 : 4096;
  return { directoryPage: view.getUint32(newest + 64, true), newest };
}

/** Of the flips, one of so many is looked at by `verify`, and of these one of so many is salvaged. */
const VERIFY_STRIDE = THOROUGH ? 97 : 2003;
const SALVAGE_STRIDE = THOROUGH ? 20 : 16;
/** Of lost pages, and of pairs of pages that are swapped, one of so many is looked at. */
const PAGE_STRIDE = THOROUGH ? 1 : 19;

/** What reads meet, `verify` finds; what `salvage` copies was once there. */
async function examineByTools(bytes: Uint8Array, what: string, salvaged: boolean): Promise<void> {
  const { refused, findings } = examine(bytes, small.contents, what, false);
  if (refused === undefined) {
    const report = await verifyOpened(opener.open(bytes, { readOnly: true }));
    if (findings.length > 0) {
      assert(!report.ok, `${what}: verify has not found ${findings[0]?.error.message}`);
    }
  }
  if (!salvaged) return;
  const report = await salvageBytes(bytes, small, what);
  if (report instanceof ManifoldError) throw new AssertionError(`${what}: ${report.message}`);
  const total = small.contents.values().flatMap((tables) => tables.values())
    .reduce((sum, entries) => sum + entries.size, 0);
  // What is missing, is told; what comes back that was deleted or replaced, too.
  if (report.complete) assertEquals(report.entries, total, what);
  else assertGreater(report.lossesTotal, 0, what);
}

test("corruption: verify finds what reads meet, and salvage invents nothing, of flipped bits", {
  timeoutMs: TIMEOUT_MS,
}, async () => {
  const random = Random.fromEnvironment("flips for tools");
  const bytes = small.bytes.slice();
  const places = readRuns(small).flatMap(([from, to]) =>
    Array.from({ length: to - from }, (_, i) => from + i)
  );
  // In any case an entry of a leaf, and a value: what salvage would copy if it believed them.
  for (const kind of [1, 3]) {
    const page = readRuns(small).flatMap(([from, to]) =>
      Array.from({ length: (to - from) / PAGE_SIZE }, (_, i) => from + i * PAGE_SIZE)
    ).find((at) => at >= 8192 && bytes[at + 24] === kind && bytes[at + 44] > 0)!;
    const at = page + (kind === 1 ? PAGE_SIZE - 30 : 1000);
    bytes[at] ^= 1;
    await examineByTools(bytes, `an entry at byte ${at}`, true);
    bytes[at] ^= 1;
  }
  let count = 0;
  for (let i = random.int(VERIFY_STRIDE); i < places.length; i += VERIFY_STRIDE) {
    const [at, bit] = [places[i], random.int(8)];
    bytes[at] ^= 1 << bit;
    await examineByTools(bytes, `bit ${bit} of byte ${at}`, count++ % SALVAGE_STRIDE === 0);
    bytes[at] ^= 1 << bit;
  }
  console.log(`${count} flips`);
});

test(
  "corruption: verify finds what reads meet, and salvage invents nothing, of lost and swapped pages",
  {
    timeoutMs: TIMEOUT_MS,
  },
  async () => {
    const pages = small.bytes.length / PAGE_SIZE;
    const page = (bytes: Uint8Array, at: number): Uint8Array =>
      bytes.subarray(at * PAGE_SIZE, (at + 1) * PAGE_SIZE);
    let turn = Random.fromEnvironment("pages for tools").int(PAGE_STRIDE);
    let count = 0;
    const tell = async (bytes: Uint8Array, what: string): Promise<void> =>
      await examineByTools(bytes, what, count++ % SALVAGE_STRIDE === 0);
    for (const older of small.older) {
      for (let at = 2; (at + 1) * PAGE_SIZE <= Math.min(older.length, small.bytes.length); at++) {
        if (Buffer.compare(page(older, at), page(small.bytes, at)) === 0) continue;
        if (turn++ % PAGE_STRIDE > 0) continue;
        const bytes = small.bytes.slice();
        bytes.set(page(older, at), at * PAGE_SIZE);
        await tell(bytes, `page ${at} as it was before`);
      }
    }
    const used = [...new Set(readRuns(small).map(([from]) => Math.floor(from / PAGE_SIZE)))];
    for (const a of used) {
      for (let b = a + 1; b < pages; b++) {
        if (turn++ % PAGE_STRIDE > 0) continue;
        const bytes = small.bytes.slice();
        bytes.set(page(small.bytes, b), a * PAGE_SIZE);
        bytes.set(page(small.bytes, a), b * PAGE_SIZE);
        await tell(bytes, `${a} and ${b} swapped`);
      }
    }
    assertGreater(count, 20);
  },
);

test(
  "corruption: damage to one family leaves the others as they are",
  { timeoutMs: TIMEOUT_MS },
  () => {
    const bytes = small.bytes.slice();
    let met = 0;
    for (let page = 2; page < bytes.length / PAGE_SIZE; page++) {
      if (page === metaOf(bytes).directoryPage) continue;
      const { findings } = withFlip(
        bytes,
        page * PAGE_SIZE + 100,
        3,
        (damaged) => examine(damaged, small.contents, `page ${page}`, false),
      );
      const families = new Set(findings.map(({ family }) => family));
      assert(families.size <= 1, `page ${page}: ${[...families].join(" ")}`);
      if (families.size > 0) met++;
    }
    assertGreater(met, 5);
  },
);

test(
  "corruption: a write that was lost, of a page, a sector, a meta page or the directory, is found",
  {
    timeoutMs: TIMEOUT_MS,
  },
  () => {
    let found = 0;
    for (const older of small.older) {
      for (const unit of [512, PAGE_SIZE]) {
        for (let at = 0; at + unit <= Math.min(older.length, small.bytes.length); at += unit) {
          const before = older.subarray(at, at + unit);
          if (Buffer.compare(before, small.bytes.subarray(at, at + unit)) === 0) continue;
          const bytes = small.bytes.slice();
          bytes.set(before, at);
          const outcome = examine(bytes, small.contents, `${unit} old bytes at ${at}`, unit > 512);
          if (outcome.refused !== undefined || outcome.findings.length > 0) found++;
        }
      }
    }
    assertGreater(found, 10);
  },
);

/**
 * A power cut in the middle of a checkpoint leaves pages of a version of which the log has nothing yet. The life
 * after it makes that version once more, on the same pages; one of its writes is lost.
 */
test("corruption: a page of a life that was cut off is not taken for the one of the next life", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "lives.manifold");
    const options = { pageSize: PAGE_SIZE, cacheBytes: 2 ** 20, logBytes: 2 ** 18, maxWorkers: 1 };
    const life = async (fill: number | undefined, look?: () => Promise<void>): Promise<void> => {
      await using db = await open(path, options);
      const table = (await db.columnFamily("one")).table("t", { key: text });
      const write = (value: number): Promise<void> =>
        table.setMany([
          ["small", new Uint8Array(100).fill(value)],
          ["large", new Uint8Array(5000).fill(value)],
        ]);
      const other = (await db.columnFamily("other")).table("t", { key: text });
      if (fill === undefined) return await write(1);
      // The life of the log begins, without a record of the family.
      if (look !== undefined) await other.delete("absent");
      await look?.();
      await write(fill);
      if (look === undefined) return;
      await db.checkpoint();
      await look();
    };
    const files = async (): Promise<Uint8Array[]> =>
      await Promise.all(
        [path, `${path}-log`].map(async (one) => new Uint8Array(await readFile(one))),
      );
    await life(undefined);
    const seen: Uint8Array[][] = [];
    await life(0xaa, async () => void seen.push(await files()));
    const [[before, log], [cut]] = seen;
    cut.set(before.subarray(0, 8192));
    await writeFile(path, cut);
    await writeFile(`${path}-log`, log);
    await life(0xbb);
    const second = new Uint8Array(await readFile(path));

    const contents: Contents = new Map([[
      "one",
      new Map([[
        "t",
        new Map([
          ["large", new Uint8Array(5000).fill(0xbb)],
          ["small", new Uint8Array(100).fill(0xbb)],
        ]),
      ]]),
    ]]);
    assertEquals(examine(second, contents, "the second life", true).findings, []);
    const kinds = new Set<number>();
    for (let page = 2; page < second.length / PAGE_SIZE; page++) {
      const from = page * PAGE_SIZE;
      const same = (a: number, b: number): boolean =>
        Buffer.compare(cut.subarray(from + a, from + b), second.subarray(from + a, from + b)) === 0;
      // Number and birth, and kind: all that a page says of itself but for checksum and incarnation.
      if (!same(8, 12) || !same(16, 28) || same(0, PAGE_SIZE)) continue;
      const bytes = second.slice();
      // All pages of an extent have its header's checksum.
      const pages = second[from + 24] === 3 ? 2 : 1;
      bytes.set(cut.subarray(from, from + pages * PAGE_SIZE), from);
      const { findings } = examine(bytes, contents, `page ${page} of the first life`, true);
      for (const { error } of findings) {
        assert(error.message.includes(`page ${page} `), error.message);
        assert(error.message.includes("a write was lost"), error.message);
        kinds.add(second[from + 24]);
      }
    }
    assertEquals([...kinds].sort(), [1, 3], "a leaf and a value");
  });
});

test(
  "corruption: pages that stand in each other's place are found",
  { timeoutMs: TIMEOUT_MS },
  () => {
    const pages = Math.floor(small.bytes.length / PAGE_SIZE);
    const used = [...new Set(readRuns(small).map(([from]) => Math.floor(from / PAGE_SIZE)))];
    assertGreater(used.length, 5);
    for (const a of used) {
      for (let b = a + 1; b < pages; b += THOROUGH || used.includes(b) ? 1 : 7) {
        const bytes = small.bytes.slice();
        bytes.copyWithin(a * PAGE_SIZE, b * PAGE_SIZE, (b + 1) * PAGE_SIZE);
        bytes.set(small.bytes.subarray(a * PAGE_SIZE, (a + 1) * PAGE_SIZE), b * PAGE_SIZE);
        const what = `${a} and ${b} swapped`;
        const { refused, findings, refusals } = examine(bytes, small.contents, what, a > 1);
        // Of the meta pages, only the newest has to be there.
        const noticed = refused !== undefined || findings.length > 0 || refusals.length > 0;
        if (a > 1) assert(noticed, `${what}: nobody noticed`);
      }
    }
  },
);

test("corruption: a file that ends too early is refused, one that ends later is read", {
  timeoutMs: TIMEOUT_MS,
}, () => {
  const { bytes, contents } = small;
  for (let length = 0; length < bytes.length; length += THOROUGH ? 97 : 1021) {
    const { refused } = examine(bytes.slice(0, length), contents, `cut at ${length}`, false);
    assert(refused !== undefined, `cut at ${length}`);
    assert(["corrupt", "not-a-database"].includes(refused.code), refused.message);
  }
  const longer = new Uint8Array(bytes.length + 12_345).fill(0xa5);
  longer.set(bytes);
  assertEquals(examine(longer, contents, "noise behind the end", true), {
    findings: [],
    refusals: [],
  });
});

test("corruption: random damage to larger files is never read as something else", {
  timeoutMs: TIMEOUT_MS,
}, async () => {
  const large = await makeSample(LARGE, 32);
  const random = Random.fromEnvironment("random damage");
  const count = THOROUGH ? 2000 : 25;
  for (let i = 0; i < count; i++) {
    const [bytes, what] = damage(large.bytes, PAGE_SIZE, random);
    examine(bytes, large.contents, what, i % 4 === 0);
  }
});

test(
  "corruption: through open, damaged files are read rightly or refused, and refused ones untouched",
  {
    timeoutMs: TIMEOUT_MS,
  },
  async () => {
    await withTempDir(async (dir) => {
      const random = Random.fromEnvironment("damage through open");
      const path = join(dir, "damaged.manifold");
      const expected = small.contents.get("shop")!.get("stock")!;
      for (let i = 0; i < (THOROUGH ? 300 : 30); i++) {
        const [bytes, what] = damage(small.bytes, PAGE_SIZE, random);
        await rm(path, { force: true });
        await writeFile(path, bytes);
        const readOnly = i % 3 > 0;
        try {
          await using db = await open(path, { readOnly, cacheBytes: 2 ** 20, maxWorkers: 1 });
          const family = await db.columnFamily("shop", { create: false });
          const table = family.table("stock", { key: text, value: bytesCodec });
          try {
            assertEquals([...table.entries()], [...expected], what);
            assertEquals(
              [...table.entries({ reverse: true })],
              [...expected].toReversed(),
              what,
            );
            if (!readOnly) await table.set("new", new Uint8Array(10));
          } catch (error) {
            if (!(error instanceof ManifoldError)) throw error;
            assertEquals(error.code, "corrupt", `${what}: ${error.message}`);
            for (const place of [path, '"shop"', "page "]) {
              assert(error.message.includes(place), `${what}: ${place} is not in ${error.message}`);
            }
          }
        } catch (error) {
          if (!(error instanceof ManifoldError)) throw error;
          assert(CODES.includes(error.code), `${what}: ${error.code} ${error.message}`);
          assert(error.message.includes(path), error.message);
          await assertUntouched(path, [bytes, null]);
          assertEquals((await readFile(path)).length, bytes.length);
        }
      }
    });
  },
);
