/**
 * Protects the figures of `stats()` that count what has happened: every commit once, whoever has made it
 * and however it came to be applied, groups by their size, durations within the promised error.
 */

import fc from "fast-check";
import { REQUEST_TRANSACTION } from "../lib/engine/requests.ts";
import { ManifoldError } from "../lib/errors.ts";
import { allocateControl, Control } from "../lib/memory/control.ts";
import { HISTOGRAM_WORDS, record, spreadOf } from "../lib/memory/histogram.ts";
import { readStatistics, Statistics } from "../lib/memory/statistics.ts";
import { joinThread, leaveThread } from "../lib/memory/threads.ts";
import { attach, type DatabaseStats, open, openInMemory, text, u32 } from "../mod.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertLessOrEqual,
  assertRejects,
} from "./support/assert.ts";
import { Operations } from "./support/local_family.ts";
import { LocalWriter } from "./support/local_writer.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

/** The value that `share` of all do not exceed. */
function exact(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(values.length * share) - 1];
}

/** Values spread over all powers of two, whole ones and those at the edges of buckets among them. */
const values = fc.array(
  fc.tuple(
    fc.integer({ min: -3, max: 30 }),
    fc.double({ min: 1, max: 2, noNaN: true }),
    fc.boolean(),
  )
    .map(([power, factor, whole]) => whole ? Math.floor(factor * 2 ** power) : factor * 2 ** power),
  { minLength: 1, maxLength: 300 },
);

test("statistics: percentiles are right within a thirty-second or half a unit, the largest exactly", () => {
  fc.assert(fc.property(values, (values) => {
    const histogram = new Float64Array(HISTOGRAM_WORDS);
    for (const value of values) record(histogram, 0, value);
    const { count, p50, p95, p99, max } = spreadOf(histogram);
    assertEquals(count, values.length);
    assertEquals(max, Math.max(...values));
    for (const [share, found] of [[0.5, p50], [0.95, p95], [0.99, p99]]) {
      const wanted = exact(values, share);
      assertLessOrEqual(Math.abs(found - wanted), Math.max(0.5, wanted / 32), `${share}: ${found}`);
    }
  }));
});

test("statistics: a histogram takes any duration, and nothing is all zeros", () => {
  const histogram = new Float64Array(HISTOGRAM_WORDS);
  assertEquals(spreadOf(histogram), { count: 0, p50: 0, p95: 0, p99: 0, max: 0 });
  for (const value of [0, 2 ** 31, 2 ** 31 - 0.5, 2 ** 40, Infinity]) record(histogram, 0, value);
  const { count, p50, max } = spreadOf(histogram);
  assertEquals([count, max], [5, Infinity]);
  assertLess(Math.abs(p50 / 2 ** 31 - 1), 1 / 32);
});

test("statistics: what a thread has counted stays when it has left, and its slot's next owner goes on", () => {
  const control = new Control(allocateControl());
  const [first, second] = [joinThread(control, 0), joinThread(control, 1)];
  const count = (thread: number, times: number): void => {
    const statistics = new Statistics(control, thread);
    for (let i = 0; i < times; i++) {
      statistics.conflict();
      for (let k = 0; k < 2; k++) statistics.retry();
      for (let k = 0; k < 3; k++) statistics.abort();
      statistics.sync(1);
      statistics.commit(2);
      statistics.commitAlong(3);
    }
  };
  count(first, 1);
  count(second, 10);
  leaveThread(control, second);
  assertEquals(joinThread(control, 2), second);
  count(second, 100);
  const { commits, conflicts, retries, aborts, syncs, latencies } = readStatistics(control);
  assertEquals([commits, conflicts, retries, aborts], [444, 111, 222, 333]);
  assertEquals([syncs.count, syncs.max, latencies.count, latencies.max], [111, 1, 111, 2]);
});

