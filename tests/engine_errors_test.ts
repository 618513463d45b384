/** Errors that the public API meets only after a minute, or with a failing disk: provoked below it. */

import { requestError } from "../lib/api/request_error.ts";
import { bytes } from "../lib/api/codecs/mod.ts";
import { TableReader } from "../lib/api/table_reader.ts";
import {
  DETAIL_TURN_OVER,
  FLAG_FIRST,
  FLAG_LAST,
  REQUEST_CREATE,
  REQUEST_TRANSACTION,
  REQUEST_TURN,
} from "../lib/engine/requests.ts";
import { ERROR_CODES, ManifoldError } from "../lib/errors.ts";
import { FAMILY_CREATING, FAMILY_FREE } from "../lib/memory/family_slots.ts";
import { assertEquals, assertStringIncludes, assertThrows } from "./support/assert.ts";
import { LocalFamily, Operations } from "./support/local_family.ts";
import { LocalWriter } from "./support/local_writer.ts";
import { test } from "./support/test.ts";

function oneSet(): Uint8Array {
  const operations = new Operations();
  operations.set(operations.open("rows"), new Uint8Array([1]), new Uint8Array([2]));
  return operations.take();
}

test("errors: a transaction whose turn has ended is refused as timeout, one in time is not", async () => {
  const local = await LocalWriter.create();
  const nothing = new Uint8Array(0);
  const ask = (kind: number, argument: number, payload: Uint8Array) => {
    local.push(kind, argument, payload);
    const answers = local.settle();
    assertEquals(answers.length, 1);
    return answers[0];
  };
  const first = ask(REQUEST_TURN, 100, nothing);
  local.now += 99;
  assertEquals(ask(REQUEST_TRANSACTION, first.result, oneSet()).status, 0);
  const second = ask(REQUEST_TURN, 100, nothing);
  local.now += 100;
  const refused = ask(REQUEST_TRANSACTION, second.result, oneSet());
  assertEquals(ERROR_CODES[refused.status - 1], "timeout");
  assertEquals(refused.detail, DETAIL_TURN_OVER);
  const error = requestError(refused, 'transaction on "shop"', 4096);
  assertEquals(error.code, "timeout");
  assertStringIncludes(error.message, "nothing of it was applied");
});

test("errors: a transaction for which there is no memory is too-large, and the next one is served", async () => {
  const local = await LocalWriter.create();
  const first = new Uint8Array(64);
  new DataView(first.buffer).setUint32(4, 2 ** 16, true); // 2^48 bytes in all
  const large = local.push(REQUEST_TRANSACTION, 0, first, FLAG_FIRST);
  local.push(REQUEST_TRANSACTION, 0, new Uint8Array(64), 0, large);
  local.push(REQUEST_TRANSACTION, 0, new Uint8Array(64), FLAG_LAST, large);
  const small = local.push(REQUEST_TRANSACTION, 0, oneSet());
  const [refused, served] = local.settle();
  assertEquals([refused.request, ERROR_CODES[refused.status - 1]], [large, "too-large"]);
  assertEquals([served.request, served.status], [small, 0]);
  const error = requestError(refused, 'set in table "rows"', 4096);
  assertStringIncludes(error.message, "no memory");
});

test("errors: a family whose making was abandoned leaves neither its slot nor room in the file taken", async () => {
  const local = await LocalWriter.create(Infinity, FAMILY_CREATING);
  const { slots, extents } = local.memory;
  for (const refusal of [undefined, "disk-full"] as const) {
    const slot = slots.take(8, "other", 0, FAMILY_CREATING);
    local.push(REQUEST_CREATE, 0, new TextEncoder().encode("shop"));
    local.writer.refusal = refusal; // before any group, or after the record could not be written
    assertEquals(local.writer.gather(), true);
    if (refusal === undefined) local.writer.abandon("disk-full");
    else local.writer.finish(() => {});
    assertEquals(local.answers().map(({ status }) => ERROR_CODES[status - 1]), ["disk-full"]);
    assertEquals(slots.state(local.slot), FAMILY_FREE);
    assertEquals(extents.list().filter((extent) => !extent.free), []);
    slots.setState(slot, FAMILY_FREE);
    assertEquals(slots.take(7, "shop", 0, FAMILY_CREATING), local.slot);
  }
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
