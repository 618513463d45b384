/**
 * Protects what is concluded from the benchmarks' files: what counts as slower, and that the page and its
 * pictures tell what was measured, all of it, and nothing that was not.
 */

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type BenchJson,
  type BenchReport,
  mergeReports,
  ratioOf,
  reportOf,
} from "../bench/report/bench_json.ts";
import { commandOf } from "../bench/report/command_line.ts";
import { comparePairs, compareReports } from "../bench/report/comparison.ts";
import { formatFigure, formatTick } from "../bench/report/format.ts";
import { picturesOf } from "../bench/report/pictures.ts";
import { moduleKinds } from "../bench/engines/mod.ts";
import { UsageError } from "../bench/support/errors.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "./support/assert.ts";
import { runScript, spawnScript } from "./support/child.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const BENCH = new URL("../bench/report/", import.meta.url);

type Runs = readonly number[];

interface Forged {
  readonly runtime?: string;
  readonly scale?: number;
  /** Rates by engine and workload. */
  readonly rates?: Record<string, Record<string, Runs>>;
  /** µs by suite and row, of Manifold. */
  readonly times?: Record<string, Record<string, Runs>>;
  readonly floors?: BenchJson["floors"];
}

function forge(
  { runtime = "Deno 2.9.6", scale = 1, rates = {}, times = {}, floors = [] }: Forged,
): BenchJson {
  const engines = new Set(["manifold", ...Object.keys(rates)]);
  return {
    date: "2026-01-02T03:04:05.678Z",
    runtime,
    cpu: "2 × Some Processor",
    runs: 3,
    scale,
    engines: [...engines].map((name) => ({ name, title: `${name}!`, settings: `as ${name} is` })),
    results: Object.entries(rates).flatMap(([engine, rows]) =>
      Object.entries(rows).map(([workload, runs]) => ({ engine, workload, opsPerSecond: 1, runs }))
    ),
    suites: Object.entries(times).flatMap(([suite, rows]) =>
      Object.entries(rows).map(([row, runs]) => {
        return { suite, engine: "manifold", row, unit: "µs", better: "less" as const, runs };
      })
    ),
    floors,
  };
}

function verdicts(old: Forged, now: Forged, most = 1.25): Record<string, string> {
  const { rows } = compareReports(reportOf(forge(old)), reportOf(forge(now)), most);
  return Object.fromEntries(rows.map(({ name, verdict }) => [name, verdict]));
}

test("bench report: a row is slower only if its median is, and no run is as good as an old one", () => {
  const before = {
    manifold: { clear: [100, 110, 90], overlap: [100, 110, 60], little: [100, 99] },
  };
  const after = { manifold: { clear: [70, 71, 69], overlap: [70, 71, 61], little: [90, 89] } };
  const expected = { clear: "slower", overlap: "same", little: "same" };
  assertEquals(verdicts({ rates: before }, { rates: after }), expected);
  assertEquals(verdicts({ rates: after }, { rates: before }), { ...expected, clear: "faster" });
  assertEquals(verdicts({ rates: before }, { rates: after }, 2).clear, "same");
});

test("bench report: of times and sizes more is slower, in suites as well", () => {
  const [less, more] = [{ opening: { open_families: [10] } }, { opening: { open_families: [20] } }];
  assertEquals(verdicts({ times: less }, { times: more }), { "opening: open_families": "slower" });
  assertEquals(verdicts({ times: more }, { times: less }), { "opening: open_families": "faster" });
});

test("bench report: a peer that became slower is no regression; rows of one file alone are told", () => {
  const old = reportOf(
    forge({ rates: { manifold: { get: [10], view: [10] }, lmdb: { get: [9] } } }),
  );
  const now = reportOf(
    forge({ rates: { manifold: { get: [10], scan: [10] }, lmdb: { get: [1] } } }),
  );
  const { rows, unpaired } = compareReports(old, now, 1.25);
  assertEquals(rows.map(({ name, verdict }) => [name, verdict]), [["get", "same"]]);
  assertEquals(unpaired, ["view", "scan"]);
});

test("bench report: runs in pairs are compared pair by pair", () => {
  const pair = (old: Runs, now: Runs) => {
    const [before, after] = [old, now].map((runs) =>
      reportOf(forge({ rates: { manifold: { get: runs } } })).series[0]
    );
    return comparePairs(before, after, 1.5);
  };
  // The machine was disturbed by more than the difference, but both of a pair alike.
  assertEquals(pair([100, 400, 50], [50, 200, 25]).verdict, "slower");
  assertEquals(pair([100, 400, 50], [50, 200, 51]).verdict, "same");
  assertEquals(pair([50, 200, 25], [100, 400, 50]).verdict, "faster");
  assertEquals(pair([100, 400, 50], [100, 400, 40]).factor, { median: 1, least: 1, most: 1.25 });
});