test("statistics: groups are counted by powers of two, the largest that there can be as well", () => {
  const control = new Control(allocateControl());
  const statistics = new Statistics(control, joinThread(control, 0));
  const sizes = [1, 2, 2, 3, 4, 5, 8, 9, 2 ** 19, 2 ** 19 + 1, 2 ** 20];
  for (const size of sizes) statistics.group(size);
  const { groups, commits } = readStatistics(control);
  const wanted = new Array(21).fill(0);
  wanted[0] = 1; // 1
  wanted[1] = 2; // 2
  wanted[2] = 2; // 3, 4
  wanted[3] = 2; // 5 to 8
  wanted[4] = 1; // 9 to 16
  wanted[19] = 1;
  wanted[20] = 2;
  assertEquals(groups, wanted);
  assertEquals(commits, 0, "they count when they are answered");
});

function sets(value: number, bytes: number): Uint8Array {
  const operations = new Operations();
  const table = operations.open("rows");
  operations.set(table, new Uint8Array([value]), new Uint8Array(bytes));
  return operations.take();
}

test("statistics: a group that fails counts as the groups in which it is tried again", async () => {
  const local = await LocalWriter.create();
  const groups = (): readonly number[] => readStatistics(local.memory.control).groups;
  for (let i = 0; i < 5; i++) local.push(REQUEST_TRANSACTION, 0, sets(i, 1));
  local.settle();
  assertEquals(groups(), [0, 0, 0, 1]);
  const write = local.file.write.bind(local.file);
  let failures = 2; // in the group, and when it is tried alone
  local.file.write = (offset, source) => {
    if (failures-- > 0) throw new ManifoldError("disk-full", "no space left on device");
    write(offset, source);
  };
  for (const bytes of [1, 5000, 1]) local.push(REQUEST_TRANSACTION, 0, sets(9, bytes));
  assertEquals(local.settle().map(({ status }) => status === 0), [true, false, true]);
  assertEquals(groups(), [2, 0, 0, 1]);
});

test("statistics: a round that is given up counts nothing", async () => {
  const local = await LocalWriter.create();
  local.push(REQUEST_TRANSACTION, 0, sets(1, 1));
  assert(local.writer.gather());
  local.writer.abandon("disk-full");
  assertEquals(readStatistics(local.memory.control).groups, []);
});

/** The least and the most transactions that the groups can have. */
function boundsOf({ groupSizes }: DatabaseStats): [least: number, most: number] {
  let [least, most] = [0, 0];
  for (const { upTo, groups } of groupSizes) {
    least += groups * (Math.floor(upTo / 2) + 1);
    most += groups * upTo;
  }
  return [least, most];
}

test("statistics: every commit is counted once, those of other threads too, and measured", () =>
  withTempDir(async (dir) => {
    await using db = await open(`${dir}/s.manifold`);
    await using other = await attach(db.share());
    assertEquals(db.stats().commits, 0);
    const stock = (await db.columnFamily("stock")).table("t", { key: u32, value: text });
    const sold = (await other.columnFamily("sold")).table("t", { key: u32, value: text });
    assertEquals(db.stats().commits, 0, "making a column family is none");
    for (let i = 0; i < 20; i++) await stock.set(i, "single");
    await sold.setMany([[1, "one"], [2, "two"]]);
    await sold.delete(7); // is not there
    const begun = performance.now();
    await Promise.all(Array.from({ length: 512 }, (_, i) => stock.set(100 + i, "together")));
    const took = performance.now() - begun;
    const stats = db.stats();
    assertEquals(stats.commits, 534);
    assertEquals([stats.conflicts, stats.retries, stats.aborts], [0, 0, 0]);

    const groups = stats.groupSizes.reduce((sum, size) => sum + size.groups, 0);
    assertGreater(groups, 20);
    assertLess(groups, 20 + 512 / 4, "what waits is committed together");
    assertGreater(stats.groupSizes.at(-1)!.upTo, 4);
    const [least, most] = boundsOf(stats);
    assertLessOrEqual(least, 533, "the deletion of nothing is no group");
    assertLessOrEqual(533, most);

    const { commitMs, syncMs } = stats;
    assertEquals(commitMs.count, 534);
    assertGreater(commitMs.p50, 0);
    for (const { p50, p95, p99, max } of [commitMs, syncMs]) {
      assert(p50 <= p95 && p95 <= p99 && p99 <= max, JSON.stringify({ p50, p95, p99, max }));
    }
    assertLessOrEqual(commitMs.p50, took * 33 / 32, "nearly all of them were among the 512");
    assert(syncMs.count > 20 && syncMs.count <= groups + 5, `${syncMs.count} of ${groups} groups`);
    assertLess(syncMs.p50, commitMs.max);
  }));

