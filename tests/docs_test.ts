/**
 * Protects the documents from falling behind: every error code has its place in docs/troubleshooting.md, and no
 * code has one that does not exist.
 */

import { readFile } from "node:fs/promises";
import { ERROR_CODES } from "../lib/errors.ts";
import { assertEquals, assertGreater } from "./support/assert.ts";
import { test } from "./support/test.ts";

test("docs: troubleshooting has a section for each error code, in the order of the codes, and says something", async () => {
  const page = await readFile(new URL("../docs/troubleshooting.md", import.meta.url), "utf8");
  const sections = page.split("\n### ").slice(1);
  assertEquals(sections.map((section) => /^`([a-z-]+)`\n/.exec(section)?.[1]), [...ERROR_CODES]);
  for (const section of sections) {
    assertGreater(section.split("\n## ")[0].length, 80, section.slice(0, 20));
  }
});
