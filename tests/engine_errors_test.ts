/** Errors that the public API meets only after a minute, or with a failing disk: provoked below it. */

import { requestError } from "../lib/api/request_error.ts";
import { bytes } from "../lib/api/codecs/mod.ts";
import { TableReader } from "../lib/api/table_reader.ts";
import { Inbox } from "../lib/engine/inbox.ts";
import {
  DETAIL_TURN_OVER,
  FLAG_FIRST,
  FLAG_LAST,
  REQUEST_TRANSACTION,
  REQUEST_TURN,
} from "../lib/engine/requests.ts";
import { Writer } from "../lib/engine/writer.ts";
import { ERROR_CODES, ManifoldError } from "../lib/errors.ts";
import type { Completion } from "../lib/memory/completions.ts";
import { FAMILY_LIVE } from "../lib/memory/family_slots.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "./support/assert.ts";
import { LocalDatabase, LocalFamily, Operations } from "./support/local_family.ts";
import { test } from "./support/test.ts";

/** A writer with a clock of its own, and the answers to what is asked of it. */
async function writerAlone(): Promise<{
  ask(kind: number, argument: number, payload: Uint8Array): Completion;
  pass(ms: number): void;
}> {
  const { writer: memory } = await LocalDatabase.create();
  const slot = memory.slots.take(7, "shop", 0, FAMILY_LIVE);
  let now = 1000;
  const writer = new Writer({
    control: memory.control,
    slots: memory.slots,
    extents: memory.extents,
    epochs: memory.epochs,
    pins: memory.pins,
    store: memory.store,
    completions: memory.completions,
    thread: memory.thread,
    inbox: new Inbox(memory.control, memory.rings[0]),
    recordBytesMax: Infinity,
    now: () => now,
  });
  let request = 0;
  return {
    ask(kind, argument, payload) {
      const header = {
        thread: memory.thread,
        session: memory.session,
        request: ++request,
        kind,
        flags: FLAG_FIRST | FLAG_LAST,
        slot,
        family: 7,
        payloadBytes: payload.length,
        argument,
      };
      assert(memory.rings[0].push(header, payload));
      const { completions, thread } = memory;
      const cursor = Atomics.load(completions.words, completions.tailIndex(thread));
      writer.expireTurns();
      assert(writer.gather());
      writer.finish(() => {});
      const answer: Completion = { request: 0, status: 0, detail: 0, result: 0 };
      completions.read(thread, cursor, answer);
      assertEquals(answer.request, request);
      return answer;
    },
    pass: (ms) => void (now += ms),
  };
}

function oneSet(): Uint8Array {
  const operations = new Operations();
  operations.set(operations.open("rows"), new Uint8Array([1]), new Uint8Array([2]));
  return operations.take();
}

test("errors: a transaction whose turn has ended is refused as timeout, one in time is not", async () => {
  const writer = await writerAlone();
  const nothing = new Uint8Array(0);
  const first = writer.ask(REQUEST_TURN, 100, nothing);
  writer.pass(99);
  assertEquals(writer.ask(REQUEST_TRANSACTION, first.result, oneSet()).status, 0);
  const second = writer.ask(REQUEST_TURN, 100, nothing);
  writer.pass(100);
  const refused = writer.ask(REQUEST_TRANSACTION, second.result, oneSet());
  assertEquals(ERROR_CODES[refused.status - 1], "timeout");
  assertEquals(refused.detail, DETAIL_TURN_OVER);
  const error = requestError(refused.status, refused.detail, 'transaction on "shop"');
  assertEquals(error.code, "timeout");
  assertStringIncludes(error.message, "nothing of it was applied");
});

test("errors: a page that the disk does not give is io, and the next attempt may succeed", async () => {
  const family = await LocalFamily.create({ cacheBytes: 64 * 4096 });
  const entries = Array.from(
    { length: 3000 },
    (_, i) => [new Uint8Array([i >> 8, i]), new Uint8Array(500).fill(i)] as const,
  );
  family.fill("rows", entries);
  family.checkpoint();
  const table = new TableReader("rows", bytes, bytes, family.source);
  const { file } = family.database;
  const read = file.read.bind(file);
  file.read = () => {
    throw new ManifoldError("io", "cannot read 4096 bytes: input/output error");
  };
  const error = assertThrows(() => [...table.keys()], ManifoldError) as ManifoldError;
  assertEquals(error.code, "io");
  assertStringIncludes(error.message, "input/output error");
  file.read = read;
  assertEquals(table.count(), 3000);
  assertEquals([...table.keys()].length, 3000);
});
