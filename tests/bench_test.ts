/**
 * Protects what the benchmarks conclude: ratios of runs of the same round, and syncs counted from what
 * the operating system was asked.
 */

import { missingIn } from "../bench/native/build.ts";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { engineKinds } from "../bench/engines/mod.ts";
import { callers } from "../bench/suites/callers.ts";
import { families } from "../bench/suites/families.ts";
import { memory } from "../bench/suites/memory.ts";
import { suites } from "../bench/suites/mod.ts";
import { opening } from "../bench/suites/opening.ts";
import { floorsOf } from "../bench/support/floors.ts";
import { Latencies, latencyRows } from "../bench/support/latencies.ts";
import { EVENNESS, Results, rowKey } from "../bench/support/results.ts";
import { syncsByWorkload } from "../bench/support/syncs.ts";
import { rows } from "../bench/support/workloads.ts";
import { assert, assertEquals } from "./support/assert.ts";
import { runScript, thisRuntime } from "./support/child.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

function resultsOf(all: Record<string, number[]>, figure: "opsPerSecond" | "bytes"): Results {
  const results = new Results();
  const better = figure === "bytes" ? "less" : "more";
  for (const [engine, values] of Object.entries(all)) {
    for (const value of values) results.add({ engine, workload: "w", figure, better }, value);
  }
  return results;
}

const row = (engine: string) => ({ engine, workload: "w" });

test("bench: a ratio compares runs of the same round", () => {
  const results = resultsOf({ own: [100, 10, 30], peer: [50, 10, 10] }, "opsPerSecond");
  assertEquals(results.ratio(row("own"), row("peer")), { median: 2, least: 1, most: 3 });
});

test("bench: a ratio to several peers is the one to the best of each round", () => {
  const results = resultsOf({ own: [8, 8], a: [4, 1], b: [1, 2] }, "opsPerSecond");
  assertEquals(results.ratio(row("own"), row("a"), row("b")), { median: 3, least: 2, most: 4 });
});

test("bench: a ratio of sizes is above one for the smaller", () => {
  const results = resultsOf({ own: [100], peer: [300] }, "bytes");
  assertEquals(results.ratio(row("own"), row("peer"))?.median, 3);
});

test("bench: there is no ratio to a peer that was not run", () => {
  const results = resultsOf({ own: [1], peer: [1] }, "opsPerSecond");
  assertEquals(results.ratio(row("own"), row("peer"), row("other")), undefined);
  assertEquals(results.ratio(row("other"), row("peer")), undefined);
});

const TRACE = String.raw`
7 openat(AT_FDCWD, "/d/data", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 4
7 fdatasync(4)                      = 0
7 write(1, "{\"workload\":\"open\"}\n", 20) = 20
7 openat(AT_FDCWD, "/d/data", O_WRONLY|O_DSYNC|O_CLOEXEC) = 5
8 openat(AT_FDCWD, "/d/other", O_WRONLY|O_DSYNC <unfinished ...>
7 pwrite64(4, "\1\0"..., 4096, 0)   = 4096
8 <... openat resumed>)             = 6
7 fdatasync(4 <unfinished ...>
8 pwrite64(6, "\1\0"..., 120, 0)    = 120
7 <... fdatasync resumed>)          = 0
7 pwrite64(5, "\1\0"..., 120, 0)    = 120
7 write(1, "{\"workload\":\"single_put\",\"opsPer"..., 62) = 62
8 openat(AT_FDCWD, "/d/log", O_WRONLY|O_CREAT) = 5
8 write(5, "{\"workload\":\"not_a_line\"}"..., 120) = 120
8 sync_file_range(5, 0, 4096, 0)    = 0
8 fsync(5)                          = 0
9 write(1, "{\"workload\":\"get\",\"opsPerSecond\""..., 62 <unfinished ...>
`;

test("bench: syncs are counted by the line of output that follows", () => {
  assertEquals(Object.fromEntries(syncsByWorkload(TRACE)), { open: 1, single_put: 3, get: 2 });
});

