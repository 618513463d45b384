/**
 * Which pictures the report has, and what is to be seen in them.
 *
 * @module
 */

import type { BenchReport } from "./bench_json.ts";
import { barChart, type Chart, lineChart } from "./charts.ts";

type Reports = readonly BenchReport[];

function durableWrites(reports: Reports): Chart[] {
  return barChart(reports, [
    { title: "One put at a time", rows: [{ row: "single_put" }] },
    { title: "256 callers, each awaiting its put", rows: [{ row: "callers_256" }] },
    { title: "Batches of 1,000 × 150 bytes", rows: [{ row: "batch_150" }] },
    { title: "Batches of 1,000 × 1 KiB", rows: [{ row: "batch_1k" }] },
    { title: "Batches of 1,000 removals", rows: [{ row: "remove" }] },
    { title: "500,000 × 150 bytes at once", rows: [{ row: "bulk_load" }] },
  ], {
    file: "durable_writes.svg",
    title: "Durable writes",
    about:
      `Every write is on the disk when it returns. Longer is better; the thin line goes from the least
to the most of the runs. Blue is Manifold, grey a peer in a runtime, ochre a native program without one.`,
  });
}

function reads(reports: Reports): Chart[] {
  return barChart(reports, [
    { title: "Random get, the bytes copied", rows: [{ row: "get" }] },
    { title: "Random get, the bytes borrowed", rows: [{ row: "view" }] },
    { title: "Ranges of ten entries", rows: [{ row: "range_10" }] },
    { title: "Whole table, copied", rows: [{ row: "scan" }] },
    { title: "Whole table, borrowed", rows: [{ row: "scan_view" }] },
  ], {
    file: "reads.svg",
    title: "Reads",
    about:
      "One thread, everything in memory, colours as above. LMDB in C has its ranges of ten borrowed.",
  });
}

function callers(reports: Reports): Chart[] {
  return lineChart(reports, "callers", [
    {
      title: "Rate",
      xName: "callers in one thread",
      logarithmic: true,
      lines: [{ rows: "callers_#", name: "" }],
    },
    {
      title: "How long a put takes",
      xName: "callers in one thread",
      logarithmic: true,
      alone: true,
      lines: [
        { rows: "callers_#_p50", name: "50 %" },
        { rows: "callers_#_p99", name: "99 %" },
      ],
    },
  ], {
    file: "callers.svg",
    title: "Many callers",
    about:
      `Each caller awaits one durable put after the other. One sync serves all that wait for it: what that gives
all of them together, and what each of them waits (half of the puts, and 99 of 100, at most so long).`,
  });
}

function families(reports: Reports): Chart[] {
  const xName = "families written at once";
  const lines = (durability: string) => [
    { rows: `families_#_${durability}`, name: "" },
    { rows: `threads_#_${durability}`, name: "a thread for each" },
  ];
  return lineChart(reports, "families", [
    { title: "Durable", xName, logarithmic: false, lines: lines("durable") },
    { title: "Eventual", xName, logarithmic: false, lines: lines("eventual") },
    {
      title: "A family more, with one durable entry",
      xName: "families that there are then",
      logarithmic: false,
      lines: [{ rows: "grown_#", name: "" }],
    },
  ], {
    file: "families.svg",
    title: "Column families",
    about:
      `Batches of 1,000 × 1 KiB, one in flight for each family, by one thread for all or by one attached
thread for each.`,
  });
}

function growth(reports: Reports): Chart[] {
  const xName = "million entries";
  return lineChart(reports, "growth", [
    {
      title: "A put, in batches",
      xName,
      logarithmic: false,
      lines: [{ rows: "put_#m", name: "" }],
    },
    { title: "A random get", xName, logarithmic: false, lines: [{ rows: "get_#m", name: "" }] },
  ], {
    file: "growth.svg",
    title: "Growth",
    about: "What one operation costs as the tree grows. Less is better.",
  });
}

function checkpoints(reports: Reports): Chart[] {
  const panel = (title: string, percentile: string) => ({
    title,
    group: "opening",
    rows: [
      { row: `put_quiet_${percentile}`, name: "put, no checkpoint" },
      { row: `put_busy_${percentile}`, name: "put, during one" },
      {
        row: `raw_quiet_${percentile}`,
        name: "disk alone, no checkpoint",
        tone: "script" as const,
      },
      { row: `raw_busy_${percentile}`, name: "disk alone, during one", tone: "script" as const },
    ],
  });
  return barChart(reports, [
    panel("Half of them took at most", "p50"),
    panel("99 % of them took at most", "p99"),
  ], {
    file: "checkpoints.svg",
    title: "Puts during a checkpoint",
    about:
      `Single durable puts while a checkpoint is made and while none is; grey, what the disk alone took to sync
4 KiB at the same time. Shorter is better.`,
  });
}

function recovery(reports: Reports): Chart[] {
  return lineChart(reports, "opening", [
    {
      title: "Opening after SIGKILL",
      xName: "MiB of log",
      logarithmic: false,
      lines: [{ rows: "recover_#", name: "" }],
    },
  ], {
    file: "recovery.svg",
    title: "Recovery",
    about:
      "How long a database takes to open that was killed, by what its log holds. Shorter is better.",
  });
}

/** All that the reports have the rows for. */
export function picturesOf(reports: Reports): Chart[] {
  return [durableWrites, reads, callers, families, growth, checkpoints, recovery].flatMap((
    picture,
  ) => picture(reports));
}
