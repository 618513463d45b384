/**
 * Protects docs/guarantees.md: each test that it names as a proof exists. And those of its promises that
 * no other test proves: whom new files belong to, and what is refused in their places.
 */

import { spawnSync } from "node:child_process";
import {
  chmod,
  copyFile,
  lstat,
  mkdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { ManifoldError, open, type OpenOptions, text } from "../mod.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
} from "./support/assert.ts";
import { spawnScript } from "./support/child.ts";
import type { Answer, Command } from "./support/database_child.ts";
import { exists } from "./support/fs.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const project = new URL("../", import.meta.url);

/** The names of the tests in a source, with `…` for what varies. */
function namesIn(source: string): Set<string> {
  const names = new Set<string>();
  for (const [, , name] of source.matchAll(/\btest\(\s*(["`])((?:\\.|(?!\1)[^\\])*)\1/g)) {
    names.add(name.replaceAll(/\$\{[^}]*\}/g, "…"));
  }
  return names;
}

test("guarantees: each proof that docs/guarantees.md names exists", async () => {
  const document = await readFile(new URL("docs/guarantees.md", project), "utf8");
  const proofs = [...document.matchAll(/^- `(tests\/\S+)`: (.+)$/gm)];
  assertGreater(proofs.length, 40);
  const missing: string[] = [];
  for (const [, file, name] of proofs) {
    const url = new URL(file, project);
    if (!await exists(url)) missing.push(file);
    else if (!namesIn(await readFile(url, "utf8")).has(name)) missing.push(`${file}: ${name}`);
  }
  assertEquals(missing, []);
  // What is promised under a heading has a proof, but for what cannot be promised.
  for (const section of document.split(/^## /m).slice(1)) {
    const promises = !section.startsWith("What cannot be promised");
    assertEquals(/^- `tests\//m.test(section), promises, section.split("\n")[0]);
  }
});

test("guarantees: a database and its log can be read and written by their owner only", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/d.manifold`;
    const db = await open(path);
    await (await db.columnFamily("f")).table("t", { key: text, value: text }).set("a", "b");
    for (const file of [path, `${path}-log`]) {
      assertEquals((await stat(file)).mode & 0o777, 0o600, file);
    }
    await db.close();
    // What its owner has allowed since then stays allowed.
    await chmod(path, 0o640);
    await (await open(path)).close();
    assertEquals((await stat(path)).mode & 0o777, 0o640);
  }));

test("guarantees: a link or a directory where a file is made is refused, and stays as it is", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/d.manifold`;
    const precious = `${dir}/precious`;
    await writeFile(precious, "precious");
    for (const target of [precious, `${dir}/nowhere`]) {
      // Where a new file is prepared.
      await symlink(target, `${path}-new`);
      const error = await assertRejects(() => open(path), ManifoldError, `${path}-new`);
      assertEquals(error.code, "permission-denied");
      await rm(`${path}-new`);
      // Where the log of a new file would be.
      await symlink(target, `${path}-log`);
      const second = await assertRejects(() => open(path), ManifoldError, `${path}-log`);
      assertEquals(second.code, "corrupt");
      assertEquals(await readlink(`${path}-log`), target);
      await rm(`${path}-log`);
      await rm(path);
    }
    await mkdir(`${path}-log`);
    const third = await assertRejects(() => open(path), ManifoldError, `${path}-log`);
    assertEquals(third.code, "corrupt");
    assert((await lstat(`${path}-log`)).isDirectory());
    await rm(`${path}-log`, { recursive: true });
    assertEquals(await readFile(precious, "utf8"), "precious");
    assert(!await exists(`${dir}/nowhere`));
    // With nothing in the way it opens.
    await (await open(path)).close();
  }));

test("guarantees: a link that comes while the database is open is not followed by its log", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/d.manifold`;
    const precious = `${dir}/precious`;
    await writeFile(precious, "precious");
    const db = await open(path);
    // The log is made with the first write.
    await symlink(precious, `${path}-log`);
    const error = await assertRejects(() => db.columnFamily("f"), ManifoldError);
    assertEquals(error.code, "failed");
    await db.close();
    assertEquals(await readFile(precious, "utf8"), "precious");
  }));

/** In a process of its own: a call that waits for the other end of a pipe stops the thread that makes it. */
class OtherProcess implements Disposable {
  readonly #child = spawnScript("self", new URL("./support/database_child.ts", import.meta.url));

  /** What it answers, which must not take long; its code, or "done". */
  async do(command: Command): Promise<string> {
    this.#child.send(JSON.stringify(command));
    const begun = performance.now();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), HANGS_MS);
    const answer = JSON.parse(await this.#child.nextLine()) as Answer;
    clearTimeout(timer);
    assertLess(performance.now() - begun, AT_ONCE_MS, JSON.stringify(command));
    return answer.ok ? "done" : answer.code;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

const HANGS_MS = 10_000;
const AT_ONCE_MS = 2000;

/** A pipe or a socket at a path. */
async function putAt(path: string, kind: "pipe" | "socket"): Promise<Disposable> {
  if (kind === "pipe") {
    assertEquals(spawnSync("mkfifo", [path]).status, 0);
    return { [Symbol.dispose]: () => {} };
  }
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { [Symbol.dispose]: () => void server.close() };
}

async function kindAt(path: string): Promise<string> {
  const info = await lstat(path);
  return info.isFIFO() ? "pipe" : info.isSocket() ? "socket" : info.isFile() ? "file" : "another";
}

for (const kind of ["pipe", "socket"] as const) {
  test(`guarantees: a ${kind} where a file belongs is refused at once, and stays as it is`, () =>
    withTempDir(async (dir) => {
      using other = new OtherProcess();
      const opened = (path: string, options: OpenOptions = {}) =>
        other.do({ do: "open", path, options });
      const image = `${dir}/image`;
      {
        await using db = await open(image);
        await (await db.columnFamily("f")).table("t", { key: text, value: text }).set("a", "b");
        for (const suffix of ["", "-log"]) {
          await copyFile(image + suffix, `${dir}/crashed${suffix}`);
        }
      }

      // Where a new file is prepared, in its own place, and where its log would be.
      using _new = await putAt(`${dir}/new-new`, kind);
      assertEquals(await opened(`${dir}/new`), "not-a-database");
      assert(!await exists(`${dir}/new`));
      using _own = await putAt(`${dir}/own`, kind);
      assertEquals(await opened(`${dir}/own`), "not-a-database");
      assertEquals(await opened(`${dir}/own`, { readOnly: true }), "not-a-database");
      using _first = await putAt(`${dir}/first-log`, kind);
      assertEquals(await opened(`${dir}/first`), "corrupt");

      // Of a clean file, which needs none, and of one that does.
      const clean = await readFile(image);
      using _log = await putAt(`${image}-log`, kind);
      assertEquals(await opened(image), "corrupt");
      assertEquals(await opened(image, { acceptLogLoss: true }), "corrupt");
      assertEquals(await opened(image, { readOnly: true }), "done");
      assertEquals(await other.do({ do: "close" }), "done");
      assert(clean.equals(await readFile(image)), "a file was changed");
      const crashed = await readFile(`${dir}/crashed`);
      const log = await readFile(`${dir}/crashed-log`);
      await rm(`${dir}/crashed-log`);
      using _needed = await putAt(`${dir}/crashed-log`, kind);
      for (const options of [{}, { acceptLogLoss: true }, { readOnly: true }]) {
        const code = await opened(`${dir}/crashed`, options);
        assertEquals(code, options.readOnly ? "needs-recovery" : "corrupt");
      }
      assert(crashed.equals(await readFile(`${dir}/crashed`)), "a file was changed");

      // Where a log is put that was given up, another place is found.
      const lost = `${dir}/lost`;
      await writeFile(lost, crashed);
      log.fill(0, 0, 100);
      await writeFile(`${lost}-log`, log);
      using _lost = await putAt(`${lost}-log-lost`, kind);
      assertEquals(await opened(lost), "corrupt");
      assertEquals(await opened(lost, { acceptLogLoss: true }), "done");
      assert(log.equals(await readFile(`${lost}-log-lost-2`)), "it is kept");
      assertEquals(await other.do({ do: "close" }), "done");

      // One that comes while the database is open, before its log is made.
      assertEquals(await opened(`${dir}/open`), "done");
      using _late = await putAt(`${dir}/open-log`, kind);
      assertEquals(await other.do({ do: "family", family: "f" }), "failed");
      assertEquals(await other.do({ do: "close" }), "done");

      for (
        const name of ["new-new", "own", "first-log", "image-log", "crashed-log", "lost-log-lost"]
      ) assertEquals(await kindAt(`${dir}/${name}`), kind, name);
      assertEquals(await kindAt(`${dir}/open-log`), kind);
    }));
}
