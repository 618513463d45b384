/** Protects what the client of the write queue promises: order, back-pressure, parts, failures. */

import { Client, type ClientRequest, URGENT_RESERVE } from "../lib/api/client.ts";
import {
  DETAIL_CODECS,
  FLAG_FIRST,
  FLAG_LAST,
  REQUEST_JOINT,
  REQUEST_STASH,
  REQUEST_TRANSACTION,
} from "../lib/engine/requests.ts";
import type { ThreadMemory } from "../lib/engine/thread_memory.ts";
import { ERROR_CODES, ManifoldError } from "../lib/errors.ts";
import { COMPLETIONS_MAX } from "../lib/memory/completions.ts";
import { HOST_WAKE } from "../lib/memory/control.ts";
import { fail as failDatabase } from "../lib/memory/database_state.ts";
import { setWorkerState, WORKER_WANTED, workerState } from "../lib/memory/worker_table.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "./support/assert.ts";
import { runScript } from "./support/child.ts";
import { clientMemory, FakeWorker, type SeenEntry } from "./support/fake_worker.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const clientChild = new URL("./runtime/client_child.ts", import.meta.url);

function request(payload: Uint8Array, more: Partial<ClientRequest> = {}): ClientRequest {
  return {
    slot: 0,
    family: 1,
    kind: REQUEST_TRANSACTION,
    flags: 0,
    argument: 0,
    payload,
    describe: () => "the test",
    ...more,
  };
}

function numbered(n: number, bytes: number = 4): Uint8Array {
  const payload = new Uint8Array(bytes);
  new DataView(payload.buffer).setUint32(0, n, true);
  return payload;
}

function numberOf(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
}

function echo(entry: SeenEntry): { result: number } {
  return { result: numberOf(entry.payload) };
}

async function withWorker(
  memory: ThreadMemory,
  worker: FakeWorker,
  fn: (client: Client) => Promise<void>,
): Promise<void> {
  const running = worker.run();
  try {
    await fn(new Client(memory, "test"));
  } finally {
    worker.stop();
    await running;
  }
}

test("client: a request's result comes back, and its worker is asked for", async () => {
  const memory = clientMemory(4096);
  const worker = new FakeWorker(memory, echo);
  await withWorker(memory, worker, async (client) => {
    assertEquals(await client.submit(request(numbered(12345))), 12345);
    assertEquals(workerState(memory.control, 0), WORKER_WANTED);
    assertEquals(worker.seen[0].flags, FLAG_FIRST | FLAG_LAST);
    assertEquals(worker.seen[0].request >>> 24, memory.session & 0xff);
  });
});

test("client: the host hears of a worker that a dead thread has wanted and not told of", async () => {
  const memory = clientMemory(4096);
  const worker = new FakeWorker(memory, echo);
  // As if the other had been terminated right behind the change of the state.
  setWorkerState(memory.control, 0, WORKER_WANTED);
  const seen = Atomics.load(memory.control.words, HOST_WAKE);
  await withWorker(memory, worker, async (client) => {
    await client.submit(request(numbered(1)));
    assert(Atomics.load(memory.control.words, HOST_WAKE) !== seen);
  });
});

test("client: a small ring holds back, and keeps the order of submission", async () => {
  const memory = clientMemory(512);
  const worker = new FakeWorker(memory, echo);
  const payload = new Uint8Array(4);
  await withWorker(memory, worker, async (client) => {
    const results: Promise<number>[] = [];
    for (let n = 0; n < 2000; n++) {
      // The same memory every time: what waits must have been copied.
      new DataView(payload.buffer).setUint32(0, n, true);
      results.push(client.submit(request(payload)));
    }
    assertEquals(await Promise.all(results), Array.from({ length: 2000 }, (_, n) => n));
  });
  assertEquals(worker.seen.map((entry) => numberOf(entry.payload)), [...Array(2000).keys()]);
});

