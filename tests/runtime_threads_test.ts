/**
 * Protects the certainty about threads that have died: every death is seen, however the thread ends
 * and whichever kind of worker it was, and nobody is called dead who lives.
 */

import { Worker as NodeWorker } from "node:worker_threads";
import { ManifoldError } from "../lib/errors.ts";
import { hostState, type HostThreads, hostThreads, joinHost } from "../lib/runtime/threads.ts";
import { assertEquals, assertRejects } from "./support/assert.ts";
import { runScript, thisRuntime } from "./support/child.ts";
import { test } from "./support/test.ts";

const memberWorker = new URL("./runtime/member_worker.ts", import.meta.url);
const hostWorker = new URL("./runtime/host_worker.ts", import.meta.url);
const threadsChild = new URL("./runtime/threads_child.ts", import.meta.url);

type Kind = "node" | "web";

interface TestWorker {
  message(): Promise<unknown>;
  terminate(): void;
}

/** A worker of either kind; its first message is its data. */
function start(kind: Kind, url: URL, data: unknown): TestWorker {
  const waiting: ((message: unknown) => void)[] = [];
  const messages: unknown[] = [];
  const receive = (message: unknown) => {
    const next = waiting.shift();
    if (next !== undefined) next(message);
    else messages.push(message);
  };
  const message = () =>
    messages.length > 0
      ? Promise.resolve(messages.shift())
      : new Promise((resolve) => waiting.push(resolve));
  if (kind === "node") {
    const worker = new NodeWorker(url, { workerData: data });
    worker.on("message", receive);
    worker.on("error", () => {});
    return { message, terminate: () => void worker.terminate() };
  }
  const worker = new Worker(url, { type: "module" });
  worker.onmessage = (event) => receive(event.data);
  worker.onerror = (event) => event.preventDefault();
  worker.postMessage(data);
  return { message, terminate: () => worker.terminate() };
}

function host(slots = 8): Promise<HostThreads> {
  return hostThreads(crypto.randomUUID(), { slots, reserved: 2 });
}

function firstGone(threads: HostThreads): Promise<number> {
  return new Promise((resolve) => threads.onGone(resolve));
}

/** How a thread can end without leaving; Deno cannot stop a web worker that never yields. */
const ends: Record<string, Kind[]> = {
  terminated: ["node", "web"],
  waiting: ["node"],
  spinning: ["node"],
  exiting: ["node", "web"],
  crashing: ["node", "web"],
};
if (thisRuntime === "bun") {
  ends.waiting.push("web");
  ends.spinning.push("web");
  ends.finishing = ["node", "web"];
} else {
  ends.closing = ["web"];
}

for (const [end, kinds] of Object.entries(ends)) {
  for (const kind of kinds) {
    test(`threads: the host learns of a ${kind} worker that ends by ${end}`, async () => {
      const threads = await host();
      const gone = firstGone(threads);
      const progress = new Int32Array(new SharedArrayBuffer(4));
      const worker = start(kind, memberWorker, { token: threads.token, end, progress });
      assertEquals(await worker.message(), 2);
      if (["terminated", "waiting", "spinning"].includes(end)) {
        if (end !== "terminated") {
          while (Atomics.load(progress, 0) === 0) {
            await Atomics.waitAsync(progress, 0, 0, 10).value;
          }
        }
        worker.terminate();
      }
      assertEquals(await gone, 2);
      const then = Atomics.load(progress, 0);
      await Atomics.waitAsync(progress, 0, then, 50).value;
      assertEquals(Atomics.load(progress, 0), then, "nothing of a dead thread runs");

      const again = await joinHost(threads.token, () => {});
      assertEquals(again.slot, 2, "its slot is free again");
      again.leave();
      threads.close();
    });
  }
}

test("threads: the living are not reported, and who leaves is not either", async () => {
  const threads = await host();
  const reported: number[] = [];
  threads.onGone((slot) => void reported.push(slot));
  const staying = start("node", memberWorker, { token: threads.token, end: "staying" });
  assertEquals(await staying.message(), 2);
  const leaving = start("node", memberWorker, { token: threads.token, end: "leaving" });
  assertEquals(await leaving.message(), 3);
  assertEquals(await leaving.message(), "left");
  const dying = start("node", memberWorker, { token: threads.token, end: "staying" });
  assertEquals(await dying.message(), 3);
  const gone = new Promise<void>((resolve) => {
    threads.onGone((slot) => {
      reported.push(slot);
      resolve();
    });
  });
  dying.terminate();
  await gone;
  assertEquals(reported, [3]);
  staying.terminate();
  threads.close();
});

test("threads: slots are given once, and one too many is refused", async () => {
  const threads = await host(5);
  const joined = await Promise.all(
    [1, 2, 3].map(() => joinHost(threads.token, () => {})),
  );
  assertEquals(joined.map(({ slot }) => slot).sort(), [2, 3, 4]);
  const error = await assertRejects(() => joinHost(threads.token, () => {}), ManifoldError);
  assertEquals(error.code, "too-large");
  joined[1].leave();
  joined[1].leave();
  const again = await joinHost(threads.token, () => {});
  assertEquals(again.slot, joined[1].slot);
  threads.close();
  const closed = await assertRejects(() => joinHost(threads.token, () => {}), ManifoldError);
  assertEquals(closed.code, "closed");
});

test("threads: members learn that the host has closed", async () => {
  const threads = await host();
  const told = new Promise((resolve) => void joinHost(threads.token, resolve));
  const worker = start("node", memberWorker, { token: threads.token, end: "staying" });
  await worker.message();
  threads.close();
  assertEquals(await hostState(threads.token), "closed");
  assertEquals(await told, "closed");
  assertEquals(await worker.message(), "closed");
  worker.terminate();
});

for (const kind of ["node", "web"] as const) {
  test(`threads: members learn that a host in a ${kind} worker has died`, async () => {
    const worker = start(kind, hostWorker, crypto.randomUUID());
    const token = await worker.message() as HostThreads["token"];
    const told = new Promise((resolve) => void joinHost(token, resolve));
    assertEquals(await worker.message(), "has a member");
    assertEquals(await hostState(token), "open");
    worker.terminate();
    assertEquals(await told, "died");
    assertEquals(await hostState(token), "died");
  });
}

test("threads: neither a host nor, where nobody waits, its members hold the process", async () => {
  assertEquals(await runScript("self", threadsChild, ["host"]), ["hosting"]);
  assertEquals(await runScript("self", threadsChild, ["closed"]), ["closed"]);
  if (thisRuntime === "bun") {
    assertEquals(await runScript("self", threadsChild, ["member"]), ["joined"]);
  }
});
