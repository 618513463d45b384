/**
 * Protects the command line: what each command prints and how it ends, that a dump has everything and a load puts
 * it back byte for byte whatever the codecs are, and that nothing but a message comes of damage, wrong
 * lines, a full batch or a reader that has gone.
 */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  ByteWriter,
  type Codec,
  type Database,
  f32Array,
  f64,
  i64,
  json,
  ManifoldError,
  open,
  type OpenOptions,
  text,
  tuple,
  u32,
} from "../mod.ts";
import { describeTables, rawEntries } from "../lib/api/inspect.ts";
import { load } from "../lib/cli/load.ts";
import { Progress } from "../lib/cli/output.ts";
import { Notation, rawCodec } from "../lib/cli/readable.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "./support/assert.ts";
import { manifold, type Told } from "./support/command_line.ts";
import { DatabaseProcess } from "./support/database_process.ts";
import { exists } from "./support/fs.ts";
import { Random } from "./support/random.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const SMALL: OpenOptions = { pageSize: 4096, cacheBytes: 2 ** 20, logBytes: 2 ** 20 };

/** Names of codecs that a file can have; the last ones are nobody's. */
const CODECS = [
  "bytes",
  "text",
  "bool",
  "u32",
  "i32",
  "u64",
  "i64",
  "f64",
  "json",
  "f32Array(2)",
  "f32Array(02)",
  "f32Array(999999999)",
  "tuple(text,u32)",
  "tuple(u64,tuple(bool,text),f64)",
  "tuple(text,mine)",
  "tuple(json)",
  "tuple()",
  "mine",
  "mine(a,b)",
  "multimap(text,u32)",
  "multimap(u32,tuple(text,bool))",
  "multimap(text)",
  "multimap(text,json)",
  "none",
];

/** Bytes that some codec is likely to take. */
function randomBytes(random: Random, lengthMax: number): Uint8Array {
  const encoder = new TextEncoder();
  switch (random.int(6)) {
    case 0:
      return random.bytes(random.int(lengthMax));
    case 1:
      return random.bytes([1, 4, 8, 8][random.int(4)]);
    case 2:
      return new Uint8Array([random.int(3)]);
    case 3:
      return encoder.encode(
        JSON.stringify([random.next(), "\u2028\ufeff", { "10": null, "2": random.int(9) }]),
      );
    case 4:
      return encoder.encode("größe \n\t🙂".repeat(random.int(lengthMax / 12)) + random.int(1000));
    default: {
      // As a tuple of a text and a number.
      const name = encoder.encode(`name ${random.int(100)}`);
      return new Uint8Array([...name, 0, ...random.bytes(4)]);
    }
  }
}

/** All that a dump has to keep, as text that is equal only for equal databases. */
async function contentOf(path: string): Promise<string[]> {
  await using db = await open(path, { readOnly: true, cacheBytes: 2 ** 20 });
  const content: string[] = [];
  for (const name of db.columnFamilies()) {
    const family = await db.columnFamily(name);
    using snapshot = family.snapshot();
    content.push(`family ${name}`);
    for (const table of describeTables(snapshot)) {
      content.push(`table ${JSON.stringify(table)}`);
      const entries = rawEntries(snapshot, table);
      while (entries.advance()) {
        content.push(`${entries.key().toBase64()} ${entries.value().toBase64()}`);
      }
    }
  }
  return content;
}

