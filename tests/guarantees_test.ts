/**
 * Protects docs/guarantees.md: each test that it names as a proof exists. And those of its promises that
 * no other test proves: whom new files belong to, and what is refused in their places.
 */

import {
  chmod,
  lstat,
  mkdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { ManifoldError, open, text } from "../mod.ts";
import { assert, assertEquals, assertGreater, assertRejects } from "./support/assert.ts";
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