test("bench: a header or a library that is missing is named", () => {
  const header = "a.cc:3:10: fatal error: rocksdb/db.h: No such file or directory";
  assertEquals(missingIn(header), "the header rocksdb/db.h");
  assertEquals(missingIn("a.cc:2:10: fatal error: lmdb.h: No such file"), "the header lmdb.h");
  assertEquals(missingIn("/usr/bin/ld: cannot find -llmdb: No such file"), "the library lmdb");
  assertEquals(missingIn("a.cc:9: error: expected ';'"), undefined);
});

test("bench: a percentile is what that part took at most", () => {
  const latencies = new Latencies();
  for (let ms = 100; ms >= 1; ms--) latencies.add(ms);
  assertEquals(latencies.results("all"), [
    { row: "all_p50", value: 50_000 },
    { row: "all_p95", value: 95_000 },
    { row: "all_p99", value: 99_000 },
    { row: "all_max", value: 100_000 },
  ]);
  const rows = latencyRows("all", "them").map(({ name }) => name);
  assertEquals(rows, latencies.results("all").map(({ row }) => row));
});

test("bench: names of suites, their rows and engines are well-formed and told once", () => {
  const engines = engineKinds.map(({ name }) => name);
  assertEquals(new Set(suites.map(({ name }) => name)).size, suites.length);
  for (const suite of suites) {
    assertEquals(suite.engines[0], "manifold");
    for (const engine of suite.engines) assert(engines.includes(engine), engine);
    const rows = suite.rows.map(({ name }) => name);
    assertEquals(new Set(rows).size, rows.length);
    for (const name of [suite.name, ...rows]) assert(/^[a-z0-9_]+$/.test(name), name);
  }
});

test("bench: every floor is of something that is measured", () => {
  const [results, suiteResults] = [new Results(), new Results()];
  const measure = { figure: "opsPerSecond", better: "more" } as const;
  for (const { name: engine } of engineKinds) {
    for (const { name } of rows) {
      results.add({ engine, workload: name, ...measure }, 1);
      results.add({ engine, workload: name + EVENNESS, ...measure }, 1);
    }
  }
  for (const { name: suite, engines, rows } of suites) {
    for (const engine of engines) {
      for (const { name } of rows) {
        suiteResults.add({ engine, workload: rowKey(suite, name), ...measure }, 1);
      }
    }
  }
  const floors = floorsOf(results, suiteResults);
  assertEquals(floors.filter(({ found }) => found === undefined), []);
  // None of those that are told only if their peers were run is missing.
  for (const name of ["n_load", "n_fam_4"]) assert(floors.some((floor) => floor.name === name));
  assertEquals(new Set(floors.map(({ name }) => name)).size, floors.length);
});

interface SuiteFigure {
  readonly suite: string;
  readonly engine: string;
  readonly row: string;
  readonly median: number;
  readonly runs: readonly number[];
}

const mainScript = new URL("../bench/main.ts", import.meta.url);

// Processes and threads take their time to start; what differs on Bun is in these two as well.
const started = thisRuntime === "bun" ? [callers, memory] : [callers, families, opening, memory];

for (const suite of started) {
  test(
    `bench: the suite ${suite.name} gives all its rows`,
    { timeoutMs: 600_000 },
    () =>
      withTempDir(async (dir) => {
        const json = join(dir, "found.json");
        const options = `--runs 1 --engines manifold,lmdb --scale 0.01 --dir ${dir} --json ${json}`;
        const args = ["--suites", suite.name, ...options.split(" ")];
        await runScript("self", mainScript, args, { permissions: ["-A", "--unstable-kv"] });
        const report = JSON.parse(readFileSync(json, "utf8"));
        assertEquals(report.results, []);
        const found: SuiteFigure[] = report.suites;
        const rowsOf = (engine: string) =>
          found.filter((one) => one.engine === engine).map(({ row }) => row);
        assertEquals(rowsOf("manifold"), suite.rows.map(({ name }) => name));
        assertEquals(rowsOf("lmdb").length > 0, suite.engines.includes("lmdb"));
        for (const one of found) {
          assertEquals([one.suite, one.runs], [suite.name, [one.median]]);
        }
      }),
  );
}
