/** Protects the promises of `File` and of the path functions on both runtimes. */

import { join } from "node:path";
import { chmod, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { type ErrorCode, ManifoldError } from "../lib/errors.ts";
import { runtime } from "../lib/runtime/runtime.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertMatch,
  assertThrows,
} from "./support/assert.ts";
import { runScript, runtimes, spawnScript, thisRuntime } from "./support/child.ts";
import { ShortCalls } from "./support/short_calls.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const NEW = { write: true, create: true };
const WRITE = { write: true, create: false };
const READ = { write: false, create: false };

const fileChild = new URL("./runtime/file_child.ts", import.meta.url);

function assertCode(fn: () => unknown, code: ErrorCode, message: string): ManifoldError {
  const error = assertThrows(fn, ManifoldError, message);
  assertEquals(error.code, code);
  return error;
}

test("runtime: names itself", () => {
  assertEquals(runtime.name, thisRuntime);
  assert(runtime.hardwareConcurrency >= 1);
});

test("file: reads and writes at positions, on plain and on shared memory", async () => {
  await withTempDir((dir) => {
    const path = join(dir, "file");
    const file = runtime.openFile(path, NEW);
    for (const buffer of [new ArrayBuffer(300), new SharedArrayBuffer(300)]) {
      const source = new Uint8Array(buffer, 100, 100);
      for (let i = 0; i < 100; i++) source[i] = i + 1;
      file.write(5000, source);
      assertEquals(file.size(), 5100);

      const target = new Uint8Array(new SharedArrayBuffer(200));
      assertEquals(file.read(4990, target), 110);
      assertEquals([...target.subarray(0, 12)], [...new Array(10).fill(0), 1, 2]);
      assertEquals([target[109], target[110]], [100, 0]);
    }
    const whole = new Uint8Array(100).map((_, i) => i + 1);
    file.write(5200, whole, 20, 30);
    const part = new Uint8Array(100);
    assertEquals(file.read(5200, part, 60), 30);
    assertEquals(file.read(5201, part, 5, 4), 4);
    const here = new Uint8Array(100);
    here.set(whole.subarray(20, 50), 60);
    here.set(whole.subarray(21, 25), 5);
    assertEquals(part, here);
    assertEquals(file.size(), 5230);
    assertEquals(file.read(6000, new Uint8Array(10)), 0);
    assertEquals(file.read(0, new Uint8Array(0)), 0);
    file.write(0, new Uint8Array(0));
    file.sync();
    file.truncate(10);
    assertEquals(file.size(), 10);
    file.truncate(4096);
    assertEquals(file.size(), 4096);
    file.close();
    file.close();
    assertCode(() => file.read(0, new Uint8Array(1)), "closed", path);
    assertCode(() => file.lock(true), "closed", path);

    const again = runtime.openFile(path, READ);
    assertEquals(again.size(), 4096);
    assertCode(() => again.write(0, new Uint8Array(1)), "io", path);
    again.close();
  });
});

/** How many bytes a call does of so many that it was asked for. */
const SHORT: readonly [how: string, most: (bytes: number) => number][] = [
  ["one byte", () => 1],
  ["half", (bytes) => Math.ceil(bytes / 2)],
  ["all but a byte", (bytes) => Math.max(1, bytes - 1)],
];

for (const [how, most] of SHORT) {
  test(`file: where the system does ${how} at a time, all is written and read in its place`, () =>
    withTempDir(async (dir) => {
      const path = join(dir, "file");
      for (const make of [ArrayBuffer, SharedArrayBuffer]) {
        const expected = new Uint8Array(400).fill(255);
        await writeFile(path, expected);
        const memory = new Uint8Array(new make(200)).map((_, i) => i + 1);
        expected.set(memory, 20);
        expected.set(memory.subarray(17, 67), 300);
        const file = runtime.openFile(path, WRITE);
        const whole = new Uint8Array(new make(200));
        const part = new Uint8Array(new make(200));
        const atEnd = new Uint8Array(new make(200));
        {
          using calls = new ShortCalls(most);
          file.write(20, memory);
          file.write(300, memory, 17, 50);
          assertGreaterOrEqual(calls.count, 4);
          calls.count = 0;
          assertEquals(file.read(20, whole), 200);
          assertEquals(file.read(300, part, 100, 50), 50);
          assertGreaterOrEqual(calls.count, 4);
          assertEquals(file.read(330, atEnd, 3), 70);
        }
        file.close();
        assertEquals(new Uint8Array(await readFile(path)), expected);
        assertEquals([...whole], [...memory]);
        assertEquals([...part.subarray(100, 150)], [...memory.subarray(17, 67)]);
        assertEquals([...atEnd.subarray(3, 73)], [...expected.subarray(330)]);
        for (const [bytes, from, to] of [[part, 100, 150], [atEnd, 3, 73]] as const) {
          assert(bytes.every((byte, i) => i >= from && i < to || byte === 0), "read elsewhere");
        }
      }
    }));
}

test("file: a write of which the system takes no more is an error, and says from where", () =>
  withTempDir((dir) => {
    const path = join(dir, "file");
    const file = runtime.openFile(path, NEW);
    const memory = new Uint8Array(100).fill(7);
    for (const [taken, place] of [[0, "at byte 5000:"], [60, "at byte 5060:"]] as const) {
      let left = taken;
      let asked = 0;
      using _ = new ShortCalls((bytes) => {
        if (++asked > 10) throw new Error("asked again and again");
        const most = Math.min(bytes, left, 30);
        left -= most;
        return most;
      });
      const error = assertCode(() => file.write(5000, memory), "io", place);
      assertMatch(error.message, /no bytes/);
    }
    assertEquals(file.size(), 5060);
    file.close();
  }));

