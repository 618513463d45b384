/**
 * Protects what holds between processes and at their ends: never two that write to one file; a
 * process that forgets to close, exits or is stopped by a signal loses nothing acknowledged; and an
 * open database keeps no process alive that has nothing left to do.
 */

import { readdir, readFile } from "node:fs/promises";
import { type Database, ManifoldError, open, salvage, text, u32 } from "../mod.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertRejects,
} from "./support/assert.ts";
import { type Child, runtimes, spawnScript, thisRuntime } from "./support/child.ts";
import { startThread } from "./support/spawn.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const script = new URL("./support/process_child.ts", import.meta.url);
const fileScript = new URL("./runtime/file_child.ts", import.meta.url);
/** How long a process may stay that has nothing left to do. */
const ENDS_WITHIN_MS = 2000;
const LOCKED_WITHIN_MS = 5000;

async function tableOf(db: Database) {
  return (await db.columnFamily("f", { create: false })).table("t", { key: u32, value: text });
}

async function contents(path: string): Promise<[number, string][]> {
  const db = await open(path);
  try {
    return [...(await tableOf(db)).entries()];
  } finally {
    await db.close();
  }
}

async function linesOf(child: Child): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of child.lines) lines.push(line);
  return lines;
}

for (const first of runtimes) {
  test(`process: while ${first} has a file open for writing, nobody else can open it`, () =>
    withTempDir(async (dir) => {
      const path = `${dir}/p.manifold`;
      const holder = spawnScript(first, script, ["hold", path]);
      try {
        assertEquals(await holder.nextLine(), "open");
        for (const options of [{}, { readOnly: true }]) {
          const before = performance.now();
          const error = await assertRejects(() => open(path, options), ManifoldError);
          assertEquals(error.code, "locked");
          assertLess(performance.now() - before, LOCKED_WITHIN_MS);
        }
        for (const second of runtimes) {
          const other = spawnScript(second, script, ["hold", path]);
          assertEquals(await linesOf(other), ["locked"]);
        }
        // Both locks end with their process, so that the log is free to be recovered.
        holder.kill("SIGKILL");
        await holder.exited;
        assertEquals(await contents(path), [[1, "one"]]);
      } finally {
        holder.kill("SIGKILL");
      }
    }));

  test(`process: after a close by ${first} the file is free at once`, () =>
    withTempDir(async (dir) => {
      const path = `${dir}/p.manifold`;
      const holder = spawnScript(first, script, ["hold", path]);
      try {
        assertEquals(await holder.nextLine(), "open");
        holder.send("go");
        assertEquals(await holder.nextLine(), "closed");
        assertEquals((await holder.exited).code, 0);
        const db = await open(path, { readOnly: true });
        assertEquals([...(await tableOf(db)).entries()], [[1, "one"]]);
        await db.close();
      } finally {
        holder.kill("SIGKILL");
      }
    }));
}

test("process: while somebody holds the log of one that was killed, nobody can open it", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/p.manifold`;
    const killed = spawnScript("self", script, ["hold", path]);
    assertEquals(await killed.nextLine(), "open");
    killed.kill("SIGKILL");
    await killed.exited;
    const files = () => Promise.all([path, `${path}-log`].map((file) => readFile(file)));
    const before = await files();
    for (const holder of runtimes) {
      // As a thread does that has not ended yet: the data file is free, the log is not.
      const thread = spawnScript(holder, fileScript, ["lock", `${path}-log`, "shared"]);
      try {
        assertEquals(await thread.nextLine(), "true");
        for (
          const call of [
            () => open(path),
            () => open(path, { acceptLogLoss: true }),
            () => salvage(path, `${path}-salvaged`),
          ]
        ) {
          const began = performance.now();
          const error = await assertRejects(call, ManifoldError);
          assertEquals(error.code, "locked", error.message);
          assertLess(performance.now() - began, LOCKED_WITHIN_MS);
        }
        const after = await files();
        assert(before.every((bytes, i) => bytes.equals(after[i])), "a file was changed");
        assertEquals((await readdir(dir)).sort(), ["p.manifold", "p.manifold-log"]);
      } finally {
        thread.kill("SIGKILL");
      }
      await thread.exited;
    }
    assertEquals(await contents(path), [[1, "one"]]);
  }));

for (const [role, other] of [["keeper", "deno"], ["writer", "bun"]] as const) {
  test(`process: the lock that a ${role} has on the log keeps one on ${other} out until the close`, () =>
    withTempDir(async (dir) => {
      const path = `${dir}/p.manifold`;
      const unlocked = new URL("./support/workers/unlocked_worker.ts", import.meta.url);
      const locked = new URL("../workers/entry.ts", import.meta.url);
      const db = await open(path, {
        maxWorkers: 1,
        // Only the one has locks, so that the other's do not hide that one is missing.
        spawnWorker: (_url, data) =>
          startThread((data as { role: string }).role === role ? locked : unlocked, data),
      });
      const table = (await db.columnFamily("f")).table("t", { key: u32, value: text });
      const child = spawnScript(other, fileScript, ["lock", `${path}-log`, "exclusive"]);
      try {
        assertEquals(await child.nextLine(), "false");
        await table.set(1, "one");
        await db.checkpoint();
        child.send("again");
        assertEquals(await child.nextLine(), "false");
        await db.close();
        child.send("again");
        assertEquals(await child.nextLine(), "true");
      } finally {
        child.kill("SIGKILL");
        await db.close();
      }
    }));
}

test("process: a second open in the same process is locked, and names share and attach", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/p.manifold`;
    const db = await open(path);
    const error = await assertRejects(() => open(path), ManifoldError, "attach()");
    assertEquals(error.code, "locked");
    await db.close();
    await (await open(path)).close();
  }));

