/**
 * Protects what is promised when the disk fails: each call of a fixed workload fails once, by its
 * number, in every way that it can. Whatever was acknowledged stays, in the open database, in what a
 * killed process would leave, and in what is closed; what was refused is not there, and was what met
 * the fault; a full disk never ends in `failed`, a failed sync always does, and nothing is written after it.
 *
 * The workers run in this thread (support/one_thread.ts), so that a number means the same call each
 * time. MANIFOLD_FAULTS=all tries every call; otherwise every few, from a seeded start.
 */

import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { setImmediate } from "node:timers";
import {
  type Database,
  ManifoldError,
  open,
  type OpenOptions,
  type SpawnWorker,
  text,
  u32,
} from "../mod.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertLessOrEqual,
} from "./support/assert.ts";
import { FaultWorkload, type Rejection } from "./support/fault_workload.ts";
import {
  type Call,
  DEFECT,
  type FaultKind,
  FAULTS,
  FaultyRuntime,
} from "./support/faulty_runtime.ts";
import { exists } from "./support/fs.ts";
import { OneThread } from "./support/one_thread.ts";
import { Random } from "./support/random.ts";
import { startThread } from "./support/spawn.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const ALL = process.env.MANIFOLD_FAULTS === "all";
/** Of all faults, every so manieth is tried. */
const STEP = ALL ? 1 : 17;

/** The codes that a call may be refused with. */
const CODES: Record<FaultKind, readonly string[]> = {
  "eio": ["io"],
  "late eio": ["io"],
  "torn eio": ["io"],
  "torn enospc": ["disk-full"],
  "enospc": ["disk-full"],
  "disk full": ["disk-full"],
  "short read": ["corrupt", "not-a-database", "io"],
  "defect": [],
};

interface Fault {
  readonly at: number;
  readonly call: Call;
  readonly kind: FaultKind;
}

function optionsFor(spawnWorker: SpawnWorker): OpenOptions {
  return {
    pageSize: 4096,
    cacheBytes: 2 ** 20,
    logBytes: 2 ** 18,
    checkpoint: { bytes: 2 ** 18, intervalMs: 2 ** 30 },
    maxWorkers: 2,
    spawnWorker,
  };
}

function faultsOf(calls: readonly Call[]): Fault[] {
  return calls.flatMap((call, at) => FAULTS[call].map((kind) => ({ at, call, kind })));
}

async function copyDatabase(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  if (await exists(`${from}-log`)) await copyFile(`${from}-log`, `${to}-log`);
}

/** After the fault, in the database that met it. */
async function checkLive(
  db: Database,
  workload: FaultWorkload,
  faults: FaultyRuntime,
  kind: FaultKind,
) {
  await workload.check(db, "in the open database");
  if (workload.failed) {
    // There may be no family yet.
    for (const call of [() => db.columnFamily("new"), () => db.checkpoint()]) {
      const code = await Promise.resolve(call()).then(() => "accepted", codeOf);
      assertEquals(code, "failed", "after the failure");
    }
    if (faults.hit!.call === "sync") {
      assertEquals(faults.changesSince, 0, "changes after a failed sync");
    }
  } else if (kind !== "disk full") {
    await (await db.columnFamily("a")).table("other", { key: text }).delete("nothing");
    await db.checkpoint();
  }
}

function codeOf(error: unknown): string {
  if (!(error instanceof ManifoldError)) throw error;
  return error.code;
}

interface Outcome {
  readonly failed: boolean;
}

/** Where a fault was met: by whom, and what the log had then of what it has room for. */
interface Place {
  readonly role: "keeper" | "writer" | undefined;
  readonly logBytes: number;
  readonly logBytesUsed: number;
}

/** What a record has besides its values, at most. */
const RECORD_OVERHEAD = 1024;

