/**
 * Handling errors: `deno run -A examples/errors.ts`, `bun run examples/errors.ts`.
 *
 * Every failure is a `ManifoldError`. Its `code` is for programs and stays what it is between versions;
 * its message is for people and may change. So programs look at `code`, and logs get the message.
 * There are three sensible answers, shown here: try again, carry on with less, or give up.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Database,
  type ErrorCode,
  ManifoldError,
  open,
  type OpenOptions,
  type Table,
  text,
  u32,
} from "../mod.ts";

/** How long no write is tried after the disk was full, ms. */
const REFUSE_MS = 50;

/** Whether an error has one of the codes. All others are somebody else's: throw them on. */
function hasCode(error: unknown, ...codes: ErrorCode[]): error is ManifoldError {
  return error instanceof ManifoldError && codes.includes(error.code);
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Runs `attempt` again while it fails with one of `codes`, with pauses that grow. The pauses are
 * random, so that two that got in each other's way do not meet again, and the attempts are limited:
 * what fails for long is not going to heal, and the caller has to know.
 */
async function retry<T>(
  codes: ErrorCode[],
  attempts: number,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === attempts || !hasCode(error, ...codes)) throw error;
      await wait(Math.random() * Math.min(1000, 20 * 2 ** tries));
    }
  }
}

/**
 * `locked`: another process has the file. At a deployment the old process goes while the new one
 * comes, so waiting a little is right. Everything else that opening can say (`corrupt`,
 * `permission-denied`, `not-a-database`, …) is the same at the next attempt.
 */
function openPatiently(path: string, options?: OpenOptions): Promise<Database> {
  return retry(["locked"], 10, () => open(path, options));
}

/**
 * `conflict`: another transaction was faster. The function is run again by the database itself; an
 * application only gets the code after `maxAttempts`. Under such pressure, a pause helps more than
 * another attempt at once.
 */
function countVisit(db: Database, visits: Table<string, number>, page: string): Promise<void> {
  return retry(["conflict"], 5, async () => {
    const family = await db.columnFamily("site");
    await family.transaction((tx) => {
      const table = tx.table(visits);
      table.set(page, (table.get(page) ?? 0) + 1);
    });
  });
}

/**
 * A service that goes on without writing when the disk does not play along.
 *
 * - `disk-full`: nothing was changed, reads go on, and a later write may succeed, when somebody has
 *   made room. So it refuses writes for a while, then tries again.
 * - `failed`: a sync failed or a worker died. What became of the writes that were on their way is
 *   unknown until the database is opened anew, and this `Database` will not write again. Trying would
 *   only hide it: somebody has to look at the disk first. Reads go on meanwhile.
 */
class VisitCounter {
  readonly #db: Database;
  readonly #visits: Table<string, number>;
  #refuseUntil = 0;

  private constructor(db: Database, visits: Table<string, number>) {
    this.#db = db;
    this.#visits = visits;
  }

  static async open(path: string): Promise<VisitCounter> {
    const db = await openPatiently(path);
    const visits = (await db.columnFamily("site")).table("visits", { key: text, value: u32 });
    return new VisitCounter(db, visits);
  }

  get(page: string): number {
    return this.#visits.get(page) ?? 0;
  }

  /** Counts a visit; false if that cannot be done now. A visitor should not see an error for it. */
  async count(page: string, write = countVisit): Promise<boolean> {
    if (performance.now() < this.#refuseUntil) return false;
    try {
      await write(this.#db, this.#visits, page);
      return true;
    } catch (error) {
      // Others are errors of the program, not of the world: they must not be hidden.
      if (!hasCode(error, "disk-full", "failed")) throw error;
      console.log(`  not counted: ${error.code}`);
      this.#refuseUntil = error.code === "failed" ? Infinity : performance.now() + REFUSE_MS;
      return false;
    }
  }

  /** Rejects if the last checkpoint failed: closing is the last chance to hear of it. */
  close(): Promise<void> {
    return this.#db.close();
  }
}

/** A full disk and a broken one are hard to come by in an example. */
function failing(code: ErrorCode): () => Promise<never> {
  return () => Promise.reject(new ManifoldError(code, "as the example wants it"));
}

async function main(path: string): Promise<void> {
  console.log("A mistake of the program: told, not retried");
  try {
    await open(path, { pageSize: 5000 });
  } catch (error) {
    if (!hasCode(error, "invalid-argument")) throw error;
    console.log(`  ${error.code}: ${error.message}`);
  }

  console.log("Somebody else has the database: wait for it");
  const other = await open(path);
  setTimeout(() => void other.close(), 100);
  const counter = await VisitCounter.open(path);
  console.log("  opened, after the other had closed it");

  console.log("Many at once: every visit counts");
  await Promise.all(Array.from({ length: 50 }, () => counter.count("/")));
  console.log(`  ${counter.get("/")} visits`);

  console.log("The disk is full: refuse writes for a while, go on reading");
  await counter.count("/", failing("disk-full"));
  console.log(`  at once: ${await counter.count("/") ? "counted" : "refused"}`);
  await wait(REFUSE_MS + 10);
  console.log(`  later:   ${await counter.count("/") ? "counted" : "refused"}`);

  console.log("The disk fails: no more writes, reads go on");
  await counter.count("/", failing("failed"));
  console.log(`  later:   ${await counter.count("/") ? "counted" : "refused"}`);
  console.log(`  ${counter.get("/")} visits`);
  await counter.close();

  console.log("After the end: closed");
  try {
    counter.get("/");
  } catch (error) {
    if (!hasCode(error, "closed")) throw error;
    console.log(`  ${error.code}: ${error.message}`);
  }
}

const dir = await mkdtemp(join(tmpdir(), "manifold-errors-"));
try {
  await main(join(dir, "site.manifold"));
} finally {
  await rm(dir, { recursive: true, force: true });
}
