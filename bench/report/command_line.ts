/**
 * How to repeat what a report tells.
 *
 * @module
 */

import { engineKinds } from "../engines/mod.ts";
import { suites } from "../suites/mod.ts";
import { EVENNESS } from "../support/results.ts";
import { rows as workloads } from "../support/workloads.ts";
import { type BenchReport, type Part, WORKLOADS } from "./bench_json.ts";

/** The command that measures the rows of a part, as far as it can be told from them. */
export function commandOf({ runtime }: BenchReport, part: Part): string {
  const onDeno = runtime.startsWith("Deno");
  const engines = new Set(part.series.map(({ engine }) => engine));
  const groups = new Set(part.series.map(({ group }) => group));
  const names = new Set(
    part.series.filter(({ group, row }) => group === WORKLOADS && !row.endsWith(EVENNESS))
      .map(({ row }) => row),
  );
  const withWorkloads = groups.delete(WORKLOADS);
  const native = engineKinds.some((kind) => "program" in kind && engines.has(kind.name));
  // All that there are on this runtime is what is run when none is named.
  const there = engineKinds.filter((kind) =>
    kind.runtimes.includes(onDeno ? "deno" : "bun") && (native || "open" in kind)
  );
  const words = [onDeno ? "deno task bench" : "bun run bench/main.ts", "--runs", part.runs];
  if (groups.size > 0) {
    words.push("--suites", groups.size === suites.length ? "all" : [...groups].join(","));
  }
  if (withWorkloads && (groups.size > 0 || names.size < workloads.length)) {
    words.push("--only", [...names].join(","));
  }
  if (there.some(({ name }) => !engines.has(name))) {
    words.push("--engines", [...engines].join(","));
  }
  if (native) words.push("--native");
  if (part.counted) words.push("--syncs");
  if (part.scale !== 1) words.push("--scale", part.scale);
  return words.join(" ");
}