/** A fault that passes refuses what met it, and nobody else. */
function checkRejections(
  { call, kind }: Fault,
  { role, logBytes, logBytesUsed }: Place,
  isData: boolean,
  rejections: readonly Rejection[],
): void {
  const refused = rejections.filter(({ code }) => code !== "failed" && code !== "closed");
  for (const { what, atFault } of refused) {
    assert(atFault, `${what} was refused because of what had happened before`);
  }
  // A read, and a value that is written beside the pages, are one transaction's, also in a group of several.
  if (call === "read" || (call === "write" && role === "writer" && isData)) {
    assertLessOrEqual(refused.length, 1, refused.map(({ what }) => what).join(", "));
  }
  if (role !== "keeper" || !isData || logBytes === 0) return;
  // It makes a checkpoint. That concerns who asked for it, and whom the log has no room for.
  for (const { what, bytes } of refused) {
    const asks = ["open", "checkpoint", "close"].includes(what);
    const isPastLog = bytes > logBytes / 4;
    const hasNoRoom = logBytesUsed + bytes + RECORD_OVERHEAD > logBytes;
    assert(asks || isPastLog || hasNoRoom, `${what} was refused because of a checkpoint's ${kind}`);
  }
}

/** One run of the workload with one fault. `prepare` says where the database is. */
async function runWith(
  fault: Fault,
  path: string,
  before: FaultWorkload | undefined,
): Promise<Outcome> {
  using workers = new OneThread();
  const options = optionsFor(workers.spawn);
  const again = fault.kind !== "disk full";
  const workload = before === undefined
    ? new FaultWorkload(again)
    : FaultWorkload.after(before, again);
  let failed = false;
  let met = false;
  let closing = false;
  let making = false;
  let isData = false;
  let place: Place = { role: undefined, logBytes: 0, logBytesUsed: 0 };
  {
    let db: Database | undefined;
    using faults = new FaultyRuntime(fault.at, fault.kind, () => {
      const { role } = workers;
      workload.noteFault();
      // A thread that is reading, or one whose database is closing, cannot ask for it.
      const stats = role === undefined || closing ? undefined : db?.stats();
      place = { role, logBytes: stats?.logBytes ?? 0, logBytesUsed: stats?.logBytesUsed ?? 0 };
    });
    db = await workload.attempt("open", () => open(path, options));
    if (db === undefined && workload.failed) {
      // What an opening cannot sync ends that opening, and no more.
      failed = true;
      workload.failed = false;
      db = await open(path, options);
    }
    if (db !== undefined) {
      if (before !== undefined) {
        await workload.attempt("reading", () => workload.check(db, "first"));
      }
      if (before === undefined) await workload.run(db);
      else await workload.runAfterRecovery(db);
      met = faults.hit !== undefined;
      if (met) {
        await checkLive(db, workload, faults, fault.kind);
        await copyDatabase(path, `${path}-killed`);
      }
      const wasFailed = workload.failed;
      await workload.attempt("close", async () => {
        const at = faults.calls.length;
        closing = true;
        await db!.close();
        if (wasFailed) {
          assert(!faults.calls.slice(at).includes("write"), "a close after the failure writes");
        }
      }, false);
    }
    assert(faults.hit !== undefined, "the call was not made");
    making = faults.hit.path.endsWith("-new");
    isData = faults.hit.path === path;
  }
  failed ||= workload.failed;
  for (const { what, code } of workload.rejections) {
    const known = CODES[fault.kind].includes(code) || code === "failed" ||
      (what === "close" && code === "closed");
    assert(known, `${what} was refused as ${code}`);
  }
  if (again) checkRejections(fault, place, isData, workload.rejections);
  if (CODES[fault.kind].includes("disk-full")) assert(!failed, "a full disk ends in failed");
  // A file in the making is made again.
  if (fault.call === "sync" && met && !making) {
    assert(failed, "a failed sync does not end in failed");
  }
  using _ = new FaultyRuntime();
  for (const place of met ? [`${path}-killed`, path] : [path]) {
    if (!(await exists(place))) continue; // it could not be made
    await using db = await open(place, options);
    await workload.check(db, place === path ? "after closing" : "after a kill");
    await (await db.columnFamily("a")).table("t", { key: text }).set("goes on", new Uint8Array(9));
    assertEquals(await exists(`${place}-log`), true);
  }
  return { failed };
}

