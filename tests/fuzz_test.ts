/**
 * A decoder that is given any bytes returns or throws a `ManifoldError`, soon, and takes no more memory than
 * the input explains. This is a slice of `deno task fuzz`, another one in each run.
 */

import { type Database, ManifoldError, openInMemory } from "../mod.ts";
import { Checksum } from "../lib/storage/checksum.ts";
import { FAMILIES, makeInputs, PAGE_SIZE } from "./fuzz/inputs.ts";
import { fuzz } from "./fuzz/run.ts";
import { mutated } from "./fuzz/mutate.ts";
import { REGRESSIONS } from "./fuzz/regressions.ts";
import { assert, assertEquals, assertGreater } from "./support/assert.ts";
import { loadBytes } from "./support/dump_lines.ts";
import { BytesOpener, type OpenedBytes } from "./support/opened_bytes.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

/** As a dump has them: both ways to write keys and values, parts, several families and tables. */
const DUMP = [
  '{"dump":"manifold dump","version":1,"pageSize":4096}',
  '{"family":"empty"}',
  '{"family":"shop","table":"stock","keyCodec":"text","valueCodec":"json"}',
  '{"key":"apple","value":{"price":3,"tags":["red","round"]}}',
  '{"key":"pear","value":[1,2,null,"\\u00e9"]}',
  '{"keyBase64":"cGx1bQ==","valueBase64":"WzFd"}',
  '{"family":"shop","table":"places","keyCodec":"tuple(text,u32)","valueCodec":"f32Array(2)"}',
  '{"key":["a",1],"value":[0.5,-1]}',
  '{"family":"other","table":"raw","keyCodec":"u64","valueCodec":"bytes"}',
  '{"key":"18446744073709551615","valueBase64":"AAEC"}',
  '{"key":"7","valueBytes":6}',
  '{"part":"AAEC"}',
  '{"part":"AwQF"}',
  '{"end":true,"entries":6}',
].map((line) => `${line}\n`).join("");

test("fuzz: mutations of a dump are loaded or refused with their line", async () => {
  const random = Random.fromEnvironment("fuzz a dump");
  const dump = new TextEncoder().encode(DUMP);
  let loaded = 0;
  for (let i = 0; i < 100; i++) {
    // The header stays, mostly: without it, nobody looks further.
    const bytes = i === 0 ? dump : mutated(dump, random);
    if (i % 10 > 0) bytes.set(dump.subarray(0, Math.min(bytes.length, 53)));
    if (i % 25 === 0) await reopen();
    try {
      await loadBytes(db!, bytes, "the dump", 1 + random.int(4));
      loaded++;
    } catch (error) {
      if (!(error instanceof ManifoldError)) throw error;
      assert(error.message.startsWith("the dump"), error.message);
    }
  }
  assertGreater(loaded, 0);
  assert((await db!.verify()).ok);
  await db!.close();
});

let db: Database | undefined;

/** What a mutated dump has made is not met by all the others. */
async function reopen(): Promise<void> {
  await db?.close();
  db = await openInMemory({ pageSize: 4096, cacheBytes: 2 ** 20, maxWorkers: 1 });
}

test("fuzz: what it begins with is sound", async () => {
  const checksum = await Checksum.create();
  const { clean, unclean, log, families } = await makeInputs(checksum);
  const opener = new BytesOpener(checksum, PAGE_SIZE);
  const tables = (opened: OpenedBytes) => FAMILIES.flatMap((family) => opened.tables(family));
  const multimap = ["\0changes", "multi", "small"];
  const three = ["large", "middle", "small"];
  assertEquals(tables(opener.open(clean)), [...three, ...three, ...multimap]);
  const recovered = opener.open(unclean, { log: log.slice() });
  assertEquals(recovered.families(), [...FAMILIES, "seven"]);
  const kept = recovered.memory.slots.version(recovered.memory.slots.find("kept"));
  assertEquals(kept, families[2].entry.version + 3);
});

test("fuzz: mutations of everything that is decoded, and those that failed once", async () => {
  for (const { seed, what } of REGRESSIONS) assertEquals((await fuzz(seed, 1)).cases, 1, what);
  const { seed } = Random.fromEnvironment("fuzz");
  const { cases, targets } = await fuzz(seed, 1500);
  assertEquals(cases, 1500);
  assertGreater(Object.keys(targets).length, 10, "every target had its turn");
});