for (const [name, now, code] of [["slower", 50, 1], ["as fast", 100, 0]] as const) {
  test(`bench report: bench:compare exits with ${code} when a row is ${name}`, () =>
    withTempDir(async (dir) => {
      const files = [100, now].map((rate, i) => {
        const path = join(dir, `${i}.json`);
        writeFileSync(path, JSON.stringify(forge({ rates: { manifold: { get: [rate, rate] } } })));
        return path;
      });
      const child = spawnScript("self", new URL("compare.ts", BENCH), files);
      const output: string[] = [];
      for await (const line of child.lines) output.push(line);
      assertEquals((await child.exited).code, code, child.stderr());
      assertMatch(output.at(-1)!, new RegExp(`^${code} of 1 rows slower`));
    }));
}

test("bench report: bench:compare refuses files of different work, or of none", () =>
  withTempDir(async (dir) => {
    const rates = { manifold: { get: [100] } };
    const files = [forge({ rates }), forge({ rates, scale: 0.1 }), { some: "thing" }].map(
      (json, i) => {
        const path = join(dir, `${i}.json`);
        writeFileSync(path, JSON.stringify(json));
        return path;
      },
    );
    for (const [second, message] of [[1, /0\.1/], [2, /not what the benchmarks write/]] as const) {
      const child = spawnScript("self", new URL("compare.ts", BENCH), [files[0], files[second]]);
      assertEquals((await child.exited).code, 2);
      assertMatch(child.stderr(), message);
    }
  }));

test("bench report: without a commit to compare with, bench:regression says so and passes", async () => {
  const output = await runScript("self", new URL("regression.ts", BENCH), ["--base", "no-such"]);
  assertMatch(output.join("\n"), /^skipped, nothing to compare with: there is no commit no-such/);
});

test("bench report: a ratio is above one where Manifold is better, of runs of the same round", () => {
  const report = reportOf({
    ...forge({ rates: { manifold: { get: [100, 10, 30] }, lmdb: { get: [50, 10, 10] } } }),
    suites: [["manifold", [10, 20]], ["lmdb", [20, 80]]].map(([engine, runs]) => ({
      suite: "s",
      engine: engine as string,
      row: "time",
      unit: "ms",
      better: "less" as const,
      runs: runs as number[],
    })),
  });
  assertEquals(ratioOf(report, "workloads", "get", "lmdb"), { median: 2, least: 1, most: 3 });
  assertEquals(ratioOf(report, "s", "time", "lmdb"), { median: 3, least: 2, most: 4 });
  assertEquals(ratioOf(report, "s", "time", "sqlite"), undefined);
});

test("bench report: files of one runtime are one report; what was measured twice is refused", () => {
  const floor = { name: "f", about: "a floor", least: 1, unit: "×" as const };
  const notRun = { ...floor, found: undefined, met: undefined };
  const met = { ...floor, found: { median: 2, least: 2, most: 2 }, met: true };
  const table = forge({ rates: { manifold: { get: [1] } }, floors: [notRun] });
  const suites = forge({ times: { growth: { put_1m: [1] } }, floors: [met] });
  const bun = forge({ runtime: "Bun 1.4.4", rates: { manifold: { get: [1] } } });
  const reports = mergeReports([table, bun, suites].map(reportOf));
  assertEquals(reports.map(({ runtime, series }) => [runtime, series.length]), [
    ["Deno 2.9.6", 2],
    ["Bun 1.4.4", 1],
  ]);
  assertEquals(reports[0].floors, [met]);
  assertThrows(() => mergeReports([table, table].map(reportOf)), UsageError, "measured twice");
});

test("bench report: the command is the one that measures these rows", () => {
  const report = reportOf(forge({
    scale: 0.1,
    rates: { manifold: { get: [1] }, rocksdb: { get: [1] } },
    times: { callers: { callers_1: [1] } },
  }));
  assertEquals(
    commandOf(report, report.parts[0]),
    "deno task bench --runs 3 --suites callers --only get --engines manifold,rocksdb --native --scale 0.1",
  );
});

test("bench report: what is told of a peer has its version", () => {
  const told = Object.fromEntries(moduleKinds.map(({ name, settings }) => [name, settings]));
  assertMatch(told.lmdb, /^\d+\.\d+\.\d+, /);
  assertMatch(told.sqlite, /^SQLite \d+\.\d+\.\d+, /);
});

