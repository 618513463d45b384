/**
 * `deno task coverage`: how much of what decodes files, logs and values is reached by the tests without threads,
 * which take seconds. Fails if a file is below the limit.
 *
 * Branches of a function that is never called are not counted by V8, so functions have the same limit.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

const LIMIT_PERCENT = 90;

/** The decoders: whatever reads bytes that a disk, or somebody else, gave. */
const MEASURED = [
  /^lib\/storage\/(meta|directory|extents|overflow|page_allocator|allocator_image|bytes)\.ts$/,
  /^lib\/log\/(log_file|log_damage|record|recovery_scan|operations)\.ts$/,
  /^lib\/tree\/(page_check|cell|page)\.ts$/,
  /^lib\/api\/codecs\/(?!tuning)\w+\.ts$/,
  /^lib\/engine\/(catalog|change_record|kept_changes)\.ts$/,
  /^lib\/api\/salvage\/(head|page_index|log_records)\.ts$/,
  /^lib\/cli\/(readable|lines|load)\.ts$/,
];
const MEASURED_FILES = 36;

const TESTS = [
  "codec_test",
  "codec_writer_test",
  "decoder_dump_test",
  "decoder_log_test",
  "decoder_salvage_test",
  "decoder_test",
  "engine_changes_test",
  "fuzz_test",
  "space_test",
  "tree_page_test",
].map((name) => `tests/${name}.ts`);

/** Runs this runtime; its output is shown only if it fails. */
function run(...args: string[]): string {
  // The same figures in every run.
  const env = { ...process.env, MANIFOLD_SEED: "1", NO_COLOR: "1" };
  const { status, stdout, stderr, error } = spawnSync(process.execPath, args, {
    cwd: ROOT,
    env,
    encoding: "utf8",
    maxBuffer: 2 ** 30,
  });
  if (error !== undefined) throw error;
  if (status === 0) return stdout;
  console.error(stdout + stderr);
  throw new Error(`deno ${args[0]} failed`);
}

/** Percent of what `found` counts that `hit` counts, in one file's part of a report; 100 of nothing. */
function percent(part: string, found: string, hit: string): number {
  const [all, reached] = [found, hit].map((name) =>
    Number(part.match(new RegExp(`^${name}:(\\d+)$`, "m"))?.[1] ?? 0)
  );
  return all === 0 ? 100 : (reached / all) * 100;
}

const directory = await mkdtemp(join(tmpdir(), "manifold-coverage-"));
let failed = false;
try {
  run("test", "-A", "--no-check", `--coverage=${directory}`, ...TESTS);
  const report = run("coverage", "--lcov", directory);
  const rows: string[] = [];
  for (const part of report.split("end_of_record")) {
    const path = part.match(/^SF:(.*)$/m)?.[1].slice(ROOT.length).replaceAll("\\", "/");
    if (path === undefined || !MEASURED.some((pattern) => pattern.test(path))) continue;
    const branches = percent(part, "BRF", "BRH");
    const functions = percent(part, "FNF", "FNH");
    const low = Math.min(branches, functions) < LIMIT_PERCENT;
    failed ||= low;
    const figures = [branches, functions].map((one) => one.toFixed(1).padStart(9)).join("");
    rows.push(`${path.padEnd(36)}${figures}${low ? `  below ${LIMIT_PERCENT}` : ""}`);
  }
  console.log([`${"percent of".padEnd(36)} branches functions`, ...rows.sort()].join("\n"));
  if (rows.length !== MEASURED_FILES) {
    failed = true;
    console.error(`${rows.length} files were measured, ${MEASURED_FILES} should have been`);
  }
} finally {
  await rm(directory, { recursive: true });
}
process.exit(failed ? 1 : 0);