async function fill(db: Database, random: Random): Promise<void> {
  for (let i = 0; i < 3; i++) {
    const family = await db.columnFamily(`family ${i} \u001b[2J\n"ü`);
    if (i === 2) break; // stays without tables
    for (const [n, keyCodec] of CODECS.entries()) {
      const valueCodec = CODECS[random.int(CODECS.length)];
      const options = { key: rawCodec(keyCodec), value: rawCodec(valueCodec) };
      const table = family.table(`table ${n}`, options);
      const entries = new Map<string, [Uint8Array, Uint8Array]>();
      for (let count = random.int(30); count > 0; count--) {
        const key = randomBytes(random, 60);
        entries.set(key.toBase64(), [key, randomBytes(random, random.chance(0.1) ? 20_000 : 200)]);
      }
      await table.setMany(entries.values());
      if (entries.size > 0) continue;
      await table.set(new Uint8Array(1), new Uint8Array(1));
      await table.delete(new Uint8Array(1));
    }
  }
  const large = (await db.columnFamily("large")).table("values");
  for (const length of [262_144, 262_145, 786_432, 786_433, 3_000_000]) {
    await large.set(new TextEncoder().encode(String(length)), random.bytes(length));
  }
}

function assertOk(told: Told): string {
  assertEquals([told.code, told.errors], [0, ""]);
  return told.output;
}

/** Fails unless it ended with 1 and one message, with the code and the words in it. */
function assertFailed(told: Told, code: string, ...words: string[]): void {
  assertEquals(told.code, 1, told.errors);
  assertMatch(told.errors, new RegExp(`^manifold: ${code}: [^\n]*\n$`));
  for (const word of words) assertStringIncludes(told.errors, word);
  assert(!/\bat .*:\d+/.test(told.errors.replace(/line \d+:/g, "")), "it has a stack trace");
}

test("cli: what a notation writes, it reads back, for any bytes and codec", () => {
  const random = Random.fromEnvironment("notation");
  let readable = 0;
  for (const name of CODECS) {
    const notation = new Notation(name);
    for (let i = 0; i < 300; i++) {
      const bytes = randomBytes(random, 100);
      const written = notation.write(bytes);
      if (written === undefined) continue;
      readable++;
      assert(!written.includes("\n"), "a line break would end the line");
      assertEquals([...notation.read(JSON.parse(written))], [...bytes], `${name}: ${written}`);
    }
  }
  assert(readable > 500, `${readable} were readable`);
});

test("cli: a notation is for people where it can be", () => {
  const encode = <T>(codec: Codec<T>, value: T): string | undefined => {
    const target = new ByteWriter();
    codec.encode(value, target);
    return new Notation(codec.name).write(target.view());
  };
  assertEquals(encode(text, "größe\n"), `"größe\\n"`);
  assertEquals(encode(u32, 7), "7");
  assertEquals(encode(i64, -(2n ** 63n)), `"-9223372036854775808"`);
  assertEquals(encode(f64, 0.1), "0.1");
  assertEquals(encode(json(), { a: [1, null] }), `{"a":[1,null]}`);
  assertEquals(encode(f32Array(2), new Float32Array([0.5, 1])), "[0.5,1]");
  assertEquals(encode(f32Array(2), new Float32Array([-0, 1])), undefined, "JSON has no -0");
  assertEquals(encode(tuple(text, tuple(u32, i64)), ["a", [1, 2n]]), `["a",[1,"2"]]`);
  const mine = new Notation("mine");
  assertEquals(mine.write(new TextEncoder().encode("plain\ttext")), `"plain\\ttext"`);
  assertEquals(mine.write(new Uint8Array([0, 65])), undefined);
  assertEquals(mine.write(new Uint8Array([0xff])), undefined);
});

test("cli: a dump that is loaded gives an equal database, and an equal dump", () =>
  withTempDir(async (dir) => {
    const random = Random.fromEnvironment("dump and load");
    const [a, b, file] = ["a", "b", "dump"].map((name) => join(dir, name));
    {
      await using db = await open(a, SMALL);
      await fill(db, random);
    }
    const dumped = assertOk(await manifold(["dump", a]));
    await writeFile(file, dumped);
    const said = assertOk(await manifold(["load", b, file, "--batch", String(1 + random.int(50))]));
    const tables = 2 * CODECS.length + 1;
    assertMatch(said, new RegExp(`^\\d[\\d,]* entries of ${tables} tables loaded into `));
    assertEquals(await contentOf(b), await contentOf(a));
    assertEquals(assertOk(await manifold(["dump", b])), dumped);
    assertStringIncludes(dumped, `"pageSize":4096`);
    for (const line of dumped.split("\n")) assert(line.length < 1.5 * 2 ** 20, "a line is short");

    // Once more over what is there: nothing changes.
    assertOk(await manifold(["load", b], { input: dumped }));
    assertEquals(await contentOf(b), await contentOf(a));
  }));