test("client: a joint transaction is asked for when all of its parts are in the queues", async () => {
  const memory = clientMemory(512, 3);
  const answer = (entry: SeenEntry) => entry.kind === REQUEST_STASH ? undefined : echo(entry);
  const [first, ...others] = [0, 1, 2].map((one) => new FakeWorker(memory, answer, one));
  const client = new Client(memory, "test");
  // More than the last worker's queue has room for.
  const before = Array.from({ length: 30 }, (_, n) => {
    return client.submit(request(numbered(n), { slot: 2 }));
  });
  const joint = client.submit(request(numbered(5), {
    kind: REQUEST_JOINT,
    kept: true,
    stashes: [1, 2].map((worker) => ({ worker, payload: [numbered(worker)] })),
  }));
  others[0].serve();
  first.serve();
  assertEquals(first.seen, [], "a part is still to come");
  while (others[1].seen.at(-1)?.kind !== REQUEST_STASH) {
    others[1].serve();
    first.serve();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  first.serve();
  assertEquals(first.seen.map(({ kind }) => kind), [REQUEST_JOINT]);
  assertEquals(await joint, 5);
  assertEquals(await Promise.all(before), [...Array(30).keys()]);
});

test("client: more requests than can be under way wait for completions", async () => {
  const memory = clientMemory(2 ** 20);
  const client = new Client(memory, "test");
  const results = Array.from({ length: 10_000 }, (_, n) => client.submit(request(numbered(n))));
  const limit = COMPLETIONS_MAX - URGENT_RESERVE;
  const held: SeenEntry[] = [];
  const silent = new FakeWorker(memory, () => undefined);
  silent.serve();
  held.push(...silent.seen);
  assertEquals(held.length, limit);
  // One that ends a turn is not held up by the others.
  const urgent = client.submit(request(numbered(77), { urgent: true }));
  silent.seen.length = 0;
  silent.serve();
  assertEquals(silent.seen.map(echo), [{ result: 77 }]);
  silent.complete(silent.seen.map((entry) => [entry, echo(entry)]));
  assertEquals(await urgent, 77);
  silent.complete(held.map((entry) => [entry, echo(entry)]));
  await withWorker(memory, new FakeWorker(memory, echo), async () => {
    assertEquals(await Promise.all(results), Array.from({ length: 10_000 }, (_, n) => n));
  });
  assertEquals(client.unsettled, 0);
});

test("client: long transactions go in parts and are whole again behind the ring", async () => {
  const random = Random.fromEnvironment("client parts");
  const memory = clientMemory(4096);
  const open = new Map<number, number[]>();
  const lengths = new Map<number, number>();
  const whole: Uint8Array[] = [];
  const worker = new FakeWorker(memory, (entry) => {
    assertEquals(entry.payload.length % 4, 0);
    let { payload } = entry;
    if ((entry.flags & (FLAG_FIRST | FLAG_LAST)) !== (FLAG_FIRST | FLAG_LAST)) {
      if (entry.flags & FLAG_FIRST) {
        lengths.set(entry.request, numberOf(payload));
        payload = payload.subarray(8);
        open.set(entry.request, []);
      }
      const bytes = open.get(entry.request)!;
      for (const byte of payload) bytes.push(byte);
      if (!(entry.flags & FLAG_LAST)) return undefined;
      assertEquals(bytes.length, lengths.get(entry.request));
      payload = Uint8Array.from(bytes);
    }
    whole.push(payload);
    return { result: payload.length };
  });
  const sent: Uint8Array[] = [];
  await withWorker(memory, worker, async (client) => {
    const results: Promise<number>[] = [];
    for (let n = 0; n < 100; n++) {
      const payload = random.bytes(4 * random.int(random.chance(0.5) ? 8 : 4000));
      sent.push(payload.slice());
      const inChunks = payload.length > 8 && random.chance(0.3);
      const pieces = inChunks ? [payload.subarray(0, 8), payload.subarray(8)] : payload;
      results.push(client.submit({ ...request(payload), payload: pieces }));
      payload.fill(0xee); // not kept: it was copied
    }
    assertEquals(await Promise.all(results), sent.map((payload) => payload.length));
  });
  assertEquals(whole, sent);
});

test("client: refusals name place, reason and code", async () => {
  const memory = clientMemory(4096);
  const status = ERROR_CODES.indexOf("type-mismatch") + 1;
  const worker = new FakeWorker(memory, () => ({ status, detail: DETAIL_CODECS }));
  await withWorker(memory, worker, async (client) => {
    const sent = client.submit(request(numbered(1), { describe: () => 'set in table "users"' }));
    const error = await assertRejects(() => sent, ManifoldError);
    assertEquals((error as ManifoldError).code, "type-mismatch");
    assertStringIncludes(String(error), 'set in table "users"');
    assertStringIncludes(String(error), "codecs");
  });
});

test("client: a failure rejects all that is under way or waits, and what comes later", async () => {
  const memory = clientMemory(512);
  const client = new Client(memory, "test");
  const results = Array.from({ length: 100 }, (_, n) => client.submit(request(numbered(n))));
  failDatabase(memory.control, new ManifoldError("io", "the disk said no"));
  for (const result of await Promise.allSettled(results)) {
    assert(result.status === "rejected");
    assertEquals(result.reason.code, "failed");
    assertStringIncludes(String(result.reason.cause), "the disk said no");
  }
  await assertRejects(() => client.submit(request(numbered(1))), ManifoldError, "failure");
  assertEquals(client.unsettled, 0);
});

test("client: completions of nobody's requests are passed over", async () => {
  const memory = clientMemory(4096);
  const worker = new FakeWorker(memory, echo);
  const client = new Client(memory, "test");
  const stranger: SeenEntry = {
    thread: memory.thread,
    request: 0xabcdef01,
    kind: 1,
    flags: 0,
    slot: 0,
    argument: 0,
    payload: new Uint8Array(4),
  };
  const sent = client.submit(request(numbered(5)));
  worker.complete([[stranger, { result: 1 }]]);
  worker.serve();
  worker.complete([[worker.seen[0], { result: 6 }]]);
  assertEquals(await sent, 5);
  assertEquals(client.unsettled, 0);
});

test("client: close waits for what is under way and refuses the rest", async () => {
  const memory = clientMemory(4096);
  const worker = new FakeWorker(memory, echo);
  const client = new Client(memory, "test");
  const sent = client.submit(request(numbered(5)));
  let closed = false;
  const closing = client.close().then(() => closed = true);
  const late = await assertRejects(() => client.submit(request(numbered(6))), ManifoldError);
  assertEquals((late as ManifoldError).code, "closed");
  assertEquals(closed, false);
  worker.serve();
  assertEquals(await sent, 5);
  await closing;
});

test("client: requests to several workers do not wait for one another", async () => {
  const memory = clientMemory(512, 2);
  const client = new Client(memory, "test");
  const stuck = Array.from({ length: 50 }, (_, n) => client.submit(request(numbered(n))));
  await withWorker(memory, new FakeWorker(memory, echo, 1), async () => {
    assertEquals(await client.submit(request(numbered(9), { slot: 1, family: 2 })), 9);
  });
  await withWorker(memory, new FakeWorker(memory, echo), async () => {
    assertEquals(await Promise.all(stuck), [...Array(50).keys()]);
  });
});

test("client: the process waits for a request that is under way", async () => {
  assertEquals(await runScript("self", clientChild, []), ["end of main", "answered 7"]);
});