/** Runs all faults of one phase, or every few, and says how many of which kind. */
async function runAll(
  phase: string,
  calls: readonly Call[],
  place: (dir: string) => Promise<{ path: string; before: FaultWorkload | undefined }>,
): Promise<void> {
  const random = Random.fromEnvironment("faults");
  const all = faultsOf(calls);
  const problems: string[] = [];
  const counts = new Map<string, { runs: number; failed: number }>();
  for (let i = random.int(STEP); i < all.length; i += STEP) {
    const fault = all[i];
    const name = `${fault.call}, ${fault.kind}`;
    await withTempDir(async (dir) => {
      const { path, before } = await place(dir);
      try {
        const { failed } = await runWith(fault, path, before);
        const count = counts.get(name) ?? { runs: 0, failed: 0 };
        counts.set(name, { runs: count.runs + 1, failed: count.failed + (failed ? 1 : 0) });
      } catch (error) {
        problems.push(`call ${fault.at} (${name}): ${(error as Error).stack}`);
      }
    });
  }
  const lines = [...counts].map(([name, { runs, failed }]) =>
    `  ${name}: ${runs}${failed > 0 ? `, ${failed} of them final` : ""}`
  );
  console.log(`${phase}: ${calls.length} calls, ${all.length} faults\n${lines.sort().join("\n")}`);
  assertEquals(problems, [], phase);
}

/** The calls that a run without a fault makes; what it leaves is copied to `image`, as after a kill. */
async function dryRun(
  path: string,
  before: FaultWorkload | undefined,
  image?: string,
): Promise<{ calls: Call[]; workload: FaultWorkload }> {
  using workers = new OneThread();
  using faults = new FaultyRuntime();
  const workload = before === undefined
    ? new FaultWorkload(false)
    : FaultWorkload.after(before, false);
  const db = await open(path, optionsFor(workers.spawn));
  if (before !== undefined) await workload.check(db, "first");
  if (before === undefined) await workload.run(db);
  else await workload.runAfterRecovery(db);
  if (image !== undefined) await copyDatabase(path, image);
  await db.close();
  assertEquals(workload.rejections, []);
  return { calls: faults.calls, workload };
}

test(
  "faults: every call of creation, writes, checkpoints and close",
  { timeoutMs: 900_000 },
  () =>
    withTempDir(async (dir) => {
      const { calls } = await dryRun(join(dir, "dry.manifold"), undefined);
      await runAll(
        "writing",
        calls,
        (place) => Promise.resolve({ path: join(place, "f.manifold"), before: undefined }),
      );
    }),
);

test(
  "faults: every call of a recovery and of what follows",
  { timeoutMs: 900_000 },
  () =>
    withTempDir(async (dir) => {
      await mkdir(join(dir, "image"));
      const image = join(dir, "image", "f.manifold");
      const { workload } = await dryRun(join(dir, "dry.manifold"), undefined, image);
      const again = join(dir, "again.manifold");
      await copyDatabase(image, again);
      const { calls } = await dryRun(again, workload);
      await runAll("recovery", calls, async (place) => {
        const path = join(place, "f.manifold");
        await copyDatabase(image, path);
        return { path, before: workload };
      });
    }),
);

/**
 * A process was killed in front of its first sync, and the next one in its recovery, before the last meta page was synced.
 * The third found a file that says it was closed, showed what it has, and lost it to a power cut: of the meta page
 * only the system had known, and of the record in the log, which recovery begins with again, too.
 */
test("faults: a recovery makes the log durable before it changes the file", () =>
  withTempDir(async (dir) => {
    const image = join(dir, "image.manifold");
    await dryRun(join(dir, "dry.manifold"), undefined, image);
    using workers = new OneThread();
    using faults = new FaultyRuntime();
    await using _ = await open(image, optionsFor(workers.spawn));
    const trail = faults.calls.map((call, i) => `${call} ${faults.paths[i]}`);
    const write = trail.indexOf(`write ${image}`);
    const sync = trail.indexOf(`sync ${image}-log`);
    assert(write > 0, "nothing was recovered");
    assert(sync > 0 && sync < write, trail.join("\n"));
  }));