/** Runs a script that does not close, to its end by itself; the last thing it does is to say a line. */
async function endsByItself(what: string, path: string, said: string): Promise<void> {
  const child = spawnScript("self", script, [what, path]);
  child.closeInput();
  assertEquals(await child.nextLine(), said);
  const before = performance.now();
  assertEquals(await linesOf(child), []);
  assertEquals(await child.exited, { code: 0, signal: null }, child.stderr());
  assertLess(performance.now() - before, ENDS_WITHIN_MS, what);
}

const oneTwo: [number, string][] = [[1, "one"], [2, "two"]];
const ends: [name: string, what: string, said: string, contents: [number, string][]][] = [
  ["that awaits at its top level and never closes", "no-close", "done", [...oneTwo, [3, "three"]]],
  ["with an open snapshot and an iterator", "snapshot", "one", oneTwo],
  ["whose watched tables nobody asks for events", "watching", "2", [[1, "one"]]],
  ["that awaits an event of a watched table stays, and", "watched", "two", oneTwo],
  ["whose database is forgotten", "forgotten", "done", [[1, "one"]]],
  ["that awaits no write stays until it is settled, and", "pending", "settled", [[1, "one"]]],
  ["that awaits no transaction stays as well, and", "transaction", "settled", [[1, "one"]]],
];

for (const [name, what, said, expected] of ends) {
  test(`process: a script ${name} ends by itself, with all on disk`, () =>
    withTempDir(async (dir) => {
      const path = `${dir}/p.manifold`;
      await endsByItself(what, path, said);
      assertEquals(await contents(path), expected);
    }));
}

test("process: a script that has only opened a database, or only reads it, ends by itself", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/p.manifold`;
    await endsByItself("idle", path, "done");
    await endsByItself("read-only", path, "done");
    const db = await open(path);
    assertEquals(db.columnFamilies(), []);
    await db.close();
  }));

test("process: exit, SIGTERM and SIGKILL in the middle of writes lose nothing acknowledged", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/p.manifold`;
    let acknowledged = 0;
    for (const end of ["exit", "SIGTERM", "SIGKILL", "exit", "SIGTERM"] as const) {
      const before = acknowledged;
      const child = spawnScript("self", script, [
        end === "exit" ? "exit-in-writes" : "writes",
        path,
      ]);
      for await (const line of child.lines) {
        acknowledged = Number(line);
        if (end !== "exit" && acknowledged > before + 500) child.kill(end);
      }
      const exit = await child.exited;
      assertEquals(exit, end === "exit" ? { code: 3, signal: null } : { code: null, signal: end });
      const found = await contents(path);
      assertGreaterOrEqual(found.length, acknowledged);
      // Each is there, in the order in which they were written.
      found.forEach(([key, value], i) => assertEquals([key, value], [i + 1, `${i + 1}`]));
      acknowledged = found.length;
      assertGreaterOrEqual(acknowledged - before, 400, `${end} on ${thisRuntime}`);
    }
  }));
