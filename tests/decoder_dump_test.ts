/**
 * What is decoded from the lines of a dump: keys and values in either notation, parts, and every line that is none.
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ManifoldError, openInMemory } from "../mod.ts";
import { load } from "../lib/cli/load.ts";
import { Progress } from "../lib/cli/output.ts";
import { Notation, rawCodec } from "../lib/cli/readable.ts";
import {
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "./support/assert.ts";
import { loadBytes } from "./support/dump_lines.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

test("decoder: JSON of every codec is read back as the bytes that it was written for", () => {
  const cases: [codec: string, json: string][] = [
    ["text", `"größe"`],
    ["json", `{"a":[1,null]}`],
    ["bool", "true"],
    ["u32", "7"],
    ["i32", "-7"],
    ["f64", "0.5"],
    ["u64", `"18446744073709551615"`],
    ["i64", `"-5"`],
    ["none", "null"],
    ["f32Array(2)", "[0.5,-1]"],
    ["tuple(text,tuple(u32,i64))", `["a",[1,"2"]]`],
    ["multimap(text,u32)", `["a",1]`],
    ["somebody's", `"plain\\ttext"`],
    ["f32Array(0)", `"none of the package's"`],
    ["tuple(mine,text)", `"nor this"`],
  ];
  for (const [codec, json] of cases) {
    const notation = new Notation(codec);
    const bytes = notation.read(JSON.parse(json)).slice();
    assertEquals(notation.write(bytes), json, codec);
    // No value of any of these has so many bytes of 0xff.
    assertEquals(notation.write(new Uint8Array(33).fill(0xff)), undefined, codec);
  }
  const refused: [codec: string, json: unknown][] = [
    ["u64", 7],
    ["i64", "1.5"],
    ["f32Array(2)", "x"],
    ["f32Array(2)", [1, "x"]],
    ["f32Array(2)", [1]],
    ["tuple(text,u32)", "x"],
    ["tuple(text,u32)", ["a"]],
    ["multimap(text,u32)", ["a", 1, 2]],
    ["bool", 1],
  ];
  for (const [codec, json] of refused) {
    const error = assertThrows(() => new Notation(codec).read(json), ManifoldError);
    assertEquals(error.code, "invalid-argument", `${codec}: ${JSON.stringify(json)}`);
  }
  assertEquals(new Notation("mine").write(new Uint8Array([0, 65])), undefined);
  assertEquals(rawCodec("mine").decode(new Uint8Array([1, 2])), new Uint8Array([1, 2]));
});

const HEAD = `{"dump":"manifold dump","version":1,"pageSize":4096}`;
const TABLE = `{"family":"f","table":"t","keyCodec":"text","valueCodec":"u32"}`;
const PARTS = `{"key":"b","valueBytes":4}`;
const END = `{"end":true,"entries":1}`;

test("decoder: the lines of a dump are taken, or refused with their number", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "loaded.manifold");
    const file = join(dir, "dump");
    const lines = [HEAD, `{"family":"e"}`, TABLE, PARTS, `{"part":"AAAAAQ=="}`, END];
    await writeFile(file, lines.join("\n"));
    const loaded = await load(path, { file, batchEntries: 2 }, new Progress());
    assertEquals(loaded, { tables: 1, entries: 1 });
    const entry = `{"key":"a","value":1}`;
    await using db = await openInMemory({ pageSize: 4096, cacheBytes: 2 ** 20, maxWorkers: 1 });
    const cases: [lines: string[], words: string, code?: string][] = [
      [[""], "line 1"],
      [[HEAD.replace("1", "2")], "version 2", "unsupported-version"],
      [[HEAD, "[]"], "line 2"],
      [[HEAD, `{"neither":1}`], "neither"],
      [[HEAD, entry], "no table"],
      [[HEAD, `{"family":"f","table":"t"}`], "keyCodec"],
      [[HEAD, TABLE, entry, entry, entry], "cut off"],
      [[HEAD, TABLE, entry, END, entry], "after the last line"],
      [[HEAD, TABLE, entry, `{"end":true,"entries":9}`], "1 came before"],
      [[HEAD, TABLE, `{"key":"a"}`], "neither value nor valueBase64"],
      [[HEAD, TABLE, `{"key":"a","valueBase64":"?"}`], "base64"],
      [[HEAD, TABLE, `{"key":"a","valueBytes":0}`], "valueBytes"],
      [[HEAD, TABLE, `{"key":"a","valueBytes":1e10}`], "1 GiB", "too-large"],
      [[HEAD, TABLE, PARTS, `{"part":""}`], "empty"],
      [[HEAD, TABLE, PARTS, `{"part":"AAAAAAAA"}`], "more than its 4 bytes"],
      [[HEAD, TABLE, PARTS, entry], "part"],
      [[HEAD, TABLE.replace("u32", "i32")], "i32", "type-mismatch"],
    ];
    for (const [lines, words, code = "invalid-argument"] of cases) {
      const dump = new TextEncoder().encode(lines.join("\n"));
      const error = await assertRejects(
        () => loadBytes(db, dump, "the dump", 2),
        ManifoldError,
        words,
      );
      assertEquals(error.code, code, error.message);
      assertStringIncludes(error.message, "the dump");
    }
    const notText = new Uint8Array([...new TextEncoder().encode(`${HEAD}\n`), 0xff, 10]);
    await assertRejects(() => loadBytes(db, notText, "the dump", 2), ManifoldError, "UTF-8");
    const long = new TextEncoder().encode(`${HEAD}\n${" ".repeat(2 ** 24 + 1)}`);
    await assertRejects(() => loadBytes(db, long, "the dump", 2), ManifoldError, "longer");
    const missing = () => load(path, { file: `${file}-2`, batchEntries: 1 }, new Progress());
    assertEquals((await assertRejects(missing, ManifoldError)).code, "not-found");
  }));