test("faults: a checkpoint syncs the log before it writes the directory", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "f.manifold");
    using workers = new OneThread();
    using faults = new FaultyRuntime();
    await using db = await open(path, optionsFor(workers.spawn));
    const table = (await db.columnFamily("f")).table("t", { key: text, value: text });
    await table.set("first", "durable");
    await table.set("second", "eventual", { durability: "eventual" });
    await db.checkpoint();
    const trail = faults.calls.map((call, i) => `${call} ${faults.paths[i]}`);
    const written = trail.lastIndexOf(`write ${path}-log`);
    // Pages, directory and meta page, each with a sync of its own.
    const syncs = trail.flatMap((call, i) => call === `sync ${path}` && i > written ? [i] : []);
    const logged = trail.indexOf(`sync ${path}-log`, written);
    assert(logged > written && logged < syncs[1], trail.slice(written).join("\n"));
  }));

/** The clock of this thread, a hundred times slower, so that nothing is due before it is put forward. */
class Clock implements Disposable {
  readonly #now = performance.now;
  #ahead = 0;

  constructor() {
    const begun = performance.now();
    performance.now = () => begun + (this.#now.call(performance) - begun) / 100 + this.#ahead;
  }

  forward(ms: number): void {
    this.#ahead += ms;
  }

  [Symbol.dispose](): void {
    performance.now = this.#now;
  }
}

/** Lets the workers go on until something is so; false if it is not after many turns. */
async function comesTrue(isSo: () => boolean): Promise<boolean> {
  for (let turn = 0; turn < 200; turn++) {
    if (isSo()) return true;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return isSo();
}

/** More than a checkpoint that failed has to wait for the next one, ms. */
const RETRY_MS = 1100;

test("faults: a checkpoint without room is made again by itself, and a full log refuses until then", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "f.manifold");
    using workers = new OneThread();
    using faults = new FaultyRuntime();
    using clock = new Clock();
    const bytes = 2 ** 16;
    const options = { ...optionsFor(workers.spawn), checkpoint: { bytes, intervalMs: 2 ** 30 } };
    await using db = await open(path, options);
    const table = (await db.columnFamily("f")).table("t", { key: u32 });
    const counts = () => db.stats().checkpoints;
    assertEquals(counts(), { done: 0, failed: 0 });
    using full = faults.fill(path);
    let written = 0;
    const write = async () => {
      const value = new Uint8Array(900).fill(written);
      await table.set(written % 20, value);
      written++;
    };
    while (db.stats().logBytesUsed <= bytes) await write();
    assert(await comesTrue(() => counts().failed > 0), "it fails");
    for (let i = 0; i < 20; i++) await write();
    assertEquals(counts(), { done: 0, failed: 1 }, "it waits before it is tried again");
    for (const failed of [2, 3]) {
      clock.forward(RETRY_MS);
      assert(await comesTrue(() => counts().failed >= failed), `it is tried the ${failed}. time`);
      await write();
    }
    assertEquals(counts(), { done: 0, failed: 3 });
    // What the log takes is acknowledged; what it does not, refused, and not kept waiting.
    let code = "";
    while (code === "") code = await write().then(() => "", codeOf);
    assertEquals(code, "disk-full");
    assertGreater(written * 900, options.logBytes! * 0.8);
    assertEquals(await write().then(() => "", codeOf), "disk-full");
    const rows = () => [...table].map(([key, value]) => [key, value[0], value[899]]);
    const expected = Array.from({ length: 20 }, (_, i) => {
      const last = written - 1 - (written - 1 - i) % 20;
      return [i, last & 255, last & 255];
    });
    assertEquals(rows(), expected);
    await copyDatabase(path, `${path}-killed`);
    full[Symbol.dispose]();
    clock.forward(RETRY_MS);
    assert(await comesTrue(() => counts().done === 1), "it is made");
    assertLess(db.stats().logBytesUsed, bytes);
    await write();
    assertEquals(rows()[(written - 1) % 20][1], (written - 1) & 255);
    await using killed = await open(`${path}-killed`, options);
    const found = [...(await killed.columnFamily("f")).table("t", { key: u32 })];
    assertEquals(found.map(([key, value]) => [key, value[0], value[899]]), expected);
  }));