test("cli: dump takes one family or table; load puts it beside what is there", () =>
  withTempDir(async (dir) => {
    const [a, b] = ["a", "b"].map((name) => join(dir, name));
    {
      await using db = await open(a, SMALL);
      for (const name of ["one", "two"]) {
        const family = await db.columnFamily(name);
        await family.table("t", { key: text, value: u32 }).set(name, 1);
        await family.table("u", { key: text, value: u32 }).set(name, 2);
      }
    }
    const lines = assertOk(await manifold(["dump", a, "--family", "one", "--table", "u"]))
      .trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines, [
      { dump: "manifold dump", version: 1, pageSize: 4096 },
      { family: "one" },
      { family: "one", table: "u", keyCodec: "text", valueCodec: "u32" },
      { key: "one", value: 2 },
      { end: true, entries: 1 },
    ]);
    {
      await using db = await open(b, SMALL);
      const table = (await db.columnFamily("one")).table("u", { key: text, value: u32 });
      await table.setMany([["one", 9], ["other", 8]]);
    }
    const input = assertOk(await manifold(["dump", a, "--table", "u"]));
    assertOk(await manifold(["load", b], { input }));
    await using db = await open(b, { readOnly: true });
    const table = (await db.columnFamily("one")).table("u", { key: text, value: u32 });
    assertEquals([...table], [["one", 2], ["other", 8]]);
    assertEquals(db.columnFamilies(), ["one", "two"]);
    assertFailed(await manifold(["dump", a, "--family", "three"]), "not-found", `"three"`);
    assertFailed(await manifold(["dump", a, "--table", "v"]), "not-found", `"v"`);
  }));

test("cli: a multimap is dumped with its keys and values, and is one when it is loaded", () =>
  withTempDir(async (dir) => {
    const [a, b] = ["a", "b"].map((name) => join(dir, name));
    const codecs = { key: text, value: i64 };
    {
      await using db = await open(a, SMALL);
      await (await db.columnFamily("f")).multimap("m", codecs).addMany([["b", 1n], ["b", -2n]]);
    }
    const dumped = assertOk(await manifold(["dump", a]));
    assertEquals(dumped.split("\n").slice(2, -1).map((line) => JSON.parse(line)), [
      { family: "f", table: "m", keyCodec: "multimap(text,i64)", valueCodec: "none" },
      { key: ["b", "-2"], value: null },
      { key: ["b", "1"], value: null },
      { end: true, entries: 2 },
    ]);
    assertOk(await manifold(["load", b], { input: dumped }));
    await using db = await open(b, { readOnly: true });
    const map = (await db.columnFamily("f")).multimap("m", codecs);
    assertEquals([...map], [["b", -2n], ["b", 1n]]);
  }));

