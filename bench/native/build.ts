/**
 * The program that runs RocksDB and LMDB, built when it is needed: into the user's cache, under a name
 * that its sources and flags give it. So it is built again exactly if they have changed.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { UnavailableError } from "../support/errors.ts";

const FLAGS = ["-std=c++17", "-O2", "-Wall", "-Wextra"];
const LIBRARIES = ["-lrocksdb", "-llmdb", "-lpthread"];
const INSTALL = "apt-get install -y g++ librocksdb-dev liblmdb-dev";

const directory = fileURLToPath(new URL(".", import.meta.url));

function cacheDirectory(): string {
  const { XDG_CACHE_HOME } = process.env;
  const home = homedir();
  const parent = XDG_CACHE_HOME || (existsSync(home) ? join(home, ".cache") : tmpdir());
  return join(parent, "manifold-bench");
}

/** What is missing, by what the compiler says; undefined if it fails for another reason. */
export function missingIn(message: string): string | undefined {
  const header = /fatal error: ((?:rocksdb\/|lmdb)[\w/.]*): No such file/.exec(message);
  if (header !== null) return `the header ${header[1]}`;
  const library = /cannot find -l(\w+)/.exec(message);
  return library === null ? undefined : `the library ${library[1]}`;
}

function compile(sources: readonly string[], program: string): void {
  // Another process may build the same at the same time.
  const own = `${program}.${process.pid}`;
  const { error, status, stderr } = spawnSync(
    "g++",
    [...FLAGS, ...sources, "-o", own, ...LIBRARIES],
    // Its messages are read.
    { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } },
  );
  if (status === 0) return renameSync(own, program);
  rmSync(own, { force: true });
  const missing = (error as { code?: string } | undefined)?.code === "ENOENT"
    ? "g++"
    : missingIn(stderr ?? "");
  if (missing === undefined) throw error ?? new Error(`g++ ended with code ${status}:\n${stderr}`);
  throw new UnavailableError(
    `The native peers cannot be built: ${missing} is missing. On Debian: ${INSTALL}`,
  );
}

let built: string | undefined;

/** The program's path; builds it if it is not there. */
export function nativeProgram(): string {
  if (built !== undefined) return built;
  const names = readdirSync(directory).filter((name) => /\.(cc|h)$/.test(name)).sort();
  const hash = createHash("sha256").update(FLAGS.join(" "));
  for (const name of names) hash.update(name).update(readFileSync(join(directory, name)));
  const cache = cacheDirectory();
  const program = join(cache, `native-${hash.digest("hex").slice(0, 16)}`);
  if (!existsSync(program)) {
    mkdirSync(cache, { recursive: true });
    const sources = names.filter((name) => name.endsWith(".cc"));
    compile(sources.map((name) => join(directory, name)), program);
  }
  return built = program;
}
