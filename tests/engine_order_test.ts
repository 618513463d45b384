/**
 * Protects the order in which the requests to one family are served, also when a group of them fails
 * in the middle and is tried again one by one: what came first must not be applied last.
 */

import { bytes } from "../lib/api/codecs/mod.ts";
import { TableReader } from "../lib/api/table_reader.ts";
import {
  FLAG_FIRST,
  FLAG_LAST,
  REQUEST_RELEASE,
  REQUEST_TRANSACTION,
  REQUEST_TURN,
} from "../lib/engine/requests.ts";
import { ERROR_CODES, ManifoldError } from "../lib/errors.ts";
import { markDead } from "../lib/memory/threads.ts";
import { assertEquals } from "./support/assert.ts";
import { Operations } from "./support/local_family.ts";
import { LocalWriter } from "./support/local_writer.ts";
import { test } from "./support/test.ts";

const KEY = new Uint8Array([1]);
const NOTHING = new Uint8Array(0);

/** Sets the key to `value`, and another one to `length` bytes. */
function sets(value: number, length: number): Uint8Array {
  const operations = new Operations();
  const table = operations.open("rows");
  operations.set(table, KEY, new Uint8Array([value]));
  if (length > 0) operations.set(table, new Uint8Array([100 + value]), new Uint8Array(length));
  return operations.take();
}

function codes(answers: readonly { request: number; status: number }[]): [number, string][] {
  return answers.map(({ request, status }) => [request, ERROR_CODES[status - 1] ?? "ok"]);
}

function diskFull(): never {
  throw new ManifoldError("disk-full", "no space left on device");
}

test("order: what a failed group puts back goes before what was cut off behind it", async () => {
  const local = await LocalWriter.create(8000);
  const table = new TableReader("rows", bytes, bytes, local.source);
  const write = local.file.write.bind(local.file);
  let failures = 2; // in the group, and when it is tried alone
  local.file.write = (offset, source) => failures-- > 0 ? diskFull() : write(offset, source);
  const first = local.push(REQUEST_TRANSACTION, 0, sets(1, 0));
  const failing = local.push(REQUEST_TRANSACTION, 0, sets(2, 2000));
  const large = local.push(REQUEST_TRANSACTION, 0, sets(3, 9000)); // bypasses the log: a round of its own
  const last = local.push(REQUEST_TRANSACTION, 0, sets(4, 0));
  assertEquals(codes(local.settle()), [
    [first, "ok"],
    [failing, "disk-full"],
    [large, "ok"],
    [last, "ok"],
  ]);
  assertEquals(table.get(KEY), new Uint8Array([4]));
  assertEquals(table.count(), 2);
});

test("order: a turn is granted after what came before it is applied, however often that is tried", async () => {
  const local = await LocalWriter.create();
  const table = new TableReader("rows", bytes, bytes, local.source);
  local.push(REQUEST_TRANSACTION, 0, sets(9, 0));
  local.settle();
  const engine = local.writer.engine(local.slot);
  const seal = engine.seal.bind(engine);
  let failures = 1;
  engine.seal = () => failures-- > 0 ? diskFull() : seal();
  const first = local.push(REQUEST_TRANSACTION, 0, sets(1, 0));
  const second = local.push(REQUEST_TRANSACTION, 0, sets(2, 0));
  const turn = local.push(REQUEST_TURN, 60_000, NOTHING);
  const third = local.push(REQUEST_TRANSACTION, 0, sets(3, 0));
  const answers = local.settle();
  assertEquals(codes(answers), [[first, "ok"], [second, "ok"], [turn, "ok"]]);
  assertEquals(table.get(KEY), new Uint8Array([2]), "as the holder of the turn sees it");
  const token = answers[2].result;
  const own = local.push(REQUEST_TRANSACTION, token, sets(7, 0));
  assertEquals(codes(local.settle()), [[own, "ok"], [third, "ok"]]);
  assertEquals(table.get(KEY), new Uint8Array([3]));
  const again = local.push(REQUEST_TURN, 60_000, NOTHING);
  const [{ result }] = local.settle();
  const release = local.push(REQUEST_RELEASE, result, NOTHING);
  assertEquals(codes(local.settle()), [[release, "ok"]]);
  assertEquals(again, release - 1);
});

/**
 * A thread died when it had sent all of a large transaction and something after it. The worker forgot the
 * parts that it had taken already, passed over the others, and applied what came after them.
 */
test("order: what a dead thread has sent in parts is not passed over in favour of what it sent later", async () => {
  const local = await LocalWriter.create();
  const table = new TableReader("rows", bytes, bytes, local.source);
  const large = sets(1, 1000);
  const part = (from: number, to: number): Uint8Array => {
    const bytes = new Uint8Array((from === 0 ? 8 : 0) + to - from);
    if (from === 0) new DataView(bytes.buffer).setUint32(0, large.length, true);
    bytes.set(large.subarray(from, to), bytes.length - (to - from));
    return bytes;
  };
  const request = local.push(REQUEST_TRANSACTION, 0, part(0, 500), FLAG_FIRST);
  local.round();
  local.push(REQUEST_TRANSACTION, 0, part(500, large.length), FLAG_LAST, request);
  local.push(REQUEST_TRANSACTION, 0, sets(2, 0));
  markDead(local.memory.control, local.memory.thread);
  assertEquals(local.inbox.dropDead(), false, "the rest is still to be read");
  while (local.round());
  assertEquals(table.entries().map(([key, value]) => [key[0], value.length]).toArray(), [
    [1, 1],
    [101, 1000],
  ]);
  assertEquals(table.get(KEY), new Uint8Array([2]));
  // What never comes is forgotten.
  local.push(REQUEST_TRANSACTION, 0, part(0, 500), FLAG_FIRST);
  local.round();
  assertEquals(local.inbox.dropDead(), true);
});