test("cli: stats tells of every family and table, as a table and as JSON", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "a");
    {
      await using db = await open(path, SMALL);
      const family = await db.columnFamily("shop\u001b[31m");
      const table = family.table("stock", { key: text, value: u32 });
      await table.setMany(Array.from({ length: 1500 }, (_, i) => [`key ${i}`, i]));
      await family.table("large", { key: text }).set("a", new Uint8Array(100_000));
      await db.columnFamily("empty");
    }
    const said = assertOk(await manifold(["stats", path]));
    assert(!said.includes("\u001b"), "a terminal would obey it");
    assertMatch(said, /2 column families, 2 tables/);
    assertMatch(said, /\nshop\\u001b\[31m +stock +text +u32 +1,500 .* \d+%\n/);
    assertMatch(said, /\nempty +1 +0 +0 +64\.0 KiB /);
    assertMatch(said, / of the file are free \(\d+%\)/);
    const figures = JSON.parse(assertOk(await manifold(["stats", path, "--json"])));
    assertEquals(figures.fileBytes, (await readFile(path)).length);
    const { name, tables, bytes } = figures.families[1];
    assertEquals([name, tables.length], ["shop\u001b[31m", 2]);
    const [large, stock] = tables;
    assertEquals([large.name, large.overflowPages, large.overflowBytes], ["large", 25, 100_000]);
    assertEquals([stock.name, stock.keyCodec, stock.entries], ["stock", "text", 1500]);
    const parts = figures.families.map((family: { bytes: number; freeBytes: number }) =>
      family.bytes - family.freeBytes
    );
    const used = parts.reduce((sum: number, part: number) => sum + part, 0);
    assertEquals(used + figures.freeBytes + figures.overheadBytes, figures.fileBytes);
    assert(bytes > 100_000 && figures.freeBytes >= 0);
  }));

test("cli: wrong usage ends with 2 and says how it is used; --help ends with 0", async () => {
  for (
    const args of [
      [],
      ["no-such-command"],
      ["stats"],
      ["dump"],
      ["dump", "a", "b"],
      ["load"],
      ["load", "a", "b", "c"],
      ["load", "a", "--batch", "0"],
      ["load", "a", "--batch", "many"],
      ["verify"],
      ["salvage", "a"],
      ["stats", "a", "--no-such-option"],
    ]
  ) {
    const { code, output, errors } = await manifold(args);
    assertEquals([code, output], [2, ""], args.join(" "));
    assertMatch(errors, /--help/);
    assert(!errors.includes("    at "), errors);
  }
  for (const command of [undefined, "stats", "verify", "salvage", "dump", "load"]) {
    const args = command === undefined ? ["--help"] : [command, "--help"];
    assertMatch(assertOk(await manifold(args)), new RegExp(`^Usage: manifold ${command ?? ""}`));
  }
});

test("cli: a missing, foreign or damaged file is an error with its code, and stays as it is", () =>
  withTempDir(async (dir) => {
    const [none, foreign, damaged] = ["none", "foreign", "damaged"].map((name) => join(dir, name));
    await writeFile(foreign, "something else\n".repeat(1000));
    {
      await using db = await open(damaged, SMALL);
      const table = (await db.columnFamily("shop")).table("stock", { key: text });
      await table.setMany(Array.from({ length: 500 }, (_, i) => [`key ${i}`, new Uint8Array(300)]));
    }
    const bytes = new Uint8Array(await readFile(damaged));
    // Every page of the family from the eighth on.
    for (let at = 8 * 4096 + 1000; at < bytes.length; at += 4096) bytes[at] ^= 1;
    await writeFile(damaged, bytes);
    for (const command of ["stats", "dump", "verify"]) {
      assertFailed(await manifold([command, none]), "not-found", none);
      assertFailed(await manifold([command, dir]), "not-a-database", dir);
      assertFailed(await manifold([command, foreign]), "not-a-database", foreign);
      if (command === "verify") continue; // it reports that as its result
      assertFailed(await manifold([command, damaged]), "corrupt", damaged, "page", "salvage");
    }
    assertFailed(await manifold(["load", none, join(dir, "no dump")]), "not-found", "no dump");
    assertFailed(await manifold(["load", none, foreign]), "invalid-argument", "line 1");
    assert(!await exists(none), "a database is made only for a dump");
    assertEquals(new Uint8Array(await readFile(damaged)), bytes);
  }));