test("bench report: figures are short, and in the unit that suits them", () => {
  assertEquals(formatFigure(1_234_567, "entries/s"), "1.23 M");
  assertEquals(formatFigure(12_345, "µs"), "12.3 ms");
  assertEquals(formatFigure(0.0123, "ms"), "12.3 µs");
  assertEquals(formatFigure(0, "ms"), "0 ms");
  assertEquals(formatFigure(93_500_000, "bytes"), "93.5 MB");
  assertEquals(["20.0 K", "1.50 M", "200"], [20e3, 1.5e6, 200].map((n) => formatFigure(n, "/s")));
  assertEquals(
    ["20 K", "1.5 M", "200", "0"],
    [20e3, 1.5e6, 200, 0].map((n) => formatTick(n, "/s")),
  );
});

/** Two runtimes with a row for every picture. */
function fullReports(): BenchReport[] {
  return ["Deno 2.9.6", "Bun 1.4.4"].map((runtime) =>
    reportOf(forge({
      runtime,
      rates: {
        manifold: { single_put: [5000, 5500, 4000], get: [9e5], scan_view: [1e7] },
        rocksdb: { single_put: [4000, 4100, 3900], get: [1e5] },
      },
      times: {
        callers: { callers_1_p50: [150], callers_256_p50: [900], callers_1_p99: [300] },
        families: { grown_250: [200], grown_500: [210] },
        growth: { put_1m: [2], put_3m: [3], put_10m: [4], get_1m: [1], get_10m: [2] },
        opening: { recover_16: [90], recover_64: [200], put_quiet_p50: [100], put_busy_p50: [150] },
      },
    }))
  );
}

test("bench report: there is a picture of all that was run, and none of what was not", () => {
  const pictures = picturesOf(fullReports());
  assertEquals(pictures.map(({ file }) => file.replace(".svg", "")), [
    "durable_writes",
    "reads",
    "callers",
    "families",
    "growth",
    "checkpoints",
    "recovery",
  ]);
  for (const { file, svg } of pictures) {
    assertMatch(svg, /^<svg [^>]*viewBox/, file);
    assert(!/NaN|undefined|Infinity/.test(svg), file);
  }
  const [writes] = pictures;
  // A peer without a runtime around it is told once, Manifold on both.
  assertEquals(writes.svg.match(/>[\w!, ]*(manifold|rocksdb)![\w, ]*</g), [
    ">manifold!, Deno<",
    ">manifold!, Bun<",
    ">rocksdb!<",
  ]);
  assert(!writes.svg.includes("Batches"), "a panel of rows that were not run");
  assertEquals(picturesOf([reportOf(forge({ rates: { manifold: { rmw_1: [1] } } }))]), []);
});

test("bench report: the page has every row, its ratio, and which targets are missed", () =>
  withTempDir(async (dir) => {
    const found = { median: 0.5, least: 0.4, most: 0.6 };
    const floors = [
      { name: "a", about: "gets ÷ lmdb", least: 1.5, unit: "×" as const, found, met: false },
      { name: "b", about: "a count", most: 20, unit: " µs" as const, found, met: true },
      {
        name: "c",
        about: "never run",
        least: 1,
        unit: "/s" as const,
        found: undefined,
        met: undefined,
      },
    ];
    const rates = { manifold: { get: [5, 4, 6] }, lmdb: { get: [10, 10, 10] } };
    const times = { families: { create_p50: [1500] } };
    const path = join(dir, "bench.json");
    writeFileSync(path, JSON.stringify(forge({ rates, times, floors, scale: 0.5 })));
    await runScript("self", new URL("main.ts", BENCH), [path, "--out", dir]);
    const page = readFileSync(join(dir, "performance.md"), "utf8");
    for (
      const line of [
        "| get | reads/s | 5 | 10<br>0.50× (0.40–0.60) |",
        "| create_p50 | µs, less is better | 1.5 ms |",
        "| a | gets ÷ lmdb | ≥ 1.50× | **missed**: 0.50× (0.40×–0.60×) |",
        "| b | a count | ≤ 20 µs | met: 500 ns (400 ns–600 ns) |",
        "| c | never run | ≥ 1/s | not run |",
        "- Deno: 1 of 2 met; missed: `a`.",
        "- **lmdb!**: as lmdb is.",
        "| machine | 2 × Some Processor |",
        "| date | 2026-01-02 03:04 UTC |",
        "![Reads](performance/reads.svg)",
      ]
    ) {
      assert(page.includes(`\n${line}\n`), `${line} is not in\n${page}`);
    }
    assertMatch(page, /part of the work \| \*\*0\.5: too little/);
    assertEquals(readdirSync(join(dir, "performance")), ["reads.svg"]);
    assert(!existsSync(join(dir, "performance", "recovery.svg")));
  }));
