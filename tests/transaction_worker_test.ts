/**
 * Protects what the worker does with what a transaction has read: it is compared with the group in the making, only
 * what does not hold is refused, and the pages of a version that may not be pinned any more are not read.
 */

import { OperationsWriter } from "../lib/api/operations_writer.ts";
import { RawTable } from "../lib/api/raw_reads.ts";
import {
  DETAIL_CONFLICT,
  FLAG_FIRST,
  FLAG_LAST,
  FLAG_READS,
  REQUEST_TRANSACTION,
} from "../lib/engine/requests.ts";
import { ERROR_CODES } from "../lib/errors.ts";
import { markDead } from "../lib/memory/threads.ts";
import { assertEquals } from "./support/assert.ts";
import { LocalWriter } from "./support/local_writer.ts";
import { test } from "./support/test.ts";

const WHOLE = FLAG_FIRST | FLAG_LAST;
const CODECS = "bytes\0bytes";
const key = (number: number): Uint8Array => new Uint8Array([number]);

/** A transaction that has read some keys of the version that is published now, and sets others. */
function transaction(local: LocalWriter, reads: number[], sets: number[], length = 1): Uint8Array {
  const table = new RawTable(local.source.snapshot(), "rows", CODECS);
  const entry = table.resolve()!;
  const writer = new OperationsWriter(4096);
  writer.beginReads();
  writer.readTable(entry.id, table.nameBytes, entry.root);
  for (const read of reads) writer.readKey(key(read));
  writer.endReads();
  for (const set of sets) writer.setEncoded(entry.id, key(set), new Uint8Array(length).fill(7));
  const { payload } = writer.take(true);
  return payload as Uint8Array;
}

async function filled(): Promise<LocalWriter> {
  const local = await LocalWriter.create();
  const writer = new OperationsWriter(4096);
  const alias = writer.openTable("rows", CODECS);
  for (let i = 0; i < 10; i++) writer.setEncoded(alias, key(i), key(0));
  local.push(REQUEST_TRANSACTION, 0, writer.take(true).payload as Uint8Array);
  assertEquals(local.settle().map(({ status }) => status), [0]);
  return local;
}

function valueOf(local: LocalWriter, number: number): Uint8Array | undefined {
  return new RawTable(local.source, "rows", CODECS).get(key(number));
}

test("validation: against the group in the making, of which the others go on", async () => {
  const local = await filled();
  const version = local.source.snapshot().state.version;
  const push = (payload: Uint8Array): number =>
    local.push(REQUEST_TRANSACTION, 0, payload, WHOLE | FLAG_READS);
  push(transaction(local, [1], [1]));
  const second = push(transaction(local, [1], [2]));
  push(transaction(local, [3], [3]));
  push(transaction(local, [2], [4]));
  const fifth = push(transaction(local, [9, 3], [5]));
  const answers = local.settle();
  const refused = answers.filter(({ status }) => status !== 0);
  assertEquals(refused.map(({ request }) => request), [second, fifth]);
  for (const { status, detail } of refused) {
    assertEquals(ERROR_CODES[status - 1], "conflict");
    assertEquals(detail, DETAIL_CONFLICT);
  }
  // All in one group; nothing of the refused ones is there.
  assertEquals(local.source.snapshot().state.version, version + 1);
  const values = [1, 2, 3, 4, 5].map((number) => valueOf(local, number)![0]);
  assertEquals(values, [7, 0, 7, 7, 0]);
});

test("validation: also of a transaction that comes in parts", async () => {
  for (const isOutdated of [false, true]) {
    const local = await filled();
    const payload = transaction(local, [1], [2], 900);
    if (isOutdated) {
      local.push(REQUEST_TRANSACTION, 0, transaction(local, [], [1]), WHOLE | FLAG_READS);
    }
    const length = new Uint8Array(8);
    new DataView(length.buffer).setUint32(0, payload.length, true);
    const request = local.push(REQUEST_TRANSACTION, 0, length, FLAG_FIRST | FLAG_READS);
    for (let at = 0; at < payload.length; at += 100) {
      const flags = FLAG_READS | (at + 100 >= payload.length ? FLAG_LAST : 0);
      local.push(REQUEST_TRANSACTION, 0, payload.slice(at, at + 100), flags, request);
    }
    const answer = local.settle().find((one) => one.request === request)!;
    assertEquals(answer.detail, isOutdated ? DETAIL_CONFLICT : 0);
    assertEquals(valueOf(local, 2)!.length, isOutdated ? 1 : 900);
  }
});

test("validation: a thread that is dead may have lost its pin, so it is refused", async () => {
  const local = await filled();
  const { memory } = local.source;
  const payload = transaction(local, [1], [2]);
  local.push(REQUEST_TRANSACTION, 0, payload, WHOLE | FLAG_READS, undefined, memory);
  markDead(memory.control, memory.thread);
  local.settle();
  assertEquals(valueOf(local, 2), key(0));
});