test("cli: verify says what is damaged, and salvage copies the rest", () =>
  withTempDir(async (dir) => {
    const [sound, damaged, fresh] = ["sound", "damaged", "fresh"].map((name) => join(dir, name));
    for (const path of [sound, damaged]) {
      await using db = await open(path, SMALL);
      const table = (await db.columnFamily("shop\u001b[31m")).table("stock", { key: text });
      await table.setMany(Array.from({ length: 500 }, (_, i) => [`key ${i}`, new Uint8Array(300)]));
    }
    const bytes = new Uint8Array(await readFile(damaged));
    bytes[12 * 4096 + 1000] ^= 1;
    await writeFile(damaged, bytes);

    assertMatch(
      assertOk(await manifold(["verify", sound])),
      /: sound\n1 column family, 1 table, 500 entries; \d+ pages /,
    );
    const report = JSON.parse(assertOk(await manifold(["verify", sound, "--json"])));
    assertEquals([report.ok, report.entries, report.findings], [true, 500, []]);

    const told = await manifold(["verify", damaged]);
    assertEquals([told.code, told.errors], [1, ""]);
    assertMatch(told.output, /: damaged, 1 finding\n/);
    assertMatch(told.output, /\nchecksum .*page 12\b/);
    assert(!told.output.includes("\u001b"), "a terminal would obey it");
    const { code, output } = await manifold(["verify", damaged, "--json"]);
    assertEquals(code, 1);
    assertEquals(JSON.parse(output).findings[0].page, 12);

    const salvaged = await manifold(["salvage", damaged, fresh]);
    assertEquals([salvaged.code, salvaged.errors], [1, ""]);
    const lost = Number(/\n(\d+) entr\w+ (?:is|are) known to be missing/.exec(salvaged.output)![1]);
    assert(lost > 0 && lost < 20, salvaged.output);
    assertMatch(
      salvaged.output,
      new RegExp(`^${500 - lost} entries of 1 table in 1 column family`),
    );
    assertOk(await manifold(["verify", fresh]));
    assertEquals((await contentOf(fresh)).length, 2 + 500 - lost);
    assertFailed(await manifold(["salvage", damaged, fresh]), "already-exists", fresh);
    assertEquals(new Uint8Array(await readFile(damaged)), bytes);
    const again = join(dir, "again");
    assertMatch(assertOk(await manifold(["salvage", sound, again])), /\nnothing is missing\n/);
    assertEquals(await contentOf(again), await contentOf(sound));
  }));

test("cli: a database that was not closed is read after --recover only", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "a");
    await using child = new DatabaseProcess("self");
    await child.tell({ do: "open", path, options: SMALL });
    await child.tell({
      do: "write",
      family: "f",
      table: "t",
      writes: [["key", "x".repeat(300)]],
      how: "each",
    } as never);
    assertFailed(await manifold(["dump", path]), "locked", path);
    await child.kill();
    assertFailed(await manifold(["dump", path]), "needs-recovery", path, "--recover");
    assertFailed(await manifold(["stats", path]), "needs-recovery", path, "--recover");
    assertMatch(assertOk(await manifold(["dump", path, "--recover"])), /"key":"key"/);
    assertMatch(assertOk(await manifold(["dump", path])), /"entries":1\}\n$/);
  }));

test("cli: a reader of the dump that goes early ends it quietly", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "a");
    {
      await using db = await open(path, SMALL);
      const table = (await db.columnFamily("f")).table("t");
      await table.set(new Uint8Array(1), new Uint8Array(30_000_000));
    }
    const { code, errors, output } = await manifold(["dump", path], { closeOutput: true });
    assertEquals([code, errors], [0, ""]);
    assert(output.length < 10_000_000, "it did not go on to the end");
  }));

const HEAD = `{"dump":"manifold dump","version":1}`;
const TABLE = `{"family":"f","table":"t","keyCodec":"text","valueCodec":"u32"}`;

