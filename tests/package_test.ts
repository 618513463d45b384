/**
 * Protects how the package can be used: on Deno with no permission but for its own files and the
 * database's directory; from a URL; transpiled to JavaScript; in a bundle that starts the workers
 * itself; and that a publication has what it needs and nothing else.
 */

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { open, type SpawnWorker, text, u32 } from "../mod.ts";
import { assert, assertEquals, assertMatch } from "./support/assert.ts";
import {
  executable,
  runScript,
  type RuntimeName,
  runtimes,
  type SpawnOptions,
} from "./support/child.ts";
import { startThread } from "./support/spawn.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const script = new URL("./support/package_child.ts", import.meta.url);
const transpile = new URL("./support/transpile.ts", import.meta.url);
const project = fileURLToPath(new URL("../", import.meta.url));
const support = fileURLToPath(new URL("./support/", import.meta.url));

/** Writes with the package that `mod` names, ends without closing, and recovers. */
async function writeAndRecover(
  runtime: RuntimeName,
  mod: string,
  path: string,
  options: Pick<SpawnOptions, "permissions" | "env"> = {},
): Promise<void> {
  const run = async (what: string): Promise<unknown> => {
    const lines = await runScript(runtime, script, [mod, what, path], options);
    assertEquals(lines.length, 1);
    return JSON.parse(lines[0]);
  };
  const entries = [["first", 1], ["from a thread", 2], ["last", 3]];
  assertEquals(await run("write"), [1, ...entries]);
  assertEquals(await run("recover"), entries);
}

test("package: on Deno it needs to read its own files, and the database's directory, no more", () =>
  withTempDir(async (dir) => {
    const own = ["mod.ts", "lib", "workers"].map((name) => project + name);
    await writeAndRecover("deno", pathToFileURL(`${project}mod.ts`).href, `${dir}/p.manifold`, {
      permissions: [
        // The test's own two scripts stand for a user's.
        `--allow-read=${[dir, ...own, support].join(",")}`,
        `--allow-write=${dir}`,
      ],
    });
  }));

/** Serves the package as a registry does. It needs no other package. */
async function withServer<T>(fn: (origin: string, served: Set<string>) => Promise<T>): Promise<T> {
  const served = new Set<string>();
  const server = createServer(async (request, response) => {
    const path = request.url!.slice(1);
    try {
      assertMatch(path, /^(mod\.ts|(lib|workers)\/[\w/]+\.ts)$/);
      const code = await readFile(project + path);
      response.setHeader("content-type", "application/typescript");
      response.end(code);
      served.add(path);
    } catch {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await fn(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, served);
  } finally {
    server.close();
  }
}

test("package: on Deno it works from a URL, its workers too", () =>
  withTempDir((dir) =>
    withServer(async (origin, served) => {
      await writeAndRecover("deno", `${origin}/mod.ts`, `${dir}/p.manifold`, {
        permissions: [
          `--allow-import=${new URL(origin).host}`,
          `--allow-read=${dir},${support}`,
          `--allow-write=${dir}`,
        ],
        // The user's cache has modules of other runs, perhaps of one that had the same port.
        env: { DENO_DIR: `${dir}/deno` },
      });
      assert(served.has("workers/entry.ts"));
    })
  ));

for (const runtime of runtimes) {
  test(`package: transpiled to JavaScript it works on ${runtime}`, () =>
    withTempDir(async (dir) => {
      await runScript("deno", transpile, [project, dir]);
      const mod = pathToFileURL(`${dir}/mod.js`).href;
      await writeAndRecover(runtime, mod, `${dir}/p.manifold`);
    }));
}

test("package: spawnWorker starts the workers in place of the package", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/p.manifold`;
    const started: string[] = [];
    const spawnWorker: SpawnWorker = (url, data) => {
      started.push(`${(data as { role: string }).role} ${url.pathname.split("/").at(-1)}`);
      return startThread(url, data);
    };
    const db = await open(path, { spawnWorker });
    const table = (await db.columnFamily("f")).table("t", { key: text, value: u32 });
    await table.set("one", 1);
    await db.close();
    assertEquals(started.sort(), ["keeper entry.ts", "writer entry.ts"]);
  }));

test("package: a publication has the code and its documents, and nothing else", async () => {
  const child = spawn(
    executable("deno"),
    ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    {
      cwd: project,
      env: { ...process.env, NO_COLOR: "1" },
    },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => output += part);
  }
  const code = await new Promise((resolve) => child.on("close", resolve));
  assertEquals(code, 0, output);
  const files = [...output.matchAll(/file:\/\/(\S+) \(/g)].map(([, path]) =>
    path.slice(project.length)
  );
  for (const file of files) {
    assertMatch(
      file,
      /^((mod|cli)\.ts|deno\.json|README\.md|LICENSE|CHANGELOG\.md|(lib|workers)\/.*\.ts|lib\/.*\.wat)$/,
    );
  }
  for (
    const file of [
      "mod.ts",
      "cli.ts",
      "deno.json",
      "LICENSE",
      "workers/entry.ts",
      "lib/api/open.ts",
    ]
  ) {
    assert(files.includes(file), `${file} is missing`);
  }
});