test("faults: a checkpoint without room that was due by time is made again while nobody writes", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "f.manifold");
    using workers = new OneThread();
    using faults = new FaultyRuntime();
    using clock = new Clock();
    const intervalMs = 10_000;
    const options = { ...optionsFor(workers.spawn), checkpoint: { intervalMs } };
    await using db = await open(path, options);
    const table = (await db.columnFamily("f")).table("t", { key: text, value: text });
    await table.set("a", "b");
    const counts = () => db.stats().checkpoints;
    using full = faults.fill(path);
    clock.forward(intervalMs);
    assert(await comesTrue(() => counts().failed > 0), "it fails");
    assert(!await comesTrue(() => counts().failed > 1), "it waits before it is tried again");
    clock.forward(RETRY_MS);
    assert(await comesTrue(() => counts().failed > 1), "it is tried again");
    full[Symbol.dispose]();
    clock.forward(RETRY_MS);
    assert(await comesTrue(() => counts().done === 1), "it is made");
    assertEquals(db.stats().logBytesUsed, 0);
    // And no more, for nothing has changed.
    clock.forward(intervalMs);
    assert(!await comesTrue(() => counts().done > 1), "it is made for nothing");
  }));

/** Makes a database and writes a batch that is in the log before it is applied; `fault`: at a call of that. */
async function writeLargeBatch(path: string, fault?: { at: number; kind: FaultKind }) {
  using workers = new OneThread();
  using faults = new FaultyRuntime(fault?.at, fault?.kind);
  const options = { ...optionsFor(workers.spawn), logBytes: 2 ** 20 };
  await using db = await open(path, options);
  const table = (await db.columnFamily("f")).table("t", { key: text, value: text });
  await table.set("before", "small");
  const begun = faults.calls.length;
  // The second value has an extent of its own, which is written while the batch is applied.
  const batch = [["first", "1".repeat(900)], ["second", "2".repeat(100_000)]] as const;
  const code = await table.setMany(batch).then(() => "done", codeOf);
  const keys = [...table.keys()];
  await copyDatabase(path, `${path}.killed`);
  const trail = faults.calls.map((call, i) => `${call} ${faults.paths[i]}`);
  if (fault !== undefined) await table.setMany(batch);
  await copyDatabase(path, `${path}.again`);
  return { begun, code, keys, trail, logged: await readFile(`${path}.killed-log`) };
}

async function keysIn(path: string): Promise<string[]> {
  await using db = await open(path);
  return [...(await db.columnFamily("f")).table("t", { key: text, value: text }).keys()];
}

test("faults: what is in the log before it is applied, and then cannot be, is not found by a recovery", () =>
  withTempDir(async (dir) => {
    const dry = join(dir, "dry.manifold");
    const { begun, code, keys, trail } = await writeLargeBatch(dry);
    assertEquals(code, "done");
    assertEquals(keys, ["before", "first", "second"]);
    const at = trail.indexOf(`write ${dry}`, begun);
    assert(trail.indexOf(`write ${dry}-log`, begun) < at, trail.slice(begun).join("\n"));
    for (const kind of ["eio", "enospc"] as const) {
      const path = join(dir, `${kind}.manifold`);
      const failed = await writeLargeBatch(path, { at, kind });
      assert(CODES[kind].includes(failed.code), failed.code);
      assertEquals(failed.keys, ["before"]);
      assert(failed.logged.includes("1".repeat(900)), "it was in the log");
      assertEquals(await keysIn(`${path}.killed`), ["before"]);
      assertEquals(await keysIn(`${path}.again`), keys);
    }
  }));

/** Some faults in threads of their own, where more may go on at once than in one. */
const IN_THREADS: readonly { role: string; at: number; kind: FaultKind }[] = [
  { role: "keeper", at: 3, kind: "enospc" }, // the log's beginning
  { role: "keeper", at: 12, kind: "torn eio" },
  { role: "keeper", at: 30, kind: "disk full" },
  { role: "writer", at: 5, kind: "eio" },
  { role: "writer", at: 20, kind: "disk full" },
  { role: "writer", at: 25, kind: "torn enospc" },
];

