/** Protects what workers, waiting and contexts promise on both runtimes. */

import { createServer, type Server } from "node:http";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { asyncContext } from "../lib/runtime/async_context.ts";
import { keepAlive } from "../lib/runtime/keep_alive.ts";
import { spawnWorker, type WorkerHandle } from "../lib/runtime/workers.ts";
import { assert, assertEquals, assertStringIncludes } from "./support/assert.ts";
import { runScript, spawnScript, thisRuntime } from "./support/child.ts";
import { test } from "./support/test.ts";

const workerChild = new URL("./runtime/worker_child.ts", import.meta.url);
const echoWorker = new URL("./runtime/echo_worker.ts", import.meta.url);

function exit(worker: WorkerHandle): Promise<number> {
  return new Promise((resolve) => worker.onExit(resolve));
}

function failure(worker: WorkerHandle): Promise<unknown> {
  return new Promise((resolve) => worker.onError(resolve));
}

test("worker: gets its data, memory stays shared, and its end is seen", async () => {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const worker = spawnWorker(echoWorker, { words, value: 42 });
  assertEquals(await exit(worker), 0);
  assertEquals([...words], [42, 1]);
});

test("worker: what it throws at the start, or while it loads, is reported", async () => {
  const throwing = spawnWorker(echoWorker, { throws: "on purpose" });
  const [error] = await Promise.all([failure(throwing), exit(throwing)]);
  assertStringIncludes(String(error), "on purpose");

  const missing = spawnWorker(new URL("./runtime/missing_worker.ts", import.meta.url), {});
  await Promise.all([failure(missing), exit(missing)]);
});

test("worker: one that sits in Atomics.wait is terminated", async () => {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const worker = spawnWorker(echoWorker, { words, value: 1, waits: true });
  const ended = exit(worker);
  await Atomics.waitAsync(words, 1, 0, 30_000).value;
  assertEquals(Atomics.load(words, 1), 1);
  await worker.terminate();
  assert(await ended !== undefined);
});

test("worker: an unref'ed one in Atomics.wait does not hold the process", async () => {
  assertEquals(await runScript("self", workerChild, ["unref"]), ["started", "end of main"]);
});

test("keepAlive: the process waits for Atomics.waitAsync while held, and no longer", async () => {
  assertEquals(await runScript("self", workerChild, ["held"]), ["woken"]);
  const child = spawnScript("self", workerChild, ["released"]);
  assertEquals(await child.nextLine(), "released");
  await child.exited;
  assertEquals((await child.lines.next()).done, true);
});

test("keepAlive: several holders, each released once", () => {
  const one = keepAlive();
  const two = keepAlive();
  one();
  one();
  two();
  keepAlive()();
});

test("asyncContext: the value follows awaits and ends with the call", async () => {
  const context = asyncContext<number>();
  const other = asyncContext<string>();
  assertEquals(context.get(), undefined);
  await context.run(1, async () => {
    await Promise.resolve();
    assertEquals(context.get(), 1);
    await other.run("x", () =>
      context.run(2, async () => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        assertEquals([context.get(), other.get()], [2, "x"]);
      }));
    assertEquals(context.get(), 1);
  });
  assertEquals(context.get(), undefined);
});

/** Serves the project's files on the loopback interface. */
function serve(): Promise<[Server, string]> {
  const root = new URL("../", import.meta.url);
  const server = createServer(async (request, response) => {
    try {
      const body = await readFile(new URL("." + request.url, root));
      response.writeHead(200, { "content-type": "application/typescript" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address() as { port: number };
      resolve([server, `http://127.0.0.1:${address.port}/`]);
    });
  });
}

test(
  "worker: on Deno the package runs over http, with --allow-import alone",
  { ignore: thisRuntime !== "deno" },
  async () => {
    const [server, base] = await serve();
    try {
      const host = new URL(base).host;
      const output = await runScript("deno", base + "tests/runtime/worker_child.ts", ["held"], {
        permissions: [`--allow-import=${host}`, `--reload=${base}`, "--no-lock", "--no-check"],
        cwd: process.cwd(),
      });
      assertEquals(output, ["woken"]);
    } finally {
      server.close();
    }
  },
);