test("file: a position beyond 4 GiB is a position", async () => {
  await withTempDir((dir) => {
    const file = runtime.openFile(join(dir, "sparse"), NEW);
    const offset = 5 * 2 ** 30 + 3;
    file.write(offset, new Uint8Array([7]));
    const target = new Uint8Array(1);
    assertEquals(file.read(offset, target), 1);
    assertEquals(target[0], 7);
    assertEquals(file.size(), offset + 1);
    file.close();
  });
});

test("file: a new file belongs to its owner alone", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "file");
    runtime.openFile(path, NEW).close();
    assertEquals((await stat(path)).mode & 0o777, 0o600);
    await chmod(path, 0o640);
    runtime.openFile(path, NEW).close();
    assertEquals((await stat(path)).mode & 0o777, 0o640);
  });
});

test("paths: kinds, removal, renaming, and making names durable", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "file");
    assertEquals(runtime.kind(path), undefined);
    runtime.openFile(path, NEW).close();
    await symlink("file", join(dir, "link"));
    assertEquals(runtime.kind(path), "file");
    assertEquals(runtime.kind(dir), "directory");
    assertEquals(runtime.kind(join(dir, "link")), "symlink");
    assertEquals(runtime.kind("/dev/null"), "other");
    runtime.rename(path, join(dir, "other"));
    assertEquals(runtime.kind(path), undefined);
    runtime.syncDirectory(dir);
    runtime.remove(join(dir, "other"));
    assertCode(() => runtime.remove(join(dir, "other")), "not-found", "other");
    assertCode(() => runtime.syncDirectory(join(dir, "missing")), "not-found", "missing");
  });
});

test("errors: each failure has its code, the path, a remedy and the cause", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "file");
    const error = assertCode(() => runtime.openFile(path, READ), "not-found", path);
    assertInstanceOf(error.cause, Error);
    assertMatch(error.message, /Check the path/);

    await writeFile(path, "x");
    const exclusive = { ...NEW, exclusive: true };
    assertCode(() => runtime.openFile(path, exclusive), "already-exists", path);
    assertCode(() => runtime.openFile(dir, READ), "not-a-database", "a directory");
    assertCode(() => runtime.openFile("/dev/null", READ), "not-a-database", "a device");
    assertCode(() => runtime.openFile(join(path, "below"), READ), "invalid-argument", "below");
    assertCode(
      () => runtime.openFile(join(dir, "n".repeat(300)), READ),
      "invalid-argument",
      "shorter",
    );
    assertCode(() => runtime.openFile(join(dir, "a\0b"), READ), "invalid-argument", "NUL");
    await symlink("loop", join(dir, "loop"));
    assertCode(() => runtime.openFile(join(dir, "loop"), READ), "invalid-argument", "loop");
  });
});

test("errors: a symbolic link is not followed where that was asked for", async () => {
  await withTempDir(async (dir) => {
    await writeFile(join(dir, "target"), "x");
    await symlink("target", join(dir, "link"));
    await symlink("nowhere", join(dir, "dangling"));
    for (const name of ["link", "dangling"]) {
      const options = { ...NEW, noFollow: true };
      assertCode(() => runtime.openFile(join(dir, name), options), "permission-denied", "link");
    }
    assertEquals(runtime.kind(join(dir, "nowhere")), undefined);
    runtime.openFile(join(dir, "link"), WRITE).close();
  });
});

test("permissions: Deno needs those for the directory, and names what is missing", async () => {
  await withTempDir(async (dir) => {
    const inside = join(dir, "file");
    const permissions = [`--allow-read=${dir}`, `--allow-write=${dir}`];
    assertEquals(await runScript("deno", fileChild, ["use", inside], { permissions }), ["used"]);
    for (const missing of [[], [`--allow-read=${dir}`], [`--allow-write=${dir}`]]) {
      const output = await runScript("deno", fileChild, ["code", inside], {
        permissions: missing,
      });
      assertEquals(output[0], "permission-denied");
      assertMatch(output[1], /--allow-read.*--allow-write/);
    }
  });
});

test("lock: in one process, two opens of a file exclude each other", async () => {
  await withTempDir((dir) => {
    const path = join(dir, "file");
    const one = runtime.openFile(path, NEW);
    const two = runtime.openFile(path, READ);
    assert(one.lock(true));
    assert(!two.lock(true));
    assert(!two.lock(false));
    assert(one.lock(false), "exclusive is converted to shared");
    assert(two.lock(false));
    assert(!one.lock(true), "shared is not converted while another holds it");
    two.unlock();
    assert(one.lock(true));
    one.close();
    assert(two.lock(true), "closing unlocks");
    two.close();
  });
});

for (const other of runtimes) {
  test(`lock: a process on ${other} excludes this one until it is killed`, async () => {
    await withTempDir(async (dir) => {
      const path = join(dir, "file");
      const file = runtime.openFile(path, NEW);

      const child = spawnScript(other, fileChild, ["lock", path, "exclusive"]);
      assertEquals(await child.nextLine(), "true");
      assert(!file.lock(true));
      assert(!file.lock(false));
      child.kill("SIGKILL");
      assertEquals((await child.exited).signal, "SIGKILL");
      assert(file.lock(true));

      const late = spawnScript(other, fileChild, ["lock", path, "shared"]);
      assertEquals(await late.nextLine(), "false");
      assert(file.lock(false));
      late.send("again");
      assertEquals(await late.nextLine(), "true");
      assert(!file.lock(true));
      late.kill();
      await late.exited;
      file.close();
    });
  });
}
