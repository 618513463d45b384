/** Protects what the other tests stand on: the assertions fail when they should, a seed replays. */

import {
  assert,
  assertEquals,
  AssertionError,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "./assert.ts";
import { runScript, runtimes, spawnScript } from "./child.ts";
import { emptyDir, ensureDir, exists } from "./fs.ts";
import { Random } from "./random.ts";
import { withTempDir } from "./temp.ts";
import { test } from "./test.ts";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

test("assertions: failures are noticed", async () => {
  assertEquals(new Uint8Array([1, 2]), new Uint8Array([1, 2]));
  assertEquals([1n, { a: new Map([["b", 2]]) }], [1n, { a: new Map([["b", 2]]) }]);
  assertThrows(() => assertEquals(new Uint8Array([1]), new Uint8Array([2])), AssertionError);
  assertThrows(() => assertEquals<unknown>("1", 1), AssertionError, "not equal");
  assertThrows(() => assertNotEquals({ a: 1 }, { a: 1 }), AssertionError);
  assertThrows(() => assertStrictEquals({}, {}), AssertionError);
  assertThrows(() => assertThrows(() => 1), AssertionError, "Expected function to throw");
  assertThrows(
    () =>
      assertThrows(
        () => {
          throw new TypeError("x");
        },
        RangeError,
      ),
    AssertionError,
    '"RangeError"',
  );
  const error = await assertRejects(() => Promise.reject(new TypeError("abc")), TypeError, "b");
  assertEquals(error.message, "abc");
  await assertRejects(
    () => assertRejects(() => Promise.resolve()),
    AssertionError,
    "Expected function to reject",
  );
});

test("random: the generator is PCG32, and a seed gives the same sequence everywhere", () => {
  const MULTIPLIER = 6364136223846793005n;
  const MASK = (1n << 64n) - 1n;
  for (const seed of [0, 1, 42, 2 ** 40 + 7]) {
    const random = new Random(seed);
    let state = BigInt(seed);
    for (let i = 0; i < 2000; i++) {
      const word = ((state ^ (state >> 18n)) >> 27n) & 0xffff_ffffn;
      const turn = state >> 59n;
      const expected = ((word >> turn) | (word << ((32n - turn) & 31n))) & 0xffff_ffffn;
      state = (state * MULTIPLIER + 1442695040888963407n) & MASK;
      if (i >= 2) assertEquals(random.next32(), Number(expected));
    }
  }
  const random = new Random(7);
  for (let i = 0; i < 1000; i++) assert(random.int(10) < 10);
  assertEquals(random.bytes(5).length, 5);
});

test("temp and fs: what is made is removed", async () => {
  let kept = "";
  await withTempDir(async (dir) => {
    kept = dir;
    await ensureDir(join(dir, "a/b"));
    await writeFile(join(dir, "a/b/c"), "x");
    assert(await exists(join(dir, "a/b/c")));
    await emptyDir(dir);
    assert(!await exists(join(dir, "a")));
  });
  assert(!await exists(kept));
});

for (const runtime of runtimes) {
  test(`child: a script on ${runtime} is talked to, killed, and its failure seen`, async () => {
    await withTempDir(async (dir) => {
      const script = join(dir, "script.mjs");
      await writeFile(
        script,
        `import process from "node:process";
         console.log("on " + (process.versions.bun ? "bun" : "deno"), process.argv[2]);
         if (process.argv[2] === "end") process.exit(0);
         if (process.argv[2] === "fail") throw new Error("on purpose");
         process.stdin.on("data", (data) => console.log("got " + String(data).trim()));`,
      );
      assertEquals(await runScript(runtime, script, ["end"]), [`on ${runtime} end`]);
      await assertRejects(() => runScript(runtime, script, ["fail"]), Error, "on purpose");

      const child = spawnScript(runtime, script, ["talk"]);
      assertEquals(await child.nextLine(), `on ${runtime} talk`);
      child.send("hello");
      assertEquals(await child.nextLine(), "got hello");
      child.kill("SIGKILL");
      assertEquals(await child.exited, { code: null, signal: "SIGKILL" });
    });
  });
}