test("cli: load names the line that it cannot use, and applies nothing of its batch", () =>
  withTempDir(async (dir) => {
    const good = [HEAD, TABLE, ...["a", "b", "c"].map((key) => `{"key":"${key}","value":1}`)];
    const bad: [line: string, words: string, code?: string][] = [
      ["", "JSON"],
      ["{", "JSON"],
      ["[1]", "JSON"],
      ["{}", "neither"],
      [`{"key":"d"}`, "neither value nor valueBase64"],
      [`{"key":1,"value":1}`, "codec text"],
      [`{"key":"d","value":-1}`, "codec u32"],
      [`{"key":"d","value":null}`, "codec u32"],
      [`{"keyBase64":"?","value":1}`, "base64"],
      [`{"key":"d","valueBase64":7}`, "base64"],
      [`{"key":"d","valueBytes":0}`, "valueBytes"],
      [`{"key":"d","valueBytes":"x"}`, "valueBytes"],
      [`{"key":"d","valueBytes":1073741825}`, "1 GiB", "too-large"],
      [`{"key":"${"d".repeat(5000)}","value":1}`, "key of 5000 bytes", "too-large"],
      [`{"family":""}`, "name"],
      [`{"family":"f","table":"t"}`, "keyCodec"],
      [`{"family":"f","table":"x","keyCodec":"a,b","valueCodec":"u32"}`, "codec"],
      [`{"end":true,"entries":9}`, "3 came before"],
    ];
    for (const [i, [line, words, code = "invalid-argument"]] of bad.entries()) {
      const path = join(dir, `a${i}`);
      const file = join(dir, `dump${i}`);
      await writeFile(file, [...good, line, `{"key":"e","value":5}`].join("\n"));
      const error = await assertRejects(
        () => load(path, { file, batchEntries: 2 }, new Progress()),
        ManifoldError,
        words,
      );
      assertEquals(error.code, code, error.message);
      assertStringIncludes(error.message, `${file}, line 6: `);
      assertStringIncludes(error.message, "Lines 1 to 4 were loaded, nothing more");
      assertEquals((await contentOf(path)).length, 4, `${line}: the first batch is there, no more`);
    }
  }));

test("cli: load refuses what is no whole dump", () =>
  withTempDir(async (dir) => {
    const path = join(dir, "a");
    const entry = `{"key":"a","value":1}`;
    const cases: [lines: (string | Uint8Array)[], code: string, words: string][] = [
      [[], "invalid-argument", "line 1"],
      [[`{"dump":"manifold dump","version":2}`], "unsupported-version", "version 2"],
      [[`{"dump":"manifold dump","version":1,"pageSize":5000}`], "invalid-argument", "pageSize"],
      [[HEAD, entry], "invalid-argument", "no table"],
      [[HEAD, TABLE, entry], "invalid-argument", "cut off"],
      [[HEAD, TABLE, `{"end":true,"entries":0}`, entry], "invalid-argument", "after the last line"],
      [
        [HEAD, TABLE, `{"key":"a","valueBytes":4}`, `{"part":"AAAAAAAA"}`],
        "invalid-argument",
        "more than its 4 bytes",
      ],
      [[HEAD, TABLE, `{"key":"a","valueBytes":4}`, entry], "invalid-argument", "part"],
      [[HEAD, TABLE, `{"key":"a","valueBytes":4}`, `{"part":""}`], "invalid-argument", "empty"],
      [[HEAD, `{"family":"f","table":"\u001b","keyCodec":"`], "invalid-argument", "line 2"],
    ];
    for (const [lines, code, words] of cases) {
      const told = await manifold(["load", path], { input: lines.join("\n") });
      assertFailed(told, code, words);
    }
    const notText = new Uint8Array([...new TextEncoder().encode(`${HEAD}\n`), 0xff, 10]);
    assertFailed(await manifold(["load", path], { input: notText }), "invalid-argument", "UTF-8");
    const long = `${HEAD}\n${" ".repeat(17 * 2 ** 20)}`;
    assertFailed(await manifold(["load", path], { input: long }), "invalid-argument", "line 2");
    const mismatch = [HEAD, TABLE, TABLE.replace("u32", "i32"), `{"end":true,"entries":0}`];
    assertFailed(
      await manifold(["load", path], { input: mismatch.join("\n") }),
      "type-mismatch",
      "line 3",
    );
  }));