test("statistics: transactions count as commits if they wrote, as aborts if they were given up", async () => {
  await using db = await openInMemory();
  const family = await db.columnFamily("f");
  const table = family.table("t", { key: text, value: u32 });
  await family.transaction((tx) => tx.table(table).set("a", 1));
  await family.transaction((tx) => tx.table(table).get("a"));
  await assertRejects(() => family.transaction((tx) => tx.abort()), ManifoldError, "aborted");
  await assertRejects(
    () => family.transaction(() => Promise.reject(new Error("lost interest"))),
    Error,
    "lost interest",
  );
  const { commits, conflicts, retries, aborts, groupSizes, syncMs, commitMs } = db.stats();
  assertEquals({ commits, conflicts, retries, aborts }, {
    commits: 1,
    conflicts: 0,
    retries: 0,
    aborts: 2,
  });
  assertEquals(groupSizes, [{ upTo: 1, groups: 1 }]);
  assertEquals(syncMs, { count: 0, p50: 0, p95: 0, p99: 0, max: 0 });
  assertEquals(commitMs.count, 1);
});

test("statistics: conflicts and retries are counted, and every increment of a hot key is a commit", async () => {
  await using db = await openInMemory();
  const family = await db.columnFamily("f");
  const table = family.table("t", { key: text, value: u32 });
  let runs = 0;
  await family.transaction(async (tx) => {
    const t = tx.table(table);
    t.set("a", (t.get("a") ?? 0) + 1);
    if (runs++ === 0) await table.set("a", 10);
  }).catch(() => {});
  const first = db.stats();
  assertEquals([runs, first.conflicts, first.retries], [1, 0, 0], "a write past it is refused");

  const other = await attach(db.share());
  const others = (await other.columnFamily("f")).table("t", { key: text, value: u32 });
  await family.transaction(async (tx) => {
    const t = tx.table(table);
    t.set("a", (t.get("a") ?? 0) + 1);
    if (runs++ === 1) await others.set("a", 10);
  });
  assertEquals(table.get("a"), 11);
  const { commits, conflicts, retries, aborts } = db.stats();
  assertEquals({ commits, conflicts, retries, aborts }, {
    commits: 2,
    conflicts: 1,
    retries: 1,
    aborts: 1,
  });
  await other.close();

  runs = 0;
  await Promise.all(Array.from({ length: 200 }, () =>
    family.transaction((tx) => {
      runs++;
      const t = tx.table(table);
      t.set("hot", (t.get("hot") ?? 0) + 1);
    })));
  assertEquals(table.get("hot"), 200);
  const after = db.stats();
  assertEquals(after.commits, 202);
  assertEquals(after.retries, 1 + runs - 200);
  assertGreater(after.conflicts, 1);
});

test("statistics: they begin anew with each opening", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/s.manifold`;
    {
      await using db = await open(path);
      const table = (await db.columnFamily("f")).table("t", { key: text, value: u32 });
      await table.set("a", 1);
      await db.deleteColumnFamily("f");
      assertEquals(db.stats().commits, 1, "deleting a column family is none");
    }
    await using db = await open(path);
    const { commits, groupSizes, commitMs } = db.stats();
    assertEquals({ commits, groupSizes, count: commitMs.count }, {
      commits: 0,
      groupSizes: [],
      count: 0,
    });
  }));