for (const fault of IN_THREADS) {
  test(`faults: ${fault.kind} at call ${fault.at} of a ${fault.role} in a thread of its own`, () =>
    withTempDir(async (dir) => {
      const path = join(dir, "f.manifold");
      const met = new Int32Array(new SharedArrayBuffer(4));
      const url = new URL("./support/workers/faulty_worker.ts", import.meta.url);
      const spawnWorker: SpawnWorker = (_url, data) =>
        startThread(url, { ...data as object, fault, met });
      // Each of two writers meets it, so that what is refused may be refused once more.
      const workload = new FaultWorkload(false);
      const options = optionsFor(spawnWorker);
      const db = await open(path, options);
      await workload.run(db);
      await workload.check(db, "in the open database");
      await workload.attempt("close", () => db.close());
      for (const { what, code } of workload.rejections) {
        const isKnown = CODES[fault.kind].includes(code) || code === "failed";
        assert(isKnown, `${what} was refused as ${code}`);
        if (CODES[fault.kind].includes("disk-full")) assertEquals(code, "disk-full", what);
      }
      await using again = await open(path, { ...options, spawnWorker: undefined });
      await workload.check(again, "after closing");
      assertEquals(Atomics.load(met, 0), 1, "the call was made");
    }));
}

/** A write of the log's header and a checkpoint's, an early record and a later one. */
const DEFECTS = [["keeper", 3], ["keeper", 12], ["writer", 3], ["writer", 15]] as const;

for (const [role, at] of DEFECTS) {
  test(`faults: a ${role} that throws in its work, at call ${at}, fails the database and harms nothing`, () =>
    withTempDir(async (dir) => {
      const path = join(dir, "f.manifold");
      const met = new Int32Array(new SharedArrayBuffer(4));
      const url = new URL("./support/workers/faulty_worker.ts", import.meta.url);
      const fault = { role, at, kind: "defect" };
      const options = optionsFor((_url, data) =>
        startThread(url, { ...data as object, fault, met })
      );
      const acknowledged = new Set<number>();
      const asked = 1000;
      const assertFailed = (error: unknown) => {
        assert(error instanceof ManifoldError, String(error));
        assertEquals(error.code, "failed");
        assert(error.cause instanceof Error && error.cause.message.includes(DEFECT), error.stack);
      };
      {
        const db = await open(path, options);
        const family = await db.columnFamily("f").catch(assertFailed);
        if (family !== undefined) {
          const table = family.table("t", { key: u32 });
          // Groups of some, several under way at a time.
          for (let first = 0; first < asked; first += 100) {
            const keys = Array.from({ length: 100 }, (_, i) => first + i);
            const writes = keys.map((key) => table.set(key, new Uint8Array(500).fill(key)));
            const results = await Promise.allSettled(writes);
            results.forEach((result, i) => {
              if (result.status === "fulfilled") acknowledged.add(first + i);
              else assertFailed(result.reason);
            });
          }
          assertLess(acknowledged.size, asked);
          for (const key of acknowledged) {
            const value = table.get(key)!;
            assert(value.length === 500 && value.every((byte) => byte === (key & 255)), `${key}`);
          }
          assertEquals(table.count(), [...table.keys()].length);
        }
        for (const call of [() => db.columnFamily("new"), () => db.checkpoint()]) {
          assertFailed(await Promise.resolve(call()).then(() => "accepted", (error) => error));
        }
        await db.close();
      }
      assertEquals(Atomics.load(met, 0), 1, "the call was made");
      await using again = await open(path);
      assertEquals((await again.verify()).findings, []);
      const table = (await again.columnFamily("f")).table("t", { key: u32 });
      // What was asked for before anything that is there is there, too.
      const found = [...table];
      found.forEach(([key, value], i) => {
        assertEquals(key, i);
        assert(value.length === 500 && value.every((byte) => byte === (key & 255)), `${key}`);
      });
      for (const key of acknowledged) assertLess(key, found.length);
      await table.set(asked, new Uint8Array(1));
    }));
}
